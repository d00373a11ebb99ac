//! A release: its state, and what can be read off it. How events change it: `release/evolve.rs`.

mod evolve;

use crate::attestation::{Attestation, Waiver};
use crate::digest::Digest;
use crate::event::{Event, NoticeStep, SignOff, SourceProblem};
use crate::ids::{CommitSha, EnvironmentName, Millis, PersonId, ReleaseKey, ServiceName, Version};
use crate::role::Role;
use crate::rule::{Kind, Rule};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers the attempts of one release from 1.
pub type AttemptNumber = u32;

/// What a planned release says (rule `plan.complete`). Texts are commitments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Planned start, UTC milliseconds.
    pub start_ms: Millis,
    /// Planned length in milliseconds.
    pub length_ms: Millis,
    /// What is in it.
    pub scope: Digest,
    /// Internal and external dependencies, or "none", said.
    pub dependencies: Digest,
    /// Whether users will notice.
    pub user_facing: bool,
    /// What happens to the database.
    pub migration: Migration,
    /// Expected outcome.
    pub outcome: Digest,
    /// When to abort.
    pub abort_criteria: Digest,
}

/// The class of a database migration (rule `risk.migrations`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Migration {
    /// No migration.
    None,
    /// A down script exists.
    Reversible,
    /// The old version runs on the new schema.
    ExpandOnly,
    /// There is no way back but a backup.
    Irreversible,
}

impl Migration {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::None, Self::Reversible, Self::ExpandOnly, Self::Irreversible];

    /// The class in one word.
    pub fn key(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reversible => "reversible",
            Self::ExpandOnly => "expand_only",
            Self::Irreversible => "irreversible",
        }
    }

    /// The class with this word.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.key() == key)
    }
}

/// What will be deployed, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The commit behind the tag.
    pub commit: CommitSha,
    /// Digest of the deployment script.
    pub script: Digest,
    /// Digest of the executor's configuration.
    pub executor: Digest,
    /// When a worker saw it.
    pub observed_ms: Millis,
    /// Who typed the commit, where Git couldn't say.
    pub typed_by: Option<PersonId>,
}

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Proposed; nobody has been asked yet.
    Drafted,
    /// Waiting for sign-offs.
    Asking,
    /// Everything is signed that a start needs.
    Approved,
    /// A deployment is requested but not started.
    Queued,
    /// The script is starting or running.
    Deploying,
    /// Nobody knows how the deployment went.
    Interrupted,
    /// In production.
    Released,
    /// A role said no.
    Rejected,
    /// Will not happen.
    Cancelled,
}

impl Status {
    /// Every status, in the order of the rulebook.
    pub const ALL: [Self; 9] = [
        Self::Drafted,
        Self::Asking,
        Self::Approved,
        Self::Queued,
        Self::Deploying,
        Self::Interrupted,
        Self::Released,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// The status in one word.
    pub fn key(self) -> &'static str {
        match self {
            Self::Drafted => "drafted",
            Self::Asking => "asking",
            Self::Approved => "approved",
            Self::Queued => "queued",
            Self::Deploying => "deploying",
            Self::Interrupted => "interrupted",
            Self::Released => "released",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One try to deploy the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// 1, 2, 3 …
    pub number: AttemptNumber,
    /// The fence of its lock.
    pub fence: u64,
    /// Who asked for it; nobody when a sign-off or timer did.
    pub by: Option<PersonId>,
    /// The deployment engineer it names.
    pub engineer: Option<PersonId>,
    /// When it was asked for.
    pub requested_ms: Millis,
    /// Where it stands.
    pub state: AttemptState,
    /// The host that runs it.
    pub host: Option<String>,
    /// When it was about to start: the clock of `emergency.notice` runs from here.
    pub starting_ms: Option<Millis>,
    /// Since when nobody knew how it went, if that ever was so.
    pub interrupted_ms: Option<Millis>,
    /// Whether a restore of the database lost what came of it: only people can say it, whatever its host still finds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost_in_restore: bool,
    /// When it ended.
    pub ended_ms: Option<Millis>,
    /// The tail of its output.
    pub output: Option<Digest>,
    /// Signers whose role could not be confirmed at the start.
    pub unconfirmed: BTreeSet<PersonId>,
    /// Who asked to stop it.
    pub stop_by: Option<PersonId>,
    /// Who said what about an interrupted attempt.
    pub settlements: BTreeMap<PersonId, SettlementChoice>,
    /// The emergency notice of this attempt.
    pub notice: Option<Notice>,
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Requested.
    Queued,
    /// Durable, before the script is started.
    Starting,
    /// The supervisor has the script.
    Running,
    /// The outcome is unknown.
    Interrupted,
    /// Over.
    Ended(AttemptResult),
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The script ended with 0.
    Succeeded,
    /// The script ended with another code (or a signal, shown negative).
    Failed(i32),
    /// Took longer than allowed.
    TimedOut,
    /// Stopped by a person.
    Cancelled,
    /// The check before the start failed; nothing ran.
    NotStarted(NotStarted),
}

/// Why an attempt did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotStarted {
    /// A gate did not hold any more.
    GateUnmet,
    /// The tag points elsewhere.
    TagMoved,
    /// Nobody could see what would run: Git was silent, or the tag or the script is gone.
    SourceUnknown(SourceProblem),
    /// The script or its configuration has changed.
    ScriptChanged,
    /// The script could not be started.
    CouldNotSpawn,
    /// Rejected, withdrawn or cancelled first.
    CalledOff,
}

/// What two people may say of an interrupted attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettlementChoice {
    /// It finished.
    Finished,
    /// It failed.
    Failed,
    /// Whatever happened, try again: all gates again.
    NewAttempt,
}

