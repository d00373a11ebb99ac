//! The only SQL. One `Store` over SQLite or PostgreSQL with one contract suite (`tests/it/store`).
//! Knows streams, entries, jobs, messages, people and texts; knows nothing of releases or rules.

mod backup;
mod commit_postgres;
mod engine;
mod erasing;
mod error;
mod group;
#[cfg(feature = "simulation")]
mod memory;
mod messages;
mod migrate;
mod people;
mod plan;
mod postgres;
mod queue;
mod reads;
mod scrub_postgres;
mod sql;
mod sqlite;
mod wakes;

pub use backup::{copy_sqlite, has_tables};
pub use engine::{Clock, Options, Store, within};
pub use erasing::KeptText;
pub use error::OpenError;
#[cfg(feature = "simulation")]
pub use memory::{Line, Memory, Passage};
pub use messages::PostAttempt;
pub use people::Beat;
pub use queue::{Claimed, Hurry, JobCount, JobFilter, Purged};
pub use wakes::Wake;

use domain::digest::{Digest, PrivateText};
use domain::log_entry::Draft;

/// One decision, or one result of a job, written in one transaction or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The request that is answered by this commit; a second commit of the same id is a duplicate.
    pub request: Option<AnsweredRequest>,
    /// Every stream that was read, with the version that was seen (0: it did not exist).
    pub reads: Vec<StreamVersion>,
    /// The state rows of the streams that were changed, for reading; at most one per stream.
    pub states: Vec<StateRow>,
    /// What happened, in order. A stream that is written stands in `reads` too, and its drafts continue the
    /// version that was seen. A draft with version 0 goes to a stream that nobody compares: the
    /// store gives it the stream's next version.
    pub entries: Vec<Draft>,
    /// Business keys that may exist once, such as a sign-off of one revision, role and person.
    pub unique: Vec<String>,
    /// Texts behind the commitments in `entries`.
    pub texts: Vec<StoredText>,
    /// Everything that must follow.
    pub jobs: Vec<NewJob>,
    /// Jobs that end, or wait longer, whoever holds them.
    pub holds: Vec<HeldJob>,
    /// People who act in it: fails as a conflict if one of them was erased meanwhile.
    pub people: Vec<String>,
    /// What is removed with it.
    pub erases: Option<Erasure>,
    /// The job whose result this is; the commit fails as [`Outcome::LostJob`] if it is no longer held.
    pub settles: Option<Settlement>,
    /// Makes repeats of one refusal count instead of fill the chain.
    pub repeat: Option<RepeatGuard>,
    /// Closes a window of repeats: fails as a conflict if the count has moved.
    pub closes_repeat: Option<ClosedRepeat>,
    /// When it was decided, UTC milliseconds.
    pub decided_ms: i64,
}

/// A request and the reply that repeats of it get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredRequest {
    /// SHA-256 of the signed bytes with their timestamp, or a job's id and attempt.
    pub id: String,
    /// The saved reply, JSON.
    pub reply: String,
}

/// A stream at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamVersion {
    /// Such as `release/REL-789`.
    pub stream: String,
    /// 0 when the stream does not exist.
    pub version: u64,
}

/// The current state of a stream, kept beside the log for reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    /// Such as `release/REL-789`.
    pub stream: String,
    /// The version that this state stands for.
    pub version: u64,
    /// For lists: the service's name, or empty.
    pub service: String,
    /// For lists: the state in one word, such as `asking`.
    pub status: String,
    /// The state, JSON.
    pub state: String,
    /// When it last changed, UTC milliseconds.
    pub updated_ms: i64,
}

/// A private text and the stream it belongs to, for erasing.
#[derive(Debug, Clone)]
pub struct StoredText {
    /// The stream whose entry holds the commitment.
    pub stream: String,
    /// Salt and value.
    pub text: PrivateText,
}

/// Everything that has to go when a person is erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasure {
    /// The id in the log that will stand for nobody, if they have one.
    pub person: Option<String>,
    /// Texts whose values and salts go.
    pub texts: Vec<Digest>,
    /// Releases whose messages are to be rendered anew.
    pub subjects: Vec<String>,
    /// Direct messages to the person, by their outbox ids.
    pub messages: Vec<String>,
    /// What names the person; a job's last failure that holds one of these goes.
    pub marks: Vec<String>,
}

/// A job to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Unique; a second job with the same id is silently the same job.
    pub id: String,
    /// The kind's name with its version, such as `refresh_card.v1`.
    pub kind: String,
    /// Ids only, JSON.
    pub payload: String,
    /// Lanes have their own workers, so that no backlog of cards delays a start or a notice.
    pub lane: String,
    /// Jobs with the same key run one after another, in the order of `order`.
    pub order_key: Option<String>,
    /// Position within `order_key`, such as the stream's version.
    pub order: i64,
    /// While a job with this key is queued and not yet claimed, another one is not added.
    pub coalesce_key: Option<String>,
    /// Not before, UTC milliseconds: a timer is a job due later.
    pub due_ms: i64,
    /// Attempts, including those lost to crashes, before it is dead.
    pub attempts_max: u32,
    /// The release it is about, for `/release status`; or empty.
    pub subject: String,
}

