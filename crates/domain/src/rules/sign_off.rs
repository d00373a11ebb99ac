//! The sign-offs, and what every sign-off obeys: bound to the fingerprint, distinct humans, neither
//! requester nor author, in the role at the click and at the start, in time.

use crate::case::Case;
use crate::event::SignOff;
use crate::fingerprint::Fingerprint;
use crate::ids::{Millis, PersonId};
use crate::policy::{CLICK_FACTS_MAX_AGE_MS, FACTS_MAX_AGE_MS, Policy, TechLeadMode};
use crate::release::Release;
use crate::role::Role;
use crate::rule::{Kind, Rule};
use crate::rules::gates::{Detail, Gate, GateState, Moment};

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

/// Until when a sign-off counts: an emergency's for a few hours, a planned one until the planned end, at most
/// 14 days.
pub fn expires_ms(sign_off: &SignOff, release: &Release, policy: &Policy) -> Millis {
    match &release.plan {
        None => sign_off.signed_ms + policy.emergency_sign_off_ms,
        Some(plan) => (sign_off.signed_ms + policy.planned_sign_off_max_ms).min(plan.start_ms + plan.length_ms),
    }
}

/// Who can sign for `role`: its holders who are not part of the release and sign for no other role.
pub fn eligible(role: Role, release: &Release, case: &Case) -> Vec<PersonId> {
    let deputies = if role == Role::Cto {
        case.people.holders_of(Role::CtoDeputy)
    } else {
        &[]
    };
    let holders = case.people.holders_of(role).iter().chain(deputies);
    holders
        .filter(|person| can_judge(person, role, release))
        .cloned()
        .collect()
}

/// Whether a person may judge this release in `role` at all.
pub fn can_judge(person: &PersonId, role: Role, release: &Release) -> bool {
    release.own_part(person).is_none() && signed_other_role(person, role, release).is_none()
}

/// Another role for which the person's sign-off stands.
pub fn signed_other_role(person: &PersonId, role: Role, release: &Release) -> Option<Role> {
    release
        .sign_offs
        .values()
        .find(|s| s.person == *person && s.role != role)
        .map(|s| s.role)
}

/// The gate of one signing role.
pub fn gate(role: Role, release: &Release, case: &Case, policy: &Policy, now_ms: Millis, moment: Moment) -> Gate {
    let (state, detail) = judge(role, release, case, policy, now_ms, moment);
    let mut gate = Gate {
        roles: vec![role],
        people: eligible(role, release, case),
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
        let nobody = eligible(role, release, case).is_empty();
        return (
            GateState::Unmet,
            if nobody { Detail::NobodyCanSign } else { Detail::Waiting },
        );
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
    let until_ms = expires_ms(sign_off, release, policy);
    if now_ms >= until_ms {
        return (GateState::Stale, Detail::Expired { at_ms: until_ms });
    }
    let changed = sign_off
        .fingerprint
        .voids(&Fingerprint::of(release, policy), sign_off.role);
    if !changed.is_empty() {
        return (GateState::Stale, Detail::Changed(changed));
    }
    let person = sign_off.person.clone();
    if !can_judge(&person, sign_off.role, release) {
        return (GateState::Unmet, Detail::NotDistinct(person));
    }
    let signed = |unconfirmed| {
        let detail = Detail::SignedBy {
            person: sign_off.person.clone(),
            at_ms: sign_off.signed_ms,
            until_ms,
            unconfirmed,
        };
        (GateState::Met, detail)
    };
    if moment == Moment::Overview {
        return signed(false);
    }
    match case
        .people
        .facts
        .get(&person)
        .filter(|facts| now_ms - facts.observed_ms <= FACTS_MAX_AGE_MS)
    {
        Some(facts) if may_sign_as(sign_off.role, facts) => signed(false),
        Some(_) => (GateState::Unmet, Detail::LostRole(person)),
        // Slack is silent: an emergency goes on the membership seen at the click, a planned release waits.
        None if release.kind.is_emergency() && now_ms - sign_off.facts_ms <= CLICK_FACTS_MAX_AGE_MS => signed(true),
        None => (GateState::Unknown, Detail::RoleUnconfirmed(person)),
    }
}

/// A tech lead's debt may be paid by the CTO's side (see [`may_pay_tech_lead_debt`]), so that side counts here too.
fn may_sign_as(role: Role, facts: &crate::people::PersonFacts) -> bool {
    facts.membership_for(role).is_some() || (role == Role::TechLead && facts.membership_for(Role::Cto).is_some())
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

/// An unanswered tech lead holds an emergency only for a while, or not at all; a rejection always holds it.
fn owe_instead(gate: &mut Gate, release: &Release, policy: &Policy, now_ms: Millis) {
    if matches!(gate.detail, Detail::RejectedBy { .. }) {
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
