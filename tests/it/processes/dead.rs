//! Work that was given up: shown to people in Slack, in the metrics and by `countersign jobs`, run again or dropped there.

use super::signs_by_typing;
use crate::support::bot::{PAYMENTS, PRIYA, QUINN, RITA, plan_inputs, run};
use crate::support::database::Engine;
use crate::support::process::{LEDGER, Replica, World};
use countersign::store::{JobFilter, JobRow};
use playground::Fault;
use std::sync::atomic::Ordering;

#[test]
fn dead_jobs_are_shown_run_again_and_dropped_on_sqlite() {
    run(Engine::Sqlite, dead_jobs_are_shown_run_again_and_dropped);
}

#[test]
fn dead_jobs_are_shown_run_again_and_dropped_on_postgres() {
    run(Engine::Postgres, dead_jobs_are_shown_run_again_and_dropped);
}

async fn jobs(world: &World, state: &str) -> Vec<JobRow> {
    let filter = JobFilter {
        states: vec![state.to_owned()],
        limit: 1_000,
        ..JobFilter::default()
    };
    world.store().await.jobs(&filter).await.unwrap()
}

/// Waits until something is dead and no refresh is left that might still become it.
async fn dead(world: &World) -> Vec<JobRow> {
    world
        .wait("a dead job", async || {
            for state in ["queued", "running"] {
                let open = jobs(world, state).await;
                if open.iter().any(|job| job.kind.starts_with("refresh_message")) {
                    return None;
                }
            }
            Some(jobs(world, "dead").await).filter(|dead| !dead.is_empty())
        })
        .await
}

/// How many dead jobs /metrics counts.
async fn counted(bot: &Replica) -> i64 {
    let answer = reqwest::get(format!("{}/metrics", bot.url)).await.unwrap();
    let text = answer.text().await.unwrap();
    let dead = text
        .lines()
        .filter(|line| line.starts_with("countersign_jobs{") && line.contains("state=\"dead\""));
    dead.map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap())
        .sum()
}

/// Whether `/release status` sends people to `countersign jobs`.
async fn status_points_to_jobs(world: &World) -> bool {
    let ack = world.slack.command(RITA, PAYMENTS, "status REL-789").await;
    let answer = ack.body.to_string();
    assert!(answer.contains("REL-789"), "{answer}");
    answer.contains("countersign jobs list")
}

async fn verb(world: &World, arguments: &[&str], code: i32) -> String {
    let (ended, said) = world.verb(arguments).await;
    assert_eq!(ended, Some(code), "{arguments:?}: {said}");
    said
}

async fn dead_jobs_are_shown_run_again_and_dropped(engine: Engine) {
    let world = World::new(engine).await;
    world.nudges.store(false, Ordering::Relaxed);
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));

    // The card has nowhere to go, and no repeat will change that.
    world.slack.change_channel(LEDGER, |channel| channel.is_archived = true);
    world
        .insist(
            "the plan",
            async || (world.status("REL-789").await != "nothing").then_some(()),
            async || world.fills(RITA, "plan REL-789 ledger v1.4.0", &plan_inputs()).await,
        )
        .await;
    world.becomes("REL-789", "asking").await;
    let given_up = dead(&world).await;
    assert!(status_points_to_jobs(&world).await);
    assert_eq!(counted(&bot).await, i64::try_from(given_up.len()).unwrap());
    let list = verb(&world, &["jobs", "list", "--dead"], 0).await;
    for job in &given_up {
        let named =
            |line: &str| line.contains(&job.id) && line.contains("refresh_message") && line.contains("is_archived");
        assert!(list.lines().any(named), "{}: {list}", job.id);
        assert!(bot.tail(1_000).contains(&job.id), "{} is not in the log", job.id);
    }
    let none = verb(&world, &["jobs", "list", "--dead", "--release", "REL-790"], 0).await;
    assert!(!none.contains(&given_up[0].id), "{none}");

    // Mended, they run again.
    world
        .slack
        .change_channel(LEDGER, |channel| channel.is_archived = false);
    for job in &given_up {
        verb(&world, &["jobs", "retry", &job.id], 0).await;
        world
            .wait("the retried job to be done", async || {
                let done = jobs(&world, "done").await;
                done.iter().any(|done| done.id == job.id).then_some(())
            })
            .await;
        verb(&world, &["jobs", "retry", &job.id], 1).await;
    }
    world.settles().await;
    let cards = world.posted().into_iter().filter(|(id, _)| id == "card/REL-789");
    assert_eq!(cards.map(|(_, card)| card.channel).collect::<Vec<_>>(), [LEDGER]);
    assert!(!status_points_to_jobs(&world).await);
    assert_eq!(counted(&bot).await, 0);

    // Another one is dropped: it is not done, and troubles nobody any more.
    let broken = Fault::Error("cant_update_message".to_owned());
    world.slack.fault("chat.update", broken, 1);
    signs_by_typing(&world, "REL-789", PRIYA, "product_owner").await;
    let given_up = dead(&world).await;
    assert_eq!(given_up.len(), 1, "{given_up:#?}");
    let list = verb(&world, &["jobs", "list", "--dead", "--release", "REL-789"], 0).await;
    assert!(
        list.contains(&given_up[0].id) && list.contains("cant_update_message"),
        "{list}"
    );
    verb(&world, &["jobs", "drop", &given_up[0].id], 0).await;
    let dropped = jobs(&world, "dropped").await;
    assert!(dropped.iter().any(|job| job.id == given_up[0].id), "{dropped:#?}");
    verb(&world, &["jobs", "retry", &given_up[0].id], 1).await;
    assert_eq!(counted(&bot).await, 0);

    signs_by_typing(&world, "REL-789", QUINN, "qa_lead").await;
    world.becomes("REL-789", "approved").await;
    world.settles().await;
    println!("{engine:?}: {}", world.audit().await);
    bot.terminate().await;
}
