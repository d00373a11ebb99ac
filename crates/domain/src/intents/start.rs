//! The start of an attempt and what its worker reports. `starting` is recorded before anything is spawned;
//! whatever is unclear afterwards becomes `interrupted`, never a second start.

use crate::command::SourceSeen;
use crate::decide::Draft;
use crate::digest::PrivateText;
use crate::event::{Event, SourceProblem};
use crate::fingerprint::Fingerprint;
use crate::intents::{deployment, source};
use crate::refusal::{Cause, Refusal};
use crate::release::{Attempt, AttemptNumber, AttemptResult, AttemptState, NotStarted, Release, Source, Status};
use crate::role::Role;
use crate::rule::{Rule, SkipReason};
use crate::rules::gates::{self, Detail, Gate, GateState, Moment};
use crate::schedule;
use std::collections::BTreeSet;

/// Judges everything once more and records `starting`, or why not.
pub(crate) fn start(
    draft: &mut Draft<'_>,
    number: AttemptNumber,
    seen: Result<&SourceSeen, SourceProblem>,
    host: &str,
) -> Result<(), Refusal> {
    let (release, attempt) = live(draft, number)?;
    if attempt.state != AttemptState::Queued {
        return Err(Refusal::new(Rule::DeployStart, Cause::AttemptMoved(number)));
    }
    let holder = draft.case.service.environment(&release.environment);
    let is_ours = holder.fence == attempt.fence
        && holder
            .holder
            .is_some_and(|held| held.release == release.key && held.attempt == number);
    if !is_ours {
        // By construction it is; a start without its lock must be impossible, not only unlikely.
        return Err(Refusal::new(Rule::DeployExclusive, Cause::AttemptMoved(number)));
    }
    let Some(signed) = release.source.clone() else {
        return not_started(draft, number, NotStarted::TagMoved);
    };
    let seen = match seen {
        Ok(seen) => seen,
        Err(problem) => return not_started(draft, number, NotStarted::SourceUnknown(problem)),
    };
    if let Some(moved) = difference(&signed, seen) {
        not_started(draft, number, moved)?;
        return source::record(draft, seen).or_else(ignore_outdated);
    }
    let gates = gates::gates(&draft.case, draft.policy, draft.now_ms, Moment::Start);
    let holding: Vec<&Gate> = gates.iter().filter(|gate| gate.holds_start()).collect();
    let only_silence = holding
        .iter()
        .all(|gate| matches!(gate.detail, Detail::RoleUnconfirmed(_)));
    if only_silence && !holding.is_empty() {
        // A planned release waits for Slack; its sign-offs' expiry bounds the wait.
        return Err(Refusal::new(Rule::RolesCommands, Cause::FactsUnavailable));
    }
    if !holding.is_empty() {
        not_started(draft, number, NotStarted::GateUnmet)?;
        return source::ask_again(draft);
    }
    let unconfirmed = gates
        .iter()
        .filter_map(|gate| match &gate.detail {
            Detail::SignedBy {
                person,
                unconfirmed: true,
                ..
            } => Some(person.clone()),
            _ => None,
        })
        .collect();
    let fingerprint = Fingerprint::of(draft.release()?, draft.policy).digest();
    let fence = live(draft, number)?.1.fence;
    draft.record(Event::AttemptStarting {
        attempt: number,
        fence,
        fingerprint,
        commit: signed.commit,
        script: signed.script,
        host: host.to_owned(),
        unconfirmed,
    });
    incur_debts(draft, &gates)
}

/// What moved since it was signed. A typed commit is all there is where Git stays silent.
fn difference(signed: &Source, seen: &SourceSeen) -> Option<NotStarted> {
    let same_commit = match &seen.commit {
        Some(commit) => *commit == signed.commit,
        None if signed.typed_by.is_some() => true,
        None => return Some(NotStarted::SourceUnknown(SourceProblem::GitSilent)),
    };
    if !same_commit {
        Some(NotStarted::TagMoved)
    } else if seen.script != signed.script || seen.executor != signed.executor {
        Some(NotStarted::ScriptChanged)
    } else {
        None
    }
}

