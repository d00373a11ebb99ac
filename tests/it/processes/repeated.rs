//! Every kind of job run again, and two copies of it at once: no second decision, start or entry, and at most one more
//! visible copy of a message.

use crate::adapters::fake::{Answer, Fake};
use crate::support::bot::{CLEO, DEV, PRIYA, QUINN, RITA, THEO, TINA, TestBot, hotfix_inputs, run};
use crate::support::database::Engine;
use crate::support::process::posted;
use crate::support::smtp::{self, Mood, TEAMS};
use countersign::store::{Commit, JobFilter, JobRow, NewJob, Store};
use domain::job::{Job, MessageId};
use playground::Fault;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MINUTE_MS: u64 = 60_000;

/// The names of an enum's variants. The match is exhaustive: a kind that is added there doesn't compile here, and one that is
/// added here must have been run again.
macro_rules! kinds {
    ($names:ident, $name:ident($of:ident): $($variant:ident)*) => {
        const $names: &[&str] = &[$(stringify!($variant)),*];

        fn $name(it: &$of) -> &'static str {
            match it {
                $($of::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}

kinds! { JOBS, job_name(Job):
    ResolveSource RefreshMessage PostMessage StartAttempt WatchAttempt StopAttempt AskDeputy EndTechLeadWait EscalateNotice
    BreachNotice MailNotice Page LookAgain Checkpoint CloseRefusals
}

kinds! { MESSAGES, message_name(MessageId): Card Question Story Rejection Notice Outcome Breach }

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
    bot.types(QUINN, "reject REL-789 \"the login test is red\"").await;
    bot.becomes("REL-789", "rejected").await;
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

/// A planned release, a deployment that is stopped, one whose host is lost, and a hotfix whose notice comes too late.
async fn scenarios(bot: &TestBot) {
    planned(bot).await;
    bot.approved("REL-790").await;
    bot.deploys_for_long("REL-790").await;
    bot.types(DEV, "stop REL-790").await;
    bot.becomes("REL-790", "approved").await;
    bot.deploys_for_long("REL-790").await;
    bot.loses_the_host("REL-790", 2).await;
    bot.becomes("REL-790", "interrupted").await;
    bot.clicks_on_card(DEV, "REL-790", "settle_failed").await;
    bot.clicks_on_card(RITA, "REL-790", "settle_failed").await;
    bot.becomes("REL-790", "approved").await;
    breach(bot, "HOTFIX-1").await;
    slack_is_back(bot, "HOTFIX-1").await;
}

/// A hotfix of ledger whose notice Slack does not take until the hour is over.
async fn breach(bot: &TestBot, key: &str) {
    bot.types(THEO, "hotfix ledger v1.4.1").await;
    assert_eq!(bot.submits(THEO, &hotfix_inputs()).await, json!({}));
    bot.becomes(key, "asking").await;
    bot.types(TINA, &format!("approve {key}")).await;
    bot.slack.fault("chat.postMessage", Fault::Unavailable, 100_000);
    bot.types(CLEO, &format!("approve {key}")).await;
    bot.becomes(key, "released").await;
    for (minutes, steps) in [(5, 1), (10, 2), (30, 3)] {
        bot.slack.advance(minutes * MINUTE_MS).unwrap();
        bot.wait(&format!("{steps} steps, and all that they set off"), async || {
            let taken = bot.count(key, "NoticeEscalated").await >= steps;
            // Moving the clock on would end the leases of what still runs.
            let open = jobs(store(bot), &["queued", "running"]).await;
            let set_off = |job: &JobRow| ["mail_notice", "page"].contains(&kind(job).as_str());
            (taken && !open.iter().any(set_off)).then_some(())
        })
        .await;
    }
    bot.slack.advance(16 * MINUTE_MS).unwrap();
    bot.wait("the breach", async || {
        (bot.count(key, "NoticeBreached").await >= 1).then_some(())
    })
    .await;
}

async fn slack_is_back(bot: &TestBot, key: &str) {
    bot.slack.clear_faults();
    bot.slack.advance(MINUTE_MS).unwrap();
    bot.wait("the notice to be on record", async || {
        bot.release(key).await.attempts[0].notice.as_ref()?.posted_ms
    })
    .await;
}

/// Where mails and pages arrive.
struct Told {
    mail: smtp::Server,
    pager: Fake,
}

impl Told {
    /// A bot that can mail and ring.
    async fn bot(engine: Engine) -> (TestBot, Self) {
        let mail = smtp::Server::start(Mood::Friendly).await;
        let pager = Fake::start(|_| Answer::status(202, "")).await;
        let told = format!("{TEAMS}[escalation]\nwebhook = \"{}/page\"\n", pager.url);
        let mut bot = TestBot::with(engine, |config| config.replace("[escalation]\n", &told)).await;
        bot.stop().await;
        bot.environment = mail.environment();
        bot.boot().await;
        (bot, Self { mail, pager })
    }

    /// By their ids, which say what is the same.
    fn mails(&self) -> Vec<String> {
        let said = self.mail.said();
        let ids = said.lines().filter(|line| line.starts_with("Message-ID:"));
        ids.map(str::to_owned).collect()
    }

    fn pages(&self) -> Vec<String> {
        let pages = self.pager.asked();
        pages
            .into_iter()
            .map(|page| page.headers["idempotency-key"].clone())
            .collect()
    }
}

fn distinct(ids: &[String]) -> BTreeSet<&String> {
    ids.iter().collect()
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

/// Every kind of job and of message has a finished job here.
fn nothing_is_left_out(finished: &[JobRow]) {
    let jobs: Vec<Job> = finished
        .iter()
        .map(|job| serde_json::from_str(&job.payload).unwrap())
        .collect();
    let mut left_out: BTreeSet<&str> = JOBS.iter().chain(MESSAGES).copied().collect();
    // These bots sign none; `checkpointed` runs its own again.
    left_out.remove("Checkpoint");
    for job in &jobs {
        left_out.remove(job_name(job));
        if let Job::RefreshMessage { message } | Job::PostMessage { message } = job {
            left_out.remove(message_name(message));
        }
    }
    assert_eq!(left_out, BTreeSet::new(), "no job of these scenarios is one of these");
    // An interruption stands in #releases, and what became of it is told in the same message.
    let told_again = |job: &Job| {
        matches!(
            job,
            Job::RefreshMessage {
                message: MessageId::Outcome { .. }
            }
        )
    };
    assert!(jobs.iter().any(told_again), "no outcome was told again");
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

/// Waits until nothing is due any more. Messages go out at one a second and channel: this takes as long as they get fewer.
async fn idle(bot: &TestBot) {
    let mut fewest = usize::MAX;
    while fewest > 0 {
        fewest = bot
            .wait("the queue to get shorter", async || {
                let soon_ms = bot.clock.now_ms() + 1_500;
                let open = jobs(store(bot), &["queued", "running", "dead"]).await;
                assert!(open.iter().all(|job| job.state != "dead"), "{open:#?}");
                let waits = |job: &&JobRow| job.state == "queued" && job.due_ms > soon_ms;
                let left = open.len() - open.iter().filter(waits).count();
                (left == 0 || left < fewest).then_some(left)
            })
            .await;
    }
}

async fn finished_jobs_run_again(engine: Engine) {
    let (bot, told) = Told::bot(engine).await;
    scenarios(&bot).await;
    idle(&bot).await;
    // The timers, up to the last one.
    let timers = jobs(store(&bot), &["queued"]).await;
    if let Some(last_ms) = timers.iter().map(|job| job.due_ms).max() {
        let ahead_ms = u64::try_from(last_ms - bot.clock.now_ms()).unwrap_or_default();
        bot.slack.advance(ahead_ms + MINUTE_MS).unwrap();
        idle(&bot).await;
    }
    let finished = jobs(store(&bot), &["done"]).await;
    nothing_is_left_out(&finished);
    let kinds: BTreeSet<String> = finished.iter().map(kind).collect();
    let (head, starts) = (store(&bot).head().await.unwrap(), bot.starts("payments"));
    let (before, mailed, rung) = (copies(&bot), told.mails(), told.pages());
    assert_eq!((mailed.len(), rung.len()), (1, 2));
    let mut ran = 0;
    for copies_at_once in [1, 2] {
        let now_ms = bot.clock.now_ms();
        let again: Vec<NewJob> = finished
            .iter()
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
    // The notice stands by now: a mail or page that comes late must not say otherwise.
    assert_eq!((told.mails(), told.pages()), (mailed, rung));
    println!(
        "{engine:?}: {ran} repeats of {} jobs: no entry, no start, no message; kinds {kinds:?}",
        finished.len()
    );
    bot.finish().await;
}

/// As soon as a job is due, a copy runs beside it, so that the first runs of all kinds meet each other; how many there were.
async fn double(bot: &TestBot, over: &AtomicBool) -> usize {
    let mut seen = BTreeSet::new();
    while !over.load(Ordering::SeqCst) {
        let now_ms = bot.clock.now_ms();
        let due = jobs(store(bot), &["queued", "running", "done"]).await;
        let fresh: Vec<JobRow> = due
            .into_iter()
            .filter(|job| job.due_ms <= now_ms && !job.id.starts_with("beside/") && seen.insert(job.id.clone()))
            .collect();
        let beside = |job: &JobRow| copy(job, format!("beside/{}", job.id), now_ms);
        let beside: Vec<NewJob> = fresh.iter().map(beside).collect();
        if !beside.is_empty() {
            queue(store(bot), beside, now_ms).await;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    seen.len()
}

async fn every_job_runs_twice_at_once(engine: Engine) {
    let bot = TestBot::start(engine).await;
    let over = AtomicBool::new(false);
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
    let (jobs, ()) = tokio::join!(double(&bot, &over), acting);
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
            "AttemptEnded",
        ] {
            assert_eq!(count(event), 1, "{key}: {event}");
        }
        // Its end may be known before anybody has seen it run.
        assert!(count("AttemptRunning") <= 1, "{key}");
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
fn the_notice_clock_runs_twice_while_slack_is_down_on_sqlite() {
    run(Engine::Sqlite, the_notice_clock_runs_twice_while_slack_is_down);
}

#[test]
fn the_notice_clock_runs_twice_while_slack_is_down_on_postgres() {
    run(Engine::Postgres, the_notice_clock_runs_twice_while_slack_is_down);
}

/// Each timer of the ladder and its copy run while the notice is still missing, so that both find something to do.
async fn the_notice_clock_runs_twice_while_slack_is_down(engine: Engine) {
    let (bot, told) = Told::bot(engine).await;
    let over = AtomicBool::new(false);
    let acting = async {
        breach(&bot, "HOTFIX-1").await;
        // All of it once more, and twice at once, with the notice still missing.
        let timers = bot
            .wait("the timers themselves to be done", async || {
                let mut done = jobs(store(&bot), &["done"]).await;
                done.retain(|job| ["escalate_notice", "breach_notice"].contains(&kind(job).as_str()));
                done.retain(|job| !job.id.starts_with("beside/"));
                (done.len() == 4).then_some(done)
            })
            .await;
        let now_ms = bot.clock.now_ms();
        let again = |job: &JobRow| [0, 1].map(|n| copy(job, format!("again/{n}/{}", job.id), now_ms));
        let again: Vec<NewJob> = timers.iter().flat_map(again).collect();
        let ids: BTreeSet<String> = again.iter().map(|job| job.id.clone()).collect();
        queue(store(&bot), again, now_ms).await;
        bot.wait("the repeats to be done", async || {
            let done = jobs(store(&bot), &["done"]).await;
            let ran = done.iter().filter(|job| ids.contains(&job.id)).count();
            (ran == ids.len()).then_some(())
        })
        .await;
        assert!(
            bot.release("HOTFIX-1").await.attempts[0]
                .notice
                .as_ref()
                .unwrap()
                .posted_ms
                .is_none()
        );
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(double(&bot, &over), acting);
    slack_is_back(&bot, "HOTFIX-1").await;
    idle(&bot).await;
    assert_eq!(bot.count("HOTFIX-1", "NoticeEscalated").await, 3);
    assert_eq!(bot.count("HOTFIX-1", "NoticeBreached").await, 1);
    assert_eq!(bot.count("HOTFIX-1", "NoticePosted").await, 1);
    // What a step sets off was doubled too, and carries the same id.
    let (mailed, rung) = (told.mails(), told.pages());
    assert!(mailed.len() >= 2 && rung.len() >= 4, "{mailed:?} {rung:?}");
    assert_eq!((distinct(&mailed).len(), distinct(&rung).len()), (1, 2));
    let copies = copies(&bot);
    for id in ["notice/HOTFIX-1/1", "breach/HOTFIX-1/1"] {
        assert_eq!(
            copies.get(id),
            Some(&1),
            "#releases is searched before a repeat: {copies:#?}"
        );
    }
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
