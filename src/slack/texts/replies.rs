//! The private answer to what was done: what it was, and what happens next. And the answers to what went wrong on our side.

use crate::slack::blocks::{Button, Rendered, actions, context, message, section};
use crate::slack::buttons::{ActionId, ButtonValue};
use crate::slack::gates::{self, rule_ref, signs};
use crate::slack::markup::{count, foreign_line};
use crate::slack::modals::Form;
use crate::slack::state::{now, settlement};
use crate::slack::verbs::COMMAND;
use crate::slack::view::View;
use domain::event::{Event, SignOff};
use domain::ids::ReleaseKey;
use domain::release::Release;
use domain::role::Role;
use domain::rules::sign_off::rule_of;

/// What a person's command did: `before` is the release before it, if there was one, `view` the release afterwards, `events`
/// what was recorded.
pub fn done(before: Option<&Release>, view: &View<'_>, events: &[Event]) -> Rendered {
    let release = view.release;
    let what = format!("{} ({})", release.key, view.what());
    let confirmed = confirmed(events, &what);
    let first = events.iter().find_map(|event| first(before, view, event, &what));
    let told = match (confirmed, first) {
        (Some(confirmed), Some((said, rule))) => Some((format!("{confirmed} {said}"), rule)),
        (Some(confirmed), None) => Some((confirmed, None)),
        (None, first) => first,
    };
    let Some((said, rule)) = told else {
        let text = format!("{what}: nothing had to be changed; it is so already.");
        return message(&text, 0, |_| vec![section(&text)]);
    };
    let next = next(view, events);
    let text = format!("{said} {next}");
    message(&text, 0, |_| {
        let mut blocks = vec![section(&format!("*{said}*\n{next}"))];
        blocks.extend(rule.as_ref().map(|rule| context(rule)));
        blocks
    })
}

/// The sentence for the event that the command was about.
fn first(before: Option<&Release>, view: &View<'_>, event: &Event, what: &str) -> Option<(String, Option<String>)> {
    let back = format!("`/release withdraw {}`", view.release.key);
    let said = match event {
        Event::ReleasePlanned { owner: Some(_), .. } => format!("Planned: {what}."),
        Event::ReleasePlanned { owner: None, .. } => format!("Drafted: {what}. A release manager has to take it over."),
        Event::HotfixRequested { .. } => format!("Asked for: hotfix {what}."),
        Event::PlanChanged { changed, .. } if changed.is_empty() => {
            format!("Saved: {what}. Nothing that is signed has changed.")
        }
        Event::PlanChanged { changed, .. } => format!("Changed: {what}, {}.", gates::changed(changed)),
        Event::CommitTyped { commit, .. } => format!("Typed: {what} goes on commit {}.", commit.short()),
        Event::SignedOff { sign_off } => {
            return Some((
                signed(before, what, sign_off),
                Some(format!(
                    "{} · To take it back before the start: {back}",
                    rule_ref(rule_of(sign_off.role))
                )),
            ));
        }
        Event::ReleaseRejected { role, .. } => {
            format!("Rejected: {what}, by you as {}.", role.title())
        }
        Event::SignOffWithdrawn { role, .. } => format!("Withdrawn: your sign-off of {what} as {}.", role.title()),
        Event::ReleaseCancelled { .. } => format!("Cancelled: {what}."),
        Event::DeploymentRequested { attempt, .. } => format!("Deploying: {what}, attempt {attempt}."),
        Event::StopRequested { attempt, .. } => format!("Stopping: {what}, attempt {attempt}."),
        Event::SettlementProposed { attempt, choice, .. } => format!(
            "Recorded: you say of attempt {attempt} of {what}: {}.",
            settlement(*choice)
        ),
        Event::RuleWaived { rule, waiver } => {
            let counts = view.gate(*rule).is_none_or(|gate| !gate.holds_start());
            let half = if counts {
                ""
            } else {
                " It counts once everybody whom it takes has waived it too."
            };
            return Some((
                format!(
                    "Waived: {} of {what}, by you as {}, to be looked at again {}.{half}",
                    rule.title(),
                    waiver.role.title(),
                    view.when(waiver.follow_up_ms)
                ),
                Some(format!("{} · To take it back: {back} {}", rule_ref(*rule), rule.id())),
            ));
        }
        Event::AttestationWithdrawn { rule, .. } => format!("Taken back: what you said of {} of {what}.", rule.title()),
        Event::WaiverWithdrawn { rule, .. } => format!("Taken back: your waiver of {} of {what}.", rule.title()),
        _ => return None,
    };
    Some((said, None))
}

/// What was said in one visit, counted.
fn confirmed(events: &[Event], what: &str) -> Option<String> {
    let said = events.iter().filter_map(|event| match event {
        Event::Attested { attestation, .. } => Some(attestation.role),
        _ => None,
    });
    let roles: Vec<Role> = said.collect();
    let role = roles.first()?;
    Some(format!(
        "Recorded: {} of {what}, by you as {}.",
        count(roles.len(), "line"),
        role.title()
    ))
}