fn not_started(draft: &mut Draft<'_>, number: AttemptNumber, why: NotStarted) -> Result<(), Refusal> {
    deployment::end(draft, number, AttemptResult::NotStarted(why), None)
}

/// Git could not say where the tag points: nothing started, and nothing new to ask.
fn ignore_outdated(refusal: Refusal) -> Result<(), Refusal> {
    if refusal.cause == Cause::Outdated {
        Ok(())
    } else {
        Err(refusal)
    }
}

/// What this start puts off becomes a debt, unless it is owed already: the tech lead's sign-off, and what an emergency skips by
/// our reading or because the procedure says so.
fn incur_debts(draft: &mut Draft<'_>, gates: &[Gate]) -> Result<(), Refusal> {
    let release = draft.release()?;
    let mut debts = Vec::new();
    let tech_lead_owes = gates
        .iter()
        .any(|gate| gate.rule == Rule::SignoffTechLead && gate.state == GateState::Owed);
    let owes = |rule| release.open_debts().any(|(open, _)| open == rule);
    if tech_lead_owes && !owes(Rule::SignoffTechLead) {
        debts.push((
            BTreeSet::from([Rule::SignoffTechLead]),
            draft.now_ms + draft.policy.tech_lead_within_ms,
        ));
    }
    if release.kind.is_emergency() {
        let skipped = draft.policy.skipped_by_emergency(&release.service).into_iter();
        let rules =
            skipped.filter(|(reason, rule)| *reason != SkipReason::SameDay && !release.debts.contains_key(rule));
        let rules: BTreeSet<Rule> = rules.map(|(_, rule)| rule).collect();
        let due_ms = schedule::next_working_day(draft.now_ms, &release.time_zone, 17);
        debts.extend((!rules.is_empty()).then_some((rules, due_ms)));
    }
    for (rules, due_ms) in debts {
        draft.record(Event::DebtIncurred {
            rules,
            owed_by: Role::TechLead,
            due_ms,
        });
    }
    Ok(())
}

/// The supervisor has the script.
pub(crate) fn running(draft: &mut Draft<'_>, number: AttemptNumber) -> Result<(), Refusal> {
    let (_, attempt) = live(draft, number)?;
    if attempt.state == AttemptState::Starting {
        draft.record(Event::AttemptRunning { attempt: number });
    }
    Ok(())
}

/// The attempt is over: by its status file, or because it certainly never started. What a restore has lost is for people to say.
pub(crate) fn end(
    draft: &mut Draft<'_>,
    number: AttemptNumber,
    result: AttemptResult,
    output: Option<&PrivateText>,
) -> Result<(), Refusal> {
    let (_, attempt) = live(draft, number)?;
    if attempt.state == AttemptState::Queued || attempt.lost_in_restore {
        return Err(Refusal::new(Rule::DeployStart, Cause::AttemptMoved(number)));
    }
    deployment::end(draft, number, result, output.map(PrivateText::commitment))
}

/// Neither supervisor nor status exists: nobody knows. The environment stays locked.
pub(crate) fn interrupted(draft: &mut Draft<'_>, number: AttemptNumber) -> Result<(), Refusal> {
    let (_, attempt) = live(draft, number)?;
    match attempt.state {
        AttemptState::Starting | AttemptState::Running => {
            draft.record(Event::AttemptInterrupted { attempt: number });
            Ok(())
        }
        _ => Err(Refusal::new(Rule::DeployStart, Cause::AttemptMoved(number))),
    }
}

fn live<'d>(draft: &'d Draft<'_>, number: AttemptNumber) -> Result<(&'d Release, &'d Attempt), Refusal> {
    let release = draft.release()?;
    match release.live_attempt().filter(|attempt| attempt.number == number) {
        Some(attempt) if matches!(release.status, Status::Queued | Status::Deploying | Status::Interrupted) => {
            Ok((release, attempt))
        }
        _ => Err(Refusal::new(Rule::DeployStart, Cause::AttemptMoved(number))),
    }
}
