//! What happened: the only thing that changes a state, and, sealed in the log, the audit entry itself.
//! Names carry a version; a golden file in `tests/golden/` keeps every version that ever landed. A field
//! is never removed or renamed, only a new version added.

use crate::attestation::{Attestation, Waiver};
use crate::digest::Digest;
use crate::fingerprint::{Field, Fingerprint};
use crate::ids::{CommitSha, EnvironmentName, Millis, PersonId, ReleaseKey, ServiceName, Version};
use crate::release::{AttemptNumber, AttemptResult, Plan, SettlementChoice};
use crate::restore::LostCheckpoint;
use crate::role::Role;
use crate::rule::{Kind, Rule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What happened. Free texts and outputs are commitments; people are their random ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", content = "data", deny_unknown_fields)]
pub enum Event {
    /// A planned release was proposed (`plan.complete`). Without `owner` it is a developer's draft.
    #[serde(rename = "ReleasePlanned.v1")]
    ReleasePlanned {
        /// The release.
        release: ReleaseKey,
        /// Major or minor.
        kind: Kind,
        /// What is released.
        service: ServiceName,
        /// Where to.
        environment: EnvironmentName,
        /// The service's IANA zone at that time.
        time_zone: String,
        /// Which version.
        version: Version,
        /// Who asked for it.
        requester: PersonId,
        /// The release manager who answers for it.
        owner: Option<PersonId>,
        /// The plan.
        plan: Plan,
        /// The tickets in it.
        tickets: BTreeSet<ReleaseKey>,
        /// Who wrote the commits, as named in the plan.
        authors: BTreeSet<PersonId>,
        /// The full commit id, where it was typed.
        typed_commit: Option<CommitSha>,
    },
    /// A hotfix was asked for (clause 3.4).
    #[serde(rename = "HotfixRequested.v1")]
    HotfixRequested {
        /// The release.
        release: ReleaseKey,
        /// What is mended.
        service: ServiceName,
        /// Where.
        environment: EnvironmentName,
        /// The service's IANA zone at that time.
        time_zone: String,
        /// Which version.
        version: Version,
        /// Who asked for it.
        requester: PersonId,
        /// Why (`emergency.justification`).
        justification: Digest,
        /// The tickets in it.
        tickets: BTreeSet<ReleaseKey>,
        /// Who wrote the commits, as named in the request.
        authors: BTreeSet<PersonId>,
        /// The full commit id, where it was typed.
        typed_commit: Option<CommitSha>,
    },
    /// The full commit id was typed, because Git could not say it.
    #[serde(rename = "CommitTyped.v1")]
    CommitTyped {
        /// The commit.
        commit: CommitSha,
        /// Who typed it.
        by: PersonId,
    },
    /// The plan was edited, or a release manager took a draft over.
    #[serde(rename = "PlanChanged.v1")]
    PlanChanged {
        /// Who edited it.
        by: PersonId,
        /// The release manager who answers for it now.
        owner: Option<PersonId>,
        /// See [`Event::ReleasePlanned`].
        kind: Kind,
        /// See [`Event::ReleasePlanned`].
        version: Version,
        /// The plan as it is now.
        plan: Plan,
        /// See [`Event::ReleasePlanned`].
        tickets: BTreeSet<ReleaseKey>,
        /// See [`Event::ReleasePlanned`].
        authors: BTreeSet<PersonId>,
        /// See [`Event::ReleasePlanned`].
        typed_commit: Option<CommitSha>,
        /// What is different.
        changed: Vec<Field>,
    },
    /// The tag is pinned to one commit, and what would deploy it is known (`vcs.tag`, `deploy.script`).
    #[serde(rename = "SourceResolved.v1")]
    SourceResolved {
        /// The commit behind the tag, peeled.
        commit: CommitSha,
        /// Digest of the deployment script.
        script: Digest,
        /// Digest of the executor's configuration.
        executor: Digest,
        /// When a worker saw it.
        observed_ms: Millis,
        /// Who typed the commit, where Git couldn't say.
        typed_by: Option<PersonId>,
    },
    /// Git or the script could not be read; nobody is asked.
    #[serde(rename = "SourceNotResolved.v1")]
    SourceNotResolved {
        /// What the worker found.
        problem: SourceProblem,
        /// When.
        observed_ms: Millis,
    },
    /// People were asked to sign.
    #[serde(rename = "SignOffRequested.v1")]
    SignOffRequested {
        /// For which role.
        role: Role,
        /// Whom: holders of the role who can act.
        people: BTreeSet<PersonId>,
        /// For which revision of the release.
        revision: u32,
    },
    /// A named person in the named role signed.
    #[serde(rename = "SignedOff.v1")]
    SignedOff {
        /// Who, for what, on what.
        sign_off: Box<SignOff>,
    },
    /// A signer took the sign-off back.
    #[serde(rename = "SignOffWithdrawn.v1")]
    SignOffWithdrawn {
        /// Which sign-off.
        role: Role,
        /// Whose.
        person: PersonId,
        /// Why.
        reason: Option<Digest>,
    },
    /// Sign-offs stopped counting because what they signed has changed.
    #[serde(rename = "SignOffsVoided.v1")]
    SignOffsVoided {
        /// Whose.
        roles: BTreeSet<Role>,
        /// What changed.
        changed: Vec<Field>,
    },
    /// A role said no.
    #[serde(rename = "ReleaseRejected.v1")]
    ReleaseRejected {
        /// The role that only can lift it.
        role: Role,
        /// Who.
        person: PersonId,
        /// Why.
        reason: Digest,
    },
    /// Every sign-off that a start needs is there.
    #[serde(rename = "ReleaseApproved.v1")]
    ReleaseApproved {},
    /// The release will not happen.
    #[serde(rename = "ReleaseCancelled.v1")]
    ReleaseCancelled {
        /// Who.
        by: PersonId,
        /// Why.
        reason: Option<Digest>,
    },
    /// Somebody said that a rule holds which nothing looks at by itself.
    #[serde(rename = "Attested.v1")]
    Attested {
        /// Which rule.
        rule: Rule,
        /// Who, in which role, about what.
        attestation: Box<Attestation>,
    },
    /// Somebody took back what they had said.
    #[serde(rename = "AttestationWithdrawn.v1")]
    AttestationWithdrawn {
        /// Of which rule.
        rule: Rule,
        /// Who.
        by: PersonId,
    },
    /// A rule was excused for this release.
    #[serde(rename = "RuleWaived.v1")]
    RuleWaived {
        /// Which rule.
        rule: Rule,
        /// Who, in which role, why, until when.
        waiver: Box<Waiver>,
    },
    /// Somebody took their waiver back.
    #[serde(rename = "WaiverWithdrawn.v1")]
    WaiverWithdrawn {
        /// Of which rule.
        rule: Rule,
        /// Who.
        by: PersonId,
    },
    /// Something was put off, to be done by a date (`owe`).
    #[serde(rename = "DebtIncurred.v1")]
    DebtIncurred {
        /// What is owed.
        rules: BTreeSet<Rule>,
        /// Who owes it.
        owed_by: Role,
        /// By when.
        due_ms: Millis,
    },
    /// A debt was paid.
    #[serde(rename = "DebtClosed.v1")]
    DebtClosed {
        /// What was owed.
        rule: Rule,
        /// Who paid it.
        by: PersonId,
    },
    /// A deployment was asked for; the environment is locked for it.
    #[serde(rename = "DeploymentRequested.v1")]
    DeploymentRequested {
        /// 1, 2, 3 … of this release.
        attempt: AttemptNumber,
        /// The fence of its lock.
        fence: u64,
        /// Who asked; nobody when an emergency's last sign-off or its timer did.
        by: Option<PersonId>,
        /// The deployment engineer it names.
        engineer: Option<PersonId>,
    },
    /// Every gate held; the script will be started at most once from here on.
    #[serde(rename = "AttemptStarting.v1")]
    AttemptStarting {
        /// Which attempt.
        attempt: AttemptNumber,
        /// The fence of its lock.
        fence: u64,
        /// What was judged.
        fingerprint: Digest,
        /// The commit that is deployed.
        commit: CommitSha,
        /// The script that runs.
        script: Digest,
        /// The host that alone may judge the attempt.
        host: String,
        /// Signers whose role Slack could not confirm at this moment; the click's facts counted.
        unconfirmed: BTreeSet<PersonId>,
    },
    /// The supervisor has the script.
    #[serde(rename = "AttemptRunning.v1")]
    AttemptRunning {
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// Somebody asked to stop it.
    #[serde(rename = "StopRequested.v1")]
    StopRequested {
        /// Which attempt.
        attempt: AttemptNumber,
        /// Who.
        by: PersonId,
    },
    /// The attempt is over, one way or the other.
    #[serde(rename = "AttemptEnded.v1")]
    AttemptEnded {
        /// Which attempt.
        attempt: AttemptNumber,
        /// How.
        result: AttemptResult,
        /// The tail of its output.
        output: Option<Digest>,
    },
    /// Nobody knows how the attempt went; the environment stays locked until two people say the same.
    #[serde(rename = "AttemptInterrupted.v1")]
    AttemptInterrupted {
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// The database was restored from a backup: what came of the attempt is lost, and two people must say it.
    #[serde(rename = "AttemptLostInRestore.v1")]
    AttemptLostInRestore {
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// One person said how an interrupted attempt went.
    #[serde(rename = "SettlementProposed.v1")]
    SettlementProposed {
        /// Which attempt.
        attempt: AttemptNumber,
        /// What they say.
        choice: SettlementChoice,
        /// Who.
        by: PersonId,
    },
    /// A second person said the same.
    #[serde(rename = "AttemptSettled.v1")]
    AttemptSettled {
        /// Which attempt.
        attempt: AttemptNumber,
        /// What both said.
        choice: SettlementChoice,
        /// Both.
        by: BTreeSet<PersonId>,
    },
    /// The emergency notice stands in #releases, read back (`emergency.notice`).
    #[serde(rename = "NoticePosted.v1")]
    NoticePosted {
        /// For which attempt.
        attempt: AttemptNumber,
        /// Slack's channel id.
        channel: String,
        /// Slack's message time stamp.
        ts: String,
        /// When it was read back.
        verified_ms: Millis,
    },
    /// The notice is still unsent; the next step of the ladder was taken.
    #[serde(rename = "NoticeEscalated.v1")]
    NoticeEscalated {
        /// For which attempt.
        attempt: AttemptNumber,
        /// Which step.
        step: NoticeStep,
    },
    /// The hour is over without a notice.
    #[serde(rename = "NoticeBreached.v1")]
    NoticeBreached {
        /// For which attempt.
        attempt: AttemptNumber,
        /// When it was due.
        due_ms: Millis,
    },
    /// An environment belongs to one attempt (`deploy.exclusive`).
    #[serde(rename = "EnvironmentLocked.v1")]
    EnvironmentLocked {
        /// Whose environment.
        service: ServiceName,
        /// Which one.
        environment: EnvironmentName,
        /// Rises with every grant.
        fence: u64,
        /// Who holds it.
        release: ReleaseKey,
        /// With which attempt.
        attempt: AttemptNumber,
    },
    /// The environment is free again.
    #[serde(rename = "EnvironmentUnlocked.v1")]
    EnvironmentUnlocked {
        /// Whose environment.
        service: ServiceName,
        /// Which one.
        environment: EnvironmentName,
        /// The grant that ends.
        fence: u64,
        /// What runs there now, if this attempt put it there.
        deployed: Option<Version>,
    },
    /// Somebody asked for what a rule forbids.
    #[serde(rename = "CommandRefused.v1")]
    CommandRefused {
        /// The release it was about.
        release: ReleaseKey,
        /// What was asked, such as `sign_off`.
        intent: String,
        /// Which rule refused it.
        rule: Rule,
        /// Why, as a stable word.
        cause: String,
    },
    /// The same refusal again and again, counted.
    #[serde(rename = "RefusalsRepeated.v1")]
    RefusalsRepeated {
        /// The release it was about.
        release: ReleaseKey,
        /// Who asked, what, and which rule refused it.
        key: String,
        /// How often, beyond the first.
        count: u64,
    },
    /// An operator has seen that the database was restored from a backup and what that loses.
    #[serde(rename = "RestoreAcknowledged.v1")]
    RestoreAcknowledged {
        /// Who, in their own words.
        by: Digest,
        /// Why it was restored.
        reason: Digest,
        /// Every fence granted from here on is above this one.
        fences_above: u64,
        /// Checkpoints that the log does not go through any more; exactly these are passed over from here on.
        checkpoints: BTreeSet<LostCheckpoint>,
        /// Attempts that two people have to settle because of it.
        attempts: u64,
        /// Messages, mails and pages that were held, and timers that would have sent some or started something.
        held: u64,
    },
    /// A person was erased: their id stands for nobody from here on, and what they wrote is gone.
    #[serde(rename = "PersonErased.v1")]
    PersonErased {
        /// Whose id; nobody's if only texts that named them were left.
        person: Option<PersonId>,
        /// How many texts went.
        texts: u64,
        /// Why.
        reason: Digest,
    },
}

impl Event {
    /// The stream that a service-wide event belongs to; other events belong to their release.
    pub fn service_stream(&self) -> Option<String> {
        match self {
            Self::EnvironmentLocked { service, .. } | Self::EnvironmentUnlocked { service, .. } => {
                Some(service.stream())
            }
            _ => None,
        }
    }
}

/// A sign-off: who, in which role by which membership, on exactly what, and what they saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignOff {
    /// The role it counts for.
    pub role: Role,
    /// Who signed.
    pub person: PersonId,
    /// Whether they stood in for the role's holder.
    pub as_deputy: bool,
    /// By what they are in the role, such as `group:S0QALEADS`.
    pub membership: String,
    /// When Slack said so.
    pub facts_ms: Millis,
    /// What they signed.
    pub fingerprint: Fingerprint,
    /// Digest of the rules that applied.
    pub rules: Digest,
    /// What they saw, as text.
    pub seen: Option<Digest>,
    /// When they signed.
    pub signed_ms: Millis,
    /// Whether a rejection by the tech lead stood before their eyes (an emergency's CTO only).
    pub confirms_rejection: bool,
}

/// Why a source could not be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceProblem {
    /// The repository has no such tag.
    TagMissing,
    /// Git did not answer within 10 s.
    GitSilent,
    /// The service names no repository; the full commit id is needed.
    NoRepository,
    /// The deployment script is missing or not executable.
    ScriptMissing,
}

/// A step of the ladder of `emergency.notice`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeStep {
    /// E-mail to all teams.
    Mail,
    /// Release manager and CTO are paged.
    Page,
    /// The clock is at risk.
    AtRisk,
}

impl NoticeStep {
    /// Every step, in order.
    pub const ALL: [Self; 3] = [Self::Mail, Self::Page, Self::AtRisk];
}
