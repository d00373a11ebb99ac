//! Signed checkpoints of the log in a file, in a Slack channel and in a witness's mailbox, and what they prove later.

use super::{planned_release, plans, signs_by_typing};
use crate::support::bot::{PRIYA, RELEASES, run};
use crate::support::database::Engine;
use crate::support::process::World;
use crate::support::smtp::{Mood, Server};
use std::fs;

/// An hour and a day, in milliseconds.
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

#[test]
fn checkpoints_go_where_the_database_owner_cannot_rewrite_them_on_sqlite() {
    run(Engine::Sqlite, checkpoints_go_out);
}

#[test]
fn checkpoints_go_where_the_database_owner_cannot_rewrite_them_on_postgres() {
    run(Engine::Postgres, checkpoints_go_out);
}

#[test]
fn an_ended_deployment_is_in_a_checkpoint_at_once_and_once_for_three_replicas() {
    run(Engine::Postgres, an_ended_deployment_is_in_a_checkpoint);
}

async fn with_checkpoints(engine: Engine, mail: &Server) -> World {
    let place = tempfile::tempdir().unwrap().keep();
    let file = place.join("checkpoints").display().to_string();
    let audit = format!("[audit]\nfile = \"{file}\"\nchannel = \"{RELEASES}\"\nwitnesses = [\"olga@acme.test\"]\n\n");
    let mut environment = mail.environment();
    let key = crate::audit::SECRET.to_owned();
    environment.push(("COUNTERSIGN_CHECKPOINT_KEY".to_owned(), key));
    World::with(engine, |config| audit + &config, environment).await
}

/// The file of `audit.file`, from the configuration.
fn file(world: &World) -> String {
    let config = fs::read_to_string(world.path("countersign.toml")).unwrap();
    let line = config.lines().find(|line| line.starts_with("file = ")).unwrap();
    line.trim_start_matches("file = ").trim_matches('"').to_owned()
}

fn in_file(world: &World) -> usize {
    let text = fs::read_to_string(file(world)).unwrap_or_default();
    domain::checkpoint::notes(&text).unwrap().len()
}

fn in_channel(world: &World) -> usize {
    let posted = world.posted();
    posted.iter().filter(|(id, _)| id.starts_with("checkpoint/")).count()
}

async fn until(world: &World, mail: &Server, counts: [usize; 3]) {
    world
        .wait(
            &format!("{counts:?} checkpoints in file, channel and mailbox"),
            async || {
                let mails = mail.said().matches("Message-ID: <checkpoint.").count();
                ([in_file(world), in_channel(world), mails] == counts).then_some(())
            },
        )
        .await;
}

/// The finished jobs once more, as after a crash: nothing new in file and channel, and the same mails.
async fn run_again(world: &World, mail: &Server) {
    let mut raw = world.database.connect().await;
    let again = "UPDATE job SET state = 'queued' WHERE kind = 'checkpoint.v1' AND state = 'done'";
    raw.execute(again).await.unwrap();
    raw.close().await;
    let before = (in_file(world), in_channel(world));
    let bot = world.serve("again", "all").await;
    world.settles().await;
    bot.terminate().await;
    assert_eq!((in_file(world), in_channel(world)), before);
    let said = mail.said();
    let ids: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("Message-ID: <checkpoint."))
        .collect();
    let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
    assert_eq!((ids.len(), unique.len()), (4, 2), "{ids:?}");
}

