//! The company: who is in which group, who was so when, and what the configuration makes of the groups.

use countersign::people::{Member, Memberships};
use domain::role::Role;
use std::collections::{BTreeMap, BTreeSet};

pub const TEAM: &str = "T0ACME";

/// Roles that sign, run or plan, each of them a group in Slack.
pub const ROLES: [Role; 7] = [
    Role::ReleaseManager,
    Role::DeploymentEngineer,
    Role::QaLead,
    Role::ProductOwner,
    Role::TechLead,
    Role::Cto,
    Role::CtoDeputy,
];

/// What somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub active: bool,
    pub roles: BTreeSet<Role>,
}

/// Somebody, with what they were since when, in true time; the last one is what they are.
#[derive(Debug, Clone)]
pub struct Person {
    pub was: Vec<(i64, Standing)>,
}

impl Person {
    pub fn is(&self) -> &Standing {
        &self.was.last().expect("everybody is something").1
    }

    pub fn becomes(&mut self, at_ms: i64, standing: Standing) {
        self.was.push((at_ms, standing));
    }

    /// Whether `fits` held at some moment from `from_ms` to `to_ms`.
    pub fn was_ever(&self, from_ms: i64, to_ms: i64, fits: impl Fn(&Standing) -> bool) -> bool {
        self.was.iter().enumerate().any(|(index, (since_ms, standing))| {
            let until_ms = self.was.get(index + 1).map_or(i64::MAX, |(until_ms, _)| *until_ms);
            *since_ms <= to_ms && until_ms >= from_ms && fits(standing)
        })
    }
}

pub fn group_of(role: Role) -> String {
    format!("S0{}", role.key().replace('_', "").to_uppercase())
}

/// By Slack id.
pub fn company() -> BTreeMap<&'static str, Person> {
    let of = |roles: &[Role]| Person {
        was: vec![(
            0,
            Standing {
                active: true,
                roles: roles.iter().copied().collect(),
            },
        )],
    };
    BTreeMap::from([
        ("U0RITA", of(&[Role::ReleaseManager])),
        ("U0RON", of(&[Role::ReleaseManager, Role::DeploymentEngineer])),
        ("U0PRIYA", of(&[Role::ProductOwner])),
        ("U0PAUL", of(&[Role::ProductOwner, Role::QaLead])),
        ("U0QUINN", of(&[Role::QaLead])),
        ("U0THEO", of(&[Role::TechLead])),
        ("U0TINA", of(&[Role::TechLead, Role::CtoDeputy])),
        ("U0CLEO", of(&[Role::Cto])),
        ("U0VERA", of(&[Role::CtoDeputy])),
        ("U0DEV", of(&[Role::DeploymentEngineer])),
        ("U0DORA", of(&[Role::DeploymentEngineer])),
        ("U0MIA", of(&[])),
        (
            "U0GUS",
            Person {
                was: vec![(
                    0,
                    Standing {
                        active: false,
                        roles: BTreeSet::new(),
                    },
                )],
            },
        ),
    ])
}

pub fn memberships() -> Memberships {
    Memberships {
        team_id: TEAM.to_owned(),
        roles: ROLES
            .into_iter()
            .map(|role| (role, vec![Member::Group { id: group_of(role) }]))
            .collect(),
        ..Memberships::default()
    }
}
