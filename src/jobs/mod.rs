//! The workers: each lane claims what is due, runs it and settles it. A job's result that is a decision goes
//! through [`crate::handle`] and settles the job in the same transaction.

mod attempt;
mod beyond_slack;
mod checkpoint;
mod lost;
mod machine;
mod message;
mod retry;
mod run;
pub(crate) mod view;
mod waiting;

pub use checkpoint::Witnesses;
pub use machine::{Machine, ThisMachine};
pub use retry::{Ran, attempts_max};
pub use run::{Deployments, Outside, Script};

use crate::fresh;
use crate::handle::Handler;
use crate::store::{ClaimedJob, Hurry, Settlement};
use domain::job::{Job, Lane};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use waiting::{Heard, Waiting};

/// A worker that dies is replaced after this time.
const LEASE_MS: i64 = 30_000;
const RENEW_EVERY: Duration = Duration::from_secs(8);
/// Polling is the truth; wake-ups are hints.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// A lane that has not asked the queue for this long is stuck.
const GOT_ON_WITHIN: Duration = Duration::from_secs(30);
/// The longest that one run may take; a deployment is followed by many short runs.
const RUN_WITHIN: Duration = Duration::from_mins(1);
/// How long a shutdown waits for what is running.
const DRAIN_WITHIN: Duration = Duration::from_secs(8);
/// How long a job that this version doesn't know is left for the workers of another one, and how soon it is offered again.
const UNKNOWN_KEPT_MS: i64 = 3_600_000;
const UNKNOWN_AGAIN_MS: i64 = 5_000;
/// How often one of the jobs that wait for an answer goes ahead of its backoff.
const SCOUT_EVERY: Duration = Duration::from_secs(2);
/// Kept for the record of what was done; the log keeps what was decided.
const DONE_KEPT_MS: i64 = 7 * 24 * 3_600_000;

fn slots(lane: Lane) -> usize {
    match lane {
        Lane::Deploy | Lane::Clock | Lane::Source => 4,
        // Many of them only wait for a channel's turn, one for each channel; the others go on.
        Lane::Message => 16,
        Lane::Notice | Lane::Mail => 2,
    }
}

/// The workers of one process.
pub struct Workers {
    handler: Handler,
    outside: Arc<Outside>,
    /// Random per process start: a restarted process never takes over its own old leases by name.
    owner: String,
    held: Mutex<HashMap<String, u32>>,
    /// What failed for want of an answer.
    waiting: Mutex<Waiting>,
    /// When each lane last asked the queue and got an answer, or had its hands full.
    got_on: Mutex<BTreeMap<Lane, Instant>>,
}

impl Workers {
    /// Workers that act through `outside`.
    pub fn new(handler: Handler, outside: Arc<Outside>) -> Arc<Self> {
        let owner = format!("worker-{}", fresh::random_hex(8));
        Arc::new(Self {
            handler,
            outside,
            owner,
            held: Mutex::new(HashMap::new()),
            waiting: Mutex::default(),
            got_on: Mutex::default(),
        })
    }

