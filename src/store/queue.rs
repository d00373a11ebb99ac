//! The queue is a table: jobs arrive with commits, are claimed with a lease, and end by a settlement that
//! the owner and the attempt must still hold. Every write here is one compare-and-set.

use super::error::Failure;
use super::reads::decoded;
use super::sql::{AnyRow, json, sql};
use super::{ClaimedJob, Commit, JobRow, Outcome, Settlement, Store, StoreError};
use domain::sabotage::Guard;

/// Replies are kept a little longer than Slack repeats a request or its signature stays valid.
const REPLIES_KEPT_MS: i64 = 15 * 60 * 1_000;
/// Rows that one purge takes from one table, so that it never blocks a commit for long.
const PURGE_MAX: u32 = 500;

/// What a claim has brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// To be run now, oldest first.
    pub jobs: Vec<ClaimedJob>,
    /// Found with all attempts used up, mostly by workers that died: dead from now on, for an alert.
    pub dead: Vec<JobRow>,
}

/// A queued job that may be due sooner, as it was after this attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hurry {
    /// Its id.
    pub job: String,
    /// The attempt after which it waits.
    pub attempt: u32,
    /// When it may be tried instead, UTC milliseconds.
    pub due_ms: i64,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In one of these states; if there are none, queued, running or dead.
    pub states: Vec<String>,
    /// In this lane.
    pub lane: Option<String>,
    /// About this release.
    pub subject: Option<String>,
    /// At most so many, the earliest due first.
    pub limit: u32,
}

/// Unfinished jobs of one lane in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCount {
    /// See [`super::NewJob::lane`].
    pub lane: String,
    /// `queued`, `running` or `dead`.
    pub state: String,
    /// How many.
    pub count: u64,
    /// When the earliest of them was or is due, UTC milliseconds.
    pub oldest_due_ms: i64,
}

/// What a purge has removed. Full batches mean that there may be more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Done and dropped jobs.
    pub jobs: u64,
    /// Saved replies.
    pub requests: u64,
}

impl Purged {
    /// Whether another purge would find something right away.
    pub fn may_be_more(&self) -> bool {
        self.jobs.max(self.requests) >= u64::from(PURGE_MAX)
    }
}

fn claimed_job(row: &AnyRow) -> Result<ClaimedJob, Failure> {
    Ok(ClaimedJob {
        id: row.text(0)?,
        kind: row.text(1)?,
        payload: row.text(2)?,
        subject: row.text(4)?,
        attempt: row.small(6)?,
        forgiven: row.small(7)?,
        attempts_max: row.small(8)?,
        due_ms: row.int(9)?,
        created_ms: row.int(10)?,
        owner: row.text(12)?,
    })
}

fn job_row(row: &AnyRow) -> Result<JobRow, Failure> {
    Ok(JobRow {
        id: row.text(0)?,
        kind: row.text(1)?,
        payload: row.text(2)?,
        lane: row.text(3)?,
        subject: row.text(4)?,
        state: row.text(5)?,
        attempt: row.small(6)?,
        forgiven: row.small(7)?,
        attempts_max: row.small(8)?,
        due_ms: row.int(9)?,
        created_ms: row.int(10)?,
        reason: row.text(11)?,
    })
}

impl Store {
    /// Takes up to `limit` jobs of a lane that are due, or whose worker has let its lease end. Of jobs
    /// with one order key only the oldest unfinished is taken; dead and dropped ones hold nobody up.
    pub async fn claim(
        &self,
        lane: &str,
        owner: &str,
        limit: u32,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Claimed, StoreError> {
        // A running job whose lease has ended goes first and whatever its order: it is the one that its
        // successors wait for.
        let sql = sql!(
            claim: "WITH ready AS MATERIALIZED (
                 SELECT id FROM (SELECT id FROM job WHERE state = 'running' AND lane = $1 AND lease_until_ms <= $4
                     ORDER BY lease_until_ms LIMIT $3" lock ") lost
                 UNION ALL
                 SELECT id FROM (SELECT id FROM job WHERE state = 'queued' AND lane = $1 AND due_ms <= $4
                     AND (order_key IS NULL OR NOT EXISTS (
                         SELECT 1 FROM job older WHERE older.order_key = job.order_key AND older.order_key IS NOT NULL
                         AND older.state IN ('queued', 'running') AND older.id <> job.id
                         AND (older.state = 'running'
                             OR (older.order_position, older.id) < (job.order_position, job.id))))
                     ORDER BY due_ms, id LIMIT $3" lock ") due
                 LIMIT $3)
             UPDATE job SET
                 state = CASE WHEN attempt - forgiven >= attempts_max THEN 'dead' ELSE 'running' END,
                 reason = CASE WHEN attempt - forgiven >= attempts_max AND state = 'running'
                     THEN 'lost too often' ELSE reason END,
                 finished_ms = CASE WHEN attempt - forgiven >= attempts_max THEN $4 ELSE 0 END,
                 lease_until_ms = CASE WHEN attempt - forgiven >= attempts_max THEN 0 ELSE $5 END,
                 attempt = CASE WHEN attempt - forgiven >= attempts_max THEN attempt ELSE attempt + 1 END,
                 owner = $2
             WHERE id IN (SELECT id FROM ready)
             RETURNING id, kind, payload, lane, subject, state, attempt, forgiven, attempts_max, due_ms,
                 created_ms, reason, owner"
        )
        .guarded(
            Guard::RescueState,
            "state = 'running' AND lane = $1 AND lease",
            "lane = $1 AND lease",
        );
        let params = vec![
            lane.into(),
            owner.into(),
            limit.into(),
            now_ms.into(),
            now_ms.saturating_add(lease_ms).into(),
        ];
        let mut claimed = Claimed::default();
        for row in self.change(sql, params).await? {
            if row.text(5)? == "dead" {
                claimed.dead.push(job_row(&row)?);
            } else {
                claimed.jobs.push(claimed_job(&row)?);
            }
        }
        claimed.jobs.sort_by(|a, b| (a.due_ms, &a.id).cmp(&(b.due_ms, &b.id)));
        Ok(claimed)
    }

