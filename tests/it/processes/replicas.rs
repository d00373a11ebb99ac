//! Three processes over one PostgreSQL, and the split into web and worker.

use super::{asks_for_hotfix, deploys_until_released, hotfix, one_effect_each, planned_release, plans};
use super::{signs_by_click, signs_by_typing};
use crate::support::bot::{CLEO, DEV, PRIYA, QUINN, TINA, TOO_SLOW, run};
use crate::support::database::{Engine, Raw};
use crate::support::process::{EVERYBODY, Fan, Replica, World};
use countersign::slack::texts::replies;
use countersign::store::JobFilter;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What Slack leaves of its 3 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);
const PLANNED: [&str; 2] = ["product_owner", "qa_lead"];
const HOTFIX: [&str; 2] = ["tech_lead", "cto"];

async fn three(world: &World) -> (Vec<Replica>, Fan) {
    let (one, two, three) = tokio::join!(
        world.serve("replica-1", "all"),
        world.serve("replica-2", "all"),
        world.serve("replica-3", "all")
    );
    let replicas = vec![one, two, three];
    let fan = Fan::start(replicas.iter().map(|replica| replica.url.clone())).await;
    world.slack.set_bot_urls(std::slice::from_ref(&fan.url));
    (replicas, fan)
}

/// Whether somebody is told that something broke, or that nobody knows what became of it.
fn is_excuse(text: &str) -> bool {
    let excuses = [replies::internal_error("0").text, replies::not_known_yet(None).text];
    let beginning = |excuse: &str| excuse.split([',', ':']).next().unwrap().to_owned();
    excuses.iter().any(|excuse| text.contains(&beginning(excuse)))
}

/// Every answer was Slack's 200, in time, and no excuse; returns the slowest.
fn slowest(fan: &Fan) -> Duration {
    let answers = fan.answers();
    for answer in &answers {
        assert_eq!(answer.status, Some(200), "{answer:?}");
        assert!(!is_excuse(&answer.body) && answer.within < ANSWER_WITHIN, "{answer:?}");
    }
    answers.iter().map(|answer| answer.within).max().unwrap_or_default()
}

#[test]
fn three_processes_get_the_same_signed_bytes_at_once_and_act_once() {
    run(Engine::Postgres, async |engine| {
        let world = World::new(engine).await;
        world.nudges.store(false, Ordering::Relaxed);
        let (replicas, fan) = three(&world).await;
        planned_release(&world, "REL-789").await;
        hotfix(&world, "HOTFIX-1").await;
        world.settles().await;
        one_effect_each(&world, "REL-789", "payments", &PLANNED).await;
        one_effect_each(&world, "HOTFIX-1", "ledger", &HOTFIX).await;
        assert_eq!(world.status("HOTFIX-2").await, "nothing", "one request, one hotfix");

        // And all of it once more, everywhere at once, long after it was answered.
        let before = world.head().await;
        let urls: Vec<String> = replicas.iter().map(|replica| replica.url.clone()).collect();
        let mut deliveries = world.slack.deliveries();
        // What came to nothing may be decided now.
        deliveries.retain(|delivery| !delivery.answer.contains(TOO_SLOW));
        let mut saved = 0;
        for delivery in &deliveries {
            // What was decided is answered as it was the first time; forms that are asked for again come too late.
            let decided = ["&text=approve+", "&text=deploy+"]
                .iter()
                .any(|word| delivery.body.contains(word));
            for answer in world.slack.redeliver(delivery.id, &urls).await {
                assert_eq!(answer.status, Some(200), "{}", delivery.body);
                assert!(!is_excuse(&answer.body), "{}: {}", delivery.body, answer.body);
                if decided {
                    assert!(
                        delivery.answer.contains("REL-789"),
                        "{}: {}",
                        delivery.body,
                        delivery.answer
                    );
                    assert_eq!(answer.body, delivery.answer, "{}", delivery.body);
                    saved += 1;
                }
            }
        }
        // Quinn's word and dev's order, by each of three.
        assert!(saved >= 6, "{saved} saved replies");
        world.settles().await;
        for user in EVERYBODY {
            for said in world.slack.ephemerals(user) {
                assert!(
                    !is_excuse(&said.visible_text()),
                    "{user} was told: {}",
                    said.visible_text()
                );
            }
        }
        assert_eq!(world.head().await, before, "a repeat left an entry");
        one_effect_each(&world, "REL-789", "payments", &PLANNED).await;
        one_effect_each(&world, "HOTFIX-1", "ledger", &HOTFIX).await;
        println!(
            "{} requests, each to 3 processes at once and each again: one effect each; slowest answer {:?}; {}",
            deliveries.len(),
            slowest(&fan),
            world.audit().await
        );
        for replica in replicas {
            replica.terminate().await;
        }
    });
}

