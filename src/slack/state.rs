//! Where a release stands, in words: the short form of headlines, and what is waited for, for whom, until when, and what
//! happens if nobody does.

use crate::slack::gates::{self, Words};
use crate::slack::markup::{count, foreign_line, joined};
use crate::slack::time::span;
use crate::slack::view::{Names, View};
use domain::release::{Attempt, AttemptState, Release, Status};
use domain::role::Role;
use domain::rule::{Judged, Rule};
use domain::rules::gates::{Detail, Gate};
use domain::rules::sign_off::rule_of;

pub use crate::slack::status::*;

/// What is waited for, for whom, until when, and what happens if nobody does.
pub fn now(view: &View<'_>) -> String {
    let release = view.release;
    match release.status {
        Status::Asking | Status::Approved if view.slot_over() => slot_over(view),
        Status::Drafted => drafted(view),
        Status::Asking => asking(view),
        Status::Approved => approved(view),
        Status::Queued => queued(view),
        Status::Deploying => deploying(view),
        Status::Interrupted => interrupted(view),
        Status::Released => released(view),
        Status::Rejected => rejected(view),
        Status::Cancelled => {
            "It will not happen, and nothing is asked of anybody. The thread says who cancelled it, when and why."
                .to_owned()
        }
    }
}

fn words<'a>(view: &View<'a>) -> Words<'a> {
    Words {
        release: view.release,
        names: view.names,
        texts: view.texts,
    }
}

fn drafted(view: &View<'_>) -> String {
    let release = view.release;
    if !release.kind.is_emergency() && release.owner.is_none() {
        return format!(
            "A draft by {}. A release manager takes it over with *Edit plan…* and saves it. Until then nobody is asked and nothing starts.",
            view.names.mention(&release.requester)
        );
    }
    match release.source_problem {
        Some(problem) => format!(
            "Nobody is asked yet: {}. Until then nothing starts.",
            gates::source_problem(problem, release)
        ),
        None => format!(
            "Countersign is reading the tag {} and the deployment script; then the signers are asked.",
            release.version.tag()
        ),
    }
}

fn slot_over(view: &View<'_>) -> String {
    let key = &view.release.key;
    let ended = view
        .release
        .plan
        .as_ref()
        .map_or(view.now_ms, |plan| plan.start_ms + plan.length_ms);
    format!(
        "The planned slot ended {}, and it was not deployed in it. It does not start any more: a release manager moves the start with *Edit plan…* or `/release plan {key}`, and the signers are asked again. If nobody does, nothing happens.",
        view.when(ended)
    )
}

/// Whoever has not signed yet, one line each.
fn asking(view: &View<'_>) -> String {
    let release = view.release;
    let open: Vec<&Gate> = view
        .holding()
        .into_iter()
        .filter(|gate| gate.rule.id().starts_with("signoff."))
        .collect();
    let mut lines: Vec<String> = open.iter().map(|gate| waits_for(gate, view)).collect();
    lines.extend(to_confirm(view));
    if lines.is_empty() {
        let other: Vec<String> = view
            .holding()
            .iter()
            .map(|gate| gates::sentence(gate, &words(view)))
            .collect();
        lines.push(format!("Waiting: {}.", joined(&other, "and")));
    }
    lines.push(match &release.plan {
        Some(plan) => format!(
            "If it isn't signed by {}, it does not start.",
            view.when(plan.start_ms + plan.length_ms)
        ),
        None => starts_by_itself(view),
    });
    lines.join("\n")
}

/// How many lines of the checklist wait for whom.
fn to_confirm(view: &View<'_>) -> Option<String> {
    let mut roles: Vec<(Role, usize)> = Vec::new();
    for gate in view.holding() {
        let (Judged::Attested(..), Some(role)) = (gate.rule.judged(), gate.roles.first()) else {
            continue;
        };
        match roles.iter_mut().find(|(of, _)| of == role) {
            Some((_, lines)) => *lines += 1,
            None => roles.push((*role, 1)),
        }
    }
    let by = roles
        .iter()
        .map(|(role, lines)| format!("{} by {}", count(*lines, "line"), view.holders(*role)));
    let by: Vec<String> = by.collect();
    (!by.is_empty()).then(|| format!("To be confirmed with *Open checklist…*: {}.", joined(&by, "and")))
}

/// What the last sign-off of a hotfix does. When it is the last one, it deploys at once, and that is said.
fn starts_by_itself(view: &View<'_>) -> String {
    let holding = view.holding();
    let waits_for_cto = holding.iter().any(|gate| gate.rule == Rule::SignoffCto);
    match (waits_for_cto, holding.len()) {
        (true, 1) => "Nothing starts without the CTO's sign-off; with it, it is deployed at once.".to_owned(),
        (true, _) => {
            format!(
                "Nothing starts without the CTO's sign-off; with it, it starts by itself as soon as nothing else is missing.{}",
                if_held(view)
            )
        }
        (false, _) => format!("It starts by itself as soon as nothing is missing.{}", if_held(view)),
    }
}

