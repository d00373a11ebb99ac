//! The release's card in the channel of its service: always what is true now.

mod buttons;

use crate::slack::blocks::{Rendered, actions, context, divider, fields, header, message, section};
use crate::slack::gates::{self, Words};
use crate::slack::markup::{count, foreign_line, quoted, some_of};
use crate::slack::state::{self, kind_word};
use crate::slack::unchecked;
use crate::slack::view::View;
use buttons::buttons;
use domain::ids::{Millis, ServiceName};
use domain::policy::Policy;
use domain::release::{Attempt, AttemptState, Migration, Release, Status};
use domain::role::Role;
use domain::rule::{Effect, Judged, Rule, SkipReason};
use domain::rules::gates::{Detail, Gate, GateState};
use domain::rules::sign_off::roles_of;
use domain::schedule::next_working_day;
use serde_json::Value;

/// The card.
pub fn card(view: &View<'_>) -> Rendered {
    let release = view.release;
    let status = state::card_status(view);
    let text = format!(
        "{}, {} ({}) to {}: {}. {}",
        release.key,
        view.what(),
        kind_word(release),
        release.environment,
        state::lower(&status),
        state::now(view)
    );
    message(&text, view.version, |room| {
        let mut blocks = vec![
            header(&format!(
                "{} · {} · {} · {status}",
                release.key,
                view.what(),
                kind_word(release)
            )),
            section(&state::now(view)),
            fields(&facts(view)),
        ];
        blocks.extend(content(view, room / 3));
        blocks.push(divider());
        blocks.push(section(&match release.status {
            Status::Released | Status::Cancelled => history(view),
            _ => checklist(view),
        }));
        blocks.extend(debts(view).map(|text| section(&text)));
        blocks.extend(attempts(view).map(|text| section(&text)));
        blocks.push(context(&footnote(view)));
        if view.can_have_buttons {
            blocks.extend(actions(buttons(view)));
        }
        blocks
    })
}

/// The facts in two columns.
fn facts(view: &View<'_>) -> Vec<(&'static str, String)> {
    let release = view.release;
    let mut facts = Vec::new();
    let is_over = matches!(release.status, Status::Released | Status::Cancelled);
    if let Some(plan) = release.plan.as_ref().filter(|_| is_over) {
        facts.push(("Planned start", view.when(plan.start_ms)));
    } else if let Some(plan) = &release.plan {
        facts.push(("Start", view.when(plan.start_ms)));
        facts.push(("Nothing starts after", view.when(plan.start_ms + plan.length_ms)));
    }
    facts.push(("Version", version_to_judge(view)));
    facts.push((
        "Where",
        format!("{} of {}{}", release.environment, release.service, running(view)),
    ));
    facts.push(("Tickets", tickets(release)));
    if let Some(plan) = &release.plan {
        let notice = if plan.user_facing { "yes" } else { "no" };
        facts.push((
            "Users notice",
            format!("{notice} · migration: {}", migration(plan.migration)),
        ));
    }
    facts.push((
        "Asked for by",
        format!(
            "{}, {}",
            view.names.mention(&release.requester),
            view.when(release.proposed_ms)
        ),
    ));
    if let Some(owner) = release.owner.as_ref().filter(|owner| **owner != release.requester) {
        facts.push(("Release manager", view.names.mention(owner)));
    }
    facts.push(("Authors", view.names.mentions(&release.authors, "and")));
    facts
}

fn running(view: &View<'_>) -> String {
    let deployed = view.deployed();
    deployed.map_or_else(String::new, |version| format!(", last success {}", version.tag()))
}

/// Version and commit, and a warning where something newer was deployed already.
pub(crate) fn version_to_judge(view: &View<'_>) -> String {
    let newer = view
        .deployed()
        .filter(|deployed| view.is_before_start() && view.release.version.is_before(deployed));
    let warning = newer.map_or_else(String::new, |deployed| {
        format!("\n:warning: *older* than {}, deployed there last", deployed.tag())
    });
    format!("{}{warning}", version(view.release))
}

/// Version and commit.
pub(crate) fn version(release: &Release) -> String {
    match &release.source {
        Some(source) => format!("{}, commit {}", release.version.tag(), source.commit.short()),
        None => format!("{}, commit not known yet", release.version.tag()),
    }
}

