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
    /// Whether a hotfix's list of what is skipped names it.
    pub skipped_by_hotfix: bool,
}

const fn item(thing: &'static str, rules: &'static [&'static str]) -> Unchecked {
    Unchecked {
        thing,
        rules,
        skipped_by_hotfix: false,
    }
}

const fn skipped(thing: &'static str, rules: &'static [&'static str]) -> Unchecked {
    Unchecked {
        thing,
        rules,
        skipped_by_hotfix: true,
    }
}

/// Every such thing. A rule that gets its gate leaves this list.
pub const UNCHECKED: &[Unchecked] = &[
    skipped("24 h notice", &["notice.24h"]),
    item("stakeholders' notice", &["notice.user-facing"]),
    skipped(
        "peak hours, windows and freezes",
        &["schedule.peak", "schedule.window", "schedule.freeze"],
    ),
    item("conflicting work", &["risk.no-conflict"]),
    skipped("staging", &["stage.staging"]),
    skipped("integration tests", &["stage.integration"]),
    skipped("stakeholders' acceptance", &["stage.acceptance"]),
    item("readiness of operations", &["stage.ops-ready"]),
    skipped("coverage", &["criteria.coverage"]),
    skipped("open bugs", &["criteria.bugs"]),
    skipped("performance", &["criteria.performance"]),
    skipped("documentation", &["criteria.docs"]),
    skipped(
        "branch, reviews and tickets of the commits",
        &["vcs.branch", "vcs.reviewed", "vcs.ticket-ids", "vcs.fix-branches"],
    ),
    item("scope against the commits", &["vcs.scope"]),
    item("the ticket in Jira", &["plan.ticket"]),
    item("migrations", &["risk.migrations"]),
    skipped("rollback rehearsal", &["risk.rollback-tested"]),
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
    item("dependencies", &["deps.installed", "deps.versions"]),
    item("contacts", &["roles.contacts"]),
    item("changes of the policy", &["policy.change"]),
];

/// The line for a card and its questions: what a release of this kind needs and nobody but its people looks at.
pub fn line(kind: Kind) -> String {
    let things: Vec<&str> = UNCHECKED
        .iter()
        .filter(|unchecked| !(kind.is_emergency() && unchecked.skipped_by_hotfix))
        .map(|unchecked| unchecked.thing)
        .collect();
    format!("*Not checked by Countersign yet:* {}.", things.join(", "))
}