fn signed(before: Option<&Release>, what: &str, sign_off: &SignOff) -> String {
    let deputy = if sign_off.as_deputy { ", standing in" } else { "" };
    let against = if sign_off.confirms_rejection {
        ", confirmed against the tech lead's rejection"
    } else {
        ""
    };
    let lifts = before.is_some_and(|release| release.rejections.contains_key(&sign_off.role));
    let lifted = if lifts {
        format!("Lifted: the no of the {}. ", sign_off.role.title())
    } else {
        String::new()
    };
    format!(
        "{lifted}Signed: {} of {what}, by you as {}{deputy}{against}.",
        signs(sign_off.role),
        sign_off.role.title()
    )
}

/// What happens next.
fn next(view: &View<'_>, events: &[Event]) -> String {
    let starts = events
        .iter()
        .any(|event| matches!(event, Event::DeploymentRequested { .. }));
    let debt = events.iter().any(|event| matches!(event, Event::DebtClosed { .. }));
    let settled = events.iter().any(|event| matches!(event, Event::AttemptSettled { .. }));
    let proposed = events
        .iter()
        .any(|event| matches!(event, Event::SettlementProposed { .. }));
    if starts {
        "Every gate is judged once more, then the script starts. The card, its thread and #releases follow it."
            .to_owned()
    } else if debt {
        "That settles what was owed.".to_owned()
    } else if proposed && !settled {
        "It counts once a second person says the same on the card; until then the environment stays locked.".to_owned()
    } else {
        now(view)
    }
}

/// The same click or command came twice.
pub fn duplicate(key: Option<&ReleaseKey>) -> Rendered {
    let what = key.map_or_else(|| "This".to_owned(), ToString::to_string);
    let text = format!("{what}: the same request arrived twice. It was carried out once; the card shows the result.");
    message(&text, 0, |_| vec![section(&text)])
}

/// The request is being worked on; the answer follows.
pub fn working(key: Option<&ReleaseKey>) -> Rendered {
    let what = key.map_or_else(|| "it".to_owned(), ToString::to_string);
    let text = format!("Working on {what}; the answer follows here.");
    message(&text, 0, |_| vec![section(&text)])
}

/// The commit was in flight when the time ran out: it may or may not have been recorded.
pub fn not_known_yet(key: Option<&ReleaseKey>) -> Rendered {
    let (card, status) = match key {
        Some(key) => (format!("the card of {key}"), format!("`/release status {key}`")),
        None => ("the card".to_owned(), "`/release list`".to_owned()),
    };
    let text = format!(
        "Not known yet: the database did not answer in time, so this may have been recorded or not. In a minute {card} will show it, or {status}. Trying again is safe: nothing is done twice."
    );
    message(&text, 0, |_| vec![section(&text)])
}

/// The database could not be reached, or too many people decided at once; nothing was recorded.
pub fn busy(request_id: &str) -> Rendered {
    let id = foreign_line(&request_id.chars().take(16).collect::<String>(), 60);
    let text = format!(
        "Countersign could not record this just now, and it was not carried out. Nothing was changed. Please do it again; if it stays so, give an admin this number: {id}."
    );
    message(&text, 0, |_| vec![section(&text)])
}

/// A newer version has decided something that this one doesn't know.
pub fn newer(key: Option<&ReleaseKey>) -> Rendered {
    let what = key.map_or_else(|| "This".to_owned(), ToString::to_string);
    let text = format!(
        "{what} was changed by a newer version of Countersign that runs beside the one that got your request, which can't judge it. Nothing was changed. Try again: the newer one may get it. If it stays so, an admin finishes the upgrade."
    );
    message(&text, 0, |_| vec![section(&text)])
}

/// Something broke on our side before anything was recorded.
pub fn internal_error(request_id: &str) -> Rendered {
    let id = foreign_line(&request_id.chars().take(16).collect::<String>(), 60);
    let text = format!(
        "Something is broken in Countersign, and this was not carried out. Nothing was changed. Try again; if it stays so, give an admin this number: {id}."
    );
    message(&text, 0, |_| vec![section(&text)])
}

/// A form did not open: what is typed instead of it, or to open it again.
pub fn form_not_opened(instead: &Instead<'_>, is_too_late: bool) -> Rendered {
    let why = if is_too_late {
        "Slack gives 3 seconds to open a form, and they were over"
    } else {
        "Slack did not open the form"
    };
    let (words, typed) = match instead {
        Instead::Plan(typed) => ("Please try again", verbs_line("plan", typed)),
        Instead::Hotfix(typed) => ("Please try again", verbs_line("hotfix", typed)),
        Instead::Checklist(key) => ("Please try again", verbs_line("attest", key.as_str())),
        Instead::Waiver(key) => ("Please try again", verbs_line("waive", key.as_str())),
        Instead::Reason(form, key) => {
            let verb = match form {
                Form::Withdraw => "withdraw",
                Form::Cancel => "cancel",
                _ => "reject",
            };
            ("Without the form it is typed", format!("{verb} {key} \"reason\""))
        }
    };
    let text = format!("{why}. Nothing was changed. {words}: `{COMMAND} {typed}`");
    message(&text, 0, |_| vec![section(&text)])
}