/// The first tickets.
pub(crate) fn tickets(release: &Release) -> String {
    if release.tickets.is_empty() {
        return "none named".to_owned();
    }
    let shown = some_of(release.tickets.iter().map(ToString::to_string), 8);
    format!("{}: {shown}", count(release.tickets.len(), "ticket"))
}

/// A migration class in words.
pub(crate) fn migration(class: Migration) -> &'static str {
    match class {
        Migration::None => "none",
        Migration::Reversible => "reversible",
        Migration::ExpandOnly => "expand-only: the old version runs on the new schema",
        Migration::Irreversible => "irreversible: no way back but a backup",
    }
}

/// What is in it, or why it can't wait.
fn content(view: &View<'_>, room: usize) -> Vec<Value> {
    let release = view.release;
    let mut blocks = Vec::new();
    if let Some(plan) = &release.plan {
        blocks.push(section(&format!(
            "*Scope*\n{}",
            quoted(view.text(&plan.scope), room, "(nothing)")
        )));
    }
    if let Some(justification) = &release.justification {
        blocks.push(section(&format!(
            "*Why it can't wait*\n{}",
            quoted(view.text(justification), room, "(nothing)")
        )));
        if view.is_before_start() {
            blocks.push(section(&skipped(view)));
        }
    }
    blocks
}

/// What a hotfix skips, under its three headings.
pub(crate) fn skipped(view: &View<'_>) -> String {
    let (due_ms, starts) = skipped_due(view);
    let starts = if starts { ", if it starts today" } else { "" };
    skipped_until(
        &skipped_words(view.policy, &view.release.service),
        &view.somebody(Role::TechLead),
        &format!("{}{starts}", view.when(due_ms)),
    )
}

/// The same, with whoever owes it and `due` in words.
pub(crate) fn skipped_until([procedure, same_day, our_reading]: &[String; 3], owed_by: &str, due: &str) -> String {
    format!(
        "*Skipped because the procedure says so (3.4):* {procedure}.\n*Because it is same or next day (4.1):* {same_day}.\n*By our reading:* {our_reading}.\n*Owed afterwards*, by {owed_by} until {due}: staging, and what is skipped by our reading."
    )
}

/// When what is skipped is due, and whether that still depends on the day of the start.
pub(crate) fn skipped_due(view: &View<'_>) -> (Millis, bool) {
    match view.release.debts.get(&Rule::StageStaging) {
        Some(debt) => (debt.due_ms, false),
        None => (next_working_day(view.now_ms, &view.release.time_zone, 17), true),
    }
}

/// The three lists behind the headings.
pub(crate) fn skipped_words(policy: &Policy, service: &ServiceName) -> [String; 3] {
    let skipped = policy.skipped_by_emergency(service);
    [SkipReason::Procedure, SkipReason::SameDay, SkipReason::OurReading].map(|reason| {
        let rules = skipped.iter().filter(|(of, _)| *of == reason);
        let titles: Vec<&str> = rules.map(|(_, rule)| rule.title()).collect();
        if titles.is_empty() {
            "nothing".to_owned()
        } else {
            titles.join(", ")
        }
    })
}

/// Met, owed and unmet gates, what holds the start first.
fn checklist(view: &View<'_>) -> String {
    let words = Words {
        release: view.release,
        names: view.names,
        texts: view.texts,
    };
    // When it may start stands above. Time passes by itself: nothing to be met, and no total that moves with it. What holds for
    // every release, whatever people do, is no line either.
    let counts = |gate: &&Gate| {
        !matches!(gate.rule, Rule::DeployStart | Rule::RolesCommands | Rule::PolicyChange)
            && !matches!(gate.state, GateState::NotApplicable | GateState::NotJudged)
            && gate.effect == Effect::Block
    };
    let mut gates: Vec<&Gate> = view.gates.iter().filter(counts).collect();
    let met = gates.iter().filter(|gate| gate.state == GateState::Met).count();
    gates.sort_by_key(|gate| (!gate.holds_start(), gate.state == GateState::Met));
    if gates.is_empty() {
        return "*Checklist* not judged yet".to_owned();
    }
    // Who signed or waived what has a line each, and so has what is missing; what is to be said shares one for each role, and the
    // plain rest one.
    let (to_say, rest): (Vec<&Gate>, Vec<&Gate>) = gates.iter().copied().partition(|gate| to_be_confirmed(gate));
    let (plain, own): (Vec<&Gate>, Vec<&Gate>) = rest.into_iter().partition(|gate| is_plainly_met(gate, view.release));
    let mut lines: Vec<String> = own.into_iter().map(|gate| gates::line(gate, &words)).collect();
    lines.extend(to_be_said(&to_say, view));
    if !plain.is_empty() {
        let met: Vec<String> = plain.into_iter().map(|gate| gates::sentence(gate, &words)).collect();
        lines.push(format!("*Met* · {}", met.join("; ")));
    }
    lines.extend(unchecked::line(view));
    format!("*Checklist:* {met} of {} met\n{}", gates.len(), lines.join("\n"))
}

