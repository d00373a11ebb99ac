//! A service as the log knows it: the locks of its environments with their fences, and what runs there.

use crate::event::Event;
use crate::ids::{EnvironmentName, ReleaseKey, Version};
use crate::release::AttemptNumber;
use crate::sabotage::{Guard, is_out};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of a service's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// By name.
    pub environments: BTreeMap<EnvironmentName, Environment>,
}

/// One environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The fence of the last grant; 0 before the first.
    pub fence: u64,
    /// Who holds it now (rule `deploy.exclusive`).
    pub holder: Option<Holder>,
    /// The version that a successful deployment put there last.
    pub deployed: Option<Version>,
}

/// Who holds an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The release.
    pub release: ReleaseKey,
    /// Its attempt.
    pub attempt: AttemptNumber,
}

impl Service {
    /// Folds one event into the state.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::EnvironmentLocked {
                environment,
                fence,
                release,
                attempt,
                ..
            } => {
                let environment = self.environments.entry(environment.clone()).or_default();
                environment.fence = *fence;
                environment.holder = Some(Holder {
                    release: release.clone(),
                    attempt: *attempt,
                });
            }
            Event::EnvironmentUnlocked {
                environment,
                fence,
                deployed,
                ..
            } => {
                let environment = self.environments.entry(environment.clone()).or_default();
                // A stale holder frees nothing: the lock belongs to a later grant.
                if environment.fence == *fence || is_out(Guard::EnvironmentFence) {
                    environment.holder = None;
                    if deployed.is_some() {
                        environment.deployed.clone_from(deployed);
                    }
                }
            }
            _ => {}
        }
    }

    /// The environment's state; the empty one if nothing ever happened there.
    pub fn environment(&self, name: &EnvironmentName) -> Environment {
        self.environments.get(name).cloned().unwrap_or_default()
    }
}
