//! What the procedure asks for and Countersign does not look at yet, said wherever somebody decides: a checklist that is all met
//! must not read like the whole procedure.

use domain::rule::Kind;

/// Something that nobody but people looks at so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unchecked {
    /// As people say it.
    pub thing: &'static str,
    /// Its rules in the rulebook.
    pub rules: &'static [&'static str],
    /// Whether a hotfix does without: it is on the list of what is skipped, or has no meaning there.
    pub planned_only: bool,
}

const fn item(thing: &'static str, rules: &'static [&'static str]) -> Unchecked {
    Unchecked {
        thing,
        rules,
        planned_only: false,
    }
}

const fn planned_only(thing: &'static str, rules: &'static [&'static str]) -> Unchecked {
    Unchecked {
        thing,
        rules,
        planned_only: true,
    }
}

/// Every such thing. A rule that gets its gate leaves this list.
pub const UNCHECKED: &[Unchecked] = &[
    planned_only("24 h notice", &["notice.24h"]),
    planned_only("stakeholders' notice", &["notice.user-facing"]),
    planned_only(
        "peak hours, windows and freezes",
        &["schedule.peak", "schedule.window", "schedule.freeze"],
    ),
    item("conflicting work", &["risk.no-conflict"]),
    planned_only("staging", &["stage.staging"]),
    planned_only("integration tests", &["stage.integration"]),
    planned_only("stakeholders' acceptance", &["stage.acceptance"]),
    item("readiness of operations", &["stage.ops-ready"]),
    planned_only("coverage", &["criteria.coverage"]),
    planned_only("open bugs", &["criteria.bugs"]),
    planned_only("performance", &["criteria.performance"]),
    planned_only("documentation", &["criteria.docs"]),
    planned_only(
        "branch, reviews and tickets of the commits",
        &["vcs.branch", "vcs.reviewed", "vcs.ticket-ids", "vcs.fix-branches"],
    ),
    item("scope against the commits", &["vcs.scope"]),
    item("the ticket in Jira", &["plan.ticket"]),
    item("migrations", &["risk.migrations"]),
    planned_only("rollback rehearsal", &["risk.rollback-tested"]),
    item(
        "server health",
        &[
            "health.cpu",
            "health.memory",
            "health.database",
            "health.tls",
            "health.network",
            "health.disk",
        ],
    ),
    item(
        "backups",
        &["backup.database", "backup.config", "backup.restore-tested"],
    ),
    item(
        "the artifact",
        &[
            "artifact.built",
            "artifact.published",
            "artifact.matches-tag",
            "artifact.rollback",
        ],
    ),
    item("installed dependencies", &["deps.installed"]),
    planned_only("dependency versions", &["deps.versions"]),
    item("contacts", &["roles.contacts"]),
    item("changes of the policy", &["policy.change"]),
];

/// The line for a card and its questions: what a release of this kind needs and nobody but its people looks at.
pub fn line(kind: Kind) -> String {
    let things: Vec<&str> = UNCHECKED
        .iter()
        .filter(|unchecked| !(kind.is_emergency() && unchecked.planned_only))
        .map(|unchecked| unchecked.thing)
        .collect();
    format!("*Not checked by Countersign yet:* {}.", things.join(", "))
}
