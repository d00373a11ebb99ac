//! The rulebook as data: each rule's id, its clause, what it asks for, and what it does per kind.
//! Nothing here decides; `rules/` does.

use crate::role::Role;
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
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Major, Self::Minor, Self::Emergency];

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

impl Effect {
    /// The effect in one word.
    pub fn key(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Warn => "warn",
            Self::Show => "show",
            Self::Owe => "owe",
            Self::Action => "action",
        }
    }
}

/// How a rule is judged (`docs/rulebook.md`, "How a rule is satisfied").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// By Countersign, from its own record or configuration.
    Recorded,
    /// By a probe or a report; until one is built or configured, so many different people of these roles say so.
    Attested(&'static [Role], usize),
    /// It is done by Countersign, and never holds a start.
    Done,
    /// Not yet: nothing of this version looks at it, and it says so instead of holding anything.
    NotYet,
}

/// Who may waive a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waivable {
    /// Nobody.
    Never,
    /// One of these roles.
    By(&'static [Role]),
    /// All of these roles together.
    ByAll(&'static [Role]),
}

macro_rules! rules {
    ($($variant:ident $id:literal $clause:literal $title:literal $planned:expr, $emergency:expr, $judged:expr, $waivable:expr, $summary:literal;)*) => {
        /// A rule of the rulebook.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Rule {
            $(#[doc = $summary] #[serde(rename = $id)] $variant,)*
        }

        impl Rule {
            /// Every rule, in the order of the rulebook.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used everywhere, such as `signoff.cto`.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// The clause of the procedure, or `added`.
            pub fn clause(self) -> &'static str {
                match self { $(Self::$variant => $clause,)* }
            }

            /// What it is about, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What must hold, in a line: also what somebody says who attests it.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }

            /// What it does to a start by default, or nothing where it doesn't apply.
            pub fn effect(self, kind: Kind) -> Option<Effect> {
                let (planned, emergency): (Option<Effect>, Option<Effect>) =
                    match self { $(Self::$variant => ($planned, $emergency),)* };
                if kind.is_emergency() { emergency } else { planned }
            }

            /// How it is judged.
            pub fn judged(self) -> Judged {
                match self { $(Self::$variant => $judged,)* }
            }

            /// Who may waive it.
            pub fn waivable(self) -> Waivable {
                match self { $(Self::$variant => $waivable,)* }
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

const RECORDED: Judged = Judged::Recorded;
const DONE: Judged = Judged::Done;
const NOT_YET: Judged = Judged::NotYet;
const RELEASE_MANAGER: Judged = Judged::Attested(&[Role::ReleaseManager], 1);
const ENGINEER: Judged = Judged::Attested(&[Role::DeploymentEngineer], 1);
const QA: Judged = Judged::Attested(&[Role::QaLead], 1);
const OWNER: Judged = Judged::Attested(&[Role::ProductOwner], 1);
const TECH_LEAD: Judged = Judged::Attested(&[Role::TechLead], 1);
/// "Updated by one person and reviewed by another": whoever of these has done either.
const TWO_WRITERS: Judged = Judged::Attested(
    &[Role::ProductOwner, Role::QaLead, Role::TechLead, Role::ReleaseManager],
    2,
);

const NEVER: Waivable = Waivable::Never;
const BY_MANAGER: Waivable = Waivable::By(&[Role::ReleaseManager]);
const BY_TECH_LEAD: Waivable = Waivable::By(&[Role::TechLead]);
const BY_OWNER: Waivable = Waivable::By(&[Role::ProductOwner]);
const BY_OWNER_AND_QA: Waivable = Waivable::ByAll(&[Role::ProductOwner, Role::QaLead]);

rules! {
    ScopeCovered "scope.covered" "1.2, 1.3" "covered by the procedure" SHOW, SHOW, RECORDED, NEVER, "the service and its environment are configured";
    RolesCommands "roles.commands" "2.1, 2.2" "who may ask" BLOCK, BLOCK, RECORDED, NEVER, "only who may ask for something gets it";
    RolesContacts "roles.contacts" "2.4" "contacts" BLOCK, SHOW, RELEASE_MANAGER, BY_MANAGER, "name, phone and e-mail of release manager, tech lead, product owner and their deputies are known and were confirmed in the last 90 days";
    PolicyChange "policy.change" "added" "changes of the policy" BLOCK, BLOCK, NOT_YET, NEVER, "a change of policy, roles or people is proposed by one admin and approved by another";

    PlanComplete "plan.complete" "2.1, 3.1, 4.2, 4.6" "plan" BLOCK, BLOCK, RECORDED, NEVER, "the plan is complete, and a release manager answers for it";
    PlanTicket "plan.ticket" "2.3, 3.1, 3.2" "the ticket in Jira" BLOCK, OWE, RELEASE_MANAGER, NEVER, "the release's ticket exists in Jira, linked with its sprint and the tickets in it";
    PlanType "plan.type" "3.2, 4.1" "rhythm of releases" WARN, NONE, NOT_YET, NEVER, "at most one major release per quarter, minor ones by sprint";
    VcsBranch "vcs.branch" "3.5" "branch" BLOCK, OWE, TECH_LEAD, BY_TECH_LEAD, "the commit is on main or on its release branch";
    VcsTag "vcs.tag" "3.3, 3.5, 5.1.2" "tag" BLOCK, BLOCK, RECORDED, NEVER, "the version's tag exists and is pinned to one commit";
    VcsReviewed "vcs.reviewed" "3.5" "reviews" BLOCK, OWE, TECH_LEAD, BY_TECH_LEAD, "every commit came by a merged pull request that somebody else had approved";
    VcsTicketIds "vcs.ticket-ids" "3.3, 3.5" "tickets in the commits" BLOCK, OWE, TECH_LEAD, BY_TECH_LEAD, "every commit names a ticket";
    VcsScope "vcs.scope" "3.3, 4.5" "scope against the commits" BLOCK, SHOW, TECH_LEAD, BY_OWNER, "the tickets of the commits are those of the plan";
    VcsFixBranches "vcs.fix-branches" "3.1" "branches of fixes" BLOCK, OWE, TECH_LEAD, BY_TECH_LEAD, "since staging only fixes came in, from branches that name their bug";
    VcsMergedBack "vcs.merged-back" "3.5" "merge back" OWE, OWE, TECH_LEAD, BY_TECH_LEAD, "the released commit is in main and develop";

    StageStaging "stage.staging" "2.4, 3.1, 3.4" "staging" BLOCK, OWE, QA, NEVER, "this build was deployed to staging and verified there by QA";
    StageIntegration "stage.integration" "3.1" "integration tests" BLOCK, OWE, QA, BY_TECH_LEAD, "the integration tests ran on this build, at least one, and none failed";
    StageAcceptance "stage.acceptance" "3.1" "stakeholders' acceptance" BLOCK, OWE, OWNER, BY_MANAGER, "this build was demonstrated to stakeholders, and they accepted it";
    StageOpsReady "stage.ops-ready" "2.2, 2.4, 3.1" "readiness of operations" BLOCK, SHOW, ENGINEER, BY_MANAGER, "production is set up and ready for it";

    CriteriaCoverage "criteria.coverage" "4.3" "coverage" BLOCK, OWE, QA, BY_TECH_LEAD, "the unit tests pass and cover at least 90 % of the lines";
    CriteriaBugs "criteria.bugs" "4.3" "open bugs" BLOCK, OWE, QA, BY_OWNER_AND_QA, "no open bug of critical or high severity";
    CriteriaPerformance "criteria.performance" "4.3" "performance" BLOCK, OWE, QA, BY_TECH_LEAD, "the performance tests are within their thresholds";
    CriteriaDocs "criteria.docs" "4.3" "documentation" BLOCK, OWE, TWO_WRITERS, BY_OWNER, "the documentation is updated by one person and reviewed by another, or there is nothing to document";
    RiskMigrations "risk.migrations" "4.4, 5.1.2" "migration" BLOCK, SHOW, TECH_LEAD, BY_TECH_LEAD, "the migration ran in staging on this build, and its way back is known";
    RiskRollbackTested "risk.rollback-tested" "4.4" "rollback rehearsal" BLOCK, OWE, ENGINEER, BY_TECH_LEAD, "the rollback from this version ran in staging in the last 14 days";
    RiskNoConflict "risk.no-conflict" "4.4" "conflicting work" BLOCK, SHOW, RELEASE_MANAGER, BY_MANAGER, "no other deployment, freeze or maintenance falls into the slot";

    SignoffProductOwner "signoff.product-owner" "2.1, 3.1, 4.5" "product owner" BLOCK, NONE, RECORDED, NEVER, "the product owner approves scope and start";
    SignoffQaLead "signoff.qa-lead" "2.1, 4.5" "QA lead" BLOCK, NONE, RECORDED, NEVER, "the QA lead signs off the tests";
    SignoffCto "signoff.cto" "3.4" "CTO" NONE, BLOCK, RECORDED, NEVER, "the CTO approves, or the deputy whom the CTO named";
    SignoffTechLead "signoff.tech-lead" "4.5" "tech lead" NONE, BLOCK, RECORDED, NEVER, "the tech lead approves, at once or afterwards";
    SignoffRecorded "signoff.recorded" "4.5" "record of the sign-offs" BLOCK, OWE, RECORDED, NEVER, "every sign-off stands on the record with time and name";

    ScheduleCalendar "schedule.calendar" "2.3, 4.2" "release calendar" OWE, OWE, RELEASE_MANAGER, BY_MANAGER, "the release stands in the shared release calendar";
    SchedulePeak "schedule.peak" "4.2" "peak hours" BLOCK, SHOW, NOT_YET, BY_MANAGER, "not in peak usage";
    ScheduleWindow "schedule.window" "4.2" "maintenance window" BLOCK, SHOW, NOT_YET, BY_MANAGER, "inside a maintenance window";
    ScheduleFreeze "schedule.freeze" "added" "freeze" BLOCK, SHOW, NOT_YET, BY_MANAGER, "no freeze is on";
    Notice24h "notice.24h" "4.2" "24 h notice" BLOCK, NONE, NOT_YET, NEVER, "teams were told 24 hours before";
    NoticeUserFacing "notice.user-facing" "4.2" "stakeholders' notice" BLOCK, NONE, NOT_YET, BY_OWNER, "stakeholders were told of what users will notice";
    NoticeUserFacingDone "notice.user-facing-done" "5.3.3" "stakeholders' news" OWE, OWE, NOT_YET, NEVER, "stakeholders are told of what users notice now";
    NoticeProgress "notice.progress" "2.4" "daily digest" ACTION, ACTION, NOT_YET, NEVER, "the team reads daily what is next, and what waits for whom";
    PageConfluence "page.confluence" "4.2" "Confluence page" OWE, OWE, RELEASE_MANAGER, BY_MANAGER, "the Confluence page holds version, date and tickets";

    EmergencyJustification "emergency.justification" "3.4" "justification" NONE, BLOCK, RECORDED, NEVER, "a written justification of at least 20 characters";
    EmergencyCritical "emergency.critical" "4.1" "critical bug or incident" NONE, SHOW, NOT_YET, NEVER, "it mends a critical bug or incident, by the end of the next day";
    EmergencyPrefix "emergency.prefix" "3.4" "HOTFIX in the ticket" NONE, ACTION, NOT_YET, NEVER, "the ticket's summary begins with HOTFIX";
    EmergencySkipStaging "emergency.skip-staging" "3.4" "list of what is skipped" NONE, SHOW, RECORDED, NEVER, "what is skipped is listed for the CTO";
    EmergencyNotice "emergency.notice" "3.4" "notice in #releases" NONE, ACTION, DONE, NEVER, "all teams are told in #releases within 1 hour";
    EmergencyMail "emergency.mail" "5.3.3" "mail to stakeholders" NONE, ACTION, NOT_YET, NEVER, "the service's stakeholders are mailed";
    EmergencyReview "emergency.review" "added" "review of the debts" NONE, OWE, RECORDED, NEVER, "debts are closed by the next working day";

    HealthCpu "health.cpu" "5.1.1" "CPU" BLOCK, SHOW, ENGINEER, BY_MANAGER, "every server's CPU is below 80 %";
    HealthMemory "health.memory" "5.1.1" "memory" BLOCK, SHOW, ENGINEER, BY_MANAGER, "every server's memory is below 70 %";
    HealthDatabase "health.database" "5.1.1" "database" BLOCK, SHOW, ENGINEER, BY_MANAGER, "the database answers a test query";
    HealthTls "health.tls" "5.1.1" "certificates" BLOCK, SHOW, ENGINEER, BY_MANAGER, "the certificates are valid, now and until the end of the slot";
    HealthNetwork "health.network" "5.1.3" "network" BLOCK, SHOW, ENGINEER, BY_MANAGER, "the endpoints are reachable";
    HealthDisk "health.disk" "5.1.3" "disk space" BLOCK, SHOW, ENGINEER, BY_MANAGER, "at least 20 % of the disk is free on every server";
    BackupDatabase "backup.database" "5.1.3, 5.1.4" "backup of the database" BLOCK, SHOW, ENGINEER, BY_MANAGER, "there is a backup of the database: made for this release if it migrates, else at most 24 hours old";
    BackupConfig "backup.config" "5.1.3, 5.1.4" "backup of the configuration" BLOCK, SHOW, ENGINEER, BY_MANAGER, "there is a backup of the configuration, at most 24 hours old";
    BackupRestoreTested "backup.restore-tested" "5.1.4" "restore rehearsal" BLOCK, SHOW, ENGINEER, BY_MANAGER, "a restore of such a backup was validated in staging: in the last 7 days for a major release or a migration, else 30";
    ArtifactBuilt "artifact.built" "5.1.2" "artifact built by CI" BLOCK, BLOCK, TECH_LEAD, BY_TECH_LEAD, "CI built the artifact from the tagged commit";
    ArtifactPublished "artifact.published" "5.1.2" "artifact in Artifactory" BLOCK, BLOCK, ENGINEER, BY_TECH_LEAD, "the artifact is in Artifactory under its version, with its checksum";
    ArtifactMatchesTag "artifact.matches-tag" "5.2.1" "artifact against the tag" BLOCK, BLOCK, ENGINEER, NEVER, "the artifact's version and commit are those of the tag";
    ArtifactRollback "artifact.rollback" "1.3, 5.1.3" "artifact to go back to" BLOCK, SHOW, ENGINEER, BY_TECH_LEAD, "the last version that was verified in production is still there";
    DepsInstalled "deps.installed" "4.6, 5.2.1" "installed dependencies" BLOCK, OWE, ENGINEER, BY_TECH_LEAD, "the dependencies are installed";
    DepsVersions "deps.versions" "4.6, 5.2.1" "dependency versions" BLOCK, OWE, ENGINEER, BY_TECH_LEAD, "the dependencies in staging have the versions of the plan";

    DeployStart "deploy.start" "2.1, 3.4, 5.2" "start" BLOCK, BLOCK, RECORDED, NEVER, "started by the right person, at the right time, once";
    DeployExclusive "deploy.exclusive" "4.4" "the environment" BLOCK, BLOCK, RECORDED, NEVER, "one deployment at a time per service and environment";
    DeployScript "deploy.script" "5.2.2" "deployment script" BLOCK, BLOCK, RECORDED, NEVER, "the deployment script is known and unchanged";
    DeployManual "deploy.manual" "5.2.2" "deployment by hand" ACTION, ACTION, NOT_YET, NEVER, "who deploys by hand says started, done or failed";
    DeployMonitor "deploy.monitor" "2.2, 5.2.3" "monitoring" ACTION, ACTION, NOT_YET, NEVER, "logs, CPU, memory and response time are followed by a named watcher";
    VerifySmoke "verify.smoke" "5.3.1" "smoke tests" ACTION, ACTION, NOT_YET, NEVER, "smoke tests run in production within 10 minutes";
    VerifyPerformance "verify.performance" "5.3.1" "response time" ACTION, ACTION, NOT_YET, NEVER, "the response time in production is below 200 ms";
    VerifyFeatures "verify.features" "5.3.1" "key features" ACTION, ACTION, NOT_YET, NEVER, "the key features work in production";
    RollbackOffered "rollback.offered" "2.2, 5.3.2" "offer of the way back" ACTION, ACTION, NOT_YET, NEVER, "a failed deployment offers the way back with one click";
    RollbackExecuted "rollback.executed" "5.3.2" "rollback" ACTION, ACTION, NOT_YET, NEVER, "a rollback waits for nothing but its environment, and all teams are told";
    NoticeResult "notice.result" "2.4, 5.3.3" "result in #releases" ACTION, ACTION, DONE, NEVER, "#releases learns of success, failure and rollback";
    RecordNotes "record.notes" "2.3, 5.3.4" "release notes" OWE, OWE, RELEASE_MANAGER, NEVER, "the release notes stand in the wiki";
    RecordSettings "record.settings" "5.3.4" "new settings" OWE, OWE, ENGINEER, NEVER, "new settings of the environment stand in Confluence, by name and never by value";
    RecordTicket "record.ticket" "3.1" "end of the ticket" OWE, OWE, RELEASE_MANAGER, NEVER, "every step stands in the ticket, and nothing is owed when it closes";
}

impl Rule {
    /// The part of the rulebook it stands in: its id up to the dot.
    pub fn family(self) -> &'static str {
        self.id().split('.').next().unwrap_or_default()
    }

    /// Whether it is looked at before the deployment (5.1, 5.2.1), not when the release is approved.
    pub fn is_of_pre_flight(self) -> bool {
        matches!(self.family(), "health" | "backup" | "artifact" | "deps")
    }

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

impl SkipReason {
    /// Under which heading an emergency skips `rule`, given what the rule does to an emergency; nothing where it is not skipped,
    /// only shown.
    pub fn of(rule: Rule, emergency: Option<Effect>) -> Option<Self> {
        match rule {
            _ if emergency == Some(Effect::Block) || rule.effect(Kind::Minor) != Some(Effect::Block) => None,
            Rule::StageStaging => Some(Self::Procedure),
            Rule::Notice24h | Rule::SchedulePeak | Rule::ScheduleWindow | Rule::ScheduleFreeze => Some(Self::SameDay),
            // Sign-offs of a planned release are replaced by the CTO's, not skipped; the record is owed, not skipped.
            _ if rule.family() == "signoff" => None,
            _ => (emergency == Some(Effect::Owe)).then_some(Self::OurReading),
        }
    }
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
}