async fn checkpoints_go_out(engine: Engine) {
    let mail = Server::start(Mood::Friendly).await;
    let world = with_checkpoints(engine, &mail).await;
    world.nudges.store(false, std::sync::atomic::Ordering::Relaxed);
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    plans(&world, "REL-789").await;
    // The first entry is told everywhere, and then the log is left alone for an hour, whatever comes in.
    until(&world, &mail, [1, 1, 1]).await;
    world.becomes("REL-789", "asking").await;
    signs_by_typing(&world, "REL-789", PRIYA, "product_owner").await;
    world.settles().await;
    assert_eq!((in_file(&world), in_channel(&world)), (1, 1));
    world.slack.advance(HOUR_MS + 1_000).unwrap();
    until(&world, &mail, [2, 2, 1]).await;
    // A day later nothing new was logged for file and channel; the witness has not heard of the last hours.
    world.slack.advance(DAY_MS).unwrap();
    world
        .wait("the mail of the next day", async || {
            (mail.said().matches("Message-ID: <checkpoint.").count() == 2).then_some(())
        })
        .await;
    world.settles().await;
    bot.terminate().await;
    run_again(&world, &mail).await;

    let (code, key) = world.verb(&["audit", "public-key"]).await;
    assert_eq!(code, Some(0), "{key}");
    assert!(key.starts_with("countersign/"), "{key}");
    let export = world.path("export.jsonl").display().to_string();
    assert_eq!(world.verb(&["audit", "export", "--output", &export]).await.0, Some(0));
    // What stands in the channel proves as much as the file does.
    let posted = world.posted();
    let (_, message) = posted.iter().rfind(|(id, _)| id.starts_with("checkpoint/")).unwrap();
    let words = message.blocks[0]["text"]["text"].as_str().unwrap();
    let note = words.split("```").nth(1).unwrap();
    world.write("from_slack", note);
    for checkpoints in [file(&world), world.path("from_slack").display().to_string()] {
        for log in [&[][..], &[export.as_str()][..]] {
            let words = [
                &["audit", "verify"],
                log,
                &["--checkpoint", &checkpoints, "--key", key.trim()],
            ]
            .concat();
            let (code, said) = world.verb(&words).await;
            assert_eq!(code, Some(0), "{words:?}: {said}");
            assert!(said.contains("signatures checked"), "{said}");
        }
    }
    // An export that was cut before the last checkpoint.
    let text = fs::read_to_string(&export).unwrap();
    let cut: String = text.split_inclusive('\n').take(2).collect();
    world.write("cut.jsonl", &cut);
    let cut = world.path("cut.jsonl").display().to_string();
    let (code, said) = world
        .verb(&["audit", "verify", &cut, "--checkpoint", &file(&world)])
        .await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("entry 3 is truncated"), "{said}");
    println!(
        "{engine:?}: 2 checkpoints in file and channel, 2 mails; {}",
        world.audit().await
    );
}

async fn an_ended_deployment_is_in_a_checkpoint(engine: Engine) {
    let mail = Server::start(Mood::Friendly).await;
    let world = with_checkpoints(engine, &mail).await;
    // No hour passes.
    world.nudges.store(false, std::sync::atomic::Ordering::Relaxed);
    let bots = tokio::join!(
        world.serve("replica-1", "all"),
        world.serve("replica-2", "all"),
        world.serve("replica-3", "all")
    );
    let bots = [bots.0, bots.1, bots.2];
    world.slack.set_bot_urls(&bots.each_ref().map(|bot| bot.url.clone()));
    plans(&world, "REL-788").await;
    until(&world, &mail, [1, 1, 1]).await;
    planned_release(&world, "REL-789").await;
    let told = world.log(1).await;
    let ended = told.iter().position(|told| told.name == "AttemptEnded.v1").unwrap() as u64 + 1;
    let in_file = async || {
        let text = fs::read_to_string(file(&world)).unwrap_or_default();
        let notes = domain::checkpoint::notes(&text).unwrap();
        notes.iter().map(|note| note.checkpoint.position).collect::<Vec<_>>()
    };
    world
        .wait("the checkpoint of the end", async || {
            in_file().await.last().is_some_and(|last| *last >= ended).then_some(())
        })
        .await;
    world.settles().await;
    let positions = in_file().await;
    // The first entry, and the end.
    assert_eq!(positions.len(), 2, "{positions:?}, ended at {ended}");
    let posted = world.posted();
    let mut ids: Vec<&str> = posted.iter().map(|(id, _)| id.as_str()).collect();
    ids.retain(|id| id.starts_with("checkpoint/"));
    assert_eq!(ids.len(), 2, "{ids:?}");
    for bot in bots {
        bot.terminate().await;
    }
    println!(
        "{engine:?}: ended at {ended}, checkpoints at {positions:?}; {}",
        world.audit().await
    );
}
