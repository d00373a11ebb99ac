//! Saying that rules hold which nothing looks at by itself, excusing them, and taking either back.

use crate::attestation::{Attestation, Waiver};
use crate::command::{Actor, Attested, WaiverRequest};
use crate::decide::Draft;
use crate::digest::PrivateText;
use crate::event::Event;
use crate::fingerprint::Fingerprint;
use crate::ids::{DAY_MS, PersonId};
use crate::intents::{sign_off, source};
use crate::people::PersonFacts;
use crate::policy::JUSTIFICATION_MIN_CHARS;
use crate::refusal::{Cause, Refusal};
use crate::release::Release;
use crate::role::Role;
use crate::rule::{Judged, Rule, Waivable};
use crate::rules::attested::{concerned, waivable, waiving_roles};
use crate::rules::gates::{self, Moment};
use crate::rules::plan::{chars_that_count, is_said};
use crate::rules::sign_off::comes_before;
use std::collections::BTreeSet;

/// The furthest follow-up of a waiver.
const FOLLOW_UP_MAX_DAYS: i64 = 365;

/// Records what one person says in one role, each line on its own, and then their sign-off if they give it with it. All of it, or
/// nothing.
pub(crate) fn attest(draft: &mut Draft<'_>, actor: &Actor, said: &Attested) -> Result<(), Refusal> {
    let (person, facts) = draft.person(actor)?;
    let release = draft.release()?;
    if said.view.as_ref().is_some_and(|view| *view != release.view()) {
        return Err(Refusal::new(Rule::SignoffRecorded, Cause::StaleView));
    }
    let attested = said
        .lines
        .iter()
        .map(|line| attested(draft, release, person, &facts, said.role, line.rule, line.note.as_ref()));
    let events: Vec<Event> = attested.collect::<Result<_, _>>()?;
    for event in events {
        draft.record(event);
    }
    if said.signs {
        let view = said
            .view
            .as_ref()
            .map(|_| draft.release().map(Release::view))
            .transpose()?;
        sign_off::sign(draft, actor, Some(said.role), view.as_deref(), said.seen.as_ref())
    } else {
        sign_off::advance(draft)
    }
}

fn attested(
    draft: &Draft<'_>,
    release: &Release,
    person: &PersonId,
    facts: &PersonFacts,
    role: Role,
    rule: Rule,
    note: Option<&PrivateText>,
) -> Result<Event, Refusal> {
    let Judged::Attested(roles, _) = rule.judged() else {
        return Err(Refusal::new(rule, Cause::NotAttestable));
    };
    let holders = || {
        roles
            .iter()
            .flat_map(|role| draft.case.people.holders_of(*role))
            .cloned()
            .collect()
    };
    let refuse = |cause| Err(Refusal::new(rule, cause).for_roles(roles, holders()));
    let applies = draft.policy.effect(rule, release.kind, &release.service).is_some();
    if !applies {
        return refuse(Cause::NotAttestable);
    }
    if facts.is_untold(role) {
        return refuse(Cause::FactsUnavailable);
    }
    let Some(membership) = facts.roles.get(&role).filter(|_| roles.contains(&role)) else {
        return refuse(Cause::NotInRole);
    };
    let current = Fingerprint::of(release, draft.policy);
    let attestation = Attestation {
        by: person.clone(),
        role,
        membership: membership.clone(),
        facts_ms: facts.observed_ms,
        said_ms: draft.now_ms,
        on: current.only(concerned(rule)),
        note: note.filter(|note| is_said(&note.value)).map(PrivateText::commitment),
    };
    Ok(Event::Attested {
        rule,
        attestation: Box::new(attestation),
    })
}

/// Excuses one rule for this release.
pub(crate) fn waive(draft: &mut Draft<'_>, actor: &Actor, request: &WaiverRequest) -> Result<(), Refusal> {
    let (person, facts) = draft.person(actor)?;
    let release = draft.release()?;
    let rule = request.rule;
    if request.view.as_ref().is_some_and(|view| *view != release.view()) {
        return Err(Refusal::new(rule, Cause::StaleView));
    }
    let role = waiving_role(draft, release, person, &facts, rule)?;
    let lacks = waiver_lacks(draft, request);
    if !lacks.is_empty() {
        return Err(Refusal::new(rule, Cause::Incomplete(lacks)));
    }
    let waiver = Waiver {
        by: person.clone(),
        role,
        membership: facts.roles.get(&role).cloned().unwrap_or_default(),
        facts_ms: facts.observed_ms,
        waived_ms: draft.now_ms,
        on: Fingerprint::of(release, draft.policy).without_waivers(),
        justification: request.justification.commitment(),
        follow_up_ms: request.follow_up_ms,
    };
    draft.record(Event::RuleWaived {
        rule,
        waiver: Box::new(waiver),
    });
    source::ask_again(draft)
}

