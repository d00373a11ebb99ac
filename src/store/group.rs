//! Group commit: whatever waits when the writer is free goes into one transaction. One task per store
//! owns the engine's writer; callers wait for its answer, and one that leaves does not undo its commit.

use super::error::{Failure, Kind};
use super::plan;
use super::sql::{AnyRow, Param};
use super::wakes::Wakes;
use super::{Clock, Commit, Outcome, StoreError, postgres, sqlite};
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Callers that may wait before new ones are told to come back.
pub(super) const WAITING_MAX: usize = 2_048;
const GROUP_MAX: usize = 256;
/// How often and how long a transaction that lost a race is tried again.
const RETRIES_MAX: u32 = 10;
const RETRY_FOR: Duration = Duration::from_secs(2);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const ABANDONED: u8 = 2;

/// What the writer's task is asked to do.
pub(super) enum Work {
    Commit(Box<Member>),
    Write(Write),
    Scrub(oneshot::Sender<Result<bool, Failure>>),
    Close(oneshot::Sender<()>),
}

/// A commit on its way, and who waits for it.
pub(super) struct Member {
    commit: Commit,
    deadline: Instant,
    phase: Arc<AtomicU8>,
    answer: oneshot::Sender<Result<Outcome, Failure>>,
}

impl Member {
    /// The member for the writer, and the caller's end.
    pub(super) fn new(commit: Commit, deadline: Instant) -> (Box<Self>, Waiter) {
        let (answer, outcome) = oneshot::channel();
        let phase = Arc::new(AtomicU8::new(WAITING));
        let waiter = Waiter {
            phase: Arc::clone(&phase),
            outcome,
            deadline,
        };
        (
            Box::new(Self {
                commit,
                deadline,
                phase,
                answer,
            }),
            waiter,
        )
    }

    /// Whether it may still be written. From here on its caller can't be told "nothing was recorded".
    fn begin(&self) -> bool {
        Instant::now() < self.deadline
            && self
                .phase
                .compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }
}

/// The caller's end of a commit.
pub(super) struct Waiter {
    phase: Arc<AtomicU8>,
    outcome: oneshot::Receiver<Result<Outcome, Failure>>,
    deadline: Instant,
}

impl Waiter {
    /// Waits for the outcome, at most until the deadline.
    pub(super) async fn outcome(mut self) -> Result<Outcome, StoreError> {
        let why = match tokio::time::timeout_at(self.deadline, &mut self.outcome).await {
            Ok(Ok(outcome)) => return outcome.map_err(StoreError::from),
            Ok(Err(_)) => "the writer has stopped",
            Err(_) => "the deadline passed",
        };
        if self
            .phase
            .compare_exchange(WAITING, ABANDONED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            return Err(StoreError::Unavailable(anyhow::anyhow!("{why} before its turn came")));
        }
        match self.outcome.try_recv() {
            Ok(outcome) => outcome.map_err(StoreError::from),
            Err(_) => Err(StoreError::Unknown(anyhow::anyhow!("{why} while it was being written"))),
        }
    }
}

/// One statement that goes through the writer because its engine has only one.
pub(super) struct Write {
    pub(super) sql: &'static str,
    pub(super) params: Vec<Param>,
    pub(super) answer: oneshot::Sender<Result<Vec<AnyRow>, Failure>>,
}

/// What a written group leaves behind.
pub(super) struct Written {
    pub(super) outcomes: Vec<Outcome>,
    /// Rows by statement; a statement that failed has left nothing and failed alone.
    pub(super) rows: Vec<Result<Vec<AnyRow>, Failure>>,
    pub(super) wakes: bool,
}

/// The engine's end of the group commit.
pub(super) enum Writer {
    Sqlite(Box<sqlite::Writer>),
    Postgres(Box<postgres::Writer>),
    #[cfg(feature = "simulation")]
    Memory(super::memory::Door),
}

impl Writer {
    /// The database's random id.
    pub(super) fn log(&self) -> &str {
        match self {
            Self::Sqlite(writer) => &writer.log,
            Self::Postgres(writer) => &writer.log,
            #[cfg(feature = "simulation")]
            Self::Memory(door) => door.log(),
        }
    }

    async fn write(&mut self, commits: &[&Commit], writes: &[Write], now_ms: i64) -> Result<Written, Failure> {
        match self {
            Self::Sqlite(engine) => engine.write(commits, writes, now_ms).await,
            Self::Postgres(engine) => engine.write(commits, now_ms).await,
            #[cfg(feature = "simulation")]
            Self::Memory(door) => door.write(commits, now_ms).await,
        }
    }

    async fn scrub(&mut self) -> Result<bool, Failure> {
        match self {
            Self::Sqlite(writer) => writer.scrub().await,
            Self::Postgres(writer) => writer.scrub().await,
            #[cfg(feature = "simulation")]
            Self::Memory(_) => Ok(true),
        }
    }

    async fn close(self) {
        match self {
            Self::Sqlite(writer) => writer.close().await,
            Self::Postgres(writer) => writer.close().await,
            #[cfg(feature = "simulation")]
            Self::Memory(_) => {}
        }
    }
}

