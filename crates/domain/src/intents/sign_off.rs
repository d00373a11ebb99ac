//! Signing, rejecting, withdrawing, and the two clocks of an emergency's sign-offs.

use crate::command::Actor;
use crate::decide::Draft;
use crate::digest::PrivateText;
use crate::event::{Event, SignOff};
use crate::fingerprint::Fingerprint;
use crate::ids::PersonId;
use crate::intents::{deployment, source};
use crate::people::PersonFacts;
use crate::refusal::{Cause, Refusal};
use crate::release::{Release, Status, revision_of};
use crate::role::Role;
use crate::rule::Rule;
use crate::rules::gates::{self, Moment};
use crate::rules::plan::is_said;
use crate::rules::sign_off::{
    comes_before, eligible, expires_ms, flaw, gate, may_pay_tech_lead_debt, roles_of, rule_of, signed_other_role,
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
    if view.is_some_and(|view| view != release.view()) {
        return Err(stale_view());
    }
    let held = held_roles(release, |role| may_act_as(role, release, person, &facts));
    let role = choose_role(draft, release, (&facts, &held), role, |role| {
        waits_for(draft, release, role)
    })?;
    check_may_judge(draft, release, person, role)?;
    if release.source.is_none() {
        return Err(Refusal::new(Rule::VcsTag, Cause::SourceUnknown(release.source_problem)));
    }
    // A rejection is confirmed with the rejection in view; a typed command has nothing in view.
    if view.is_none() && role == Role::Cto && release.rejections.contains_key(&Role::TechLead) {
        return Err(stale_view());
    }
    if !waits_for(draft, release, role) {
        return Err(refuse(draft, release, role, Cause::AlreadySigned));
    }
    let pays_debt = release.open_debts().any(|(rule, _)| rule == rule_of(role));
    let counts_in = match release.status {
        Status::Asking | Status::Approved | Status::Rejected => true,
        // Before the start a missing one still spares a debt. A standing one is not replaced under an attempt that is
        // about to start: for a moment nobody would have signed.
        Status::Queued => !release.sign_offs.contains_key(&role),
        _ => pays_debt,
    };
    if !counts_in {
        return Err(refuse(draft, release, role, Cause::Status(release.status)));
    }
    if let Some(first) = before_signing(draft, role) {
        return Err(first);
    }
    let sign_off = make(draft, release, person, &facts, role, seen);
    if !pays_debt && draft.now_ms >= expires_ms(&sign_off, release, draft.policy) {
        return Err(refuse(draft, release, role, Cause::SlotOver));
    }
    // What didn't hold the start doesn't cause one: a retry is somebody's decision.
    let starts = gate(role, release, &draft.case, draft.policy, draft.now_ms, Moment::Overview).holds_start()
        || matches!(release.status, Status::Asking | Status::Rejected);
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
    if starts {
        advance(draft)
    } else {
        approve(draft).map(drop)
    }
}

/// What has to be met before `role` signs, if something isn't.
fn before_signing(draft: &Draft<'_>, role: Role) -> Option<Refusal> {
    let mut holding = gates::holding(&draft.case, draft.policy, draft.now_ms, Moment::Overview);
    holding.retain(|gate| comes_before(gate.rule, role));
    let first = holding.first()?;
    let refusal = Refusal::new(first.rule, Cause::GatesUnmet(holding.clone()));
    Some(refusal.for_roles(&first.roles, first.people.clone()))
}

