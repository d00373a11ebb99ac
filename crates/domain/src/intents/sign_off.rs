//! Signing, rejecting, withdrawing, and the two clocks of an emergency's sign-offs.

use crate::command::Actor;
use crate::decide::Draft;
use crate::digest::PrivateText;
use crate::event::{Event, SignOff};
use crate::fingerprint::Fingerprint;
use crate::ids::PersonId;
use crate::intents::deployment;
use crate::people::PersonFacts;
use crate::refusal::{Cause, Refusal};
use crate::release::{Release, Status};
use crate::role::Role;
use crate::rule::Rule;
use crate::rules::gates::{self, Gate, GateState, Moment};
use crate::rules::sign_off::{
    eligible, expires_ms, gate, may_pay_tech_lead_debt, roles_of, rule_of, signed_other_role,
};
use std::collections::BTreeSet;

/// Signs for one role.
pub(crate) fn sign(
    draft: &mut Draft<'_>,
    actor: &Actor,
    role: Option<Role>,
    view: Option<&str>,
    seen: Option<&PrivateText>,
) -> Result<(), Refusal> {
    let (person, facts) = draft.person(actor)?;
    let release = draft.release()?;
    check_view(release, view)?;
    let role = choose_role(draft, release, person, &facts, role, |role| {
        waits_for(draft, release, role)
    })?;
    check_may_judge(draft, release, person, role)?;
    if !waits_for(draft, release, role) {
        return Err(refuse(draft, release, role, Cause::AlreadySigned));
    }
    let pays_debt = release.open_debts().any(|(rule, _)| rule == rule_of(role));
    if !pays_debt && !matches!(release.status, Status::Asking | Status::Approved | Status::Rejected) {
        return Err(refuse(draft, release, role, Cause::Status(release.status)));
    }
    let sign_off = make(draft, release, person, &facts, role, seen);
    if !pays_debt && draft.now_ms >= expires_ms(&sign_off, release, draft.policy) {
        return Err(refuse(draft, release, role, Cause::SlotOver));
    }
    if release.sign_offs.contains_key(&role) {
        // It stands but has expired or rests on other rules: it is taken off the record's count before the new one.
        draft.record(Event::SignOffsVoided {
            roles: BTreeSet::from([role]),
            changed: Vec::new(),
        });
    }
    draft.record(Event::SignedOff {
        sign_off: Box::new(sign_off),
    });
    if pays_debt {
        draft.record(Event::DebtClosed {
            rule: rule_of(role),
            by: person.clone(),
        });
    }
    advance(draft)
}

fn make(
    draft: &Draft<'_>,
    release: &Release,
    person: &PersonId,
    facts: &PersonFacts,
    role: Role,
    seen: Option<&PrivateText>,
) -> SignOff {
    let membership = facts.membership_for(role).or_else(|| facts.membership_for(Role::Cto));
    SignOff {
        role,
        person: person.clone(),
        as_deputy: membership.is_some_and(|m| m.as_deputy) || facts.membership_for(role).is_none(),
        membership: membership.map_or_else(String::new, |m| m.by.to_owned()),
        facts_ms: facts.observed_ms,
        fingerprint: Fingerprint::of(release, draft.policy),
        rules: draft.policy.effective_digest(release.kind),
        seen: seen.map(PrivateText::commitment),
        signed_ms: draft.now_ms,
        confirms_rejection: role == Role::Cto && release.rejections.contains_key(&Role::TechLead),
    }
}

/// Says no. An emergency's CTO sign-off falls with a tech lead's no: the CTO must confirm with it in view.
pub(crate) fn reject(
    draft: &mut Draft<'_>,
    actor: &Actor,
    role: Option<Role>,
    view: Option<&str>,
    reason: &PrivateText,
) -> Result<(), Refusal> {
    if reason.value.trim().is_empty() {
        return Err(Refusal::new(
            Rule::SignoffRecorded,
            Cause::Incomplete(vec![("reason", "say why, in a few words")]),
        ));
    }
    let (person, facts) = draft.person(actor)?;
    let release = draft.release()?;
    check_view(release, view)?;
    let role = choose_role(draft, release, person, &facts, role, |role| {
        !release.rejections.contains_key(&role)
    })?;
    check_may_judge(draft, release, person, role)?;
    if role == Role::TechLead && release.sign_offs.contains_key(&Role::Cto) {
        draft.record(Event::SignOffsVoided {
            roles: BTreeSet::from([Role::Cto]),
            changed: Vec::new(),
        });
    }
    draft.record(Event::ReleaseRejected {
        role,
        person: person.clone(),
        reason: reason.commitment(),
    });
    deployment::call_off(draft)
}

/// Takes one's own sign-off back; possible until the start.
pub(crate) fn withdraw(draft: &mut Draft<'_>, actor: &Actor, reason: Option<&PrivateText>) -> Result<(), Refusal> {
    let (person, _) = draft.person(actor)?;
    let release = draft.release()?;
    let Some(role) = release.sign_offs.values().find(|s| s.person == *person).map(|s| s.role) else {
        return Err(Refusal::new(Rule::SignoffRecorded, Cause::NothingSigned));
    };
    draft.record(Event::SignOffWithdrawn {
        role,
        person: person.clone(),
        reason: reason.map(PrivateText::commitment),
    });
    deployment::call_off(draft)
}

