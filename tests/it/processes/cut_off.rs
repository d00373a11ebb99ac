//! The bot is killed right after each kind of call to the outside has been done and before it hears of it: no second decision,
//! start or entry follows, and at most one more copy of a message for each kill that fell into its posting.

use super::{
    being_posted, card_is_true, hotfix, no_acknowledged_sign_off_is_lost, older_copies, retire_stray_copies, signatures,
};
use crate::support::bot::run;
use crate::support::database::Engine;
use crate::support::process::{Replica, World};
use crate::support::smtp::{self, Mood, TEAMS};
use playground::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KEY: &str = "HOTFIX-1";
/// Longer than a worker's lease: what the killed process held is free when the next one looks.
const LEASE_OVER_MS: u64 = 31_000;
/// Each method that a hotfix calls, and what the call is about; messages by their kind.
const CALLS: [(&str, &str); 12] = [
    ("users.info", ""),
    ("usergroups.users.list", ""),
    ("conversations.info", "C0LEDGER"),
    ("conversations.open", ""),
    ("chat.postMessage", "card/HOTFIX-1"),
    ("chat.postMessage", "question/HOTFIX-1/cto"),
    ("chat.postMessage", "story/HOTFIX-1/2"),
    ("chat.postMessage", "notice/HOTFIX-1/1"),
    ("conversations.history", ""),
    ("chat.getPermalink", ""),
    ("chat.postMessage", "outcome/HOTFIX-1/1"),
    ("chat.update", ""),
];

#[test]
fn killed_after_each_call_on_sqlite() {
    run(Engine::Sqlite, killed_after_each_call);
}

#[test]
fn killed_after_each_call_on_postgres() {
    run(Engine::Postgres, killed_after_each_call);
}

async fn killed_after_each_call(engine: Engine) {
    let mail = smtp::Server::start(Mood::Friendly).await;
    let told = format!("{TEAMS}[escalation]\n");
    let world = World::with(
        engine,
        |config| config.replace("[escalation]\n", &told),
        mail.environment(),
    )
    .await;
    let bot = serve(&world).await;
    for (method, about) in CALLS {
        world.slack.fault_about(method, about, Fault::LostAnswerHang, 1);
    }
    let over = AtomicBool::new(false);
    let unknown = Mutex::default();
    let (bot, ()) = tokio::join!(kill_after_each(&world, bot, &over, &unknown), async {
        hotfix(&world, KEY).await;
        world.settles().await;
        over.store(true, Ordering::SeqCst);
    });
    world.settles().await;

    let struck: BTreeSet<String> = world
        .slack
        .calls()
        .into_iter()
        .filter(|call| call.status.is_none())
        .map(|call| call.method)
        .collect();
    let expected: BTreeSet<String> = CALLS.iter().map(|(method, _)| (*method).to_owned()).collect();
    assert_eq!(struck, expected, "every kind of call was cut off");
    no_acknowledged_sign_off_is_lost(&world).await;
    let signed: BTreeMap<String, usize> = signatures(&world, KEY).await;
    assert_eq!(
        signed,
        BTreeMap::from([("cto".to_owned(), 1), ("tech_lead".to_owned(), 1)])
    );
    for event in ["HotfixRequested.v1", "NoticePosted.v1"] {
        assert_eq!(world.count(KEY, event).await, 1, "{event}");
    }
    // A starter that was killed twice before its script may be given up for another attempt; the script runs once.
    let (starting, ended) = (
        world.count(KEY, "AttemptStarting.v1").await,
        world.count(KEY, "AttemptEnded.v1").await,
    );
    assert!(starting >= 1 && starting <= ended, "{starting} started, {ended} ended");
    assert_eq!(world.starts("ledger").len(), 1);
    let copies = older_copies(&world, unknown.into_inner().unwrap());
    retire_stray_copies(&world, KEY).await;
    card_is_true(&world, KEY).await;
    println!(
        "{engine:?}: killed after {} calls; {copies} older copies of messages; {}",
        CALLS.len(),
        world.audit().await
    );
    bot.terminate().await;
}

async fn serve(world: &World) -> Replica {
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    bot
}

/// Kills the bot whenever a call was done whose answer it will never hear, and starts it again.
/// Of which messages it left it unknown whether they were posted is noted: with several lanes that can be more than one.
async fn kill_after_each(world: &World, mut bot: Replica, over: &AtomicBool, unknown: &Mutex<Vec<String>>) -> Replica {
    let mut struck = 0;
    while !over.load(Ordering::SeqCst) {
        let now = world.slack.calls().iter().filter(|call| call.status.is_none()).count();
        if now > struck {
            struck = now;
            bot.kill();
            let posting = being_posted(world, KEY).await;
            unknown.lock().unwrap().extend(posting);
            world.audit().await;
            world.slack.advance(LEASE_OVER_MS).unwrap();
            bot = serve(world).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bot
}
