//! The sign-offs, and what every sign-off obeys: bound to the fingerprint, distinct humans, neither
//! requester nor author, in the role at the click and at the start, in time.

use crate::case::Case;
use crate::event::SignOff;
use crate::fingerprint::Fingerprint;
use crate::ids::{Millis, PersonId};
use crate::people::PersonFacts;
use crate::policy::{CLICK_FACTS_MAX_AGE_MS, FACTS_MAX_AGE_MS, Policy, TechLeadMode};
use crate::release::Release;
use crate::role::Role;
use crate::rule::{Kind, Rule};
use crate::rules::gates::{Detail, Gate, GateState, Moment};
use crate::sabotage::{Guard, is_out};
use std::collections::BTreeSet;

/// The roles that sign a release of this kind.
pub fn roles_of(kind: Kind) -> &'static [Role] {
    if kind.is_emergency() {
        &[Role::Cto, Role::TechLead]
    } else {
        &[Role::ProductOwner, Role::QaLead]
    }
}

/// The rule behind a signing role.
pub fn rule_of(role: Role) -> Rule {
    match role {
        Role::ProductOwner => Rule::SignoffProductOwner,
        Role::QaLead => Rule::SignoffQaLead,
        Role::TechLead => Rule::SignoffTechLead,
        _ => Rule::SignoffCto,
    }
}

/// The signing role behind a rule.
pub fn role_of(rule: Rule) -> Option<Role> {
    let roles = [Role::ProductOwner, Role::QaLead, Role::TechLead, Role::Cto];
    roles.into_iter().find(|role| rule_of(*role) == rule)
}

/// What must be met or waived before `role` signs: the QA lead signs off tests and criteria, the product owner what was accepted.
pub fn comes_before(rule: Rule, role: Role) -> bool {
    match role {
        Role::QaLead => matches!(rule.family(), "stage" | "criteria") && rule != Rule::StageOpsReady,
        Role::ProductOwner => rule == Rule::StageAcceptance,
        _ => false,
    }
}

/// Until when a sign-off counts: an emergency's for a few hours, a planned one until the planned end, at most
/// 14 days. Who makes the plan longer makes no sign-off last longer than its signer saw.
pub fn expires_ms(sign_off: &SignOff, release: &Release, policy: &Policy) -> Millis {
    let Some(plan) = &release.plan else {
        return sign_off.signed_ms + policy.emergency_sign_off_ms;
    };
    let signed_length_ms = sign_off.fingerprint.length_ms().unwrap_or(plan.length_ms);
    let end_ms = plan.start_ms + plan.length_ms.min(signed_length_ms);
    end_ms.min(sign_off.signed_ms + policy.planned_sign_off_max_ms)
}

/// Until when what was judged of the sign-offs at `now_ms` holds: the first of them to expire, and the first fact on which
/// they rest to grow old. A start that commits later rests on nothing. One that had expired before (an emergency's tech
/// lead may owe it) counted for nothing, so nothing rests on it.
pub fn holds_until_ms(case: &Case, policy: &Policy, now_ms: Millis) -> Option<Millis> {
    let release = case.release.as_ref()?;
    let counting = || {
        let sign_offs = release.sign_offs.values();
        sign_offs.filter(|sign_off| now_ms < expires_ms(sign_off, release, policy))
    };
    let expiries = counting().map(|sign_off| expires_ms(sign_off, release, policy));
    let facts = counting().filter_map(|sign_off| case.people.facts.get(&sign_off.person));
    let ages = facts
        .filter(|facts| facts.is_fresh(now_ms))
        .map(|facts| facts.observed_ms + FACTS_MAX_AGE_MS);
    expiries.chain(ages).min()
}

/// The end of a planned release's slot: no sign-off counts from then on.
pub fn slot_end_ms(release: &Release) -> Option<Millis> {
    release.plan.as_ref().map(|plan| plan.start_ms + plan.length_ms)
}

/// Who can sign for `role`: its holders who are not part of the release and sign for no other role.
pub fn eligible(role: Role, release: &Release, case: &Case) -> Vec<PersonId> {
    let deputies = if role == Role::Cto {
        case.people.holders_of(Role::CtoDeputy)
    } else {
        &[]
    };
    let mut people: Vec<PersonId> = Vec::new();
    for person in case.people.holders_of(role).iter().chain(deputies) {
        let facts = case.people.facts.get(person);
        let known_not_to = facts.is_some_and(|facts| facts.membership_for(role).is_none() && !facts.is_untold(role));
        if can_judge(person, role, release) && !known_not_to && !people.contains(person) {
            people.push(person.clone());
        }
    }
    people
}

/// Whether it is known who may sign for `role`: Slack's silence must not look like a role with nobody in it.
fn holders_known(role: Role, case: &Case) -> bool {
    let known = |role| case.people.holders.contains_key(&role);
    known(role) && (role != Role::Cto || known(Role::CtoDeputy))
}

