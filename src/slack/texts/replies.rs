//! The private answer to what was done: what it was, and what happens next. And the answers to what went wrong on our side.

use crate::slack::blocks::{Rendered, context, message, section};
use crate::slack::gates::{self, rule_ref, signs};
use crate::slack::markup::foreign_line;
use crate::slack::state::{now, settlement};
use crate::slack::view::View;
use domain::event::{Event, SignOff};
use domain::ids::ReleaseKey;
use domain::rules::sign_off::rule_of;

/// What a person's command did: `view` is the release afterwards, `events` is what was recorded.
pub fn done(view: &View<'_>, events: &[Event]) -> Rendered {
    let release = view.release;
    let what = format!("{} ({})", release.key, view.what());
    let Some((said, rule)) = events.iter().find_map(|event| first(view, event, &what)) else {
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
fn first(view: &View<'_>, event: &Event, what: &str) -> Option<(String, Option<String>)> {
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
                signed(what, sign_off),
                Some(format!(
                    "{} · To take it back before the start: {back}",
                    rule_ref(rule_of(sign_off.role))
                )),
            ));
        }
        Event::ReleaseRejected { role, .. } => {
            format!("Rejected: {what}, by you as {}. It does not start.", role.title())
        }
        Event::SignOffWithdrawn { role, .. } => format!(
            "Withdrawn: your sign-off of {what} as {}. It does not start without a new one.",
            role.title()
        ),
        Event::ReleaseCancelled { .. } => format!("Cancelled: {what}. It will not happen."),
        Event::DeploymentRequested { attempt, .. } => format!("Deploying: {what}, attempt {attempt}."),
        Event::StopRequested { attempt, .. } => format!("Stopping: {what}, attempt {attempt}."),
        Event::SettlementProposed { attempt, choice, .. } => format!(
            "Recorded: you say of attempt {attempt} of {what}: {}.",
            settlement(*choice)
        ),
        _ => return None,
    };
    Some((said, None))
}

fn signed(what: &str, sign_off: &SignOff) -> String {
    let deputy = if sign_off.as_deputy { ", standing in" } else { "" };
    let against = if sign_off.confirms_rejection {
        ", confirmed against the tech lead's rejection"
    } else {
        ""
    };
    format!(
        "Signed: {} of {what}, by you as {}{deputy}{against}.",
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

/// Something broke on our side before anything was recorded.
pub fn internal_error(request_id: &str) -> Rendered {
    let id = foreign_line(&request_id.chars().take(16).collect::<String>(), 60);
    let text = format!(
        "Something is broken in Countersign, and this was not carried out. Nothing was changed. Try again; if it stays so, give an admin this number: {id}."
    );
    message(&text, 0, |_| vec![section(&text)])
}

/// A form could not be opened in Slack's 3 s.
pub fn form_too_late(typed: &str) -> Rendered {
    let text = format!(
        "Slack gives 3 seconds to open a form, and they were over. Nothing was changed. Please try again: `/release {}`",
        foreign_line(&typed.replace('`', "'"), 200)
    );
    message(&text, 0, |_| vec![section(&text)])
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

/// #releases can't be reached: said at the start and with every hotfix, while there is time.
pub fn releases_channel_unusable(reason: &str) -> Rendered {
    let text = format!(
        "Countersign can't post in #releases ({}), so the emergency notice (rule {}) would be missed. Invite it now: open #releases and type `/invite @countersign`.",
        foreign_line(reason, 120),
        rule_ref(domain::rule::Rule::EmergencyNotice)
    );
    message(&text, 0, |_| vec![section(&text)])
}
