//! The names of the roles, and who may stand in a role's list: a person of `[people]` or a Slack user group.

use std::collections::BTreeMap;
use std::fmt;

/// Every role of the procedure, in the order in which pages list them.
pub const ROLE_NAMES: &[&str] = &[
    "release_manager",
    "deployment_engineer",
    "qa_lead",
    "product_owner",
    "tech_lead",
    "cto",
    "cto_deputy",
    "auditor",
];

/// The roles without which no release of a service can ever start.
pub const ROLES_OF_A_START: &[&str] = &[
    "release_manager",
    "deployment_engineer",
    "product_owner",
    "qa_lead",
    "tech_lead",
    "cto",
];

/// One of [`ROLE_NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(&'static str);

impl Role {
    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        ROLE_NAMES
            .iter()
            .find(|known| **known == name)
            .copied()
            .map(Self)
    }

    /// The name as configuration, log and texts write it.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// Who fills a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// A name from `[people]`.
    Person(String),
    /// The id of a Slack user group, `S…`; its members are asked of Slack.
    Group(String),
}

/// Roles with their members. A role that is listed has at least one.
pub type RoleLists = BTreeMap<Role, Vec<Member>>;
