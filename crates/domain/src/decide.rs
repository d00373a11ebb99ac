//! The one decision: a case, a command, the policy and the time go in; events or a refusal come out.

use crate::case::Case;
use crate::command::{Actor, Command, Intent};
use crate::event::Event;
use crate::ids::{Millis, PersonId};
use crate::intents::{attest, authority, deployment, hotfix, notice, plan, settle, sign_off, source, start};
use crate::people::PersonFacts;
use crate::policy::Policy;
use crate::refusal::{Cause, Refusal};
use crate::release::Release;
use crate::rule::Rule;

/// What follows from `command` at `now_ms`: the events to record, in order, or why not. No events means that
/// nothing changes.
///
/// # Errors
/// The refusal, with the rule that said no.
pub fn decide(case: &Case, command: &Command, policy: &Policy, now_ms: Millis) -> Result<Vec<Event>, Refusal> {
    authority::permit(case, command, now_ms)?;
    let mut draft = Draft {
        case: case.clone(),
        policy,
        now_ms,
        events: Vec::new(),
    };
    let actor = &command.actor;
    match &command.intent {
        Intent::Plan(proposal) => plan::propose_or_edit(&mut draft, &command.release, actor, proposal),
        Intent::RequestHotfix(request) => hotfix::request(&mut draft, &command.release, actor, request),
        Intent::TypeCommit { commit } => source::type_commit(&mut draft, actor, commit),
        Intent::SignOff { role, view, seen } => {
            sign_off::sign(&mut draft, actor, *role, view.as_deref(), seen.as_ref())
        }
        Intent::Reject { role, view, reason } => sign_off::reject(&mut draft, actor, *role, view.as_deref(), reason),
        Intent::Withdraw { reason } => sign_off::withdraw(&mut draft, actor, reason.as_ref()),
        Intent::Attest(said) => attest::attest(&mut draft, actor, said),
        Intent::Waive(request) => attest::waive(&mut draft, actor, request),
        Intent::TakeBack { rule } => attest::take_back(&mut draft, actor, *rule),
        Intent::Cancel { reason } => plan::cancel(&mut draft, actor, reason.as_ref()),
        Intent::Deploy => deployment::request(&mut draft, actor),
        Intent::StopDeployment => deployment::stop(&mut draft, actor),
        Intent::Settle { attempt, choice } => settle::settle(&mut draft, actor, *attempt, *choice),
        Intent::RecordSource(seen) => source::record(&mut draft, seen),
        Intent::RecordSourceProblem { problem, observed_ms } => {
            source::record_problem(&mut draft, *problem, *observed_ms)
        }
        Intent::AskDeputy { revision } => sign_off::ask_deputy(&mut draft, *revision),
        Intent::EndTechLeadWait { revision } => sign_off::end_tech_lead_wait(&mut draft, *revision),
        Intent::StartAttempt { attempt, seen, host } => {
            start::start(&mut draft, *attempt, seen.as_ref().map_err(|problem| *problem), host)
        }
        Intent::RecordRunning { attempt } => start::running(&mut draft, *attempt),
        Intent::RecordEnd {
            attempt,
            result,
            output,
        } => start::end(&mut draft, *attempt, *result, output.as_ref()),
        Intent::RecordInterrupted { attempt } => start::interrupted(&mut draft, *attempt),
        Intent::RecordNotice { attempt, channel, ts } => notice::posted(&mut draft, *attempt, channel, ts),
        Intent::EscalateNotice { attempt, step } => notice::escalate(&mut draft, *attempt, *step),
        Intent::BreachNotice { attempt } => notice::breach(&mut draft, *attempt),
    }?;
    Ok(draft.events)
}

/// A decision in the making: each recorded event is folded into a copy of the case at once, so that what
/// follows is judged on what it made.
pub(crate) struct Draft<'a> {
    pub case: Case,
    pub policy: &'a Policy,
    pub now_ms: Millis,
    pub events: Vec<Event>,
}

impl Draft<'_> {
    /// Records one event.
    pub fn record(&mut self, event: Event) {
        self.case.evolve(&event, self.now_ms);
        self.events.push(event);
    }

    /// The release, which every intent but a proposal needs.
    pub fn release(&self) -> Result<&Release, Refusal> {
        self.case
            .release
            .as_ref()
            .ok_or_else(|| Refusal::new(Rule::RolesCommands, Cause::NoSuchRelease))
    }

    /// The person behind the command and what is known of them. `authority::permit` has checked both.
    pub fn person<'p>(&self, actor: &'p Actor) -> Result<(&'p PersonId, PersonFacts), Refusal> {
        let Actor::Person(person) = actor else {
            return Err(Refusal::new(Rule::RolesCommands, Cause::NotInRole));
        };
        match self.case.people.facts.get(person) {
            Some(facts) => Ok((person, facts.clone())),
            None => Err(Refusal::new(Rule::RolesCommands, Cause::FactsUnavailable)),
        }
    }
}
