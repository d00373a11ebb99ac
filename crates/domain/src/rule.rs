//! The rulebook as data: each rule's id, its clause, what it asks for, and what it does per kind.
//! Nothing here decides; `rules/` does.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The kind of a release (clause 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Big features, scheduled quarterly.
    Major,
    /// Small enhancements or fixes, scheduled by sprint.
    Minor,
    /// A critical fix, deployed the same or the next day: a hotfix.
    Emergency,
}

impl Kind {
    /// The kind in one word.
    pub fn key(self) -> &'static str {
        match self {
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Emergency => "emergency",
        }
    }

    /// Whether the emergency path of clause 3.4 applies.
    pub fn is_emergency(self) -> bool {
        self == Self::Emergency
    }
}

/// What a rule does to a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// No start while it isn't met.
    Block,
    /// Said to the signers; never holds a start.
    Warn,
    /// On the card that the signers see; never holds a start.
    Show,
    /// Done afterwards, by a date.
    Owe,
    /// Countersign does it.
    Action,
}

macro_rules! rules {
    ($($variant:ident $id:literal $clause:literal $planned:expr, $emergency:expr, $summary:literal;)*) => {
        /// A rule of the rulebook.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Rule {
            $(#[doc = $summary] #[serde(rename = $id)] $variant,)*
        }

        impl Rule {
            /// Every rule that the code knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used everywhere, such as `signoff.cto`.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// The clause of the procedure, or `added`.
            pub fn clause(self) -> &'static str {
                match self { $(Self::$variant => $clause,)* }
            }

            /// What it asks for, in a line.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }

            /// What it does to a start by default, or nothing where it doesn't apply.
            pub fn effect(self, kind: Kind) -> Option<Effect> {
                let (planned, emergency): (Option<Effect>, Option<Effect>) =
                    match self { $(Self::$variant => ($planned, $emergency),)* };
                if kind.is_emergency() { emergency } else { planned }
            }
        }
    };
}

const BLOCK: Option<Effect> = Some(Effect::Block);
const WARN: Option<Effect> = Some(Effect::Warn);
const SHOW: Option<Effect> = Some(Effect::Show);
const OWE: Option<Effect> = Some(Effect::Owe);
const ACTION: Option<Effect> = Some(Effect::Action);
const NONE: Option<Effect> = None;

rules! {
    ScopeCovered "scope.covered" "1.2, 1.3" SHOW, SHOW, "every service and environment is configured";
    RolesCommands "roles.commands" "2.1, 2.2" BLOCK, BLOCK, "who may ask for what";
    PlanComplete "plan.complete" "2.1, 3.1, 4.2, 4.6" BLOCK, BLOCK, "the plan is complete";
    PlanType "plan.type" "3.2, 4.1" WARN, NONE, "one major per quarter, minor per sprint";
    VcsBranch "vcs.branch" "3.5" BLOCK, OWE, "the commit is on main or its release branch";
    VcsTag "vcs.tag" "3.3, 3.5, 5.1.2" BLOCK, BLOCK, "the version's tag exists and is pinned to one commit";
    VcsReviewed "vcs.reviewed" "3.5" BLOCK, OWE, "every commit was reviewed";
    VcsTicketIds "vcs.ticket-ids" "3.3, 3.5" BLOCK, OWE, "every commit names a ticket";
    VcsFixBranches "vcs.fix-branches" "3.1" BLOCK, OWE, "fixes come from branches that name their bug";
    StageStaging "stage.staging" "2.4, 3.1, 3.4" BLOCK, OWE, "deployed to staging and verified there by QA";
    StageIntegration "stage.integration" "3.1" BLOCK, OWE, "integration tests complete";
    StageAcceptance "stage.acceptance" "3.1" BLOCK, OWE, "demonstrated to and accepted by stakeholders";
    CriteriaCoverage "criteria.coverage" "4.3" BLOCK, OWE, "unit tests cover at least 90 %";
    CriteriaBugs "criteria.bugs" "4.3" BLOCK, OWE, "no open critical or high bug";
    CriteriaPerformance "criteria.performance" "4.3" BLOCK, OWE, "performance within thresholds";
    CriteriaDocs "criteria.docs" "4.3" BLOCK, OWE, "documentation updated and reviewed";
    RiskRollbackTested "risk.rollback-tested" "4.4" BLOCK, OWE, "the rollback ran in staging";
    DepsVersions "deps.versions" "4.6, 5.2.1" BLOCK, OWE, "dependency versions checked in staging";
    SignoffProductOwner "signoff.product-owner" "2.1, 3.1, 4.5" BLOCK, NONE, "the product owner approves scope and start";
    SignoffQaLead "signoff.qa-lead" "2.1, 4.5" BLOCK, NONE, "the QA lead signs off the tests";
    SignoffCto "signoff.cto" "3.4" NONE, BLOCK, "the CTO approves, or the deputy whom the CTO named";
    SignoffTechLead "signoff.tech-lead" "4.5" NONE, BLOCK, "the tech lead approves, at once or afterwards";
    SignoffRecorded "signoff.recorded" "4.5" BLOCK, OWE, "every sign-off stands on the record with time and name";
    SchedulePeak "schedule.peak" "4.2" BLOCK, SHOW, "not in peak usage";
    ScheduleWindow "schedule.window" "4.2" BLOCK, SHOW, "inside a maintenance window";
    ScheduleFreeze "schedule.freeze" "added" BLOCK, SHOW, "no freeze";
    Notice24h "notice.24h" "4.2" BLOCK, NONE, "teams were told 24 hours before";
    NoticeResult "notice.result" "2.4, 5.3.3" ACTION, ACTION, "#releases learns of success, failure and rollback";
    EmergencyJustification "emergency.justification" "3.4" NONE, BLOCK, "a written justification of at least 20 characters";
    EmergencySkipStaging "emergency.skip-staging" "3.4" NONE, SHOW, "what is skipped is listed for the CTO";
    EmergencyNotice "emergency.notice" "3.4" NONE, ACTION, "all teams are told in #releases within 1 hour";
    EmergencyReview "emergency.review" "added" NONE, OWE, "debts are closed by the next working day";
    DeployStart "deploy.start" "2.1, 3.4, 5.2" BLOCK, BLOCK, "started by the right person, at the right time, once";
    DeployExclusive "deploy.exclusive" "4.4" BLOCK, BLOCK, "one deployment at a time per service and environment";
    DeployScript "deploy.script" "5.2.2" BLOCK, BLOCK, "the deployment script is known and unchanged";
}

