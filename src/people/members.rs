//! The configuration's word on roles: plain data, checked and filled by the configuration.

use domain::ids::{InvalidName, ServiceName};
use domain::role::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A member of a Slack workspace by id, `U…` or on Enterprise Grid `W…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlackUser(String);

impl SlackUser {
    /// Checks the form of the id, not that there is such a member.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidName> {
        let id = id.into();
        let fits = (2..=30).contains(&id.len())
            && id.starts_with(['U', 'W'])
            && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let expected = "a Slack member id, U… or W…";
        if fits {
            Ok(Self(id))
        } else {
            Err(InvalidName { expected })
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SlackUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One line of a role's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A person of `[people]`.
    Person {
        /// Their name there.
        name: String,
        /// Their id in Slack.
        slack_user: SlackUser,
    },
    /// Everybody in a Slack user group.
    Group {
        /// `S…`.
        id: String,
    },
}

impl Member {
    /// The group's id, if it is one.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Group { id } => Some(id),
            Self::Person { .. } => None,
        }
    }
}

/// Who is in which role, and in which workspace that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memberships {
    /// The workspace, `T…`: people of others may do nothing.
    pub team_id: String,
    /// `[roles]`. Admins don't stand here.
    pub roles: BTreeMap<Role, Vec<Member>>,
    /// `[services.NAME] roles.…`: a service's own people win over the general list, also an empty list.
    pub services: BTreeMap<ServiceName, BTreeMap<Role, Vec<Member>>>,
    /// `[slack] admins`, for every service.
    pub admins: Vec<Member>,
}

impl Memberships {
    /// The list that counts for `role` and `service`; without a service the general one.
    pub fn members(&self, service: Option<&ServiceName>, role: Role) -> &[Member] {
        if role == Role::Admin {
            return &self.admins;
        }
        let own = service.and_then(|service| self.services.get(service)?.get(&role));
        own.or_else(|| self.roles.get(&role)).map_or(&[], Vec::as_slice)
    }

    fn all<'a>(&'a self, service: Option<&'a ServiceName>) -> impl Iterator<Item = &'a Member> {
        Role::ALL.into_iter().flat_map(move |role| self.members(service, role))
    }

    /// Every group that gives some role for `service`.
    pub fn groups(&self, service: Option<&ServiceName>) -> BTreeSet<String> {
        self.all(service).filter_map(Member::group).map(str::to_owned).collect()
    }

    /// Every person who is named for some role of `service`.
    pub fn people(&self, service: Option<&ServiceName>) -> BTreeSet<SlackUser> {
        let named = |member: &Member| match member {
            Member::Person { slack_user, .. } => Some(slack_user.clone()),
            Member::Group { .. } => None,
        };
        self.all(service).filter_map(named).collect()
    }
}
