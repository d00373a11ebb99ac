//! Every kind of job run again, and two copies of it at once: no second decision, start or entry, and at most one more
//! visible copy of a message.

use crate::support::bot::{CLEO, DEV, PRIYA, QUINN, THEO, TINA, TestBot, hotfix_inputs, run};
use crate::support::database::Engine;
use crate::support::process::posted;
use countersign::store::{Commit, JobFilter, JobRow, NewJob, Store};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MINUTE_MS: u64 = 60_000;
/// Mail and pages go out at least once by design, with a fixed id; nothing else may be left out.
const AT_LEAST_ONCE: [&str; 2] = ["mail_notice", "page"];
const REPEATED: [&str; 12] = [
    "resolve_source",
    "refresh_message",
    "post_message",
    "start_attempt",
    "watch_attempt",
    "stop_attempt",
    "ask_deputy",
    "end_tech_lead_wait",
    "escalate_notice",
    "breach_notice",
    "look_again",
    "close_refusals",
];

#[test]
fn finished_jobs_run_again_and_twice_at_once_on_sqlite() {
    run(Engine::Sqlite, finished_jobs_run_again);
}

#[test]
fn finished_jobs_run_again_and_twice_at_once_on_postgres() {
    run(Engine::Postgres, finished_jobs_run_again);
}

#[test]
fn every_job_runs_twice_at_once_on_sqlite() {
    run(Engine::Sqlite, every_job_runs_twice_at_once);
}

#[test]
fn every_job_runs_twice_at_once_on_postgres() {
    run(Engine::Postgres, every_job_runs_twice_at_once);
}

/// A planned release, with refusals on the way.
async fn planned(bot: &TestBot) {
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.types(DEV, "deploy REL-789").await;
    bot.types(DEV, "deploy REL-789").await;
    bot.clicks_in_dm(PRIYA, "approve").await;
    bot.types(QUINN, "approve REL-789").await;
    bot.becomes("REL-789", "approved").await;
    bot.types(DEV, "deploy REL-789").await;
    bot.becomes("REL-789", "released").await;
}

async fn signs_and_deploys_hotfix(bot: &TestBot) {
    bot.becomes("HOTFIX-1", "asking").await;
    bot.types(TINA, "approve HOTFIX-1").await;
    bot.clicks_in_dm(CLEO, "approve").await;
    bot.becomes("HOTFIX-1", "released").await;
    bot.wait("the notice to be on record", async || {
        bot.release("HOTFIX-1").await.attempts[0].notice.as_ref()?.posted_ms
    })
    .await;
}

/// Both scenarios, and a deployment that is stopped.
async fn scenarios(bot: &TestBot) {
    planned(bot).await;
    bot.asks_for_hotfix(THEO, "v1.4.1").await;
    signs_and_deploys_hotfix(bot).await;

    bot.write("payments/slow", "20");
    bot.plans("REL-790", "v1.4.0").await;
    bot.becomes("REL-790", "asking").await;
    bot.types(PRIYA, "approve REL-790").await;
    bot.types(QUINN, "approve REL-790").await;
    bot.becomes("REL-790", "approved").await;
    bot.types(DEV, "deploy REL-790").await;
    bot.wait("the script", async || (bot.starts("payments").len() == 3).then_some(()))
        .await;
    bot.types(DEV, "stop REL-790").await;
    bot.wait("the stop", async || {
        bot.release("REL-790").await.live_attempt().is_none().then_some(())
    })
    .await;
}

fn store(bot: &TestBot) -> &Store {
    &bot.running().handler.store
}

async fn jobs(store: &Store, states: &[&str]) -> Vec<JobRow> {
    let filter = JobFilter {
        states: states.iter().map(|state| (*state).to_owned()).collect(),
        limit: 100_000,
        ..JobFilter::default()
    };
    store.jobs(&filter).await.unwrap()
}

/// The name in `refresh_message.v1`.
fn kind(job: &JobRow) -> String {
    job.kind.split('.').next().unwrap_or_default().to_owned()
}

fn copy(job: &JobRow, id: String, now_ms: i64) -> NewJob {
    NewJob {
        id,
        kind: job.kind.clone(),
        payload: job.payload.clone(),
        lane: job.lane.clone(),
        // In no order: the copies are to run beside each other.
        order_key: None,
        order: 0,
        coalesce_key: None,
        due_ms: now_ms,
        attempts_max: job.attempts_max,
        subject: job.subject.clone(),
    }
}

async fn queue(store: &Store, jobs: Vec<NewJob>, now_ms: i64) {
    let commit = Commit {
        jobs,
        decided_ms: now_ms,
        ..Commit::default()
    };
    store
        .commit(commit, tokio::time::Instant::now() + Duration::from_secs(10))
        .await
        .unwrap();
}

fn copies(bot: &TestBot) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for (id, _) in posted(&bot.slack) {
        *copies.entry(id).or_default() += 1;
    }
    copies
}

/// Waits until nothing is due any more.
async fn idle(bot: &TestBot) {
    bot.wait("the queue to be done", async || {
        let soon_ms = bot.clock.now_ms() + 1_500;
        let open = jobs(store(bot), &["queued", "running", "dead"]).await;
        assert!(open.iter().all(|job| job.state != "dead"), "{open:#?}");
        open.iter()
            .all(|job| job.state == "queued" && job.due_ms > soon_ms)
            .then_some(())
    })
    .await;
}