/// Something that a release rested on was taken back: what was approved is not any more, and a requested start is called off.
pub(crate) fn reconsider(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    if !gates::holding(&draft.case, draft.policy, draft.now_ms, Moment::Overview).is_empty() {
        deployment::call_off(draft)?;
    }
    match source::ask_again(draft) {
        // A word is taken back whether or not Slack says who is to be asked anew: those who were asked before have their question.
        Err(refusal) if refusal.cause == Cause::FactsUnavailable => Ok(()),
        asked => asked,
    }
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
        rules: draft.policy.effective_digest(release.kind, &release.service),
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
    if !is_said(&reason.value) {
        return Err(Refusal::new(
            Rule::SignoffRecorded,
            Cause::Incomplete(vec![("reason", "say why, in at most 3,000 characters")]),
        ));
    }
    let (person, facts) = draft.person(actor)?;
    let release = draft.release()?;
    // A no wins any race: words taken back meanwhile don't make it stale, only another revision does.
    if view.is_some_and(|view| revision_of(view) != revision_of(&release.view())) {
        return Err(stale_view());
    }
    let held = held_roles(release, |role| facts.membership_for(role).is_some());
    let role = choose_role(draft, release, (&facts, &held), role, |role| {
        !release.rejections.contains_key(&role)
    })?;
    check_may_judge(draft, release, person, role)?;
    // A no that stands needs no second one; one that the CTO has overruled may be said again.
    if release.status == Status::Rejected && release.rejections.contains_key(&role) {
        return Err(refuse(draft, release, role, Cause::AlreadySigned));
    }
    let overrides_cto = role == Role::TechLead && release.sign_offs.contains_key(&Role::Cto);
    if overrides_cto {
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
    deployment::call_off(draft)?;
    if overrides_cto {
        ask_the_ctos_again(draft, Role::Cto)?;
    }
    Ok(())
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
    deployment::call_off(draft)?;
    ask_the_ctos_again(draft, role)
}

/// An emergency without its CTO's word waits for one: the question is put again, so that the deputy's clock runs.
fn ask_the_ctos_again(draft: &mut Draft<'_>, role: Role) -> Result<(), Refusal> {
    let release = draft.release()?;
    let asked = release.asked.get(&role).map(|asked| asked.people.clone());
    let revision = release.revision;
    if let Some(people) = asked.filter(|_| role == Role::Cto) {
        // Those who were asked before: it must not wait for Slack to say who the CTO is.
        draft.record(Event::SignOffRequested { role, people, revision });
    }
    Ok(())
}

/// Asks the standing deputy as well when the CTO has not answered in time.
pub(crate) fn ask_deputy(draft: &mut Draft<'_>, revision: u32) -> Result<(), Refusal> {
    let release = draft.release()?;
    // A no of the CTO is an answer: the deputy is not asked to lift it.
    let answered = release.sign_offs.contains_key(&Role::Cto) || release.rejections.contains_key(&Role::Cto);
    let waits = release.revision == revision && !answered;
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
    let release = draft.release()?;
    if release.revision != revision {
        return Err(Refusal::new(Rule::SignoffTechLead, Cause::Outdated));
    }
    let waits_until = gate(
        Role::TechLead,
        release,
        &draft.case,
        draft.policy,
        draft.now_ms,
        Moment::Overview,
    );
    if let Some(next_ms) = waits_until.next_ms {
        // Too early, because a clock was set back or the wait made longer: this timer has to come again.
        return Err(Refusal::new(Rule::SignoffTechLead, Cause::Outdated).until(next_ms));
    }
    advance(draft)
}

/// Approves the release if nothing is missing any more; an emergency then starts by itself (`deploy.start`).
pub(crate) fn advance(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let approved = approve(draft)?;
    let holding = gates::holding(&draft.case, draft.policy, draft.now_ms, Moment::Overview);
    if approved && draft.release()?.kind.is_emergency() && holding.is_empty() {
        deployment::begin(draft, None)?;
    }
    Ok(())
}

/// Approves the release if nothing is missing any more; says whether it did.
pub(crate) fn approve(draft: &mut Draft<'_>) -> Result<bool, Refusal> {
    let (status, kind) = (draft.release()?.status, draft.release()?.kind);
    let is_open = matches!(status, Status::Drafted | Status::Asking);
    let holding = gates::holding(&draft.case, draft.policy, draft.now_ms, Moment::Overview);
    let approves = is_open && !holding.iter().any(|gate| gate.is_of_approval(kind));
    if approves {
        draft.record(Event::ReleaseApproved {});
    }
    Ok(approves)
}

/// Whether a sign-off of `role` would count for something: missing, over, on something else, by somebody who left
/// the role since, or lifting a rejection.
fn waits_for(draft: &Draft<'_>, release: &Release, role: Role) -> bool {
    let stands = release
        .sign_offs
        .get(&role)
        .is_some_and(|sign_off| flaw(sign_off, release, &draft.case, draft.policy, draft.now_ms).is_none());
    !stands || release.rejections.contains_key(&role)
}

fn stale_view() -> Refusal {
    Refusal::new(Rule::SignoffRecorded, Cause::StaleView)
}

fn held_roles(release: &Release, may: impl Fn(Role) -> bool) -> Vec<Role> {
    roles_of(release.kind)
        .iter()
        .copied()
        .filter(|role| may(*role))
        .collect()
}

/// The role to act in: the named one, or the only one that fits; several are the person's choice.
fn choose_role(
    draft: &Draft<'_>,
    release: &Release,
    (facts, held): (&PersonFacts, &[Role]),
    named: Option<Role>,
    waits: impl Fn(Role) -> bool,
) -> Result<Role, Refusal> {
    let untold = Refusal::new(Rule::RolesCommands, Cause::FactsUnavailable);
    match named {
        Some(role) if held.contains(&role) => return Ok(role),
        Some(role) if facts.is_untold(role) => return Err(untold),
        Some(role) => return Err(refuse(draft, release, role, Cause::NotInRole)),
        None => {}
    }
    let waiting: BTreeSet<Role> = held.iter().copied().filter(|role| waits(*role)).collect();
    match (waiting.len(), held.first()) {
        (0, None) if roles_of(release.kind).iter().any(|role| facts.is_untold(*role)) => Err(untold),
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