    /// Extends the leases of jobs, given with their attempts, and returns the ids that are still held.
    pub async fn renew(
        &self,
        owner: &str,
        jobs: &[(&str, u32)],
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Vec<String>, StoreError> {
        let sql = sql!(
            renew: "UPDATE job SET lease_until_ms = $3 FROM" rows("$2")
            "WHERE job.id =" text(0) "AND job.attempt =" int(1) "AND job.owner = $1 AND job.state = 'running'
             RETURNING job.id"
        );
        let mut jobs = jobs.to_vec();
        jobs.sort_unstable();
        let until_ms = now_ms.saturating_add(lease_ms);
        let rows = self
            .change(sql, vec![owner.into(), json(&jobs), until_ms.into()])
            .await?;
        decoded(&rows, |row| row.text(0))
    }

    /// Lets queued jobs be due sooner, never later, unless somebody has tried them since. The try that this brings forward is
    /// none of those that the job has.
    pub async fn hurry(&self, jobs: &[Hurry]) -> Result<u64, StoreError> {
        let sql = sql!(
            hurry: "UPDATE job SET due_ms = " int(2) ", forgiven = forgiven + 1 FROM" rows("$1")
            "WHERE job.id =" text(0) "AND job.attempt =" int(1) "AND job.state = 'queued' AND job.due_ms >" int(2)
            "RETURNING job.id"
        );
        let mut rows: Vec<(&str, u32, i64)> = jobs
            .iter()
            .map(|hurry| (hurry.job.as_str(), hurry.attempt, hurry.due_ms))
            .collect();
        rows.sort_unstable();
        let hurried = self.change(sql, vec![json(&rows)]).await?.len() as u64;
        self.wake_workers();
        Ok(hurried)
    }

    /// Ends a claimed job this time; false if it was lost and nothing was written.
    pub async fn settle(&self, settlement: &Settlement) -> Result<bool, StoreError> {
        let commit = Commit {
            settles: Some(settlement.clone()),
            decided_ms: self.now_ms(),
            ..Commit::default()
        };
        let outcome = self.commit(commit, Self::call_deadline()).await?;
        Ok(matches!(outcome, Outcome::Committed { .. }))
    }

    /// Hands everything back that `owner` holds, attempts included: a worker that stops in good order.
    pub async fn requeue_owner(&self, owner: &str) -> Result<u64, StoreError> {
        let sql = sql!(
            requeue_owner: "UPDATE job SET state = 'queued', forgiven = forgiven + 1, lease_until_ms = 0, owner = ''
             WHERE state = 'running' AND owner = $1 RETURNING id"
        );
        let handed_back = self.change(sql, vec![owner.into()]).await?.len() as u64;
        self.wake_workers();
        Ok(handed_back)
    }

    /// Ends every lease, so that what a killed process held is taken at once. Only for who knows that no other process lives:
    /// the holder of a SQLite file's lock.
    pub async fn end_leases(&self) -> Result<u64, StoreError> {
        let sql = sql!(end_leases: "UPDATE job SET lease_until_ms = 0 WHERE state = 'running' RETURNING id");
        Ok(self.change(sql, vec![]).await?.len() as u64)
    }

    /// Jobs for people to look at.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRow>, StoreError> {
        let sql = sql!(
            jobs: "SELECT id, kind, payload, lane, subject, state, attempt, forgiven, attempts_max, due_ms, created_ms,
                 reason FROM job
             WHERE state" any("$1") " AND ($2 = '' OR lane = $2) AND ($3 = '' OR subject = $3)
             ORDER BY due_ms, id LIMIT $4"
        );
        let states = match filter.states.as_slice() {
            [] => json(&["queued", "running", "dead"]),
            states => json(states),
        };
        let params = vec![
            states,
            filter.lane.as_deref().unwrap_or_default().into(),
            filter.subject.as_deref().unwrap_or_default().into(),
            filter.limit.into(),
        ];
        decoded(&self.read(sql, params).await?, job_row)
    }

