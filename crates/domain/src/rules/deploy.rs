//! `deploy.start`, `deploy.exclusive` and `deploy.script`: when, alone, and with what a deployment runs.

use crate::ids::Millis;
use crate::release::{Release, Status};
use crate::role::Role;
use crate::rule::Rule;
use crate::rules::gates::{Detail, Gate, GateState};
use crate::service::Service;

/// Not before the planned start, and only from a status from which a deployment starts.
pub fn start(release: &Release, now_ms: Millis) -> Gate {
    let not_before = release
        .plan
        .as_ref()
        .map(|plan| plan.start_ms)
        .filter(|start| now_ms < *start);
    let waits_in_line = matches!(release.status, Status::Approved | Status::Queued);
    let (state, detail) = match not_before {
        Some(start_ms) => (GateState::Unmet, Detail::NotBefore(start_ms)),
        None if !waits_in_line => (GateState::Unmet, Detail::WrongStatus),
        None => (GateState::Met, Detail::Plain),
    };
    Gate {
        roles: vec![Role::DeploymentEngineer],
        next_ms: not_before,
        ..Gate::new(Rule::DeployStart, release, state, detail)
    }
}

/// One deployment at a time per service and environment.
pub fn exclusive(release: &Release, service: &Service) -> Gate {
    let holder = service.environment(&release.environment).holder;
    let (state, detail) = match holder {
        Some(holder) if holder.release != release.key => (GateState::Unmet, Detail::HeldBy(holder.release)),
        _ => (GateState::Met, Detail::Plain),
    };
    Gate {
        // Whoever runs or stops the other deployment.
        roles: vec![Role::DeploymentEngineer],
        ..Gate::new(Rule::DeployExclusive, release, state, detail)
    }
}

/// The deployment script is known; its digest is part of what is signed.
pub fn script(release: &Release) -> Gate {
    let (state, detail) = match &release.source {
        Some(_) => (GateState::Met, Detail::Plain),
        None => (GateState::Unknown, Detail::SourcePending),
    };
    Gate {
        roles: vec![Role::DeploymentEngineer],
        ..Gate::new(Rule::DeployScript, release, state, detail)
    }
}