/// Whether it holds the start until somebody says it, for the first time or again.
pub(crate) fn to_be_confirmed(gate: &Gate) -> bool {
    gate.holds_start() && matches!(gate.rule.judged(), Judged::Attested(..))
}

/// What somebody still has to say, one line for each of the roles.
pub(crate) fn to_be_said(gates: &[&Gate], view: &View<'_>) -> Vec<String> {
    let mut by_roles: Vec<(&[Role], Vec<&Gate>)> = Vec::new();
    for gate in gates {
        match by_roles.iter_mut().find(|(roles, _)| *roles == gate.roles) {
            Some((_, of_roles)) => of_roles.push(gate),
            None => by_roles.push((&gate.roles, vec![gate])),
        }
    }
    let line = |(roles, gates): (&[Role], Vec<&Gate>)| {
        let who = match roles {
            [role] => view.holders(*role),
            several => format!("two different people of {}", gates::roles(several)),
        };
        let titles = some_of(gates.iter().map(|gate| gate.rule.title().to_owned()), 20);
        format!("*To be confirmed* · by {who}: {titles}")
    };
    by_roles.into_iter().map(line).collect()
}

fn has_debt(gate: &Gate, release: &Release) -> bool {
    release.debts.get(&gate.rule).is_some_and(|debt| debt.closed.is_none())
}

/// Who said what while it was open: over, it asks nobody for anything.
fn history(view: &View<'_>) -> String {
    let release = view.release;
    let signed = release.sign_offs.values().map(|sign_off| {
        let deputy = if sign_off.as_deputy { ", standing in" } else { "" };
        format!(
            "*{}* · {} signed {}{deputy}, {}",
            state::capital(sign_off.role.title()),
            view.names.mention(&sign_off.person),
            gates::signs(sign_off.role),
            view.when(sign_off.signed_ms)
        )
    });
    let rejected = release.rejections.iter().map(|(role, no)| {
        format!(
            "*{}* · {} said no {}: “{}”",
            state::capital(role.title()),
            view.names.mention(&no.person),
            view.when(no.at_ms),
            foreign_line(view.text(&no.reason), 200)
        )
    });
    let silent = roles_of(release.kind)
        .iter()
        .filter(|role| !release.sign_offs.contains_key(role) && !release.rejections.contains_key(role));
    let silent = silent.map(|role| format!("*{}* · had not signed", state::capital(role.title())));
    let mut lines: Vec<String> = signed.chain(rejected).chain(silent).collect();
    // Only what went out must not read as if everything had been looked at.
    if release.status == Status::Released {
        lines.extend(unchecked::line(view));
    }
    format!("*Sign-offs at the end*\n{}", lines.join("\n"))
}

fn is_plainly_met(gate: &Gate, release: &Release) -> bool {
    let says_more = !matches!(gate.detail, Detail::Plain | Detail::AttestedBy { .. });
    gate.state == GateState::Met && !says_more && !has_debt(gate, release)
}

