//! The bot is told to end while a deployment runs: it ends in good order and in time, the script goes on, and the next process
//! follows it to its end.

use super::{deploys_until_released, plans, signs_by_click, signs_by_typing};
use crate::support::bot::{DEV, PAYMENTS, PRIYA, QUINN, run, sample_script, spool};
use crate::support::database::Engine;
use crate::support::process::{Replica, World};
use countersign::deploy::spool::{Observation, observe};
use countersign::store::JobFilter;
use playground::Fault;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What it may take beside everything else on a busy machine; jobs are waited for 8 s, requests 5 s.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn a_deployment_outlives_a_bot_that_is_told_to_end_on_sqlite() {
    run(Engine::Sqlite, a_deployment_outlives_a_bot_that_is_told_to_end);
}

#[test]
fn a_deployment_outlives_a_bot_that_is_told_to_end_on_postgres() {
    run(Engine::Postgres, a_deployment_outlives_a_bot_that_is_told_to_end);
}

#[test]
fn what_hangs_is_handed_back_on_sqlite() {
    run(Engine::Sqlite, what_hangs_is_handed_back);
}

#[test]
fn what_hangs_is_handed_back_on_postgres() {
    run(Engine::Postgres, what_hangs_is_handed_back);
}

/// A message that Slack never answers must not keep the process, nor the message from coming.
async fn what_hangs_is_handed_back(engine: Engine) {
    let world = World::new(engine).await;
    world.nudges.store(false, Ordering::Relaxed);
    let bot = world.serve("first", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    plans(&world, "REL-789").await;
    world.becomes("REL-789", "asking").await;
    world.settles().await;
    world.slack.fault("chat.update", Fault::Hang, 1_000);
    signs_by_typing(&world, "REL-789", PRIYA, "product_owner").await;
    world
        .wait("a refresh that hangs", async || {
            let calls = world.slack.calls();
            let hangs = calls
                .iter()
                .any(|call| call.method == "chat.update" && call.status.is_none());
            hangs.then_some(())
        })
        .await;
    ends_in_time(&world, bot).await;

    world.slack.clear_faults();
    let bot = world.serve("second", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    world
        .wait("the card to show the sign-off", async || {
            let (_, card) = world.posted().into_iter().find(|(id, _)| id == "card/REL-789")?;
            card.visible_text().contains("<@U0PRIYA> signed").then_some(())
        })
        .await;
    world.settles().await;
    world.audit().await;
    bot.terminate().await;
}

/// Tells it to end, and sees that it holds nothing any more.
async fn ends_in_time(world: &World, bot: Replica) {
    let told = Instant::now();
    bot.terminate().await;
    let took = told.elapsed();
    assert!(took < ENDS_WITHIN, "it took {took:?} to end");
    assert_eq!(running_jobs(world).await, 0, "a job was not handed back");
    println!("told to end, gone after {took:?}");
}

async fn running_jobs(world: &World) -> usize {
    let filter = JobFilter {
        states: vec!["running".to_owned()],
        limit: 100,
        ..JobFilter::default()
    };
    world.store().await.jobs(&filter).await.unwrap().len()
}

async fn a_deployment_outlives_a_bot_that_is_told_to_end(engine: Engine) {
    let world = World::new(engine).await;
    // What the first process holds must be handed back: nobody waits for the end of a lease here.
    world.nudges.store(false, Ordering::Relaxed);
    world.write(
        "payments/deploy.sh",
        &sample_script("while [ ! -e go ]; do sleep 0.05; done\necho came to its end"),
    );
    let bot = world.serve("first", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    plans(&world, "REL-789").await;
    world.becomes("REL-789", "asking").await;
    signs_by_click(&world, "REL-789", PRIYA, "product_owner").await;
    signs_by_typing(&world, "REL-789", QUINN, "qa_lead").await;
    world.becomes("REL-789", "approved").await;
    assert!(world.types(DEV, "deploy REL-789").await);
    world
        .wait("the script", async || {
            (world.starts("payments").len() == 1 && world.status("REL-789").await == "deploying").then_some(())
        })
        .await;

    ends_in_time(&world, bot).await;
    let script = observe(&spool(world.folder.path(), "REL-789", 1).unwrap()).unwrap();
    assert!(matches!(script, Observation::Running { .. }), "{script:?}");
    world.write("payments/go", "");

    let bot = world.serve("second", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    deploys_until_released(&world, "REL-789").await;
    world.settles().await;
    for event in [
        "DeploymentRequested",
        "AttemptStarting",
        "AttemptRunning",
        "AttemptEnded",
    ] {
        assert_eq!(world.count("REL-789", &format!("{event}.v1")).await, 1, "{event}");
    }
    assert_eq!(world.starts("payments").len(), 1);
    let thread = world.slack.messages(PAYMENTS);
    assert!(
        thread
            .iter()
            .any(|entry| entry.visible_text().contains("came to its end")),
        "the output's end is not in the thread"
    );
    world.audit().await;
    bot.terminate().await;
}
