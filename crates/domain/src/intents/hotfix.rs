//! Asking for a hotfix (clause 3.4): justified in writing before anybody is asked.

use crate::command::{Actor, HotfixRequest};
use crate::decide::Draft;
use crate::event::Event;
use crate::ids::ReleaseKey;
use crate::refusal::{Cause, Refusal};
use crate::rule::Rule;
use crate::rules::plan;

/// Records the request; a worker resolves the tag, then CTO and tech lead are asked at once.
pub(crate) fn request(
    draft: &mut Draft<'_>,
    key: &ReleaseKey,
    actor: &Actor,
    request: &HotfixRequest,
) -> Result<(), Refusal> {
    if draft.case.release.is_some() {
        return Err(Refusal::new(Rule::PlanComplete, Cause::KeyTaken));
    }
    let Some(target) = draft.case.target.clone() else {
        return Err(Refusal::new(Rule::ScopeCovered, Cause::NoSuchService));
    };
    if let Some(chars) = plan::justification_too_short(request) {
        return Err(Refusal::new(
            Rule::EmergencyJustification,
            Cause::JustificationTooShort(chars),
        ));
    }
    let lacks = plan::hotfix_lacks(request, target.has_repository);
    if !lacks.is_empty() {
        return Err(Refusal::new(Rule::PlanComplete, Cause::Incomplete(lacks)));
    }
    let (person, _) = draft.person(actor)?;
    draft.record(Event::HotfixRequested {
        release: key.clone(),
        service: target.service,
        environment: target.environment,
        time_zone: target.time_zone,
        version: request.version.clone(),
        requester: person.clone(),
        justification: request.justification.commitment(),
        tickets: request.tickets.clone(),
        authors: request.authors.clone(),
        typed_commit: request.commit.clone(),
    });
    Ok(())
}