async fn finished_jobs_run_again(engine: Engine) {
    let bot = TestBot::start(engine).await;
    scenarios(&bot).await;
    idle(&bot).await;
    // The timers, up to the last one.
    for _ in 0..6 {
        bot.slack.advance(15 * MINUTE_MS).unwrap();
        idle(&bot).await;
    }
    let timers = jobs(store(&bot), &["queued"]).await;
    if let Some(last_ms) = timers.iter().map(|job| job.due_ms).max() {
        let ahead_ms = u64::try_from(last_ms - bot.clock.now_ms()).unwrap_or_default();
        bot.slack.advance(ahead_ms + MINUTE_MS).unwrap();
        idle(&bot).await;
    }
    let finished = jobs(store(&bot), &["done"]).await;
    let kinds: BTreeSet<String> = finished.iter().map(kind).collect();
    let missing: Vec<&str> = REPEATED.into_iter().filter(|kind| !kinds.contains(*kind)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "kinds that no job of these scenarios has");
    let (head, starts) = (store(&bot).head().await.unwrap(), bot.starts("payments"));
    let before = copies(&bot);
    let mut ran = 0;
    for copies_at_once in [1, 2] {
        let now_ms = bot.clock.now_ms();
        let again: Vec<NewJob> = finished
            .iter()
            .filter(|job| !AT_LEAST_ONCE.contains(&kind(job).as_str()))
            .flat_map(|job| {
                (0..copies_at_once).map(move |n| copy(job, format!("again/{copies_at_once}/{n}/{}", job.id), now_ms))
            })
            .collect();
        ran += again.len();
        queue(store(&bot), again, now_ms).await;
        idle(&bot).await;
    }
    let after = store(&bot).head().await.unwrap();
    let news = store(&bot).entries(head.position + 1, 100).await.unwrap();
    assert_eq!(after, head, "new entries: {news:#?}");
    assert_eq!(bot.starts("payments"), starts);
    assert_eq!(copies(&bot), before, "new copies of messages");
    println!(
        "{engine:?}: {ran} repeats of {} jobs: no entry, no start, no message; kinds {kinds:?}",
        finished.len()
    );
    bot.finish().await;
}

/// As soon as a job is due, a copy runs beside it, so that the first runs of all kinds meet each other.
async fn every_job_runs_twice_at_once(engine: Engine) {
    let bot = TestBot::start(engine).await;
    let over = AtomicBool::new(false);
    let doubling = async {
        let mut seen = BTreeSet::new();
        while !over.load(Ordering::SeqCst) {
            let now_ms = bot.clock.now_ms();
            let due = jobs(store(&bot), &["queued", "running", "done"]).await;
            let fresh: Vec<JobRow> = due
                .into_iter()
                .filter(|job| job.due_ms <= now_ms && !job.id.starts_with("beside/") && seen.insert(job.id.clone()))
                .collect();
            let beside = |job: &JobRow| copy(job, format!("beside/{}", job.id), now_ms);
            let beside: Vec<NewJob> = fresh.iter().map(beside).collect();
            if !beside.is_empty() {
                queue(store(&bot), beside, now_ms).await;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        seen.len()
    };
    let acting = async {
        tokio::join!(planned(&bot), async {
            bot.types(THEO, "hotfix ledger v1.4.1").await;
            assert_eq!(bot.submits(THEO, &hotfix_inputs()).await, json!({}));
            signs_and_deploys_hotfix(&bot).await;
        });
        idle(&bot).await;
        over.store(true, Ordering::SeqCst);
    };
    let began = Instant::now();
    let (jobs, ()) = tokio::join!(doubling, acting);
    idle(&bot).await;
    assert_eq!((bot.starts("payments").len(), bot.starts("ledger").len()), (1, 1));
    for key in ["REL-789", "HOTFIX-1"] {
        let entries = store(&bot).entries_of(&format!("release/{key}")).await.unwrap();
        let count = |event: &str| {
            let name = format!("\"{event}.v1\"");
            entries.iter().filter(|entry| entry.bytes.contains(&name)).count()
        };
        assert_eq!(count("SignedOff"), 2, "{key}");
        for event in [
            "SourceResolved",
            "DeploymentRequested",
            "AttemptStarting",
            "AttemptRunning",
            "AttemptEnded",
        ] {
            assert_eq!(count(event), 1, "{key}: {event}");
        }
    }
    let more: BTreeMap<String, usize> = copies(&bot).into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(
        more.values().all(|count| *count == 2),
        "more than one more copy: {more:?}"
    );
    println!(
        "{engine:?}: {jobs} jobs, each with a copy beside it, in {:?}: one effect each; messages with one more visible \
         copy: {more:?}",
        began.elapsed()
    );
    bot.finish().await;
}

#[test]
fn a_backlog_of_stories_does_not_delay_the_question_to_the_cto() {
    run(Engine::Sqlite, async |engine| {
        let bot = TestBot::start(engine).await;
        // Twelve cards and their threads wait for their turns in one channel, a message a second.
        for n in 1..=12 {
            bot.plans(&format!("REL-{n}"), "v1.4.0").await;
        }
        bot.becomes("REL-12", "asking").await;
        bot.types(THEO, "hotfix ledger v1.4.1").await;
        assert_eq!(bot.submits(THEO, &hotfix_inputs()).await, json!({}));
        bot.becomes("HOTFIX-1", "asking").await;
        let asked = Instant::now();
        bot.sees(&bot.slack.dm(CLEO), &["HOTFIX-1"]).await;
        let took = asked.elapsed();
        println!("the CTO was asked {took:?} after the tag was resolved");
        assert!(took < Duration::from_secs(5), "the CTO was asked only after {took:?}");
        bot.judge().await;
    });
}
