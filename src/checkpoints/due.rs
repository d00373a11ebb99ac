//! When a checkpoint is due, and its jobs: an hour after the last one, a day after the last mail, or when a deployment has
//! ended; never without a new entry. Whoever looks queues it under the same id, so that replicas make it once.

use crate::handle::Handler;
use crate::store::{Commit, JobFilter, NewJob, Store};
use anyhow::Context as _;
use domain::ids::{DAY_MS, HOUR_MS};
use domain::job::{CheckpointPlace, Job};
use domain::log_entry::Head;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How often the end of the log is looked at: one row.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The subject of these jobs, where those of a release name it.
const SUBJECT: &str = "audit";
/// More jobs than a week of checkpoints has.
const JOBS_MAX: u32 = 10_000;
const ENTRIES_AT_ONCE: u32 = 1_000;
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// Entries after which nothing is left to be told about a deployment.
const ENDS: [&str; 2] = ["AttemptEnded.v1", "AttemptSettled.v1"];

/// The last checkpoint of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    position: u64,
    at_ms: i64,
}

/// What one process knows of the log's end and of the checkpoints that were queued.
pub struct Watch {
    places: Vec<CheckpointPlace>,
    made: BTreeMap<CheckpointPlace, Made>,
    /// Entries up to here were looked at for the end of a deployment.
    looked: u64,
    /// The last such entry.
    ended: u64,
    /// Whether the jobs of earlier processes were read.
    begun: bool,
}

impl Watch {
    /// A watch for these places.
    pub fn new(places: Vec<CheckpointPlace>) -> Self {
        Self {
            places,
            made: BTreeMap::new(),
            looked: 0,
            ended: 0,
            begun: false,
        }
    }

    /// Queues what is due; how many jobs that were.
    ///
    /// # Errors
    /// When the database can't be read or written; the next look makes up for it.
    pub async fn look(&mut self, handler: &Handler) -> anyhow::Result<usize> {
        if !self.begun {
            self.read_made(handler).await?;
            self.begun = true;
        }
        let head = handler.store.head().await?;
        if head.position < self.looked {
            // The database went back under this process: what it knows is of another history.
            *self = Self::new(std::mem::take(&mut self.places));
            self.read_made(handler).await?;
            self.begun = true;
        }
        self.look_for_ends(handler, &head).await?;
        let now_ms = handler.clock.now_ms();
        if self.due(&head, now_ms).is_empty() {
            return Ok(0);
        }
        // Another replica may have been faster.
        self.read_made(handler).await?;
        let due = self.due(&head, now_ms);
        if due.is_empty() {
            return Ok(0);
        }
        let jobs: anyhow::Result<Vec<NewJob>> = due.iter().map(|place| job(*place, head.position, now_ms)).collect();
        let commit = Commit {
            jobs: jobs?,
            decided_ms: now_ms,
            ..Commit::default()
        };
        handler.store.commit(commit, Instant::now() + COMMIT_WITHIN).await?;
        let made = Made {
            position: head.position,
            at_ms: now_ms,
        };
        self.made.extend(due.iter().map(|place| (*place, made)));
        Ok(due.len())
    }

    fn due(&self, head: &Head, now_ms: i64) -> Vec<CheckpointPlace> {
        let is_due = |place: &&CheckpointPlace| {
            let Some(made) = self.made.get(*place) else {
                return head.position > 0;
            };
            let (every_ms, at_ends) = match place {
                CheckpointPlace::File | CheckpointPlace::Channel => (HOUR_MS, true),
                CheckpointPlace::Witnesses => (DAY_MS, false),
            };
            let waits_for = head.position > made.position;
            waits_for && (now_ms - made.at_ms >= every_ms || (at_ends && self.ended > made.position))
        };
        self.places.iter().filter(is_due).copied().collect()
    }

    /// The jobs of these places, finished ones included, as long as the queue keeps them.
    async fn read_made(&mut self, handler: &Handler) -> anyhow::Result<()> {
        for (place, made) in made(&handler.store, &["queued", "running", "done", "dead", "dropped"]).await? {
            let last = self.made.entry(place).or_insert(made);
            if made.position > last.position {
                *last = made;
            }
        }
        Ok(())
    }

