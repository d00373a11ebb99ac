//! One evaluation of every gate. Nothing else decides whether a deployment may start.

use crate::case::Case;
use crate::event::SourceProblem;
use crate::fingerprint::Field;
use crate::ids::{Millis, PersonId, ReleaseKey};
use crate::policy::Policy;
use crate::release::Release;
use crate::role::Role;
use crate::rule::{Effect, Rule};
use crate::rules::{deploy, plan, sign_off, vcs};

/// When gates are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// For a card or a question: people's roles are taken as they were at their click.
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
        self.effect == Effect::Block && !matches!(self.state, GateState::Met | GateState::Owed)
    }

    /// Whether it belongs to the approval, as opposed to the moment of the start.
    pub fn is_of_approval(&self) -> bool {
        !matches!(self.rule, Rule::DeployStart | Rule::DeployExclusive)
    }
}

/// Every gate of the case's release, in the order of the procedure; none without a release.
pub fn gates(case: &Case, policy: &Policy, now_ms: Millis, moment: Moment) -> Vec<Gate> {
    let Some(release) = &case.release else {
        return Vec::new();
    };
    let mut gates = vec![plan::complete(release), vcs::tag(release), deploy::script(release)];
    for role in sign_off::roles_of(release.kind) {
        gates.push(sign_off::gate(*role, release, case, policy, now_ms, moment));
    }
    gates.push(sign_off::recorded(release));
    gates.push(deploy::start(release, now_ms));
    gates.push(deploy::exclusive(release, &case.service));
    // The sign-offs know better than their role who can; of the others any holder of the role can.
    for gate in gates.iter_mut().filter(|gate| !sign_off::is_sign_off(gate.rule)) {
        let holders = gate.roles.iter().flat_map(|role| case.people.holders_of(*role));
        gate.people = holders.cloned().collect();
    }
    gates
}

/// The gates that keep a deployment from starting.
pub fn holding(case: &Case, policy: &Policy, now_ms: Millis, moment: Moment) -> Vec<Gate> {
    let mut gates = gates(case, policy, now_ms, moment);
    gates.retain(Gate::holds_start);
    gates
}
