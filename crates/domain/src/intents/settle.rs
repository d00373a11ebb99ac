//! Settling an interrupted attempt: two different people say the same, and until then it stays locked.

use crate::command::Actor;
use crate::decide::Draft;
use crate::event::Event;
use crate::ids::PersonId;
use crate::intents::authority::{Ask, SETTLE, permit_person};
use crate::intents::deployment;
use crate::refusal::{Cause, Refusal};
use crate::release::{AttemptNumber, SettlementChoice};
use crate::rule::Rule;
use std::collections::BTreeSet;

/// Records what one person says; the second one who says the same settles it.
pub(crate) fn settle(
    draft: &mut Draft<'_>,
    actor: &Actor,
    number: AttemptNumber,
    choice: SettlementChoice,
) -> Result<(), Refusal> {
    let (person, _) = draft.person(actor)?;
    let Some(attempt) = draft
        .release()?
        .live_attempt()
        .filter(|attempt| attempt.number == number)
    else {
        return Err(Refusal::new(Rule::DeployStart, Cause::AttemptMoved(number)));
    };
    let said_before = attempt.settlements.get(person) == Some(&choice);
    let first = attempt
        .settlements
        .iter()
        .filter(|(other, said)| *other != person && **said == choice);
    let mut second = None;
    for (other, _) in first {
        // Who has left since then, or the role, is no second person any more.
        if still_may(draft, other)? {
            second = Some(other.clone());
        }
    }
    // Both may have said it while one of them had lost the role: whoever repeats it when both may, settles it.
    if said_before && second.is_none() {
        return Err(needs_another(draft, person));
    }
    if !said_before {
        draft.record(Event::SettlementProposed {
            attempt: number,
            choice,
            by: person.clone(),
        });
    }
    let Some(other) = second else { return Ok(()) };
    draft.record(Event::AttemptSettled {
        attempt: number,
        choice,
        by: BTreeSet::from([person.clone(), other]),
    });
    deployment::unlock(draft, number, choice == SettlementChoice::Finished)?;
    if choice == SettlementChoice::NewAttempt {
        // All gates again. If one holds it, the release is approved and free, and `why` says what is missing.
        if let Err(refusal) = deployment::begin(draft, Some(person.clone()))
            && !matches!(refusal.cause, Cause::GatesUnmet(_) | Cause::EnvironmentBusy { .. })
        {
            return Err(refusal);
        }
    }
    Ok(())
}

fn still_may(draft: &Draft<'_>, person: &PersonId) -> Result<bool, Refusal> {
    match permit_person(&draft.case, Ask::Settle, person, draft.now_ms) {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.cause == Cause::FactsUnavailable => Err(refusal),
        Err(_) => Ok(false),
    }
}

/// Said once is said: somebody else has to say the same.
fn needs_another(draft: &Draft<'_>, person: &PersonId) -> Refusal {
    let people = SETTLE
        .iter()
        .flat_map(|role| draft.case.people.holders_of(*role))
        .filter(|other| *other != person)
        .cloned()
        .collect();
    Refusal::new(Rule::DeployStart, Cause::AlreadySigned).for_roles(SETTLE, people)
}