/// Whether a person may judge this release in `role` at all.
pub fn can_judge(person: &PersonId, role: Role, release: &Release) -> bool {
    release.own_part(person).is_none() && signed_other_role(person, role, release).is_none()
}

/// Another role in which the person's word stands, be it yes or no: who said no as tech lead is not the CTO who confirms
/// against it.
pub fn signed_other_role(person: &PersonId, role: Role, release: &Release) -> Option<Role> {
    let signed = release.sign_offs.iter().map(|(role, signed)| (*role, &signed.person));
    let rejected = release.rejections.iter().map(|(role, no)| (*role, &no.person));
    signed
        .chain(rejected)
        .find(|(other, by)| *other != role && *by == person)
        .map(|(other, _)| other)
}

/// The gate of one signing role.
pub fn gate(role: Role, release: &Release, case: &Case, policy: &Policy, now_ms: Millis, moment: Moment) -> Gate {
    let (state, detail) = judge(role, release, case, policy, now_ms, moment);
    let (mut roles, mut people) = (vec![role], eligible(role, release, case));
    if role == Role::TechLead {
        // The CTO's side may confirm a release that the tech lead rejected, and pays the debt of a missing one.
        let rejected = matches!(detail, Detail::RejectedBy { .. });
        let side = eligible(Role::Cto, release, case);
        if rejected {
            roles.push(Role::Cto);
            people.extend(side);
        } else if may_pay_tech_lead_debt(release) {
            roles.push(Role::Cto);
            people.extend(side.into_iter().filter(|person| can_judge(person, role, release)));
        }
        let mut seen = BTreeSet::new();
        people.retain(|person| seen.insert(person.clone()));
    }
    let mut gate = Gate {
        roles,
        people,
        ..Gate::new(rule_of(role), release, state, detail)
    };
    if role == Role::TechLead && gate.holds_start() {
        owe_instead(&mut gate, release, policy, now_ms);
    }
    gate
}

fn judge(
    role: Role,
    release: &Release,
    case: &Case,
    policy: &Policy,
    now_ms: Millis,
    moment: Moment,
) -> (GateState, Detail) {
    if let Some(rejection) = release.rejections.get(&role) {
        let confirmed = release
            .sign_offs
            .get(&Role::Cto)
            .is_some_and(|s| s.confirms_rejection && s.signed_ms >= rejection.at_ms);
        return if role == Role::TechLead && confirmed {
            (
                GateState::Met,
                Detail::Overruled {
                    rejected_by: rejection.person.clone(),
                },
            )
        } else {
            (
                GateState::Unmet,
                Detail::RejectedBy {
                    person: rejection.person.clone(),
                    at_ms: rejection.at_ms,
                },
            )
        };
    }
    let Some(sign_off) = release.sign_offs.get(&role) else {
        let nobody = holders_known(role, case) && eligible(role, release, case).is_empty();
        let detail = match slot_end_ms(release).filter(|end_ms| now_ms >= *end_ms) {
            Some(at_ms) => Detail::Expired { at_ms },
            None if nobody => Detail::NobodyCanSign,
            None => Detail::Waiting,
        };
        return (GateState::Unmet, detail);
    };
    judge_standing(sign_off, release, case, policy, now_ms, moment)
}

/// Judges a sign-off that was given: everything that it obeys, one after the other.
fn judge_standing(
    sign_off: &SignOff,
    release: &Release,
    case: &Case,
    policy: &Policy,
    now_ms: Millis,
    moment: Moment,
) -> (GateState, Detail) {
    if let Some(flaw) = flaw(sign_off, release, case, policy, now_ms) {
        return flaw;
    }
    let person = sign_off.person.clone();
    let signed = |unconfirmed| {
        let detail = Detail::SignedBy {
            person: person.clone(),
            at_ms: sign_off.signed_ms,
            until_ms: expires_ms(sign_off, release, policy),
            unconfirmed,
        };
        (GateState::Met, detail)
    };
    match (moment, case.people.facts.get(&person)) {
        (Moment::Overview, _) => signed(false),
        (Moment::Start, Some(facts)) if facts.is_fresh(now_ms) && holds_still(sign_off, facts) => signed(false),
        // Slack is silent: an emergency goes on the membership seen at the click, a planned release waits.
        (Moment::Start, _) if release.kind.is_emergency() && now_ms - sign_off.facts_ms <= CLICK_FACTS_MAX_AGE_MS => {
            signed(true)
        }
        (Moment::Start, _) => (GateState::Unknown, Detail::RoleUnconfirmed(person)),
    }
}

