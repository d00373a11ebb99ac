//! `vcs.tag`: the version's tag exists and is pinned to one commit. A moved tag is found by a worker and
//! becomes a new source, which voids what was signed.

use crate::release::Release;
use crate::role::Role;
use crate::rule::Rule;
use crate::rules::gates::{Detail, Gate, GateState};

/// The gate.
pub fn tag(release: &Release) -> Gate {
    let (state, detail) = match (&release.source, release.source_problem) {
        (Some(_), _) => (GateState::Met, Detail::Plain),
        (None, Some(problem)) => (GateState::Unmet, Detail::Source(problem)),
        (None, None) => (GateState::Unknown, Detail::SourcePending),
    };
    Gate {
        roles: vec![Role::TechLead],
        ..Gate::new(Rule::VcsTag, release, state, detail)
    }
}