/// The writer's task.
pub(super) struct Committer {
    pub(super) writer: Writer,
    pub(super) inbox: mpsc::Receiver<Work>,
    pub(super) clock: Clock,
    pub(super) wakes: Wakes,
}

impl Committer {
    /// Writes groups until the store is closed or its last handle is gone.
    pub(super) async fn run(mut self) {
        let mut waiting = VecDeque::new();
        let mut closed = Vec::new();
        loop {
            if waiting.is_empty() {
                match self.inbox.recv().await {
                    Some(work) => waiting.push_back(work),
                    None => break,
                }
            }
            // Lets the callers that the last group has answered come back in time for this one.
            tokio::task::yield_now().await;
            while waiting.len() < WAITING_MAX
                && let Ok(work) = self.inbox.try_recv()
            {
                waiting.push_back(work);
            }
            let group = pick(&mut waiting);
            if !group.closes.is_empty() {
                self.inbox.close();
                closed.extend(group.closes);
            }
            self.write(group.members, group.writes).await;
            if !group.scrubs.is_empty() {
                let scrubbed = self.writer.scrub().await;
                for asked in group.scrubs {
                    let _ = asked.send(scrubbed.clone());
                }
            }
        }
        self.writer.close().await;
        for done in closed {
            let _ = done.send(());
        }
    }

    async fn write(&mut self, members: Vec<Member>, writes: Vec<Write>) {
        match self.try_write(&members, &writes).await {
            Ok(written) => self.answer(members, writes, written),
            // Somebody in this group can't be written: the others must not suffer for it.
            Err(failure) if failure.kind == Kind::Broken && members.len() + writes.len() > 1 => {
                for member in members {
                    let alone = vec![member];
                    match self.try_write(&alone, &[]).await {
                        Ok(written) => self.answer(alone, Vec::new(), written),
                        Err(failure) => refuse(alone, Vec::new(), &failure),
                    }
                }
                for write in writes {
                    let alone = vec![write];
                    match self.try_write(&[], &alone).await {
                        Ok(written) => self.answer(Vec::new(), alone, written),
                        Err(failure) => refuse(Vec::new(), alone, &failure),
                    }
                }
            }
            Err(failure) => refuse(members, writes, &failure),
        }
    }

    async fn try_write(&mut self, members: &[Member], writes: &[Write]) -> Result<Written, Failure> {
        let commits: Vec<&Commit> = members.iter().map(|member| &member.commit).collect();
        if commits.is_empty() && writes.is_empty() {
            return Ok(Written {
                outcomes: Vec::new(),
                rows: Vec::new(),
                wakes: false,
            });
        }
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let result = self.writer.write(&commits, writes, (self.clock)()).await;
            match result {
                Err(failure) if failure.kind == Kind::Retry && tries < RETRIES_MAX && begun.elapsed() < RETRY_FOR => {
                    tries += 1;
                    let pause_ms = 1 + u64::from(crate::fresh::jitter(tries * 8));
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                }
                result => return result,
            }
        }
    }

    fn answer(&self, members: Vec<Member>, writes: Vec<Write>, written: Written) {
        // A caller that has left doesn't hear it; what was written stays.
        for (member, outcome) in members.into_iter().zip(written.outcomes) {
            let _ = member.answer.send(Ok(outcome));
        }
        for (write, rows) in writes.into_iter().zip(written.rows) {
            let _ = write.answer.send(rows);
        }
        if written.wakes {
            self.wakes.wake();
        }
    }
}

fn refuse(members: Vec<Member>, writes: Vec<Write>, failure: &Failure) {
    for member in members {
        let _ = member.answer.send(Err(failure.clone()));
    }
    for write in writes {
        let _ = write.answer.send(Err(failure.clone()));
    }
}

#[derive(Default)]
struct Group {
    members: Vec<Member>,
    writes: Vec<Write>,
    scrubs: Vec<oneshot::Sender<Result<bool, Failure>>>,
    closes: Vec<oneshot::Sender<()>>,
}

/// Takes the next group out of `waiting`, oldest first. Members that share a key with one before them
/// stay for the next group; those whose deadline has passed leave without being written.
fn pick(waiting: &mut VecDeque<Work>) -> Group {
    let hasher = RandomState::new();
    let mut taken = HashSet::new();
    let mut group = Group::default();
    let mut later = VecDeque::new();
    while group.members.len() + group.writes.len() < GROUP_MAX
        && let Some(work) = waiting.pop_front()
    {
        match work {
            Work::Close(done) => group.closes.push(done),
            Work::Scrub(done) => group.scrubs.push(done),
            Work::Write(write) => group.writes.push(write),
            Work::Commit(member) => {
                // Equal hashes of different keys only cost a turn.
                let keys: Vec<u64> = plan::exclusive_keys(&member.commit)
                    .map(|key| hasher.hash_one(key))
                    .collect();
                if keys.iter().any(|key| taken.contains(key)) {
                    // Those behind it that share its keys must not overtake it.
                    taken.extend(keys);
                    later.push_back(Work::Commit(member));
                } else if member.begin() {
                    taken.extend(keys);
                    group.members.push(*member);
                } else {
                    let late = Failure::unavailable("the deadline passed before its turn came");
                    let _ = member.answer.send(Err(late));
                }
            }
        }
    }
    later.append(waiting);
    *waiting = later;
    group
}