impl SettlementChoice {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Finished, Self::Failed, Self::NewAttempt];

    /// The choice in one word.
    pub fn key(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::NewAttempt => "new_attempt",
        }
    }
}

/// The clock of `emergency.notice`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Start of the emergency deployment; the hour runs from here.
    pub started_ms: Millis,
    /// When the notice was read back in #releases.
    pub posted_ms: Option<Millis>,
    /// Steps of the ladder that were taken.
    pub steps: BTreeSet<NoticeStep>,
    /// When a breach was recorded, and when the notice had been due.
    pub breached: Option<Breach>,
}

/// A recorded breach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breach {
    /// When the notice had been due.
    pub due_ms: Millis,
    /// When the breach was recorded.
    pub recorded_ms: Millis,
}

/// A rejection that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// Who.
    pub person: PersonId,
    /// Why.
    pub reason: Digest,
    /// When.
    pub at_ms: Millis,
}

/// A sign-off that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Everybody asked in this revision.
    pub people: BTreeSet<PersonId>,
    /// When the question was put, or put again: the waits for an answer run from here.
    pub at_ms: Millis,
}

/// Something owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debt {
    /// By whom.
    pub owed_by: Role,
    /// By when.
    pub due_ms: Millis,
    /// Who paid it, when.
    pub closed: Option<(PersonId, Millis)>,
}

/// The state of a release. What a newer version adds to it is left out while it is empty, and not known here otherwise: such a
/// release is not judged by a version that knows only part of its past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its name.
    pub key: ReleaseKey,
    /// Its kind.
    pub kind: Kind,
    /// What is released.
    pub service: ServiceName,
    /// Where to.
    pub environment: EnvironmentName,
    /// The service's IANA zone when it was proposed.
    pub time_zone: String,
    /// Which version.
    pub version: Version,
    /// Who asked for it.
    pub requester: PersonId,
    /// The release manager who answers for it; a draft has none.
    pub owner: Option<PersonId>,
    /// Who wrote the commits.
    pub authors: BTreeSet<PersonId>,
    /// The tickets in it.
    pub tickets: BTreeSet<ReleaseKey>,
    /// The plan of a planned release.
    pub plan: Option<Plan>,
    /// How often the plan was changed: what a form that edits it must have shown.
    pub plan_changes: u32,
    /// The justification of a hotfix.
    pub justification: Option<Digest>,
    /// When it was proposed.
    pub proposed_ms: Millis,
    /// Where it stands.
    pub status: Status,
    /// Rises whenever what is signed may have changed; buttons carry it.
    pub revision: u32,
    /// The full commit id that somebody typed, where Git couldn't say it.
    pub typed_commit: Option<CommitSha>,
    /// Who typed it.
    pub typed_by: Option<PersonId>,
    /// What will be deployed.
    pub source: Option<Source>,
    /// Why the source is unknown, if a worker tried.
    pub source_problem: Option<SourceProblem>,
    /// Who was asked in this revision, by role.
    pub asked: BTreeMap<Role, Asked>,
    /// The sign-offs that stand, by role.
    pub sign_offs: BTreeMap<Role, SignOff>,
    /// The rejections that stand, by role.
    pub rejections: BTreeMap<Role, Rejection>,
    /// Roles that took their yes back and have not signed since: a start never goes on without them, as after a silence.
    pub withdrawn: BTreeSet<Role>,
    /// How often each role has taken a word back: part of the business key of a sign-off.
    pub rounds: BTreeMap<Role, u32>,
    /// What is owed.
    pub debts: BTreeMap<Rule, Debt>,
    /// All tries.
    pub attempts: Vec<Attempt>,
    /// What people said of rules that nothing looks at by itself, each person's last word.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attestations: BTreeMap<Rule, Vec<Attestation>>,
    /// What was excused, and by whom.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waivers: BTreeMap<Rule, Vec<Waiver>>,
    /// How often something was excused, or no more: part of what a signer has in view.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiver_changes: u32,
    /// Everybody who holds a copy of the question, with role and revision: their messages are kept true.
    pub copies: BTreeSet<(Role, PersonId, u32)>,
}

