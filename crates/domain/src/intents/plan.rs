//! Proposing, editing and giving up a planned release; giving up a hotfix.

use crate::command::{Actor, Proposal};
use crate::decide::Draft;
use crate::digest::PrivateText;
use crate::event::Event;
use crate::fingerprint::{Field, Fingerprint};
use crate::ids::ReleaseKey;
use crate::intents::{deployment, source};
use crate::refusal::{Cause, Refusal};
use crate::release::Plan;
use crate::role::Role;
use crate::rule::Rule;
use crate::rules::plan;

/// Proposes the release, or edits the one that has this key.
pub(crate) fn propose_or_edit(
    draft: &mut Draft<'_>,
    key: &ReleaseKey,
    actor: &Actor,
    proposal: &Proposal,
) -> Result<(), Refusal> {
    let Some(target) = draft.case.target.clone() else {
        return Err(Refusal::new(Rule::ScopeCovered, Cause::NoSuchService));
    };
    let lacks = plan::lacks(proposal, target.has_repository, draft.now_ms);
    if !lacks.is_empty() {
        return Err(Refusal::new(Rule::PlanComplete, Cause::Incomplete(lacks)));
    }
    let (person, facts) = draft.person(actor)?;
    let manages = facts.holds(Role::ReleaseManager);
    if facts.is_untold(Role::ReleaseManager) {
        // A release manager's plan must not become a draft because Slack was silent.
        return Err(Refusal::new(Rule::RolesCommands, Cause::FactsUnavailable));
    }
    let plan = Plan {
        start_ms: proposal.start_ms,
        length_ms: proposal.length_ms,
        scope: proposal.scope.commitment(),
        dependencies: proposal.dependencies.commitment(),
        user_facing: proposal.user_facing,
        migration: proposal.migration,
        outcome: proposal.outcome.commitment(),
        abort_criteria: proposal.abort_criteria.commitment(),
    };
    match &draft.case.release {
        None => draft.record(Event::ReleasePlanned {
            release: key.clone(),
            kind: proposal.kind,
            service: target.service,
            environment: target.environment,
            time_zone: target.time_zone,
            version: proposal.version.clone(),
            requester: person.clone(),
            owner: manages.then(|| person.clone()),
            plan,
            tickets: proposal.tickets.clone(),
            authors: proposal.authors.clone(),
            typed_commit: proposal.commit.clone(),
        }),
        Some(release)
            if release.kind.is_emergency()
                || release.service != target.service
                || release.environment != target.environment =>
        {
            return Err(Refusal::new(Rule::PlanComplete, Cause::KeyTaken));
        }
        // Planning anew what exists, or over what somebody else has changed since the form was opened, would undo it unseen.
        Some(release) => {
            match proposal.edits {
                None => return Err(Refusal::new(Rule::PlanComplete, Cause::KeyTaken)),
                Some(changes) if changes != release.plan_changes => {
                    return Err(Refusal::new(Rule::PlanComplete, Cause::StaleView));
                }
                Some(_) => {}
            }
            let before = Fingerprint::of(release, draft.policy);
            let mut edited = release.clone();
            let mut event = Event::PlanChanged {
                by: person.clone(),
                owner: if manages {
                    Some(person.clone())
                } else {
                    release.owner.clone()
                },
                kind: proposal.kind,
                version: proposal.version.clone(),
                plan,
                tickets: proposal.tickets.clone(),
                authors: proposal.authors.clone(),
                // A commit that was typed for this version stays until another one is.
                typed_commit: proposal.commit.clone().or_else(|| {
                    let same = release.version == proposal.version;
                    same.then(|| release.typed_commit.clone()).flatten()
                }),
                changed: Vec::new(),
            };
            edited.evolve(&event, draft.now_ms);
            if let Event::PlanChanged { changed, .. } = &mut event {
                *changed = before.changed(&Fingerprint::of(&edited, draft.policy));
                // A new version or typed commit makes the source unknown; the commit is compared when it is resolved.
                changed.retain(|field| !matches!(field, Field::Commit | Field::Script | Field::Executor));
            }
            draft.record(event);
        }
    }
    source::ask_again(draft)
}

/// Gives the release up; a requested deployment that has not started is called off.
pub(crate) fn cancel(draft: &mut Draft<'_>, actor: &Actor, reason: Option<&PrivateText>) -> Result<(), Refusal> {
    let (person, _) = draft.person(actor)?;
    draft.record(Event::ReleaseCancelled {
        by: person.clone(),
        reason: reason.map(PrivateText::commitment),
    });
    deployment::call_off(draft)
}
