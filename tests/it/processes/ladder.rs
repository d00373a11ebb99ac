//! The clock of the emergency notice with Slack down: mail, pages, and a bot that is killed before Slack is back.

use super::{asks_for_hotfix, card_is_true, signs_by_click};
use crate::adapters::fake::{Answer, Fake};
use crate::support::bot::{CLEO, RELEASES, TINA, run};
use crate::support::database::Engine;
use crate::support::process::World;
use crate::support::smtp::{self, Mood, TEAMS};
use countersign::store::JobFilter;
use playground::Fault;
use std::fs;
use std::sync::atomic::Ordering;

const MINUTE_MS: u64 = 60_000;
/// Longer than a worker's lease, and than a notice waits for its next try.
const LEASE_OVER_MS: u64 = 31_000;

#[test]
fn the_ladder_is_climbed_and_the_notice_survives_a_kill_on_sqlite() {
    run(Engine::Sqlite, the_ladder_is_climbed_and_the_notice_survives_a_kill);
}

#[test]
fn the_ladder_is_climbed_and_the_notice_survives_a_kill_on_postgres() {
    run(Engine::Postgres, the_ladder_is_climbed_and_the_notice_survives_a_kill);
}

/// Mails and pages that were sent, and whose jobs are done.
async fn done(world: &World) -> (usize, usize) {
    let filter = JobFilter {
        states: vec!["done".to_owned()],
        limit: 1_000,
        ..JobFilter::default()
    };
    let jobs = world.store().await.jobs(&filter).await.unwrap();
    let count = |kind: &str| jobs.iter().filter(|job| job.kind.starts_with(kind)).count();
    (count("mail_notice"), count("page"))
}

async fn the_ladder_is_climbed_and_the_notice_survives_a_kill(engine: Engine) {
    let mail = smtp::Server::start(Mood::Friendly).await;
    let pager = Fake::start(|_| Answer::status(202, "")).await;
    let told = format!("{TEAMS}[escalation]\nwebhook = \"{}/page\"\n", pager.url);
    let world = World::with(
        engine,
        |config| config.replace("[escalation]\n", &told),
        mail.environment(),
    )
    .await;
    world.nudges.store(false, Ordering::Relaxed);
    let bot = world.serve("first", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    asks_for_hotfix(&world, "HOTFIX-1").await;
    world.becomes("HOTFIX-1", "asking").await;
    signs_by_click(&world, "HOTFIX-1", TINA, "tech_lead").await;
    world.slack.fault("chat.postMessage", Fault::Unavailable, 10_000);
    signs_by_click(&world, "HOTFIX-1", CLEO, "cto").await;
    world.becomes("HOTFIX-1", "released").await;
    world.slack.slack_off(Fault::Unavailable);

    // All teams by mail after 5 minutes, release manager and CTO by phone after 15 and 45.
    for (minutes, expected) in [(5, (1, 0)), (10, (1, 1)), (30, (1, 2))] {
        world.slack.advance(minutes * MINUTE_MS).unwrap();
        world
            .wait(&format!("mails and pages {expected:?}"), async || {
                let done = done(&world).await;
                assert!(done.0 <= expected.0 && done.1 <= expected.1, "too early: {done:?}");
                (done == expected).then_some(())
            })
            .await;
    }
    bot.kill();
    assert!(world.slack.messages(RELEASES).is_empty());

    world.slack.clear_faults();
    world.slack.slack_on();
    world.slack.advance(LEASE_OVER_MS).unwrap();
    let bot = world.serve("second", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    let notice = world
        .wait("the notice to be on record", async || {
            let release = world.release("HOTFIX-1").await?;
            release.attempts[0]
                .notice
                .clone()
                .filter(|notice| notice.posted_ms.is_some())
        })
        .await;
    assert!(notice.breached.is_none(), "the hour is not over");
    world.settles().await;
    card_is_true(&world, "HOTFIX-1").await;
    let notices = world.posted().into_iter().filter(|(id, _)| id == "notice/HOTFIX-1/1");
    let notices: Vec<_> = notices.map(|(_, message)| message).collect();
    assert_eq!(notices.len(), 1, "{notices:#?}");
    assert_eq!(notices[0].channel, RELEASES);

    // Each once, and each says which it is.
    assert_eq!(done(&world).await, (1, 2));
    let said = mail.said();
    assert_eq!(mail.count("Message-ID: <notice.HOTFIX-1.1@acme.test>"), 1, "{said}");
    assert_eq!(said.matches("Message-ID:").count(), 1, "{said}");
    assert!(said.contains("RCPT TO:<all-teams@acme.test>"), "{said}");
    let rung = pager.asked();
    assert_eq!(rung.len(), 2, "{rung:#?}");
    assert_ne!(rung[0].headers["idempotency-key"], rung[1].headers["idempotency-key"]);
    for page in &rung {
        let summary = page.body["summary"].as_str().unwrap();
        assert!(summary.contains("HOTFIX-1") && summary.contains("v1.4.1"), "{summary}");
    }
    let commands = fs::read_to_string(world.path("pages.log")).unwrap();
    assert_eq!(commands.lines().count(), 2, "{commands}");
    println!("{engine:?}: one mail, two pages, one notice; {}", world.audit().await);
    bot.terminate().await;
}
