//! What would be deployed: recording it, voiding what was signed on something else, and asking.

use crate::command::{Actor, SourceSeen};
use crate::decide::Draft;
use crate::event::{Event, SourceProblem};
use crate::fingerprint::{Field, Fingerprint};
use crate::ids::{CommitSha, Millis};
use crate::intents::sign_off;
use crate::refusal::{Cause, Refusal};
use crate::release::Status;
use crate::role::Role;
use crate::rule::Rule;
use crate::rules::sign_off::{eligible, flaw, roles_of, slot_end_ms};
use std::collections::BTreeSet;

/// Records what a worker saw, if it is news, and asks whoever has to sign it.
pub(crate) fn record(draft: &mut Draft<'_>, seen: &SourceSeen) -> Result<(), Refusal> {
    let release = draft.release()?;
    if !matches!(
        release.status,
        Status::Drafted | Status::Asking | Status::Approved | Status::Rejected
    ) {
        return Err(outdated());
    }
    if seen.version != release.version {
        // A look that began before the plan was edited; the edit asked for one of its own.
        return Err(outdated());
    }
    // An older look than the one on record is no news, and what Git said is not undone by its silence.
    if let Some(known) = &release.source {
        let git_spoke = known.typed_by.is_none();
        if seen.observed_ms < known.observed_ms || (seen.commit.is_none() && git_spoke) {
            return Err(outdated());
        }
    }
    let typed = if seen.commit.is_none() {
        release.typed_commit.clone()
    } else {
        None
    };
    let Some(commit) = seen.commit.clone().or_else(|| typed.clone()) else {
        return record_problem(draft, SourceProblem::GitSilent, seen.observed_ms);
    };
    if let Some(known) = &release.source
        && known.commit == commit
        && known.script == seen.script
        && known.executor == seen.executor
    {
        return Ok(());
    }
    let typed_by = typed.and_then(|_| release.typed_by.clone());
    draft.record(Event::SourceResolved {
        commit,
        script: seen.script.clone(),
        executor: seen.executor.clone(),
        observed_ms: seen.observed_ms,
        typed_by,
    });
    ask_again(draft)
}

/// Records that there is nothing to sign yet, once per problem.
pub(crate) fn record_problem(
    draft: &mut Draft<'_>,
    problem: SourceProblem,
    observed_ms: Millis,
) -> Result<(), Refusal> {
    let release = draft.release()?;
    if release.source.is_some() || !matches!(release.status, Status::Drafted | Status::Rejected) {
        return Err(outdated());
    }
    if release.source_problem != Some(problem) {
        draft.record(Event::SourceNotResolved { problem, observed_ms });
    }
    Ok(())
}

/// Takes a commit that was typed because Git couldn't say it; the worker still looks at the script.
pub(crate) fn type_commit(draft: &mut Draft<'_>, actor: &Actor, commit: &CommitSha) -> Result<(), Refusal> {
    let (person, _) = draft.person(actor)?;
    let release = draft.release()?;
    let may = matches!(
        release.source_problem,
        Some(SourceProblem::GitSilent | SourceProblem::NoRepository)
    );
    if release.source.is_some() || !may {
        return Err(Refusal::new(Rule::VcsTag, Cause::SourceUnknown(release.source_problem)));
    }
    draft.record(Event::CommitTyped {
        commit: commit.clone(),
        by: person.clone(),
    });
    Ok(())
}

/// Voids the sign-offs that a change concerns, asks every role whose sign-off is missing and that isn't being asked, and
/// approves if none is.
/// Does nothing while there is nothing to sign: no source, or no release manager.
pub(crate) fn ask_again(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let release = draft.release()?;
    let is_ready = release.kind.is_emergency() || release.owner.is_some();
    if release.source.is_none() || !is_ready {
        return Ok(());
    }
    let voided = void_changed(draft)?;
    let release = draft.release()?.clone();
    if slot_end_ms(&release).is_some_and(|end_ms| draft.now_ms >= end_ms) {
        // Nobody is asked for what can't count any more; the plan needs a new slot.
        return Ok(());
    }
    for role in roles_of(release.kind) {
        // A question of this revision that nothing has touched stands: asking anew would start the tech lead's wait anew.
        let is_asked = release.asked.contains_key(role) && !voided.contains(role);
        if release.sign_offs.contains_key(role) || is_asked {
            continue;
        }
        // Only a known membership may be asked: a silent Slack must not look like an empty role.
        if !draft.case.people.holders.contains_key(role) {
            return Err(Refusal::new(Rule::RolesCommands, Cause::FactsUnavailable));
        }
        let mut people: BTreeSet<_> = eligible(*role, &release, &draft.case).into_iter().collect();
        if *role == Role::Cto {
            // The deputy is asked later, unless no CTO can act.
            let ctos: BTreeSet<_> = people
                .iter()
                .filter(|p| draft.case.people.holders_of(Role::Cto).contains(p))
                .cloned()
                .collect();
            if !ctos.is_empty() {
                people = ctos;
            } else if !draft.case.people.holders.contains_key(&Role::CtoDeputy) {
                return Err(Refusal::new(Rule::RolesCommands, Cause::FactsUnavailable));
            }
        }
        draft.record(Event::SignOffRequested {
            role: *role,
            people,
            revision: release.revision,
        });
    }
    sign_off::advance(draft)
}

fn void_changed(draft: &mut Draft<'_>) -> Result<BTreeSet<Role>, Refusal> {
    let release = draft.release()?;
    let current = Fingerprint::of(release, draft.policy);
    let mut roles = BTreeSet::new();
    let mut changed: Vec<Field> = Vec::new();
    for sign_off in release.sign_offs.values() {
        if flaw(sign_off, release, &draft.case, draft.policy, draft.now_ms).is_some() {
            roles.insert(sign_off.role);
            changed.extend(sign_off.fingerprint.voids(&current, sign_off.role));
        }
    }
    if !roles.is_empty() {
        changed.sort_unstable();
        changed.dedup();
        draft.record(Event::SignOffsVoided {
            roles: roles.clone(),
            changed,
        });
    }
    Ok(roles)
}

fn outdated() -> Refusal {
    Refusal::new(Rule::VcsTag, Cause::Outdated)
}