    /// Runs until `stop` says true; then finishes what it holds, or hands it back.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        for lane in Lane::ALL {
            tasks.spawn(Arc::clone(&self).run_lane(lane, stop.clone()));
        }
        let upkeep = tokio::spawn(Arc::clone(&self).keep_up());
        let scouts = tokio::spawn(Arc::clone(&self).send_scouts());
        let _ = stop.wait_for(|stop| *stop).await;
        while tasks.join_next().await.is_some() {}
        upkeep.abort();
        scouts.abort();
        match self.handler.store.requeue_owner(&self.owner).await {
            Ok(0) => {}
            Ok(jobs) => tracing::info!(jobs, "handed back unfinished jobs"),
            Err(error) => {
                tracing::error!(%error, "could not hand back unfinished jobs; their leases end by themselves");
            }
        }
    }

    async fn run_lane(self: Arc<Self>, lane: Lane, mut stop: watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(slots(lane)));
        let mut running = JoinSet::new();
        let mut wake = self.handler.store.wake();
        while !*stop.borrow() {
            let claimed = self.claim(lane, slots.available_permits()).await;
            let found = !claimed.is_empty();
            for job in claimed {
                let Ok(permit) = Arc::clone(&slots).acquire_owned().await else {
                    return;
                };
                let workers = Arc::clone(&self);
                running.spawn(async move {
                    workers.run_one(job).await;
                    drop(permit);
                });
            }
            while running.try_join_next().is_some() {}
            if found && slots.available_permits() > 0 {
                continue;
            }
            tokio::select! {
                () = wake.next(), if slots.available_permits() > 0 => {}
                _ = running.join_next(), if !running.is_empty() => {}
                () = sleep(POLL_EVERY) => {}
                _ = stop.changed() => {}
            }
        }
        let drained = timeout(DRAIN_WITHIN, async { while running.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            running.shutdown().await;
        }
    }

    async fn claim(&self, lane: Lane, free: usize) -> Vec<ClaimedJob> {
        let Ok(limit @ 1..) = u32::try_from(free) else {
            self.gets_on(lane);
            return Vec::new();
        };
        let now_ms = self.handler.clock.now_ms();
        match self
            .handler
            .store
            .claim(lane.key(), &self.owner, limit, now_ms, LEASE_MS)
            .await
        {
            Ok(claimed) => {
                self.gets_on(lane);
                for dead in claimed.dead {
                    tracing::error!(
                        job = dead.id,
                        kind = dead.kind,
                        release = dead.subject,
                        reason = dead.reason,
                        "job {} is dead",
                        dead.id
                    );
                }
                claimed.jobs
            }
            Err(error) => {
                tracing::warn!(%error, lane = lane.key(), "could not claim jobs");
                sleep(POLL_EVERY).await;
                Vec::new()
            }
        }
    }

    fn gets_on(&self, lane: Lane) {
        let mut got_on = self.got_on.lock().unwrap_or_else(PoisonError::into_inner);
        got_on.insert(lane, Instant::now());
    }

    /// Whether every lane got on lately: a process that is there and does nothing must not look well.
    fn all_get_on(&self) -> bool {
        let got_on = self.got_on.lock().unwrap_or_else(PoisonError::into_inner);
        Lane::ALL
            .iter()
            .all(|lane| got_on.get(lane).is_some_and(|at| at.elapsed() < GOT_ON_WITHIN))
    }

    async fn run_one(self: &Arc<Self>, claimed: ClaimedJob) {
        self.hold(&claimed);
        let job: Job = match serde_json::from_str(&claimed.payload) {
            Ok(job) => job,
            Err(error) => {
                let fate = self.fate_of_unknown(&claimed, &error);
                self.settle(&claimed, fate).await;
                self.let_go(&claimed);
                return;
            }
        };
        // In a task of its own: a panic is this job's failure, nobody else's.
        let run = tokio::spawn({
            let (workers, job, claimed) = (Arc::clone(self), job.clone(), claimed.clone());
            async move { run::run(&workers.handler, &workers.outside, &job, &claimed).await }
        });
        let abort = run.abort_handle();
        let ran = match timeout(RUN_WITHIN, run).await {
            Ok(Ok(ran)) => ran,
            Ok(Err(panic)) => Ran::Failed {
                retry_after_ms: None,
                reason: format!("bug: {panic}"),
            },
            Err(_) => {
                abort.abort();
                Ran::Failed {
                    retry_after_ms: None,
                    reason: format!("took longer than {} s", RUN_WITHIN.as_secs()),
                }
            }
        };
        let now_ms = self.handler.clock.now_ms();
        let heard = Heard::of(&ran);
        let jitter = fresh::jitter(1_000);
        if let Some(fate) = retry::fate(&job, &claimed, ran, now_ms, jitter) {
            self.settle(&claimed, fate).await;
        }
        self.let_go(&claimed);
        // Settled first: what still runs can't be hurried.
        let follow = self.waiting().ran(job.lane(), &claimed, heard, now_ms);
        self.hurry(&follow).await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets jobs be due sooner. Best effort: each of them has its own time.
    async fn hurry(&self, jobs: &[Hurry]) {
        if !jobs.is_empty()
            && let Err(error) = self.handler.store.hurry(jobs).await
        {
            tracing::warn!(%error, "jobs that waited for an answer could not be hurried");
        }
    }

    /// During an outage one waiting job after the other is tried ahead of its time; the first that gets through calls the rest.
    async fn send_scouts(self: Arc<Self>) {
        loop {
            sleep(SCOUT_EVERY).await;
            let scout = self.waiting().scout(self.handler.clock.now_ms());
            self.hurry(scout.as_slice()).await;
        }
    }

    /// A job of the next version, while both run side by side, is for its workers; nobody's after a while.
    fn fate_of_unknown(&self, claimed: &ClaimedJob, error: &serde_json::Error) -> crate::store::Fate {
        let (now_ms, reason) = (self.handler.clock.now_ms(), format!("unknown job: {error}"));
        if now_ms - claimed.created_ms > UNKNOWN_KEPT_MS {
            return crate::store::Fate::Dead { reason };
        }
        crate::store::Fate::Again {
            due_ms: now_ms + UNKNOWN_AGAIN_MS,
            reason,
            forgive: true,
        }
    }

    fn let_go(&self, claimed: &ClaimedJob) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&claimed.id);
    }

    fn hold(&self, claimed: &ClaimedJob) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(claimed.id.clone(), claimed.attempt);
    }

    async fn settle(&self, claimed: &ClaimedJob, fate: crate::store::Fate) {
        match &fate {
            crate::store::Fate::Dead { reason } => {
                tracing::error!(
                    job = claimed.id,
                    kind = claimed.kind,
                    release = claimed.subject,
                    reason,
                    "job {} is dead",
                    claimed.id
                );
            }
            crate::store::Fate::Again {
                reason, forgive: false, ..
            } => {
                tracing::warn!(
                    job = claimed.id,
                    kind = claimed.kind,
                    release = claimed.subject,
                    reason,
                    attempt = claimed.attempt,
                    "job {} failed, will be tried again",
                    claimed.id
                );
            }
            _ => {}
        }
        let settlement = settlement(claimed, fate);
        // A result that can't be stored is found again when the lease ends: every kind may run twice.
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            match self.handler.store.settle(&settlement).await {
                Ok(true) => return,
                Ok(false) => {
                    tracing::warn!(job = claimed.id, "job {} was taken over by another worker", claimed.id);
                    self.show_again(claimed).await;
                    return;
                }
                Err(error) => tracing::warn!(%error, job = claimed.id, "could not settle a job, trying again"),
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Whoever slept past its lease may have overwritten in Slack what the worker who took over had shown: it is shown again.
    async fn show_again(&self, claimed: &ClaimedJob) {
        let Ok(Job::RefreshMessage { message }) = serde_json::from_str(&claimed.payload) else {
            return;
        };
        let id = format!("{}/after/{}", claimed.id, claimed.attempt);
        if let Err(error) = self.handler.show_again(&message, id).await {
            tracing::warn!(%error, job = claimed.id, "could not have {message} shown again");
        }
    }

    /// Renews leases, beats, and throws away what nobody needs any more.
    async fn keep_up(self: Arc<Self>) {
        let mut last_purge = Instant::now();
        loop {
            let gets_on = self.renew_and_beat().await;
            if last_purge.elapsed() > Duration::from_mins(1) {
                last_purge = Instant::now();
                self.purge().await;
            }
            let pause = if gets_on { RENEW_EVERY } else { POLL_EVERY };
            sleep(pause).await;
        }
    }

    /// Whether all lanes get on.
    async fn renew_and_beat(&self) -> bool {
        let mut held: Vec<(String, u32)> = {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.iter().map(|(id, attempt)| (id.clone(), *attempt)).collect()
        };
        held.sort();
        let now_ms = self.handler.clock.now_ms();
        if !held.is_empty()
            && let Err(error) = self
                .handler
                .store
                .renew(&self.owner, &borrowed(&held), now_ms, LEASE_MS)
                .await
        {
            tracing::warn!(%error, "could not renew leases");
        }
        let host = self.outside.deployments.host();
        let gets_on = self.all_get_on();
        if let Err(error) = self.handler.store.beat(&self.owner, host, now_ms, gets_on).await {
            tracing::warn!(%error, "could not beat");
        }
        gets_on
    }

    async fn purge(&self) {
        let now_ms = self.handler.clock.now_ms();
        if let Err(error) = self.handler.store.purge(now_ms - DONE_KEPT_MS).await {
            tracing::warn!(%error, "could not purge");
        }
    }
}

/// What the loops above do, one turn at a time: the simulation decides who gets the next turn.
#[cfg(feature = "simulation")]
impl Workers {
    /// Claims up to `limit` jobs of a lane.
    pub async fn claim_turn(&self, lane: Lane, limit: usize) -> Vec<ClaimedJob> {
        self.claim(lane, limit).await
    }

    /// Runs and settles a claimed job.
    pub async fn run_turn(self: &Arc<Self>, claimed: ClaimedJob) {
        self.run_one(claimed).await;
    }

    /// Renews leases, beats, and purges.
    pub async fn upkeep_turn(&self) {
        self.renew_and_beat().await;
        self.purge().await;
    }

    /// Hands back what is held, as at the end of a process that was told to end.
    pub async fn hand_back(&self) {
        let _ = self.handler.store.requeue_owner(&self.owner).await;
    }
}

fn borrowed(held: &[(String, u32)]) -> Vec<(&str, u32)> {
    held.iter().map(|(id, attempt)| (id.as_str(), *attempt)).collect()
}

/// The settlement of a claim.
fn settlement(claimed: &ClaimedJob, fate: crate::store::Fate) -> Settlement {
    Settlement {
        job: claimed.id.clone(),
        owner: claimed.owner.clone(),
        attempt: claimed.attempt,
        fate,
    }
}