/// Which form did not open, and what had been typed behind its verb.
#[derive(Debug, Clone)]
pub enum Instead<'a> {
    /// The plan.
    Plan(String),
    /// The hotfix.
    Hotfix(String),
    /// Why not, why back, why never.
    Reason(Form, &'a ReleaseKey),
    /// A role's checklist.
    Checklist(&'a ReleaseKey),
    /// A waiver.
    Waiver(&'a ReleaseKey),
}

/// Somebody has something to say in several roles.
pub fn choose_checklist(view: &View<'_>, roles: &[Role]) -> Rendered {
    let release = view.release;
    let text = format!("{}, {}: which of your checklists?", release.key, view.what());
    let button = |role: &Role| {
        let label = format!("As {}…", role.title());
        let reader_label = format!("Open the checklist of {} as {}", release.key, role.title());
        Button::new(
            ActionId::ChecklistAs(*role),
            &label,
            &reader_label,
            ButtonValue::on(release).as_role(*role),
        )
    };
    message(&text, 0, |_| {
        let mut blocks = vec![section(&text)];
        blocks.extend(actions(roles.iter().map(button).collect()));
        blocks
    })
}

/// There is nothing on the checklist of the person's roles.
pub fn nothing_to_confirm(view: &View<'_>) -> Rendered {
    let why = format!(
        "`{COMMAND} why {}` says what it waits for, and for whom",
        view.release.key
    );
    let text = format!(
        "Nothing of {} ({}) waits for your word. {why}.",
        view.release.key,
        view.what()
    );
    message(&text, 0, |_| vec![section(&text)])
}

/// No rule that holds the start is theirs to waive.
pub fn nothing_to_waive(view: &View<'_>) -> Rendered {
    let (key, what) = (&view.release.key, view.what());
    let text = format!(
        "Nothing that holds {key} ({what}) is yours to waive. `{COMMAND} why {key}` says what holds it, and who can help."
    );
    message(&text, 0, |_| vec![section(&text)])
}

fn verbs_line(verb: &str, typed: &str) -> String {
    let typed = foreign_line(&typed.replace('`', "'"), 200);
    format!("{verb} {typed}").trim_end().to_owned()
}

/// A button or form of ours that can't be read any more, such as one of an older version.
pub fn unreadable() -> Rendered {
    let text = "This button or form is from an older message, or was not made by Countersign. Nothing was changed. Use the release's card, or `/release status`.";
    message(text, 0, |_| vec![section(text)])
}

/// What an older copy of a message says once it is found: it has no buttons, the one we keep has.
pub fn retired_copy() -> Rendered {
    let text = "This is an older copy of a message. Nothing is decided here; the newer copy and the release's card show what is true.";
    message(text, 0, |_| vec![section(text)])
}

/// What whoever clicks a message that a restored database does not know is told: of a lost history, or an older copy.
pub fn of_lost_history(key: &ReleaseKey) -> Rendered {
    let text = format!(
        "Nothing was decided: Countersign's database was put back from a backup, and it does not know this message. \
         `/release status {key}` shows where the release stands; if it is not known any more, it has to be planned again."
    );
    message(&text, 0, |_| vec![section(&text)])
}

/// Why the notice may not get into #releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelProblem {
    /// Nobody can post there any more.
    Archived,
    /// The bot was never invited, or was removed.
    NotAMember,
    /// Slack did not say; with its words.
    NotLookedAt(String),
}

impl ChannelProblem {
    /// The problem in a line, for operators.
    pub fn line(&self, channel: &str) -> String {
        match self {
            Self::Archived => format!("#releases ({channel}) is archived; emergency notices can't be posted"),
            Self::NotAMember => {
                format!("the bot is not a member of #releases ({channel}); type /invite @Countersign there")
            }
            Self::NotLookedAt(why) => format!("#releases ({channel}) can't be looked at: {why}"),
        }
    }
}

/// #releases may be out of reach: said with every hotfix, while there is time, with the remedy.
pub fn releases_channel_unusable(problem: &ChannelProblem) -> Rendered {
    let (what, remedy) = match problem {
        ChannelProblem::Archived => (
            "#releases is archived, so Countersign can't post there".to_owned(),
            "Unarchive it now, or an admin names another channel in the configuration.",
        ),
        ChannelProblem::NotAMember => (
            "Countersign is not a member of #releases and can't post there".to_owned(),
            "Invite it now: open #releases and type `/invite @Countersign`.",
        ),
        ChannelProblem::NotLookedAt(why) => (
            format!(
                "Slack does not say whether Countersign can post in #releases ({})",
                foreign_line(why, 120)
            ),
            "Look there after the start whether the notice stands; if it doesn't, tell the teams yourself.",
        ),
    };
    let text = format!(
        "{what}; the emergency notice (rule {}) may be missed. {remedy}",
        rule_ref(domain::rule::Rule::EmergencyNotice)
    );
    message(&text, 0, |_| vec![section(&text)])
}
