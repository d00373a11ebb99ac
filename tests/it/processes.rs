//! The bot as processes of the real program: three over one PostgreSQL, one of them stopped inside its commit, web and
//! worker apart, and kill -9 at any moment.

mod audited;
mod checkpointed;
mod cut_off;
mod dead;
mod erased;
mod faults;
mod killed;
mod ladder;
mod mailed;
mod migrations;
mod paused;
mod races;
mod readiness;
mod repeated;
mod replicas;
mod restored;
mod terminated;
mod upgraded;

use crate::support::bot::{CLEO, DEV, PRIYA, QUINN, RELEASES, RITA, THEO, TINA, hotfix_inputs, plan_inputs};
use crate::support::process::{EVERYBODY, World, has_action};
use countersign::store::MessageState;
use std::collections::BTreeMap;

/// A number that the environment asks for; nothing if it asks for none.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// Plans a release of payments and waits until its signers are asked.
async fn plans(world: &World, key: &str) {
    let text = format!("plan {key} payments v1.4.0");
    world
        .insist(
            &format!("the plan of {key}"),
            async || (world.status(key).await != "nothing").then_some(()),
            async || world.fills(RITA, &text, &plan_inputs()).await,
        )
        .await;
}

/// Asks for a hotfix of ledger under its ticket's key, or the next free one.
async fn asks_for_hotfix(world: &World, key: &str) {
    let mut inputs = hotfix_inputs();
    if !key.starts_with("HOTFIX-") {
        inputs["ticket"] = key.into();
    }
    world
        .insist(
            &format!("the hotfix {key}"),
            async || (world.status(key).await != "nothing").then_some(()),
            async || world.fills(THEO, "hotfix ledger v1.4.1", &inputs).await,
        )
        .await;
}

/// Signs by the button in the direct message.
async fn signs_by_click(world: &World, key: &str, user: &str, role: &str) {
    world
        .insist(
            &format!("{user}'s click on {key}"),
            async || signed(world, key, role).await.then_some(()),
            async || world.clicks(user, key, "approve").await.is_some_and(|ack| ack.ok()),
        )
        .await;
}

async fn signs_by_typing(world: &World, key: &str, user: &str, role: &str) {
    world
        .insist(
            &format!("{user}'s word on {key}"),
            async || signed(world, key, role).await.then_some(()),
            async || world.types(user, &format!("approve {key}")).await,
        )
        .await;
}

async fn signed(world: &World, key: &str, role: &str) -> bool {
    signatures(world, key).await.contains_key(role)
}

/// How often each role has signed, by the log.
async fn signatures(world: &World, key: &str) -> BTreeMap<String, usize> {
    let mut signatures = BTreeMap::new();
    for told in world.told(key).await {
        if told.name == "SignedOff.v1" {
            let role = told.data["sign_off"]["role"].as_str().unwrap_or_default().to_owned();
            *signatures.entry(role).or_default() += 1;
        }
    }
    signatures
}

/// Deploys, again if an attempt was not started, until the release is out.
async fn deploys_until_released(world: &World, key: &str) {
    world
        .insist(
            &format!("{key} to be released"),
            async || (world.status(key).await == "released").then_some(()),
            async || {
                let idle = world
                    .release(key)
                    .await
                    .is_some_and(|release| release.live_attempt().is_none());
                idle && world.status(key).await == "approved" && world.types(DEV, &format!("deploy {key}")).await
            },
        )
        .await;
}

async fn planned_release(world: &World, key: &str) {
    plans(world, key).await;
    world.becomes(key, "asking").await;
    signs_by_click(world, key, PRIYA, "product_owner").await;
    signs_by_typing(world, key, QUINN, "qa_lead").await;
    world.becomes(key, "approved").await;
    deploys_until_released(world, key).await;
}

async fn hotfix(world: &World, key: &str) {
    asks_for_hotfix(world, key).await;
    world.becomes(key, "asking").await;
    signs_by_click(world, key, TINA, "tech_lead").await;
    signs_by_click(world, key, CLEO, "cto").await;
    deploys_until_released(world, key).await;
}

/// Nobody was told that they had signed without the entry that says so.
async fn no_acknowledged_sign_off_is_lost(world: &World) -> usize {
    let roles = [
        (PRIYA, "product_owner"),
        (QUINN, "qa_lead"),
        (TINA, "tech_lead"),
        (CLEO, "cto"),
    ];
    let mut acknowledged = 0;
    for (user, role) in roles {
        for said in world.slack.ephemerals(user) {
            let text = said.visible_text();
            let Some(key) = key_of_signed(&text) else { continue };
            acknowledged += 1;
            assert!(
                signed(world, &key, role).await,
                "{user} was told, and it is not on record: {text}"
            );
        }
    }
    acknowledged
}

/// The release in "Signed: … of REL-1 (payments v1.4.0), by you as …".
fn key_of_signed(text: &str) -> Option<String> {
    let rest = text.split_once("Signed: ")?.1;
    let before = rest.split_once(" (")?.0;
    before.rsplit(' ').next().map(str::to_owned)
}

