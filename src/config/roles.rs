//! Who may stand in a role's list: a person of `[people]` or a Slack user group.

use std::collections::BTreeMap;

use domain::role::Role;

/// The roles without which no release of a service can ever start.
pub const ROLES_OF_A_START: [Role; 6] = [
    Role::ReleaseManager,
    Role::DeploymentEngineer,
    Role::ProductOwner,
    Role::QaLead,
    Role::TechLead,
    Role::Cto,
];

/// The keys under `[roles]`. Admins stand in `[slack]`: they run the bot and sign nothing.
pub fn role_keys() -> Vec<&'static str> {
    Role::ALL
        .into_iter()
        .filter(|role| *role != Role::Admin)
        .map(Role::key)
        .collect()
}

/// The role of that key, if `[roles]` may list it.
pub(super) fn listed_role(key: &str) -> Option<Role> {
    Role::from_key(key).filter(|role| *role != Role::Admin)
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
