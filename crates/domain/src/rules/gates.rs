//! One evaluation of every gate. Nothing else decides whether a deployment may start.

use crate::case::Case;
use crate::event::SourceProblem;
use crate::fingerprint::Field;
use crate::ids::{Millis, PersonId, ReleaseKey};
use crate::policy::Policy;
use crate::release::Release;
use crate::role::Role;
use crate::rule::{Effect, Judged, Kind, Rule};
use crate::rules::attested::Current;
use crate::rules::{attested, deploy, plan, sign_off, vcs};

/// When gates are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// For a card or a question: people's roles are taken as they were at their click, unless they are known to be lost.
    Overview,
    /// At the request and at the start: every signer's role is looked up again.
    Start,
}

/// Whether a gate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateState {
    /// It holds.
    Met,
    /// It doesn't, but by policy it is done afterwards.
    Owed,
    /// It doesn't.
    Unmet,
    /// It did, but what it rested on has changed or expired.
    Stale,
    /// It can't be told; that is not enough.
    Unknown,
    /// It doesn't, and somebody who may has excused it.
    Waived,
    /// It says nothing about this release.
    NotApplicable,
    /// Nothing of this version looks at it, and it holds nothing.
    NotJudged,
}

/// What a gate saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// Nothing to add.
    Plain,
    /// Signed.
    SignedBy {
        /// Who.
        person: PersonId,
        /// When.
        at_ms: Millis,
        /// Until when it counts.
        until_ms: Millis,
        /// Whether the role could not be confirmed just now.
        unconfirmed: bool,
    },
    /// A developer's draft that no release manager has taken over.
    NoOwner,
    /// The worker hasn't looked yet.
    SourcePending,
    /// The worker looked and could not see.
    Source(SourceProblem),
    /// Asked, no answer yet.
    Waiting,
    /// Nobody in the role can act on this release.
    NobodyCanSign,
    /// Over.
    Expired {
        /// Since when.
        at_ms: Millis,
    },
    /// What was signed has changed.
    Changed(Vec<Field>),
    /// The signer isn't in the role any more, or not an active member.
    LostRole(PersonId),
    /// Slack could not say whether the signer is still in the role.
    RoleUnconfirmed(PersonId),
    /// One person stands in two roles, or is part of the release.
    NotDistinct(PersonId),
    /// Somebody said that it holds.
    AttestedBy {
        /// Who.
        people: Vec<PersonId>,
        /// When the last of them did.
        at_ms: Millis,
        /// Until when it counts, if time makes it old.
        until_ms: Option<Millis>,
    },
    /// Nobody, or not enough people, said that it holds.
    ToAttest {
        /// Who did.
        by: Vec<PersonId>,
        /// How many different people it takes.
        needed: usize,
    },
    /// Excused.
    WaivedBy {
        /// Who.
        people: Vec<PersonId>,
        /// When the last of them did.
        at_ms: Millis,
        /// When it is to be looked at again.
        follow_up_ms: Millis,
    },
    /// Rejected.
    RejectedBy {
        /// Who.
        person: PersonId,
        /// When.
        at_ms: Millis,
    },
    /// Rejected by the tech lead and confirmed by the CTO with the rejection in view.
    Overruled {
        /// Who rejected it.
        rejected_by: PersonId,
    },
    /// Owed afterwards.
    OwedUntil {
        /// Counted from the start, milliseconds.
        within_ms: Millis,
    },
    /// Not before the planned start.
    NotBefore(Millis),
    /// Held by another deployment.
    HeldBy(ReleaseKey),
    /// The release is not in a status from which a deployment starts.
    WrongStatus,
}

/// One line of the checklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The rule.
    pub rule: Rule,
    /// What it does to the start.
    pub effect: Effect,
    /// Whether it holds.
    pub state: GateState,
    /// What it saw.
    pub detail: Detail,
    /// The roles that can meet it.
    pub roles: Vec<Role>,
    /// The people who can meet it now.
    pub people: Vec<PersonId>,
    /// The next moment at which it could pass by itself.
    pub next_ms: Option<Millis>,
}

impl Gate {
    /// A gate of `rule` for this release.
    pub(crate) fn new(rule: Rule, release: &Release, state: GateState, detail: Detail) -> Self {
        Self {
            rule,
            // A rule that is judged at all blocks unless the table says otherwise.
            effect: rule.effect(release.kind).unwrap_or(Effect::Block),
            state,
            detail,
            roles: Vec::new(),
            people: Vec::new(),
            next_ms: None,
        }
    }

    /// Whether it keeps a deployment from starting.
    pub fn holds_start(&self) -> bool {
        use GateState::{Met, NotApplicable, NotJudged, Owed, Waived};
        self.effect == Effect::Block && !matches!(self.state, Met | Owed | Waived | NotApplicable | NotJudged)
    }