/// Nothing looks again when another deployment ends: only the last answer, or the end of a wait, starts a hotfix.
pub fn if_held(view: &View<'_>) -> String {
    match view.gate(Rule::DeployExclusive).filter(|gate| gate.holds_start()) {
        Some(gate) => format!(
            " But {}; if that is still so when the last answer is there, a deployment engineer has to start it afterwards, with `/release deploy {}`.",
            gates::sentence(gate, &words(view)),
            view.release.key
        ),
        None => String::new(),
    }
}

fn waits_for(gate: &Gate, view: &View<'_>) -> String {
    let role = gate.roles.first().copied().unwrap_or(Role::Cto);
    if !matches!(gate.detail, Detail::Waiting) {
        return format!("*{}*: {}.", capital(role.title()), gates::sentence(gate, &words(view)));
    }
    let signers = view.names.mentions(view.signers(role), "or");
    let mut line = format!("Waiting for {signers} ({}: {}).", role.title(), gates::signs(role));
    if let (Role::TechLead, Some(next_ms)) = (role, gate.next_ms) {
        let within = span(view.policy.tech_lead_within_ms);
        line = format!(
            "{line} Without an answer by {} it goes on without, and the sign-off is owed within {within} of the start.",
            view.when(next_ms)
        );
    }
    if role == Role::Cto
        && let Some((people, at_ms)) = deputy(view)
    {
        line = format!(
            "{line} Without an answer by {} {people} is asked too.",
            view.when(at_ms)
        );
    }
    line
}

/// The standing deputy who is asked next, and when.
pub fn deputy(view: &View<'_>) -> Option<(String, i64)> {
    let asked = view.release.asked.get(&Role::Cto)?;
    let gate = view.gate(Rule::SignoffCto)?;
    let others: Vec<_> = gate
        .people
        .iter()
        .filter(|person| !asked.people.contains(person))
        .collect();
    let at_ms = asked.at_ms + view.policy.deputy_after_ms;
    (!others.is_empty() && at_ms > view.now_ms).then(|| (view.names.mentions(others, "or"), at_ms))
}

fn approved(view: &View<'_>) -> String {
    let release = view.release;
    let gone: Vec<String> = view
        .holding()
        .into_iter()
        .filter(|gate| gate.is_of_approval(release.kind))
        .map(|gate| {
            format!(
                "*{}* · `{}` · {}.",
                gates::state_word(gate),
                gate.rule.id(),
                gates::sentence(gate, &words(view))
            )
        })
        .collect();
    if !gone.is_empty() {
        return format!("{}\nUntil that is put right, it does not start.", gone.join("\n"));
    }
    let mut text = String::new();
    if let (Some(attempt), Some(result)) = (release.attempts.last(), last_result(release)) {
        text = format!(
            "Attempt {} {}. ",
            attempt.number,
            result_words(attempt, result, &release.key)
        );
    }
    if let Some(lines) = to_confirm(view) {
        text = format!("{text}{lines} ");
    }
    let held = view.gate(Rule::DeployExclusive).filter(|gate| gate.holds_start());
    if let Some(gate) = held {
        text = format!("{text}First {}. ", gates::sentence(gate, &words(view)));
    }
    let by = format!(
        "A deployment engineer starts it with *Deploy* or `/release deploy {}`",
        release.key
    );
    match &release.plan {
        Some(plan) => {
            let start = if view.now_ms < plan.start_ms {
                format!(", not before {}", view.when(plan.start_ms))
            } else {
                String::new()
            };
            format!(
                "{text}Every sign-off is there. {by}{start}. If nobody does, it does not start; the sign-offs end {}.",
                view.when(sign_offs_end(view))
            )
        }
        None => format!(
            "{text}Every sign-off is there. {by}. If nobody does, it does not start; the sign-offs end {}.",
            view.when(sign_offs_end(view))
        ),
    }
}

/// When the first of the sign-offs stops counting.
pub fn sign_offs_end(view: &View<'_>) -> i64 {
    let ends = view.gates.iter().filter_map(|gate| match gate.detail {
        Detail::SignedBy { until_ms, .. } => Some(until_ms),
        _ => None,
    });
    let slot = view.release.plan.as_ref().map(|plan| plan.start_ms + plan.length_ms);
    ends.chain(slot).min().unwrap_or(view.now_ms)
}

