//! What a person or a worker asks for. A command carries ids, words and observations, never authority.

use crate::digest::{Digest, PrivateText};
use crate::event::{NoticeStep, SourceProblem};
use crate::ids::{CommitSha, Millis, PersonId, ReleaseKey, Version};
use crate::release::{AttemptNumber, AttemptResult, Migration, SettlementChoice};
use crate::role::Role;
use crate::rule::{Kind, Rule};
use std::collections::BTreeSet;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person, already identified.
    Person(PersonId),
    /// Countersign itself: a timer, or the result of a job.
    Countersign,
}

impl Actor {
    /// The actor as the log names it.
    pub fn id(&self) -> &str {
        match self {
            Self::Person(person) => person.as_str(),
            Self::Countersign => "countersign",
        }
    }
}

/// Somebody asks for something.
#[derive(Debug, Clone)]
pub struct Command {
    /// Who.
    pub actor: Actor,
    /// The release it is about.
    pub release: ReleaseKey,
    /// What.
    pub intent: Intent,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum Intent {
    /// Propose a planned release, or edit one that exists.
    Plan(Box<Proposal>),
    /// Ask for a hotfix.
    RequestHotfix(Box<HotfixRequest>),
    /// Say the full commit id where Git couldn't.
    TypeCommit {
        /// The commit.
        commit: CommitSha,
    },
    /// Sign, or lift one's own role's rejection.
    SignOff {
        /// For which role; needed only if the person could sign for two.
        role: Option<Role>,
        /// What the person had in view, from the button; nothing when typed.
        view: Option<String>,
        /// What the person saw, as text.
        seen: Option<PrivateText>,
    },
    /// Say no.
    Reject {
        /// See [`Intent::SignOff`].
        role: Option<Role>,
        /// See [`Intent::SignOff`].
        view: Option<String>,
        /// Why.
        reason: PrivateText,
    },
    /// Take one's sign-off back.
    Withdraw {
        /// Why.
        reason: Option<PrivateText>,
    },
    /// Say that rules hold which nothing looks at by itself, and sign with it if wanted.
    Attest(Box<Attested>),
    /// Excuse a rule for this release.
    Waive(Box<WaiverRequest>),
    /// Take one's word on a rule back, or one's waiver of it.
    TakeBack {
        /// Which rule.
        rule: Rule,
    },
    /// Give the release up.
    Cancel {
        /// Why.
        reason: Option<PrivateText>,
    },
    /// Deploy now.
    Deploy,
    /// Stop the running deployment.
    StopDeployment,
    /// Say how an interrupted attempt went.
    Settle {
        /// Which attempt.
        attempt: AttemptNumber,
        /// What happened.
        choice: SettlementChoice,
    },
    /// A worker has looked at Git and at the script.
    RecordSource(SourceSeen),
    /// A worker could not.
    RecordSourceProblem {
        /// What it found.
        problem: SourceProblem,
        /// When.
        observed_ms: Millis,
    },
    /// The CTO has not answered in time.
    AskDeputy {
        /// For which revision the timer was set.
        revision: u32,
    },
    /// The wait for the tech lead is over.
    EndTechLeadWait {
        /// For which revision the timer was set.
        revision: u32,
    },
    /// A worker is about to start the attempt.
    StartAttempt {
        /// Which one.
        attempt: AttemptNumber,
        /// What it sees at this moment, or why it can't see it.
        seen: Result<SourceSeen, SourceProblem>,
        /// The host that would run it.
        host: String,
    },
    /// The supervisor has the script.
    RecordRunning {
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// The attempt is over.
    RecordEnd {
        /// Which attempt.
        attempt: AttemptNumber,
        /// How.
        result: AttemptResult,
        /// The tail of its output.
        output: Option<PrivateText>,
    },
    /// Neither supervisor nor status exists on the attempt's host.
    RecordInterrupted {
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// The emergency notice was read back.
    RecordNotice {
        /// Which attempt.
        attempt: AttemptNumber,
        /// Slack's channel id.
        channel: String,
        /// Slack's message time stamp.
        ts: String,
    },
    /// A step of the notice ladder is due.
    EscalateNotice {
        /// Which attempt.
        attempt: AttemptNumber,
        /// Which step.
        step: NoticeStep,
    },
    /// The hour is over.
    BreachNotice {
        /// Which attempt.
        attempt: AttemptNumber,
    },
}

/// What a worker saw in Git and on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSeen {
    /// The version whose tag was looked for.
    pub version: Version,
    /// The commit behind the tag; nothing if Git is silent or not configured.
    pub commit: Option<CommitSha>,
    /// Digest of the deployment script.
    pub script: Digest,
    /// Digest of the executor's configuration.
    pub executor: Digest,
    /// When.
    pub observed_ms: Millis,
}

/// A plan as a person filled it in (rule `plan.complete`).
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Which plan of an existing release this changes (its [`Release::plan_changes`] when the form was opened); nothing for a
    /// new release.
    ///
    /// [`Release::plan_changes`]: crate::release::Release::plan_changes
    pub edits: Option<u32>,
    /// Major or minor.
    pub kind: Kind,
    /// Which version.
    pub version: Version,
    /// Planned start, UTC milliseconds.
    pub start_ms: Millis,
    /// Planned length in milliseconds.
    pub length_ms: Millis,
    /// What is in it.
    pub scope: PrivateText,
    /// Internal and external dependencies, or "none", said.
    pub dependencies: PrivateText,
    /// Whether users will notice.
    pub user_facing: bool,
    /// What happens to the database.
    pub migration: Migration,
    /// Expected outcome.
    pub outcome: PrivateText,
    /// When to abort.
    pub abort_criteria: PrivateText,
    /// The tickets in it.
    pub tickets: BTreeSet<ReleaseKey>,
    /// Who wrote the commits.
    pub authors: BTreeSet<PersonId>,
    /// The full commit id, if typed.
    pub commit: Option<CommitSha>,
}

/// A hotfix as a person asked for it (rule `emergency.justification`).
#[derive(Debug, Clone)]
pub struct HotfixRequest {
    /// Which version.
    pub version: Version,
    /// Why.
    pub justification: PrivateText,
    /// The tickets in it.
    pub tickets: BTreeSet<ReleaseKey>,
    /// Who wrote the commits.
    pub authors: BTreeSet<PersonId>,
    /// The full commit id, if typed.
    pub commit: Option<CommitSha>,
}

/// What one person says in one role, in one visit.
#[derive(Debug, Clone)]
pub struct Attested {
    /// The role they say it in.
    pub role: Role,
    /// See [`Intent::SignOff`].
    pub view: Option<String>,
    /// Each its own entry in the log.
    pub lines: Vec<AttestedLine>,
    /// Whether they give the role's sign-off with it.
    pub signs: bool,
    /// What they saw, as text.
    pub seen: Option<PrivateText>,
}

/// One rule that somebody says holds.
#[derive(Debug, Clone)]
pub struct AttestedLine {
    /// The rule.
    pub rule: Rule,
    /// A note or a link.
    pub note: Option<PrivateText>,
}

/// A waiver as a person filled it in.
#[derive(Debug, Clone)]
pub struct WaiverRequest {
    /// The rule.
    pub rule: Rule,
    /// See [`Intent::SignOff`].
    pub view: Option<String>,
    /// Why.
    pub justification: PrivateText,
    /// When it is to be looked at again, UTC milliseconds.
    pub follow_up_ms: Millis,
}

impl Intent {
    /// The texts behind the commitments that the intent's events will hold.
    pub fn texts(&self) -> Vec<&PrivateText> {
        match self {
            Self::Plan(plan) => vec![&plan.scope, &plan.dependencies, &plan.outcome, &plan.abort_criteria],
            Self::RequestHotfix(request) => vec![&request.justification],
            Self::SignOff { seen, .. } => seen.iter().collect(),
            Self::Attest(said) => said
                .lines
                .iter()
                .filter_map(|line| line.note.as_ref())
                .chain(&said.seen)
                .collect(),
            Self::Waive(request) => vec![&request.justification],
            Self::Reject { reason, .. } => vec![reason],
            Self::Withdraw { reason } | Self::Cancel { reason } => reason.iter().collect(),
            Self::RecordEnd { output, .. } => output.iter().collect(),
            _ => Vec::new(),
        }
    }
}