/// Asks the standing deputy as well when the CTO has not answered in time.
pub(crate) fn ask_deputy(draft: &mut Draft<'_>, revision: u32) -> Result<(), Refusal> {
    let release = draft.release()?;
    let waits = release.revision == revision && !release.sign_offs.contains_key(&Role::Cto);
    if !waits || !matches!(release.status, Status::Asking | Status::Rejected) {
        return Err(Refusal::new(Rule::SignoffCto, Cause::Outdated));
    }
    if !draft.case.people.holders.contains_key(&Role::CtoDeputy) {
        return Err(Refusal::new(Rule::RolesCommands, Cause::FactsUnavailable));
    }
    let asked = release.asked.get(&Role::Cto).map(|asked| &asked.people);
    let people: BTreeSet<PersonId> = eligible(Role::Cto, release, &draft.case)
        .into_iter()
        .filter(|person| draft.case.people.holders_of(Role::CtoDeputy).contains(person))
        .filter(|person| asked.is_none_or(|asked| !asked.contains(person)))
        .collect();
    if !people.is_empty() {
        draft.record(Event::SignOffRequested {
            role: Role::Cto,
            people,
            revision,
        });
    }
    Ok(())
}

/// The wait for the tech lead is over: all gates are judged again, and the hotfix starts if they hold.
pub(crate) fn end_tech_lead_wait(draft: &mut Draft<'_>, revision: u32) -> Result<(), Refusal> {
    if draft.release()?.revision != revision {
        return Err(Refusal::new(Rule::SignoffTechLead, Cause::Outdated));
    }
    advance(draft)
}

/// Approves the release if nothing is missing any more; an emergency then starts by itself (`deploy.start`).
pub(crate) fn advance(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let is_emergency = draft.release()?.kind.is_emergency();
    let is_open = matches!(draft.release()?.status, Status::Drafted | Status::Asking);
    let holding = gates::holding(&draft.case, draft.policy, draft.now_ms, Moment::Overview);
    if is_open && !holding.iter().any(Gate::is_of_approval) {
        draft.record(Event::ReleaseApproved {});
        if is_emergency && holding.iter().all(|gate| gate.rule == Rule::DeployStart) {
            deployment::begin(draft, None)?;
        }
    }
    Ok(())
}

/// Whether a sign-off of `role` would count for something: missing, expired, stale, or lifting a rejection.
fn waits_for(draft: &Draft<'_>, release: &Release, role: Role) -> bool {
    let judge = |role| gate(role, release, &draft.case, draft.policy, draft.now_ms, Moment::Overview).state;
    let confirms = role == Role::Cto
        && release.rejections.contains_key(&Role::TechLead)
        && judge(Role::TechLead) != GateState::Met;
    confirms || release.rejections.contains_key(&role) || judge(role) != GateState::Met
}

fn check_view(release: &Release, view: Option<&str>) -> Result<(), Refusal> {
    if view.is_some_and(|view| view != release.view()) {
        return Err(Refusal::new(Rule::SignoffRecorded, Cause::StaleView));
    }
    Ok(())
}

/// The role to act in: the named one, or the only one that fits; several are the person's choice.
fn choose_role(
    draft: &Draft<'_>,
    release: &Release,
    person: &PersonId,
    facts: &PersonFacts,
    named: Option<Role>,
    waits: impl Fn(Role) -> bool,
) -> Result<Role, Refusal> {
    let held: Vec<Role> = roles_of(release.kind)
        .iter()
        .copied()
        .filter(|role| may_act_as(*role, release, person, facts))
        .collect();
    match named {
        Some(role) if held.contains(&role) => return Ok(role),
        Some(role) => return Err(refuse(draft, release, role, Cause::NotInRole)),
        None => {}
    }
    let waiting: BTreeSet<Role> = held.iter().copied().filter(|role| waits(*role)).collect();
    match (waiting.len(), held.first()) {
        (0, None) => {
            let roles = roles_of(release.kind);
            let people = roles
                .iter()
                .flat_map(|role| eligible(*role, release, &draft.case))
                .collect();
            Err(Refusal::new(Rule::RolesCommands, Cause::NotInRole).for_roles(roles, people))
        }
        (0, Some(role)) => Ok(*role),
        (1, _) => Ok(waiting.into_iter().next().unwrap_or(Role::Cto)),
        _ => Err(Refusal::new(Rule::RolesCommands, Cause::ChooseRole(waiting))),
    }
}

fn may_act_as(role: Role, release: &Release, person: &PersonId, facts: &PersonFacts) -> bool {
    facts.membership_for(role).is_some()
        || (role == Role::TechLead
            && facts.membership_for(Role::Cto).is_some()
            && may_pay_tech_lead_debt(release)
            && signed_other_role(person, role, release).is_none())
}

fn check_may_judge(draft: &Draft<'_>, release: &Release, person: &PersonId, role: Role) -> Result<(), Refusal> {
    if let Some(part) = release.own_part(person) {
        return Err(refuse(draft, release, role, Cause::OwnRelease(part)));
    }
    if let Some(other) = signed_other_role(person, role, release) {
        return Err(refuse(draft, release, role, Cause::SignedAnotherRole(other)));
    }
    Ok(())
}

fn refuse(draft: &Draft<'_>, release: &Release, role: Role, cause: Cause) -> Refusal {
    Refusal::new(rule_of(role), cause).for_roles(&[role], eligible(role, release, &draft.case))
}