/// Waits for one of the bot's sessions in this database that is as `condition` says; its process id.
async fn session(look: &mut Raw, what: &str, condition: &str) -> String {
    let sql = format!("SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND {condition}");
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        if let Some(pid) = look.texts(&sql).await.pop() {
            return pid;
        }
        assert!(Instant::now() < until, "no session was {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Freezes `victim` with every row of its commit locked, the head of the log among them, and nothing committed.
async fn freeze_in_commit(world: &World, victim: &Replica, mut holder: Raw) {
    let mut look = world.database.connect().await;
    // Nobody else was given anything to commit.
    let pid = session(
        &mut look,
        "waiting for the head",
        "cardinality(pg_blocking_pids(pid)) > 0",
    )
    .await;
    victim.freeze();
    holder.execute("ROLLBACK").await.unwrap();
    let frozen = format!("pid = {pid} AND state = 'idle in transaction'");
    session(&mut look, "frozen in its commit", &frozen).await;
}

async fn holds_the_head(world: &World) -> Raw {
    let mut holder = world.database.connect().await;
    holder.execute("BEGIN").await.unwrap();
    holder.texts("SELECT hash FROM head FOR UPDATE").await;
    holder
}

#[test]
fn a_process_stopped_inside_its_commit_holds_nobody_up() {
    run(Engine::Postgres, async |engine| {
        let world = World::new(engine).await;
        let (replicas, fan) = three(&world).await;
        let victim = &replicas[2];
        plans(&world, "REL-789").await;
        world.becomes("REL-789", "asking").await;
        world.settles().await;
        let before = fan.answers().len();

        fan.sleeps(&victim.url);
        let holder = holds_the_head(&world).await;
        let typed = world.types(PRIYA, "approve REL-789");
        let frozen = Box::pin(freeze_in_commit(&world, victim, holder));
        let answered = Box::pin(fan.staged(typed, frozen)).await;
        assert!(answered, "Slack got no answer in its 3 s");
        let at_the_freeze: Vec<Duration> = fan.answers()[before..].iter().map(|answer| answer.within).collect();

        signs_by_typing(&world, "REL-789", PRIYA, "product_owner").await;
        signs_by_click(&world, "REL-789", QUINN, "qa_lead").await;
        world.becomes("REL-789", "approved").await;
        deploys_until_released(&world, "REL-789").await;
        asks_for_hotfix(&world, "HOTFIX-1").await;
        world.becomes("HOTFIX-1", "asking").await;
        signs_by_click(&world, "HOTFIX-1", TINA, "tech_lead").await;
        signs_by_click(&world, "HOTFIX-1", CLEO, "cto").await;
        deploys_until_released(&world, "HOTFIX-1").await;

        victim.thaw();
        let late = fan.late().await;
        world.settles().await;
        one_effect_each(&world, "REL-789", "payments", &PLANNED).await;
        one_effect_each(&world, "HOTFIX-1", "ledger", &HOTFIX).await;
        assert_eq!(world.status("HOTFIX-2").await, "nothing", "one request, one hotfix");
        println!(
            "stopped inside its commit: the others answered that very request in {at_the_freeze:?}, the slowest of {} \
             answers took {:?}; the stopped one answered {late} copies once it ran again; {}",
            fan.answers().len(),
            slowest(&fan),
            world.audit().await
        );
    });
}

#[test]
fn web_answers_and_only_the_worker_runs_scripts() {
    run(Engine::Postgres, async |engine| {
        let world = World::new(engine).await;
        world.nudges.store(false, Ordering::Relaxed);
        let web = world.serve("web", "web").await;
        world.slack.set_bot_urls(std::slice::from_ref(&web.url));
        plans(&world, "REL-789").await;
        let worker = world.serve("worker", "worker").await;
        world.becomes("REL-789", "asking").await;
        signs_by_click(&world, "REL-789", PRIYA, "product_owner").await;
        world.settles().await;
        worker.terminate().await;

        // Web alone takes the sign-off and the order to deploy, and leaves all work to a worker.
        signs_by_typing(&world, "REL-789", QUINN, "qa_lead").await;
        assert!(world.types(DEV, "deploy REL-789").await);
        for _ in 0..8 {
            assert!(world.types(DEV, "status REL-789").await);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let filter = JobFilter {
            limit: 100,
            ..JobFilter::default()
        };
        let jobs = world.store().await.jobs(&filter).await.unwrap();
        assert!(jobs.iter().any(|job| job.kind.starts_with("start_attempt")), "{jobs:?}");
        assert!(jobs.iter().all(|job| job.state == "queued"), "{jobs:?}");
        assert!(world.starts("payments").is_empty());

        let worker = world.serve("worker", "worker").await;
        let slack_routes = reqwest::Client::new()
            .post(format!("{}/slack/commands", worker.url))
            .send();
        assert_eq!(
            slack_routes.await.unwrap().status(),
            404,
            "a worker takes nothing from Slack"
        );
        world.becomes("REL-789", "released").await;
        world.settles().await;
        one_effect_each(&world, "REL-789", "payments", &PLANNED).await;
        println!("web and worker apart: {}", world.audit().await);
        worker.terminate().await;
        web.terminate().await;
    });
}
