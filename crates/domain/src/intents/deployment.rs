//! Asking for a deployment, calling it off before its start, stopping it afterwards.

use crate::command::Actor;
use crate::decide::Draft;
use crate::event::Event;
use crate::ids::PersonId;
use crate::intents::sign_off;
use crate::refusal::{Cause, Refusal};
use crate::release::{AttemptNumber, AttemptResult, AttemptState, NotStarted};
use crate::role::Role;
use crate::rule::Rule;
use crate::rules::gates::{self, Detail, Moment};

/// A deployment engineer says: now. Every gate is judged, and judged again at the start.
pub(crate) fn request(draft: &mut Draft<'_>, actor: &Actor) -> Result<(), Refusal> {
    let (person, _) = draft.person(actor)?;
    // A wait may have ended without its timer: what lacks nothing is approved.
    sign_off::approve(draft)?;
    begin(draft, Some(person.clone()))
}

/// Locks the environment for a new attempt, if every gate holds.
pub(crate) fn begin(draft: &mut Draft<'_>, by: Option<PersonId>) -> Result<(), Refusal> {
    if let Some(live) = draft.release()?.live_attempt() {
        // By its status a release with a live attempt can't come here; two attempts must be impossible, not unlikely.
        return Err(Refusal::new(Rule::DeployExclusive, Cause::AttemptMoved(live.number)));
    }
    // By a person's command the signers were looked up just now; after a sign-off the start looks them up.
    let moment = if by.is_some() { Moment::Start } else { Moment::Overview };
    let holding = gates::holding(&draft.case, draft.policy, draft.now_ms, moment);
    if let [only] = holding.as_slice()
        && let Detail::HeldBy(holder) = &only.detail
    {
        let cause = Cause::EnvironmentBusy {
            service: draft.release()?.service.clone(),
            holder: holder.clone(),
        };
        return Err(Refusal::new(Rule::DeployExclusive, cause).for_roles(&only.roles, only.people.clone()));
    }
    if let Some(first) = holding.first() {
        let (rule, next_ms) = (first.rule, holding.iter().filter_map(|gate| gate.next_ms).max());
        let refusal =
            Refusal::new(rule, Cause::GatesUnmet(holding.clone())).for_roles(&first.roles, first.people.clone());
        return Err(match next_ms {
            Some(next_ms) => refusal.until(next_ms),
            None => refusal,
        });
    }
    let release = draft.release()?;
    let number = AttemptNumber::try_from(release.attempts.len())
        .unwrap_or(AttemptNumber::MAX)
        .saturating_add(1);
    let last_fence = draft.case.service.environment(&release.environment).fence;
    let fence = last_fence.max(draft.case.fences_above) + 1;
    let engineer = engineer_for(draft, by.as_ref());
    let lock = Event::EnvironmentLocked {
        service: release.service.clone(),
        environment: release.environment.clone(),
        fence,
        release: release.key.clone(),
        attempt: number,
    };
    draft.record(Event::DeploymentRequested {
        attempt: number,
        fence,
        by,
        engineer,
    });
    draft.record(lock);
    Ok(())
}

/// The deployment engineer whom an attempt names: who asked, if they are one, else the first active one.
fn engineer_for(draft: &Draft<'_>, by: Option<&PersonId>) -> Option<PersonId> {
    let people = &draft.case.people;
    let may = |person: &PersonId| {
        let told = people
            .facts
            .get(person)
            .filter(|facts| !facts.is_untold(Role::DeploymentEngineer));
        told.map(|facts| facts.holds(Role::DeploymentEngineer))
    };
    let asked = by.filter(|person| may(person) == Some(true));
    let first = || {
        let mut holders = people.holders_of(Role::DeploymentEngineer).iter();
        holders.find(|person| may(person) != Some(false))
    };
    asked.or_else(first).cloned()
}

/// Ends a requested attempt that has not started, and frees the environment. A word taken back wins over the start.
pub(crate) fn call_off(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let queued = draft
        .release()?
        .live_attempt()
        .filter(|attempt| attempt.state == AttemptState::Queued);
    if let Some(number) = queued.map(|attempt| attempt.number) {
        end(draft, number, AttemptResult::NotStarted(NotStarted::CalledOff), None)?;
    }
    Ok(())
}

/// Ends an attempt and frees the environment.
pub(crate) fn end(
    draft: &mut Draft<'_>,
    number: AttemptNumber,
    result: AttemptResult,
    output: Option<crate::digest::Digest>,
) -> Result<(), Refusal> {
    draft.record(Event::AttemptEnded {
        attempt: number,
        result,
        output,
    });
    unlock(draft, number, result == AttemptResult::Succeeded)
}

/// Frees the environment that `number` holds.
pub(crate) fn unlock(draft: &mut Draft<'_>, number: AttemptNumber, succeeded: bool) -> Result<(), Refusal> {
    let release = draft.release()?;
    let Some(fence) = release.attempt(number).map(|attempt| attempt.fence) else {
        return Err(Refusal::new(Rule::DeployExclusive, Cause::AttemptMoved(number)));
    };
    let event = Event::EnvironmentUnlocked {
        service: release.service.clone(),
        environment: release.environment.clone(),
        fence,
        deployed: succeeded.then(|| release.version.clone()),
    };
    draft.record(event);
    Ok(())
}

/// Stops a deployment: one that has not started is called off, a running one is ended by its supervisor.
pub(crate) fn stop(draft: &mut Draft<'_>, actor: &Actor) -> Result<(), Refusal> {
    let (person, _) = draft.person(actor)?;
    let Some(attempt) = draft.release()?.live_attempt() else {
        return Err(Refusal::new(Rule::DeployStart, Cause::Outdated));
    };
    let (number, state, asked) = (attempt.number, attempt.state, attempt.stop_by.is_some());
    if !asked {
        draft.record(Event::StopRequested {
            attempt: number,
            by: person.clone(),
        });
    }
    if state == AttemptState::Queued {
        end(draft, number, AttemptResult::Cancelled, None)?;
    }
    Ok(())
}