/// A job in the hands of one worker until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJob {
    /// See [`NewJob::id`].
    pub id: String,
    /// See [`NewJob::kind`].
    pub kind: String,
    /// See [`NewJob::payload`].
    pub payload: String,
    /// See [`NewJob::subject`].
    pub subject: String,
    /// Rises with every claim and never falls: together with `owner` the fence of every later write.
    pub attempt: u32,
    /// How many of the attempts were given back; `attempt - forgiven` of `attempts_max` are used up.
    pub forgiven: u32,
    /// See [`NewJob::attempts_max`].
    pub attempts_max: u32,
    /// The worker that holds it; random per process start.
    pub owner: String,
    /// When it was due, UTC milliseconds.
    pub due_ms: i64,
    /// When it was first queued, UTC milliseconds.
    pub created_ms: i64,
}

/// How a claimed job ends this time. Applies only while `owner` and `attempt` still hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// See [`NewJob::id`].
    pub job: String,
    /// See [`ClaimedJob::owner`].
    pub owner: String,
    /// See [`ClaimedJob::attempt`].
    pub attempt: u32,
    /// What becomes of it.
    pub fate: Fate,
}

/// A job that an acknowledged restore keeps from doing what may have been done before: no worker's claim matters any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldJob {
    /// See [`NewJob::id`].
    pub job: String,
    /// What becomes of it, if it is not over.
    pub fate: Fate,
}

/// What becomes of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Done.
    Done,
    /// Failed for now, or not finished yet: again at `due_ms`. `forgive` gives the attempt back, for jobs that
    /// merely wait (a deployment still runs, a rate limit).
    Again {
        /// UTC milliseconds.
        due_ms: i64,
        /// For `jobs list`; redacted by the caller.
        reason: String,
        /// Whether this attempt counts.
        forgive: bool,
    },
    /// Given up; visible until somebody retries or drops it.
    Dead {
        /// For `jobs list`; redacted by the caller.
        reason: String,
    },
}

/// A job as `jobs list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// See [`NewJob::id`].
    pub id: String,
    /// See [`NewJob::kind`].
    pub kind: String,
    /// See [`NewJob::payload`].
    pub payload: String,
    /// See [`NewJob::lane`].
    pub lane: String,
    /// See [`NewJob::subject`].
    pub subject: String,
    /// `queued`, `running`, `done`, `dead` or `dropped`.
    pub state: String,
    /// Claims so far.
    pub attempt: u32,
    /// See [`ClaimedJob::forgiven`].
    pub forgiven: u32,
    /// See [`NewJob::attempts_max`].
    pub attempts_max: u32,
    /// UTC milliseconds.
    pub due_ms: i64,
    /// UTC milliseconds.
    pub created_ms: i64,
    /// The last failure, or empty.
    pub reason: String,
}

/// Counts repeats of one refusal within a window instead of chaining each. The first one is written and opens
/// the window with a count of 0. After its end the next one is written and opens it anew, but the count stays
/// until somebody closes the window: what was counted is never forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatGuard {
    /// Release, person, intent and rule.
    pub key: String,
    /// How long repeats are counted, milliseconds.
    pub window_ms: i64,
}

/// The end of a window of repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedRepeat {
    /// See [`RepeatGuard::key`].
    pub key: String,
    /// The count that the closing entry names.
    pub count: u64,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Durable. Holds the positions of its entries.
    Committed {
        /// Positions in the log, in the order of the entries.
        positions: Vec<u64>,
    },
    /// A repeat within its window: counted, the reply saved, no entry and no job added.
    Counted,
    /// The same request was answered before; nothing was written.
    Duplicate {
        /// The saved reply.
        reply: String,
    },
    /// A stream has moved, a business key exists or a repeat count has changed; nothing was written: load and decide again.
    Conflict,
    /// The job whose result this is belongs to somebody else by now; nothing was written.
    LostJob,
}

/// What is known of a posted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// The outbox id, such as `card/REL-789`.
    pub id: String,
    /// The release it is about, or empty.
    pub subject: String,
    /// The Slack channel (`C…`, `D…`) it stands in; before the post, the target.
    pub channel: String,
    /// Slack's `ts`; empty until it is known.
    pub ts: String,
    /// Where its posting stands.
    pub state: MessageState,
    /// The stream version that is rendered in it.
    pub rendered_version: u64,
    /// Digest of what is rendered, so that equal content is not sent again.
    pub rendered: String,
    /// When the last attempt to post began, UTC milliseconds.
    pub attempted_ms: i64,
}

/// Where the posting of a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// An attempt began; unless it is recorded as posted, its outcome is unknown.
    Posting,
    /// Its `ts` is known.
    Posted,
    /// Read back: Slack has it.
    Verified,
}

/// A person of a Slack workspace behind the random id that the log uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRow {
    /// Such as `p-5f0c…`.
    pub id: String,
    /// Slack's `T…`.
    pub team: String,
    /// Slack's `U…` or `W…`.
    pub user: String,
}

/// What the store can't do, and whether trying again may help.
#[derive(Debug)]
pub enum StoreError {
    /// The database did not answer in time, was restarted, is locked or read-only for now.
    Unavailable(anyhow::Error),
    /// The commit's outcome is not known: the connection broke with the commit in flight.
    Unknown(anyhow::Error),
    /// Anything else: a bug, a broken row.
    Broken(anyhow::Error),
}

/// Entries of `texts` that are still there, by commitment.
pub type Texts = std::collections::BTreeMap<Digest, String>;