    /// Dead jobs about one release, or all.
    pub async fn dead_jobs(&self, subject: Option<&str>) -> Result<Vec<JobRow>, StoreError> {
        let sql = sql!(
            dead_jobs: "SELECT id, kind, payload, lane, subject, state, attempt, forgiven, attempts_max, due_ms, created_ms,
                 reason FROM job WHERE state = 'dead' AND ($1 = '' OR subject = $1) ORDER BY due_ms, id LIMIT 1000"
        );
        decoded(
            &self.read(sql, vec![subject.unwrap_or_default().into()]).await?,
            job_row,
        )
    }

    /// Queues a dead job again with all its attempts; false if it isn't dead.
    pub async fn retry_job(&self, id: &str) -> Result<bool, StoreError> {
        let sql = sql!(
            retry_job: "UPDATE job SET state = 'queued', forgiven = attempt, due_ms = $2, finished_ms = 0
             WHERE id = $1 AND state = 'dead' RETURNING id"
        );
        let retried = !self
            .change(sql, vec![id.into(), self.now_ms().into()])
            .await?
            .is_empty();
        self.wake_workers();
        Ok(retried)
    }

    /// Gives a dead job up for good; false if it isn't dead: what still runs or waits may be a notice's clock or a
    /// deployment's watcher.
    pub async fn drop_job(&self, id: &str) -> Result<bool, StoreError> {
        let sql = sql!(
            drop_job: "UPDATE job SET state = 'dropped', finished_ms = $2
             WHERE id = $1 AND state = 'dead' RETURNING id"
        );
        let dropped = !self
            .change(sql, vec![id.into(), self.now_ms().into()])
            .await?
            .is_empty();
        // It may have held up others.
        self.wake_workers();
        Ok(dropped)
    }

    /// How many jobs wait, run and are dead, by lane.
    pub async fn job_counts(&self) -> Result<Vec<JobCount>, StoreError> {
        let sql = sql!(
            job_counts: "SELECT lane, 'queued', count(*), min(due_ms) FROM job WHERE state = 'queued' GROUP BY lane
             UNION ALL SELECT lane, 'running', count(*), min(due_ms) FROM job WHERE state = 'running' GROUP BY lane
             UNION ALL SELECT lane, 'dead', count(*), min(due_ms) FROM job WHERE state = 'dead' GROUP BY lane
             ORDER BY 1, 2"
        );
        decoded(&self.read(sql, vec![]).await?, |row| {
            Ok(JobCount {
                lane: row.text(0)?,
                state: row.text(1)?,
                count: row.count(2)?,
                oldest_due_ms: row.int(3)?,
            })
        })
    }

    /// Removes a batch of jobs that were done or dropped before `before_ms`, of replies that nobody can
    /// ask for again, and of heartbeats and empty windows from before `before_ms`.
    pub async fn purge(&self, before_ms: i64) -> Result<Purged, StoreError> {
        let jobs = sql!(
            purge_jobs: "WITH old AS MATERIALIZED (SELECT id FROM job WHERE state IN ('done', 'dropped') AND finished_ms < $1
                 ORDER BY finished_ms LIMIT $2" lock ")
             DELETE FROM job WHERE id IN (SELECT id FROM old) RETURNING id"
        );
        let requests = sql!(
            purge_requests: "WITH old AS MATERIALIZED (SELECT id FROM request WHERE answered_ms < $1
                 ORDER BY answered_ms LIMIT $2" lock ")
             DELETE FROM request WHERE id IN (SELECT id FROM old) RETURNING id"
        );
        let beats = sql!(purge_beats: "DELETE FROM heartbeat WHERE beat_ms < $1 RETURNING owner");
        let windows = sql!(
            purge_windows: "WITH old AS MATERIALIZED (SELECT key FROM repeat WHERE opened_ms < $1 AND count = 0 LIMIT $2" lock ")
             DELETE FROM repeat WHERE key IN (SELECT key FROM old) RETURNING key"
        );
        let replies_before_ms = self.now_ms() - REPLIES_KEPT_MS;
        let purged = Purged {
            jobs: self.change(jobs, vec![before_ms.into(), PURGE_MAX.into()]).await?.len() as u64,
            requests: self
                .change(requests, vec![replies_before_ms.into(), PURGE_MAX.into()])
                .await?
                .len() as u64,
        };
        self.change(beats, vec![before_ms.into()]).await?;
        self.change(windows, vec![before_ms.into(), PURGE_MAX.into()]).await?;
        Ok(purged)
    }
}