    async fn look_for_ends(&mut self, handler: &Handler, head: &Head) -> anyhow::Result<()> {
        if !self.begun || self.looked == 0 {
            // What came before the last checkpoint is in it; without one, one is due anyway.
            let last = self.made.values().map(|made| made.position).min();
            self.looked = last.unwrap_or(head.position);
        }
        while self.looked < head.position {
            let page = handler.store.entries(self.looked + 1, ENTRIES_AT_ONCE).await?;
            let Some(last) = page.last() else { break };
            self.looked = last.position;
            let is_end = |bytes: &str| {
                let entry: Option<serde_json::Value> = serde_json::from_str(bytes).ok();
                let name = entry.as_ref().and_then(|entry| entry["event"]["name"].as_str());
                name.is_some_and(|name| ENDS.contains(&name))
            };
            let end = page.iter().rev().find(|sealed| is_end(&sealed.bytes));
            self.ended = end.map_or(self.ended, |sealed| sealed.position);
        }
        Ok(())
    }
}

/// Whether this log's database knows that a checkpoint was brought to `place`, as long as its queue keeps that.
///
/// # Errors
/// When the database can't be read.
pub async fn was_made(store: &Store, place: CheckpointPlace) -> anyhow::Result<bool> {
    Ok(made(store, &["done"])
        .await?
        .iter()
        .any(|(made_at, _)| *made_at == place))
}

async fn made(store: &Store, states: &[&str]) -> anyhow::Result<Vec<(CheckpointPlace, Made)>> {
    let filter = JobFilter {
        states: states.iter().map(|state| (*state).to_owned()).collect(),
        subject: Some(SUBJECT.to_owned()),
        limit: JOBS_MAX,
        ..JobFilter::default()
    };
    let rows = store.jobs(&filter).await?;
    let made = rows.iter().filter_map(|row| match serde_json::from_str(&row.payload) {
        Ok(Job::Checkpoint { place, position }) => Some((
            place,
            Made {
                position,
                at_ms: row.created_ms,
            },
        )),
        _ => None,
    });
    Ok(made.collect())
}

fn job(place: CheckpointPlace, position: u64, now_ms: i64) -> anyhow::Result<NewJob> {
    let job = Job::Checkpoint { place, position };
    let payload = serde_json::to_string(&job).context("a job")?;
    Ok(NewJob {
        id: format!("checkpoint/{}/{position}", place.key()),
        kind: "checkpoint.v1".to_owned(),
        payload,
        lane: job.lane().key().to_owned(),
        // One after another, so that a file's checkpoints rise.
        order_key: Some(format!("checkpoint/{}", place.key())),
        order: i64::try_from(position).unwrap_or(i64::MAX),
        coalesce_key: None,
        due_ms: now_ms,
        attempts_max: crate::jobs::attempts_max(&job),
        subject: SUBJECT.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000 * DAY_MS;

    fn check(made: Option<(u64, i64)>, ended: u64, head: u64, expected: &[CheckpointPlace]) {
        let places = vec![
            CheckpointPlace::File,
            CheckpointPlace::Channel,
            CheckpointPlace::Witnesses,
        ];
        let mut watch = Watch::new(places.clone());
        watch.ended = ended;
        if let Some((position, ago_ms)) = made {
            let at_ms = NOW_MS - ago_ms;
            watch.made = places.iter().map(|place| (*place, Made { position, at_ms })).collect();
        }
        let head = Head {
            position: head,
            ..Head::genesis("log-1")
        };
        assert_eq!(
            watch.due(&head, NOW_MS),
            expected,
            "{made:?}, ended at {ended}, {head:?}"
        );
    }

    #[test]
    fn a_checkpoint_is_due_by_the_hour_by_the_day_and_when_a_deployment_ends() {
        use CheckpointPlace::{Channel, File, Witnesses};
        check(None, 0, 0, &[]);
        check(None, 0, 1, &[File, Channel, Witnesses]);
        check(Some((5, HOUR_MS - 1)), 0, 9, &[]);
        check(Some((5, HOUR_MS)), 0, 9, &[File, Channel]);
        check(Some((5, DAY_MS)), 0, 9, &[File, Channel, Witnesses]);
        // Nothing was logged since: nothing to tell.
        check(Some((9, 30 * DAY_MS)), 9, 9, &[]);
        check(Some((5, 1)), 5, 9, &[]);
        check(Some((5, 1)), 6, 9, &[File, Channel]);
    }
}