fn queued(view: &View<'_>) -> String {
    let Some(attempt) = view.release.live_attempt() else {
        return "A deployment is about to start.".to_owned();
    };
    let by = match &attempt.by {
        Some(person) => format!("{} asked for it", view.names.mention(person)),
        None => "The last sign-off asked for it".to_owned(),
    };
    format!(
        "{by} {}. Every gate is judged once more, then the script starts. *Stop* or a withdrawn sign-off still prevents it.",
        view.when(attempt.requested_ms)
    )
}

/// The engineer whom an attempt names, and whether they know of it: after a sign-off nobody was asked.
pub fn engineer(attempt: &Attempt, names: Names<'_>) -> String {
    let is_over = matches!(attempt.state, AttemptState::Ended(_));
    match &attempt.engineer {
        None if is_over => "nobody was named".to_owned(),
        None => "nobody yet".to_owned(),
        Some(person) if attempt.by.as_ref() == Some(person) => names.mention(person),
        Some(person) if is_over => format!("{} (named by Countersign)", names.mention(person)),
        Some(person) => format!("{} (named by Countersign; has not answered)", names.mention(person)),
    }
}

/// Who stops a deployment, and how.
pub fn how_to_stop(release: &Release) -> String {
    let roles = [
        Role::DeploymentEngineer,
        Role::ReleaseManager,
        Role::TechLead,
        Role::Cto,
    ];
    format!(
        "To stop it ({}): `/release stop {}`.",
        gates::roles(&roles),
        release.key
    )
}

fn deploying(view: &View<'_>) -> String {
    let release = view.release;
    let Some(attempt) = release.live_attempt() else {
        return "A deployment is running.".to_owned();
    };
    let since = attempt
        .starting_ms
        .map_or_else(String::new, |at_ms| format!(" since {}", view.when(at_ms)));
    let host = attempt
        .host
        .as_deref()
        .map_or_else(String::new, |host| format!(" on {}", foreign_line(host, 60)));
    let stop = match &attempt.stop_by {
        Some(person) => format!(
            "\n{} asked to stop it; the script is being ended.",
            view.names.mention(person)
        ),
        None => String::new(),
    };
    format!(
        "Attempt {} is running{since}{host}. Deployment engineer: {}. {}{stop}\nIt ends by itself or at its time-out; the result follows here, in the thread and in #releases.",
        attempt.number,
        engineer(attempt, view.names),
        how_to_stop(release)
    )
}

fn interrupted(view: &View<'_>) -> String {
    let Some(attempt) = view.release.live_attempt() else {
        return "Nobody knows how the last attempt went.".to_owned();
    };
    let said: Vec<String> = attempt
        .settlements
        .iter()
        .map(|(person, choice)| format!("{} says: {}", view.names.mention(person), settlement(*choice)))
        .collect();
    let so_far = if said.is_empty() {
        "Nobody has said anything yet.".to_owned()
    } else {
        format!("So far {}.", joined(&said, "and"))
    };
    let host = attempt.host.as_deref().map(|host| foreign_line(host, 60));
    let why = if attempt.lost_in_restore {
        format!(
            "the bot's database was restored from a backup, and what came of it is lost. *Its script may have run, and may still be running{}.*",
            host.map_or_else(String::new, |host| format!(" on {host}"))
        )
    } else {
        format!(
            "what watched its script on {} is gone, or the host is. *The script may still be running there.*",
            host.as_deref().unwrap_or("its host")
        )
    };
    format!(
        "Nobody knows how attempt {} went: {why} Look at {} of {} first, end what still runs, then say below how it went. Two people of deployment engineer, release manager and tech lead must say the same. {so_far}\nIf nobody does, {} stays locked and nothing is deployed there.",
        attempt.number, view.release.environment, view.release.service, view.release.environment
    )
}

fn released(view: &View<'_>) -> String {
    let release = view.release;
    let at = release.attempts.last().and_then(|attempt| attempt.ended_ms);
    let since = at.map_or_else(String::new, |at_ms| format!(" since {}", view.when(at_ms)));
    let owed = match release.open_debts().count() {
        0 => " Nothing is owed.".to_owned(),
        owed => format!(" {} still owed; see below.", count(owed, "thing")),
    };
    format!("{} is in {}{since}.{owed}", view.what(), release.environment)
}

fn rejected(view: &View<'_>) -> String {
    let lines: Vec<String> = view
        .release
        .rejections
        .keys()
        .map(|role| {
            let gate = view.gate(rule_of(*role));
            let sentence = gate.map_or_else(|| "said no".to_owned(), |gate| gates::sentence(gate, &words(view)));
            format!("*{}*: {sentence}.", capital(role.title()))
        })
        .collect();
    format!("{}\nIf nobody lifts it, it does not start.", lines.join("\n"))
}

/// With a capital first letter.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