/// What is owed, by whom, until when.
pub(crate) fn debts(view: &View<'_>) -> Option<String> {
    let mut open: Vec<_> = view.release.open_debts().collect();
    open.sort_by_key(|(rule, debt)| (debt.due_ms, *rule));
    let (_, first) = open.first()?;
    let mut groups: Vec<(Millis, Role, Vec<Rule>)> = Vec::new();
    for (rule, debt) in &open {
        match groups
            .iter_mut()
            .find(|(due_ms, role, _)| *due_ms == debt.due_ms && *role == debt.owed_by)
        {
            Some((_, _, rules)) => rules.push(*rule),
            None => groups.push((debt.due_ms, debt.owed_by, vec![*rule])),
        }
    }
    let lines: Vec<String> = groups
        .into_iter()
        .map(|(due_ms, role, rules)| {
            let overdue = if due_ms < view.now_ms { " *OVERDUE*" } else { "" };
            let rules = some_of(rules.iter().map(|rule| rule.title().to_owned()), 20);
            format!("By {}{overdue}, {}: {rules}", view.when(due_ms), view.somebody(role))
        })
        .collect();
    let title = match lines.len() {
        1 => format!("*Owed:* {}", count(open.len(), "thing")),
        _ => format!(
            "*Owed:* {}, first due {}",
            count(open.len(), "thing"),
            view.when(first.due_ms)
        ),
    };
    // Only that sign-off can be given here so far.
    let others = open.iter().any(|(rule, _)| *rule != Rule::SignoffTechLead);
    let note = if others {
        "\nCountersign can't take note yet that one of these is settled, but for the tech lead's sign-off: settle them in your tickets; here they stay open."
    } else {
        ""
    };
    Some(format!("{title}\n{}{note}", lines.join("\n")))
}

/// The last attempts.
fn attempts(view: &View<'_>) -> Option<String> {
    let attempts = &view.release.attempts;
    let earlier = attempts.len().saturating_sub(4);
    let mut lines: Vec<String> = attempts
        .iter()
        .skip(earlier)
        .map(|attempt| attempt_line(view, attempt))
        .collect();
    if earlier > 0 {
        lines.insert(
            0,
            format!(
                "… ({earlier} earlier; `/release audit {}` lists them)",
                view.release.key
            ),
        );
    }
    (!lines.is_empty()).then(|| format!("*Attempts*\n{}", lines.join("\n")))
}

fn attempt_line(view: &View<'_>, attempt: &Attempt) -> String {
    let state = match attempt.state {
        AttemptState::Queued => "requested, not started".to_owned(),
        AttemptState::Starting => "starting".to_owned(),
        AttemptState::Running => "running".to_owned(),
        AttemptState::Interrupted => "outcome unknown".to_owned(),
        AttemptState::Ended(result) => state::result_words(attempt, result, &view.release.key),
    };
    let at = view.when(attempt.ended_ms.or(attempt.starting_ms).unwrap_or(attempt.requested_ms));
    let flagged = match attempt.unconfirmed.len() {
        0 => String::new(),
        _ => format!(
            "; started while Slack could not confirm the role of {}",
            view.names.mentions(&attempt.unconfirmed, "and")
        ),
    };
    let notice = match &attempt.notice {
        None => String::new(),
        Some(notice) => match (notice.posted_ms, &notice.breached) {
            (Some(at_ms), None) => format!("; notice in #releases {}", view.when(at_ms)),
            (Some(at_ms), Some(_)) => format!(
                "; notice in #releases late, {}: breach of `emergency.notice` recorded",
                view.when(at_ms)
            ),
            (None, Some(_)) => "; no notice in #releases: breach of `emergency.notice` recorded".to_owned(),
            (None, None) => format!(
                "; notice in #releases not confirmed yet, due {}",
                view.when(notice.started_ms + view.policy.notice_breach_after_ms)
            ),
        },
    };
    format!("{}: {state}, {at}{flagged}{notice}", attempt.number)
}

fn footnote(view: &View<'_>) -> String {
    let release = view.release;
    let mut notes = vec![match release.status {
        Status::Released | Status::Cancelled => format!("Who did what and when: `/release audit {}`", release.key),
        _ => format!("What holds it, in ten lines: `/release why {}`", release.key),
    }];
    if view.dead_jobs > 0 {
        notes.push(format!(
            "{} of this release gave up, so something here may be late: an admin looks with `countersign jobs list`",
            count(view.dead_jobs, "job")
        ));
    }
    if !view.can_have_buttons {
        notes.push(format!(
            "No buttons here, because this channel is shared with people outside: use `/release approve {}` and the like",
            release.key
        ));
    }
    notes.join(" · ")
}