impl Rule {
    /// The rule with this id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.id() == id)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Why an emergency skips something: the three headings of `emergency.skip-staging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Clause 3.4 says it: skip staging.
    Procedure,
    /// "Same or next day" (4.1) leaves no time for it.
    SameDay,
    /// Our reading: done afterwards, owed.
    OurReading,
}

/// What an emergency skips, by heading. Derived from what each rule does per kind, so that the list can't
/// drift from the table above.
pub fn skipped_by_emergency() -> Vec<(SkipReason, Rule)> {
    let reason = |rule: Rule| match rule {
        Rule::StageStaging => SkipReason::Procedure,
        Rule::Notice24h | Rule::SchedulePeak | Rule::ScheduleWindow | Rule::ScheduleFreeze => SkipReason::SameDay,
        _ => SkipReason::OurReading,
    };
    let mut skipped: Vec<(SkipReason, Rule)> = Rule::ALL
        .iter()
        .copied()
        .filter(|rule| rule.effect(Kind::Minor) == Some(Effect::Block))
        .filter(|rule| rule.effect(Kind::Emergency) != Some(Effect::Block))
        // Sign-offs of a planned release are replaced by the CTO's, not skipped; the record is owed, not skipped.
        .filter(|rule| !rule.id().starts_with("signoff."))
        .map(|rule| (reason(rule), rule))
        .collect();
    skipped.sort();
    skipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_found_again() {
        for rule in Rule::ALL {
            assert_eq!(Rule::from_id(rule.id()), Some(*rule));
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.id());
        }
    }

    #[test]
    fn an_emergency_skips_staging_by_the_text_and_notice_and_hours_because_it_is_same_day() {
        let of = |reason| -> Vec<&str> {
            skipped_by_emergency()
                .into_iter()
                .filter(|(r, _)| *r == reason)
                .map(|(_, rule)| rule.id())
                .collect()
        };
        assert_eq!(of(SkipReason::Procedure), ["stage.staging"]);
        assert_eq!(
            of(SkipReason::SameDay),
            ["schedule.peak", "schedule.window", "schedule.freeze", "notice.24h"]
        );
        assert_eq!(
            of(SkipReason::OurReading),
            [
                "vcs.branch",
                "vcs.reviewed",
                "vcs.ticket-ids",
                "vcs.fix-branches",
                "stage.integration",
                "stage.acceptance",
                "criteria.coverage",
                "criteria.bugs",
                "criteria.performance",
                "criteria.docs",
                "risk.rollback-tested",
                "deps.versions"
            ]
        );
    }
}