fn waiver_lacks(draft: &Draft<'_>, request: &WaiverRequest) -> Vec<(&'static str, &'static str)> {
    let mut lacks = Vec::new();
    let said = chars_that_count(&request.justification.value);
    if said < JUSTIFICATION_MIN_CHARS || !is_said(&request.justification.value) {
        lacks.push(("justification", "say why, in 20 to 3,000 characters"));
    }
    let latest_ms = draft.now_ms.saturating_add(FOLLOW_UP_MAX_DAYS * DAY_MS);
    if request.follow_up_ms <= draft.now_ms || request.follow_up_ms > latest_ms {
        lacks.push(("follow_up", "a day from now on, at most a year ahead"));
    }
    lacks
}

/// The role in which somebody may waive: neither requester nor author, nor the one whose gate it is.
fn waiving_role(
    draft: &Draft<'_>,
    release: &Release,
    person: &PersonId,
    facts: &PersonFacts,
    rule: Rule,
) -> Result<Role, Refusal> {
    let roles = waiving_roles(rule, release);
    let attesters: &[Role] = match rule.judged() {
        Judged::Attested(attesters, _) => attesters,
        _ => &[],
    };
    let others = || {
        let holders = roles.iter().flat_map(|role| draft.case.people.holders_of(*role));
        holders
            .filter(|other| release.own_part(other).is_none())
            .cloned()
            .collect()
    };
    let refuse = |cause| Err(Refusal::new(rule, cause).for_roles(&roles, others()));
    let applies = draft.policy.effect(rule, release.kind, &release.service).is_some();
    if waivable(rule, release) == Waivable::Never || !applies {
        return refuse(Cause::NotWaivable);
    }
    if let Some(part) = release.own_part(person) {
        return refuse(Cause::OwnRelease(part));
    }
    let on = Fingerprint::of(release, draft.policy).without_waivers();
    let standing = || {
        release
            .waivers
            .get(&rule)
            .into_iter()
            .flatten()
            .filter(|waiver| waiver.on == on)
    };
    // Where several have to waive together, a role that has not yet comes first.
    let given = |role: &Role| standing().any(|waiver| waiver.role == *role);
    let held = || roles.iter().copied().filter(|role| facts.holds(*role));
    let untold = |roles: &[Role]| roles.iter().any(|role| facts.is_untold(*role));
    let Some(role) = held().find(|role| !given(role)).or_else(|| held().next()) else {
        return refuse(if untold(&roles) {
            Cause::FactsUnavailable
        } else {
            Cause::NotInRole
        });
    };
    let together = matches!(waivable(rule, release), Waivable::ByAll(_));
    let other = standing().find(|waiver| together && waiver.by == *person && waiver.role != role);
    if let Some(other) = other {
        return refuse(Cause::SignedAnotherRole(other.role));
    }
    // Where the attester's word and the waiver are asked for together, as of open bugs, both stand for it.
    let is_theirs = !attesters.contains(&role) && !together;
    if is_theirs && untold(attesters) {
        return refuse(Cause::FactsUnavailable);
    }
    let own_gate = is_theirs && attesters.iter().any(|attester| facts.holds(*attester));
    let said = release.attestations.get(&rule).into_iter().flatten();
    if own_gate || said.into_iter().any(|word| word.by == *person) {
        return refuse(Cause::OwnGate);
    }
    Ok(role)
}

/// Takes back what the person has said of `rule`, or their waiver of it.
pub(crate) fn take_back(draft: &mut Draft<'_>, actor: &Actor, rule: Rule) -> Result<(), Refusal> {
    let (person, _) = draft.person(actor)?;
    let release = draft.release()?;
    let said = release
        .attestations
        .get(&rule)
        .is_some_and(|said| said.iter().any(|word| word.by == *person));
    let waived = release
        .waivers
        .get(&rule)
        .is_some_and(|given| given.iter().any(|waiver| waiver.by == *person));
    if !said && !waived {
        return Err(Refusal::new(rule, Cause::NothingSigned));
    }
    let by = person.clone();
    if said {
        draft.record(Event::AttestationWithdrawn { rule, by: by.clone() });
    }
    if waived {
        draft.record(Event::WaiverWithdrawn { rule, by });
    }
    void_who_relied(draft, rule)?;
    sign_off::reconsider(draft)
}

/// A verdict that turned red voids the sign-off that was given after it.
fn void_who_relied(draft: &mut Draft<'_>, rule: Rule) -> Result<(), Refusal> {
    let open = gates::holding(&draft.case, draft.policy, draft.now_ms, Moment::Overview);
    if !open.iter().any(|gate| gate.rule == rule) {
        return Ok(());
    }
    let signed = draft.release()?.sign_offs.keys().copied();
    let roles: BTreeSet<Role> = signed.filter(|role| comes_before(rule, *role)).collect();
    if !roles.is_empty() {
        draft.record(Event::SignOffsVoided {
            roles,
            changed: Vec::new(),
        });
    }
    Ok(())
}
