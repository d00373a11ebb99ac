//! What is known of people at the moment of a decision. Asking Slack is somebody else's work; here
//! the answers are values with the time at which they were seen.

use crate::ids::{Millis, PersonId};
use crate::policy::FACTS_MAX_AGE_MS;
use crate::role::Role;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Whether somebody may act at all: human, active, of this workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A human, active, full member of this workspace.
    Active,
    /// Switched off or only invited.
    Deactivated,
    /// A bot, an app or a workflow.
    Bot,
    /// A single- or multi-channel guest.
    Guest,
    /// A member of another workspace or organisation.
    Outsider,
    /// Slack doesn't know this id.
    Unknown,
}

/// One person, as Slack and the configuration described them at `observed_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonFacts {
    /// Whether they may act at all.
    pub standing: Standing,
    /// Their roles for the service in question, each with the membership that gives it, such as
    /// `person`, who is named for it, or `group:S0QALEADS`.
    pub roles: BTreeMap<Role, String>,
    /// Roles that a group might give them which Slack did not tell: neither theirs nor not theirs.
    pub untold: BTreeSet<Role>,
    /// When Slack said so, UTC milliseconds.
    pub observed_ms: Millis,
}

impl PersonFacts {
    /// Whether a decision at `now_ms` may rest on them. Facts from the future are as useless as old ones: one of
    /// the two clocks is wrong.
    pub fn is_fresh(&self, now_ms: Millis) -> bool {
        now_ms.abs_diff(self.observed_ms) <= FACTS_MAX_AGE_MS.unsigned_abs()
    }

    /// Whether they are an active member and hold `role`.
    pub fn holds(&self, role: Role) -> bool {
        self.standing == Standing::Active && self.roles.contains_key(&role)
    }

    /// Whether Slack did not tell if they hold `role`; for the CTO's, if they stand in for it either.
    pub fn is_untold(&self, role: Role) -> bool {
        let untold = |role| self.untold.contains(&role);
        self.standing == Standing::Active
            && self.membership_for(role).is_none()
            && (untold(role) || (role == Role::Cto && untold(Role::CtoDeputy)))
    }

    /// The membership by which they may sign for `role`: their own, or for the CTO's that of the standing deputy.
    pub fn membership_for(&self, role: Role) -> Option<Membership<'_>> {
        if self.standing != Standing::Active {
            return None;
        }
        if let Some(by) = self.roles.get(&role) {
            return Some(Membership { by, as_deputy: false });
        }
        let deputy = (role == Role::Cto).then(|| self.roles.get(&Role::CtoDeputy))??;
        Some(Membership {
            by: deputy,
            as_deputy: true,
        })
    }
}

/// By what somebody is in a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership<'a> {
    /// Such as `group:S0QALEADS`.
    pub by: &'a str,
    /// Whether they stand in for the role's holder.
    pub as_deputy: bool,
}

/// The people around one decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// Facts of everybody who was asked about; a missing person is one for whom Slack gave no answer.
    pub facts: BTreeMap<PersonId, PersonFacts>,
    /// Who holds each role for the service. A missing role is one whose group Slack did not tell; an empty
    /// list is a role with nobody in it.
    pub holders: BTreeMap<Role, Vec<PersonId>>,
}

impl People {
    /// Who holds `role`, as far as known.
    pub fn holders_of(&self, role: Role) -> &[PersonId] {
        self.holders.get(&role).map_or(&[], Vec::as_slice)
    }
}