/// One sign-off per role, one deployment, one start.
async fn one_effect_each(world: &World, key: &str, service: &str, roles: &[&str]) {
    let expected: BTreeMap<String, usize> = roles.iter().map(|role| ((*role).to_owned(), 1)).collect();
    assert_eq!(signatures(world, key).await, expected, "{key}");
    for event in [
        "DeploymentRequested.v1",
        "AttemptStarting.v1",
        "AttemptRunning.v1",
        "AttemptEnded.v1",
    ] {
        let count = world.count(key, event).await;
        assert_eq!(count, 1, "{key}: {event}");
    }
    let starts = world.starts(service);
    let own = starts.iter().filter(|start| start.starts_with(&format!("{key}.")));
    assert_eq!(own.count(), 1, "{key}: {starts:?}");
    // Every message of it stands once, where the bot knows it to stand.
    let mut copies: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, message) in world.posted() {
        copies.entry(id).or_default().push(message.ts);
    }
    let rows = world.rows(key).await;
    for row in &rows {
        assert_eq!(copies.get(&row.id), Some(&vec![row.ts.clone()]), "{}", row.id);
    }
    let of_kind = |kind: &str| rows.iter().filter(|row| row.id.starts_with(kind)).count();
    assert_eq!((of_kind("card/"), of_kind("outcome/")), (1, 1), "{rows:?}");
    let is_hotfix = roles.contains(&"cto");
    assert_eq!(of_kind("notice/"), usize::from(is_hotfix), "{rows:?}");
    assert!(of_kind("question/") >= roles.len(), "{rows:?}");
    card_is_true(world, key).await;
}

/// The card says what the log says, and nothing of a decided release can be clicked any more.
async fn card_is_true(world: &World, key: &str) {
    world
        .wait(&format!("the card of {key} to be true"), async || {
            let rows = world.rows(key).await;
            let card = rows.iter().find(|row| row.id == format!("card/{key}"))?;
            let shown = world.slack.message(&card.channel, &card.ts)?.visible_text();
            (shown.contains(key) && shown.contains("RELEASED")).then_some(())
        })
        .await;
    let rows = world.rows(key).await;
    for row in &rows {
        let Some(message) = world.slack.message(&row.channel, &row.ts) else {
            continue;
        };
        for action in ["approve", "reject", "deploy"] {
            assert!(
                !has_action(&message, action),
                "{} still has {action}: {}",
                row.id,
                message.visible_text()
            );
        }
    }
}

/// Which messages of a release a bot that was just killed left with an unknown outcome.
async fn being_posted(world: &World, key: &str) -> Vec<String> {
    let rows = world.rows(key).await.into_iter();
    rows.filter(|row| row.state == MessageState::Posting)
        .map(|row| row.id)
        .collect()
}

/// Visible copies beyond the first: at most one for each kill that fell into the posting of that message (`unknown` names
/// it once for each), none in #releases, which is searched first.
fn older_copies(world: &World, unknown: Vec<String>) -> usize {
    let mut allowed: BTreeMap<String, usize> = BTreeMap::new();
    for id in unknown {
        *allowed.entry(id).or_default() += 1;
    }
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for (id, message) in world.posted() {
        let older = copies.entry(id.clone()).and_modify(|older| *older += 1).or_default();
        assert!(
            *older == 0 || message.channel != RELEASES,
            "two copies of {id} in #releases"
        );
    }
    for (id, older) in &copies {
        let kills = allowed.get(id).copied().unwrap_or_default();
        assert!(
            *older <= kills,
            "{older} older copies of {id}, {kills} kills fell into its posting"
        );
    }
    copies.values().sum()
}

/// Copies that an unknown outcome left behind lose their buttons when somebody touches them, and decide nothing.
async fn retire_stray_copies(world: &World, key: &str) -> usize {
    let rows = world.rows(key).await;
    let is_stray = |id: &str, ts: &str| rows.iter().any(|row| row.id == id && row.ts != ts);
    let mut retired = 0;
    for (id, message) in world.posted() {
        if !is_stray(&id, &message.ts) || !has_action(&message, "approve") {
            continue;
        }
        let before = world.told(key).await.len();
        let owner = EVERYBODY
            .into_iter()
            .find(|user| world.slack.dm(user) == message.channel);
        let owner = owner.unwrap_or(PRIYA);
        assert!(
            world
                .slack
                .click(owner, &message.channel, &message.ts, "approve")
                .await
                .ok()
        );
        world
            .wait(&format!("the older copy of {id} to lose its buttons"), async || {
                let now = world.slack.message(&message.channel, &message.ts)?;
                (!has_action(&now, "approve")).then_some(())
            })
            .await;
        let news = world.told(key).await.split_off(before);
        assert!(news.iter().all(|told| told.name.contains("Refus")), "{id}: {news:?}");
        retired += 1;
    }
    retired
}
