//! The store's third engine, for the simulation: tables in memory behind the same statements and the same group commit.
//! Each replica reaches them over a line of its own, which may be slow, cut, or dead with the replica.

mod statements;
mod tables;

use super::Commit;
use super::error::{Failure, Kind};
use super::group::Written;
use super::plan;
use super::sql::{AnyRow, Param};
use crate::handle::facts::BoxFuture;
use domain::log_entry;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tables::Tables;

/// How a call fares on one leg of its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It gets through.
    Free,
    /// The connection is cut: on the way there nothing happens; on the way back nobody learns what did.
    Cut,
}

/// A replica's way to the database. A leg that never ends is that of a replica that died on it.
pub trait Line: Send + Sync {
    /// Before the database sees the call, which is a statement's name or `commit`.
    fn there(&self, call: &'static str) -> BoxFuture<'_, Passage>;
    /// After the database is done with it.
    fn back(&self, call: &'static str) -> BoxFuture<'_, Passage>;
}

/// A database in memory. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

struct Shared {
    log: String,
    tables: Mutex<Tables>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({})", self.0.log)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty database with a log id of its own.
    pub fn new() -> Self {
        let log = crate::fresh::random_hex(16);
        let tables = Mutex::new(Tables::new(&log));
        Self(Arc::new(Shared { log, tables }))
    }

    /// The database's random id.
    pub fn log_id(&self) -> &str {
        &self.0.log
    }

    pub(super) fn door(&self, line: Arc<dyn Line>) -> Door {
        Door {
            memory: self.clone(),
            line,
        }
    }

    /// The rows of a table, by its columns' names: a look behind the store's back.
    pub fn rows(&self, table: &str) -> Vec<Map<String, Value>> {
        self.lock().rows(table)
    }

    /// Puts rows in place of those with the same key, behind the store's back.
    pub fn put(&self, table: &str, rows: Vec<Map<String, Value>>) {
        self.lock().put(table, rows);
    }

    /// How many entries the log has.
    pub fn position(&self) -> u64 {
        self.lock().head.position
    }

    /// The entries after a position.
    pub fn entries_after(&self, position: u64) -> Vec<log_entry::Sealed> {
        let tables = self.lock();
        let first = usize::try_from(position).unwrap_or(usize::MAX).min(tables.log.len());
        tables.log[first..].to_vec()
    }

    /// The payloads of all jobs about a release, whatever became of them.
    pub fn payloads_about(&self, subject: &str) -> Vec<String> {
        let tables = self.lock();
        let about = tables.jobs.values().filter(|job| job.subject == subject);
        about.map(|job| job.payload.clone()).collect()
    }

    /// How many results were taken from workers that did not hold the job.
    pub fn stale_results(&self) -> u64 {
        self.lock().stale_results
    }

    /// Every job with its attempt, and whether it is over.
    pub fn job_fences(&self) -> Vec<(String, i64, bool)> {
        let tables = self.lock();
        let over = |job: &tables::Job| !matches!(job.state.as_str(), "queued" | "running");
        let jobs = tables.jobs.values();
        jobs.map(|job| (job.id.clone(), job.attempt, over(job))).collect()
    }

    /// Whether a job of a lane is due or runs.
    pub fn has_work(&self, lane: &str, now_ms: i64) -> bool {
        let tables = self.lock();
        let is_work = |job: &tables::Job| job.lane == lane && (job.state == "running" || job.due_ms <= now_ms);
        tables.open().any(is_work)
    }

    /// When the next job after `now_ms` is due, or its lease ends.
    pub fn next_due_ms(&self, now_ms: i64) -> Option<i64> {
        let tables = self.lock();
        let due_ms = |job: &tables::Job| match job.state.as_str() {
            "running" => job.lease_until_ms,
            _ => job.due_ms,
        };
        tables.open().map(due_ms).filter(|due_ms| *due_ms > now_ms).min()
    }

    /// Whether every job is over.
    pub fn is_done(&self) -> bool {
        self.lock().open_jobs.is_empty()
    }

    /// The state row of a stream: its version and state.
    pub fn state(&self, stream: &str) -> Option<(u64, String)> {
        let tables = self.lock();
        let row = tables.streams.get(stream)?;
        Some((row.version, row.state.clone()))
    }

    /// The tables are whole after every statement, so a panic elsewhere does not spoil them.
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One replica's end of a line.
#[derive(Clone)]
pub(super) struct Door {
    memory: Memory,
    line: Arc<dyn Line>,
}

impl Door {
    pub(super) fn log(&self) -> &str {
        &self.memory.0.log
    }

    pub(super) async fn read(&self, name: &'static str, params: &[Param]) -> Result<Vec<AnyRow>, Failure> {
        self.reach(name).await?;
        let rows = self.memory.lock().read(name, params)?;
        match self.line.back(name).await {
            Passage::Free => Ok(rows.into_iter().map(AnyRow::Memory).collect()),
            Passage::Cut => Err(Failure::unavailable("the connection broke")),
        }
    }

    pub(super) async fn change(&self, name: &'static str, params: &[Param]) -> Result<Vec<AnyRow>, Failure> {
        self.reach(name).await?;
        let rows = self.memory.lock().change(name, params)?;
        self.return_from(name).await?;
        Ok(rows.into_iter().map(AnyRow::Memory).collect())
    }

    /// Writes one group in one transaction.
    pub(super) async fn write(&self, commits: &[&Commit], now_ms: i64) -> Result<Written, Failure> {
        self.reach("commit").await?;
        let written = self.commit(commits, now_ms)?;
        self.return_from("commit").await?;
        Ok(written)
    }

    fn commit(&self, commits: &[&Commit], now_ms: i64) -> Result<Written, Failure> {
        let mut tables = self.memory.lock();
        let mut snapshot = tables.snapshot(&plan::wanted(commits));
        let head = tables.head.clone();
        let (verdicts, plan) = plan::resolve(commits, &mut snapshot);
        let (sealed, new_head) =
            log_entry::seal(&head, &plan.drafts, now_ms).map_err(|why| Failure::broken(why.to_string()))?;
        tables.apply(commits, &plan, sealed, new_head)?;
        Ok(Written {
            outcomes: plan::outcomes(verdicts, head.position),
            rows: Vec::new(),
            wakes: plan.wakes,
        })
    }

    async fn reach(&self, call: &'static str) -> Result<(), Failure> {
        match self.line.there(call).await {
            Passage::Free => Ok(()),
            Passage::Cut => Err(Failure::unavailable("the database can't be reached")),
        }
    }

    async fn return_from(&self, call: &'static str) -> Result<(), Failure> {
        match self.line.back(call).await {
            Passage::Free => Ok(()),
            Passage::Cut => Err(Failure {
                kind: Kind::Unknown,
                why: "the connection broke".to_owned(),
            }),
        }
    }
}

pub(super) fn text(row: &[Param], index: usize) -> Result<String, Failure> {
    match row.get(index) {
        Some(Param::Text(text)) => Ok(text.clone()),
        other => Err(Failure::broken(format!("column {index} is no text: {other:?}"))),
    }
}

pub(super) fn int(row: &[Param], index: usize) -> Result<i64, Failure> {
    match row.get(index) {
        Some(Param::Int(int)) => Ok(*int),
        other => Err(Failure::broken(format!("column {index} is no integer: {other:?}"))),
    }
}