impl Release {
    /// The first state, from the event that proposes a release; nothing from any other event.
    pub fn begin(event: &Event, at_ms: Millis) -> Option<Self> {
        let proposed = match event {
            Event::ReleasePlanned {
                release,
                kind,
                service,
                environment,
                time_zone,
                version,
                requester,
                owner,
                plan,
                tickets,
                authors,
                typed_commit,
            } => Self {
                owner: owner.clone(),
                plan: Some(plan.clone()),
                typed_by: typed_commit.as_ref().map(|_| requester.clone()),
                typed_commit: typed_commit.clone(),
                ..Self::proposed(
                    release,
                    *kind,
                    (service, environment, time_zone, version),
                    requester,
                    tickets,
                    authors,
                    at_ms,
                )
            },
            Event::HotfixRequested {
                release,
                service,
                environment,
                time_zone,
                version,
                requester,
                justification,
                tickets,
                authors,
                typed_commit,
            } => Self {
                justification: Some(justification.clone()),
                typed_by: typed_commit.as_ref().map(|_| requester.clone()),
                typed_commit: typed_commit.clone(),
                ..Self::proposed(
                    release,
                    Kind::Emergency,
                    (service, environment, time_zone, version),
                    requester,
                    tickets,
                    authors,
                    at_ms,
                )
            },
            _ => return None,
        };
        Some(proposed)
    }

    fn proposed(
        key: &ReleaseKey,
        kind: Kind,
        (service, environment, time_zone, version): (&ServiceName, &EnvironmentName, &str, &Version),
        requester: &PersonId,
        tickets: &BTreeSet<ReleaseKey>,
        authors: &BTreeSet<PersonId>,
        proposed_ms: Millis,
    ) -> Self {
        Self {
            key: key.clone(),
            kind,
            service: service.clone(),
            environment: environment.clone(),
            time_zone: time_zone.to_owned(),
            version: version.clone(),
            requester: requester.clone(),
            owner: None,
            authors: authors.clone(),
            tickets: tickets.clone(),
            plan: None,
            plan_changes: 0,
            justification: None,
            proposed_ms,
            status: Status::Drafted,
            revision: 1,
            typed_commit: None,
            typed_by: None,
            source: None,
            source_problem: None,
            asked: BTreeMap::new(),
            sign_offs: BTreeMap::new(),
            rejections: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            rounds: BTreeMap::new(),
            debts: BTreeMap::new(),
            attempts: Vec::new(),
            attestations: BTreeMap::new(),
            waivers: BTreeMap::new(),
            waiver_changes: 0,
            copies: BTreeSet::new(),
        }
    }

    /// The attempt that is requested, starting, running or interrupted.
    pub fn live_attempt(&self) -> Option<&Attempt> {
        self.attempts
            .last()
            .filter(|attempt| !matches!(attempt.state, AttemptState::Ended(_)))
    }

    /// The attempt with this number.
    pub fn attempt(&self, number: AttemptNumber) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }

    /// What a signer must have had in view: changes with every revision, every word that was taken back and every waiver.
    /// Buttons carry it, so that nobody signs what they didn't see.
    pub fn view(&self) -> String {
        let taken_back: u32 = self.rounds.values().sum();
        format!("{}.{}", self.revision, taken_back + self.waiver_changes)
    }

    /// Whether `person` asked for it, answers for it or wrote it: such people never sign it.
    pub fn own_part(&self, person: &PersonId) -> Option<OwnPart> {
        if self.requester == *person || self.owner.as_ref() == Some(person) {
            Some(OwnPart::Requester)
        } else if self.authors.contains(person) {
            Some(OwnPart::Author)
        } else {
            None
        }
    }

    /// What is still owed.
    pub fn open_debts(&self) -> impl Iterator<Item = (Rule, &Debt)> {
        self.debts
            .iter()
            .filter(|(_, debt)| debt.closed.is_none())
            .map(|(rule, debt)| (*rule, debt))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The revision in a [`Release::view`].
pub fn revision_of(view: &str) -> &str {
    view.split_once('.').map_or(view, |(revision, _)| revision)
}

/// Why somebody is part of a release and can't judge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnPart {
    /// Asked for it.
    Requester,
    /// Wrote some of it.
    Author,
}