/// Why a standing sign-off counts for nothing any more: over, on something else, by somebody who may not judge this
/// release, or who is known to have left the role. Such a sign-off is voided, and the role asked again.
pub fn flaw(
    sign_off: &SignOff,
    release: &Release,
    case: &Case,
    policy: &Policy,
    now_ms: Millis,
) -> Option<(GateState, Detail)> {
    let until_ms = expires_ms(sign_off, release, policy);
    if now_ms >= until_ms {
        return Some((GateState::Stale, Detail::Expired { at_ms: until_ms }));
    }
    let changed = sign_off
        .fingerprint
        .voids(&Fingerprint::of(release, policy), sign_off.role);
    if !changed.is_empty() {
        return Some((GateState::Stale, Detail::Changed(changed)));
    }
    let person = sign_off.person.clone();
    if !can_judge(&person, sign_off.role, release) {
        return Some((GateState::Unmet, Detail::NotDistinct(person)));
    }
    lost_role(sign_off, case, now_ms).then_some((GateState::Unmet, Detail::LostRole(person)))
}

/// Whether the signer is known to have left the role, or the company, since the click. Old news of it is news.
fn lost_role(sign_off: &SignOff, case: &Case, now_ms: Millis) -> bool {
    case.people.facts.get(&sign_off.person).is_some_and(|facts| {
        let is_news = facts.is_fresh(now_ms) || facts.observed_ms > sign_off.facts_ms;
        let untold = roles_behind(sign_off).iter().any(|role| facts.is_untold(*role));
        is_news && !untold && !holds_still(sign_off, facts)
    })
}

/// Whether the signer is in the role, as Slack tells.
fn holds_still(sign_off: &SignOff, facts: &PersonFacts) -> bool {
    let mut roles = roles_behind(sign_off).iter();
    roles.any(|role| facts.membership_for(*role).is_some()) || is_out(Guard::RoleAtStart)
}

/// A tech lead's debt may be paid by the CTO's side (see [`may_pay_tech_lead_debt`]), which then has to be in its own role.
fn roles_behind(sign_off: &SignOff) -> &'static [Role] {
    match sign_off.role {
        Role::TechLead if sign_off.as_deputy => &[Role::TechLead, Role::Cto],
        Role::TechLead => &[Role::TechLead],
        Role::ProductOwner => &[Role::ProductOwner],
        Role::QaLead => &[Role::QaLead],
        _ => &[Role::Cto],
    }
}

/// Whether, for want of another tech lead, the deputy or the CTO may give the owed sign-off.
pub fn may_pay_tech_lead_debt(release: &Release) -> bool {
    let owed = release.open_debts().any(|(rule, _)| rule == Rule::SignoffTechLead);
    owed && !asked_can_judge(Role::TechLead, release)
}

/// Whether anybody who was asked for `role` can judge. Read from the record, not from a look-up: Slack's
/// silence must not look like a role with nobody in it.
fn asked_can_judge(role: Role, release: &Release) -> bool {
    release
        .asked
        .get(&role)
        .is_none_or(|asked| asked.people.iter().any(|person| can_judge(person, role, release)))
}

/// An unanswered tech lead holds an emergency only for a while, or not at all; a rejection, and a yes that was taken back,
/// always hold it.
fn owe_instead(gate: &mut Gate, release: &Release, policy: &Policy, now_ms: Millis) {
    if matches!(gate.detail, Detail::RejectedBy { .. }) || release.withdrawn.contains(&Role::TechLead) {
        return;
    }
    let wait_ends_ms = release
        .asked
        .get(&Role::TechLead)
        .map(|asked| asked.at_ms + policy.tech_lead_wait_ms);
    let owed = match policy.tech_lead_mode {
        TechLeadMode::Block => false,
        TechLeadMode::Owe => true,
        TechLeadMode::BlockThenOwe => {
            !asked_can_judge(Role::TechLead, release) || wait_ends_ms.is_some_and(|end| now_ms >= end)
        }
    };
    if owed {
        gate.state = GateState::Owed;
        gate.detail = Detail::OwedUntil {
            within_ms: policy.tech_lead_within_ms,
        };
    } else if policy.tech_lead_mode == TechLeadMode::BlockThenOwe {
        gate.next_ms = wait_ends_ms;
    }
}

/// When a question to `role` changes by itself: the CTO's deputy is asked, the tech lead's wait ends.
pub fn timers_of(role: Role, kind: Kind, policy: &Policy, asked_ms: Millis) -> Option<Millis> {
    match role {
        Role::Cto if kind.is_emergency() => Some(asked_ms + policy.deputy_after_ms),
        Role::TechLead if policy.tech_lead_mode == TechLeadMode::BlockThenOwe => {
            Some(asked_ms + policy.tech_lead_wait_ms)
        }
        _ => None,
    }
}

/// `signoff.recorded`: the log has every sign-off with its time and person, in the transaction that made it.
pub fn recorded(release: &Release) -> Gate {
    Gate::new(Rule::SignoffRecorded, release, GateState::Met, Detail::Plain)
}
