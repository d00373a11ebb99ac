//! #releases can't be posted to: said while there is time, not when an emergency notice is due.

use super::asks_for_hotfix;
use crate::support::bot::{RELEASES, THEO, run};
use crate::support::database::Engine;
use crate::support::process::{Replica, World};
use serde_json::Value;
use std::sync::atomic::Ordering;

#[test]
fn a_bot_outside_releases_says_so_on_sqlite() {
    run(Engine::Sqlite, a_bot_outside_releases_says_so);
}

#[test]
fn a_bot_outside_releases_says_so_on_postgres() {
    run(Engine::Postgres, a_bot_outside_releases_says_so);
}

async fn warnings(bot: &Replica) -> Vec<Value> {
    let answer = reqwest::get(format!("{}/readyz", bot.url)).await.unwrap();
    // Everything else can be done: the process stays in service.
    assert_eq!(answer.status(), 200);
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["ready"], true);
    told["warnings"].as_array().unwrap().clone()
}

/// /readyz and the log say it, and so does the private answer to the next hotfix.
async fn is_said(world: &World, key: &str, reason: &str) {
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    world
        .wait(&format!("`{reason}` in /readyz"), async || {
            let warnings = warnings(&bot).await;
            let named = |warning: &Value| warning.as_str().unwrap().contains(reason);
            (warnings.len() == 1 && warnings.iter().all(named)).then_some(())
        })
        .await;
    let is_logged = |line: &str| line.contains("ERROR") && line.contains(RELEASES) && line.contains(reason);
    assert!(bot.tail(1_000).lines().any(is_logged), "{}", bot.tail(1_000));

    let before = world.slack.ephemerals(THEO).len();
    asks_for_hotfix(world, key).await;
    world
        .wait(&format!("`{reason}` said to theo"), async || {
            let said = world.slack.ephemerals(THEO).split_off(before);
            said.iter()
                .any(|said| said.visible_text().contains(reason) && said.visible_text().contains("emergency.notice"))
                .then_some(())
        })
        .await;
    bot.terminate().await;
}

async fn a_bot_outside_releases_says_so(engine: Engine) {
    let world = World::new(engine).await;
    world.nudges.store(false, Ordering::Relaxed);
    world.slack.change_channel(RELEASES, |channel| {
        channel.members.remove("U0BOT");
    });
    is_said(&world, "HOTFIX-1", "not a member").await;

    world.slack.change_channel(RELEASES, |channel| {
        channel.members.insert("U0BOT".to_owned());
        channel.is_archived = true;
    });
    is_said(&world, "HOTFIX-2", "archived").await;

    world
        .slack
        .change_channel(RELEASES, |channel| channel.is_archived = false);
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    let before = world.slack.ephemerals(THEO).len();
    asks_for_hotfix(&world, "HOTFIX-3").await;
    world.settles().await;
    assert_eq!(warnings(&bot).await, Vec::<Value>::new());
    let said = world.slack.ephemerals(THEO).split_off(before);
    let warned = said.iter().any(|said| said.visible_text().contains("emergency.notice"));
    assert!(!warned, "{said:?}");
    world.audit().await;
    bot.terminate().await;
}