    /// Whether it belongs to the approval of a release of this kind, as opposed to the moment of the start. A hotfix is approved and
    /// started at once, so what is looked at before the deployment belongs to its approval.
    pub fn is_of_approval(&self, kind: Kind) -> bool {
        !matches!(self.rule, Rule::DeployStart | Rule::DeployExclusive)
            && (kind.is_emergency() || !self.rule.is_of_pre_flight())
    }
}

/// Every gate of the case's release, in the order of the procedure; none without a release.
pub fn gates(case: &Case, policy: &Policy, now_ms: Millis, moment: Moment) -> Vec<Gate> {
    let Some(release) = &case.release else {
        return Vec::new();
    };
    let (mut gates, current) = (Vec::new(), Current::default());
    for rule in Rule::ALL {
        let effect = policy.effect(*rule, release.kind, &release.service);
        if let Some(effect) = effect.filter(|effect| *effect != Effect::Action) {
            let gate = gate_of(*rule, (release, case, policy), &current, now_ms, moment);
            gates.push(excused(Gate { effect, ..gate }, release, policy, &current));
        }
    }
    // The sign-offs know better than their role who can; of the others any holder of the role can.
    for gate in gates.iter_mut().filter(|gate| sign_off::role_of(gate.rule).is_none()) {
        let holders = gate.roles.iter().flat_map(|role| case.people.holders_of(*role));
        gate.people = holders.cloned().collect();
    }
    gates
}

fn gate_of(
    rule: Rule,
    (release, case, policy): (&Release, &Case, &Policy),
    current: &Current,
    now_ms: Millis,
    moment: Moment,
) -> Gate {
    match rule {
        Rule::PlanComplete => return plan::complete(release),
        Rule::VcsTag => return vcs::tag(release),
        Rule::SignoffRecorded => return sign_off::recorded(release),
        Rule::DeployScript => return deploy::script(release),
        Rule::DeployStart => return deploy::start(release, now_ms),
        Rule::DeployExclusive => return deploy::exclusive(release, &case.service),
        _ => {}
    }
    if let Some(role) = sign_off::role_of(rule) {
        return sign_off::gate(role, release, case, policy, now_ms, moment);
    }
    let (state, detail, roles) = match rule.judged() {
        _ if !attested::applies(rule, release) => (GateState::NotApplicable, Detail::Plain, &[][..]),
        Judged::Attested(roles, needed) => {
            let (state, detail) = attested::judge(rule, needed, release, policy, current, now_ms);
            (state, detail, roles)
        }
        // What Countersign holds by itself: nothing else gets past it.
        Judged::Recorded | Judged::Done => (GateState::Met, Detail::Plain, &[][..]),
        Judged::NotYet => (GateState::NotJudged, Detail::Plain, &[][..]),
    };
    Gate {
        roles: roles.to_vec(),
        ..Gate::new(rule, release, state, detail)
    }
}

/// A waiver that counts excuses what isn't met.
fn excused(mut gate: Gate, release: &Release, policy: &Policy, current: &Current) -> Gate {
    let is_open = matches!(gate.state, GateState::Unmet | GateState::Stale | GateState::Unknown);
    if let Some(waivers) = attested::waived(gate.rule, release, policy, current).filter(|_| is_open) {
        gate.state = GateState::Waived;
        gate.detail = Detail::WaivedBy {
            people: waivers.iter().map(|waiver| waiver.by.clone()).collect(),
            at_ms: waivers.iter().map(|waiver| waiver.waived_ms).max().unwrap_or_default(),
            follow_up_ms: waivers
                .iter()
                .map(|waiver| waiver.follow_up_ms)
                .min()
                .unwrap_or_default(),
        };
    }
    gate
}

/// Until when what was judged at `now_ms` holds: the first sign-off or word that time makes old, and the first fact that does. A
/// start that commits later rests on nothing.
pub fn holds_until_ms(case: &Case, policy: &Policy, now_ms: Millis) -> Option<Millis> {
    let gates = gates(case, policy, now_ms, Moment::Start);
    let words = gates
        .iter()
        .filter(|gate| gate.effect == Effect::Block)
        .filter_map(|gate| match gate.detail {
            Detail::AttestedBy { until_ms, .. } => until_ms,
            _ => None,
        });
    words.chain(sign_off::holds_until_ms(case, policy, now_ms)).min()
}

/// The gates that keep a deployment from starting.
pub fn holding(case: &Case, policy: &Policy, now_ms: Millis, moment: Moment) -> Vec<Gate> {
    let mut gates = gates(case, policy, now_ms, moment);
    gates.retain(Gate::holds_start);
    gates
}
