//! The database is lost and put back from a backup: the whole drill, and every refusal on the way.

mod refusals;

use super::{asks_for_hotfix, deploys_until_released, planned_release, plans, signs_by_click, signs_by_typing};
use crate::support::bot::{CLEO, DEV, PRIYA, QUINN, RELEASES, THEO, TINA, run};
use crate::support::database::{Database, Engine};
use crate::support::process::{Replica, World, has_action};
use countersign::deploy::tree::living_of;
use countersign::store::JobFilter;
use domain::checkpoint::Note;
use playground::{Fault, Message};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

const SAYS: [&str; 6] = [
    "audit",
    "acknowledge-restore",
    "--by",
    "Olga",
    "--reason",
    "the disk died",
];
/// In the backup unsent, in the lost history sent.
const UNSENT: &str = "outcome/REL-790/1";
const UNSENT_CARD: &str = "card/REL-794";

#[test]
fn a_lost_database_is_put_back_and_nothing_is_done_twice_on_sqlite() {
    run(Engine::Sqlite, a_lost_database_is_put_back);
}

#[test]
fn a_lost_database_is_put_back_and_nothing_is_done_twice_on_postgres() {
    run(Engine::Postgres, a_lost_database_is_put_back);
}

/// A bot whose checkpoints go to a file, which no restore takes back.
async fn with_file(engine: Engine) -> World {
    let file = tempfile::tempdir().unwrap().keep().join("checkpoints");
    let audit = format!("[audit]\nfile = \"{}\"\n\n", file.display());
    let key = ("COUNTERSIGN_CHECKPOINT_KEY".to_owned(), crate::audit::SECRET.to_owned());
    let world = World::with(engine, |config| audit + &config, vec![key]).await;
    world.nudges.store(false, std::sync::atomic::Ordering::Relaxed);
    world
}

fn file(world: &World) -> String {
    let config = fs::read_to_string(world.path("countersign.toml")).unwrap();
    let line = config.lines().find(|line| line.starts_with("file = ")).unwrap();
    line.trim_start_matches("file = ").trim_matches('"').to_owned()
}

fn notes(world: &World) -> Vec<Note> {
    domain::checkpoint::notes(&fs::read_to_string(file(world)).unwrap_or_default()).unwrap()
}

/// Waits for a checkpoint of more than `entries` entries; its position.
async fn checkpoint_beyond(world: &World, entries: u64) -> u64 {
    world
        .wait(&format!("a checkpoint beyond {entries}"), async || {
            let last = notes(world).last()?.checkpoint.position;
            (last > entries).then_some(last)
        })
        .await
}

async fn approved(world: &World, key: &str) {
    plans(world, key).await;
    world.becomes(key, "asking").await;
    signs_by_typing(world, key, PRIYA, "product_owner").await;
    signs_by_typing(world, key, QUINN, "qa_lead").await;
    world.becomes(key, "approved").await;
}

/// Deploys with a script that goes on until somebody ends it.
async fn deploys_for_long(world: &World, key: &str) {
    world.write("payments/slow", "600");
    world
        .insist(
            &format!("{key} to deploy"),
            async || (world.status(key).await == "deploying").then_some(()),
            async || world.types(DEV, &format!("deploy {key}")).await,
        )
        .await;
    world
        .wait(&format!("the script of {key}"), async || {
            let starts = world.starts("payments");
            starts.iter().any(|start| start.starts_with(key)).then_some(())
        })
        .await;
}

/// A verb that must end like this; what it said.
async fn verb(world: &World, words: &[&str], code: i32) -> String {
    let (ended, said) = world.verb(words).await;
    assert_eq!(ended, Some(code), "{words:?}: {said}");
    said
}

/// A place for a database that does not exist yet.
async fn new_place(engine: Engine) -> Database {
    Database::with_tables(engine, false).await
}

async fn dead(world: &World) -> Vec<(String, String)> {
    let filter = JobFilter {
        states: vec!["dead".to_owned()],
        limit: 1_000,
        ..JobFilter::default()
    };
    let jobs = world.store().await.jobs(&filter).await.unwrap();
    jobs.into_iter().map(|job| (job.id, job.payload)).collect()
}

/// Time stamps of every message that stands for this outbox id, whichever history posted it.
fn copies(world: &World, id: &str) -> Vec<String> {
    let is_it = |posted: &str| posted.split('@').next() == Some(id);
    let posted = world.posted().into_iter().filter(|(posted, _)| is_it(posted));
    posted.map(|(_, message)| message.ts).collect()
}

/// The backup, made while decisions come in.
async fn backs_up(world: &World) -> (PathBuf, u64) {
    let acknowledged = world.head().await;
    let folder = world.path("backups");
    fs::create_dir_all(&folder).unwrap();
    let words = ["backup", folder.to_str().unwrap()];
    let (said, ()) = tokio::join!(verb(world, &words, 0), plans(world, "REL-795"));
    let path = PathBuf::from(said.lines().next().unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let entries = said.split_once("intact: ").unwrap().1.split_once(" entries").unwrap().0;
    let entries: u64 = entries.parse().unwrap();
    assert!(entries >= acknowledged, "{entries} of {acknowledged}: {said}");
    assert!(
        said.contains("made and verified in") && said.contains("not in it: the configuration"),
        "{said}"
    );
    let refused = verb(world, &["backup", path.to_str().unwrap()], 1).await;
    assert!(refused.contains("nothing is ever overwritten"), "{refused}");
    (path, entries)
}

/// What is decided and done after the backup, and lost; the script of a release that the backup does not know goes on.
async fn history_that_is_lost(world: &World, entries: u64) -> u64 {
    world.slack.clear_faults();
    for id in [UNSENT, UNSENT_CARD] {
        world
            .wait("the message that was unsent", async || {
                (copies(world, id).len() == 1).then_some(())
            })
            .await;
    }
    fs::remove_file(world.path("payments/slow")).unwrap();
    world
        .insist(
            "the attempt to be stopped",
            async || (world.status("REL-789").await == "approved").then_some(()),
            async || world.types(DEV, "stop REL-789").await,
        )
        .await;
    deploys_until_released(world, "REL-789").await;
    plans(world, "REL-796").await;
    world.becomes("REL-796", "asking").await;
    question(world, true).await;
    approved(world, "REL-793").await;
    deploys_for_long(world, "REL-793").await;
    checkpoint_beyond(world, entries).await
}

/// What asks the product owner about REL-796, in the lost history or in today's.
async fn question(world: &World, is_lost: bool) -> Message {
    let channel = world.slack.dm(PRIYA);
    world
        .wait("the question about REL-796", async || {
            let mut posted = world.posted().into_iter();
            let asks = |id: &str| id.starts_with("question/REL-796/") && id.contains('@') != is_lost;
            let found = posted.find(|(id, message)| asks(id) && message.channel == channel);
            found.map(|(_, message)| message)
        })
        .await
}

/// A release of today has the key and the revision of a lost one, whose question still stands in Slack.
async fn a_click_of_the_lost_history_decides_nothing(world: &World) {
    plans(world, "REL-796").await;
    world.becomes("REL-796", "asking").await;
    let (lost, today) = (question(world, true).await, question(world, false).await);
    assert!(has_action(&lost, "approve") && has_action(&today, "approve"));
    assert!(world.slack.click(PRIYA, &lost.channel, &lost.ts, "approve").await.ok());
    world
        .wait("the answer to the lost question", async || {
            let told = world.slack.ephemerals(PRIYA);
            let is_it = |text: String| text.contains("it does not know this message");
            told.iter().any(|said| is_it(said.visible_text())).then_some(())
        })
        .await;
    world
        .wait("the lost question to lose its buttons", async || {
            (!has_action(&question(world, true).await, "approve")).then_some(())
        })
        .await;
    assert_eq!(world.count("REL-796", "SignedOff.v1").await, 0);
    assert!(
        world
            .slack
            .click(PRIYA, &today.channel, &today.ts, "approve")
            .await
            .ok()
    );
    world
        .wait("today's word", async || {
            (world.count("REL-796", "SignedOff.v1").await == 1).then_some(())
        })
        .await;
}

async fn is_refused(world: &World, entries: u64, lost: u64) {
    let roles: &[&[&str]] = match world.database.engine {
        Engine::Postgres => &[&["serve"], &["serve", "--role", "web"], &["serve", "--role", "worker"]],
        _ => &[&["serve"]],
    };
    for words in roles {
        let said = verb(world, words, 1).await;
        let missing = lost - entries;
        for part in [
            format!("Its log has {entries} entries"),
            format!("says {lost}"),
            format!("At least {missing} entries are missing"),
            "restored from an older backup".to_owned(),
            "acknowledge-restore".to_owned(),
        ] {
            assert!(said.contains(&part), "{part:?} in {said}");
        }
    }
}

async fn a_lost_database_is_put_back(engine: Engine) {
    let mut world = with_file(engine).await;
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    world
        .slack
        .fault_about("chat.postMessage", UNSENT, Fault::Unavailable, 10_000);
    planned_release(&world, "REL-790").await;
    world
        .slack
        .fault_about("chat.postMessage", UNSENT_CARD, Fault::Unavailable, 10_000);
    approved(&world, "REL-794").await;
    approved(&world, "REL-789").await;
    deploys_for_long(&world, "REL-789").await;
    let (backup, entries) = backs_up(&world).await;
    let lost = history_that_is_lost(&world, entries).await;
    bot.kill();

    world.moves_to(new_place(engine).await);
    let said = verb(&world, &["restore", backup.to_str().unwrap()], 0).await;
    let missing = format!("lost: {} entries up to the checkpoint at {lost}", lost - entries);
    assert!(
        said.contains(&missing) && said.contains("acknowledge-restore"),
        "{said}"
    );
    let refused = verb(&world, &["restore", backup.to_str().unwrap()], 1).await;
    assert!(refused.contains("nothing is ever overwritten"), "{refused}");
    is_refused(&world, entries, lost).await;
    let said = verb(&world, &SAYS, 0).await;
    assert!(said.contains("the deployment of REL-789"), "{said}");
    assert!(said.contains(&format!("the checkpoint at {lost}")), "{said}");
    let again = verb(&world, &SAYS, 0).await;
    assert!(again.contains("nothing to acknowledge: that was done"), "{again}");

    let bot = world.serve("restored", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    what_was_held_waits_for_a_person(&world).await;
    two_people_settle(&world, "settle_failed").await;
    world.becomes("REL-789", "approved").await;
    a_click_of_the_lost_history_decides_nothing(&world).await;
    nothing_starts_beside_the_lost_script(&world).await;
    a_new_attempt_has_its_own_spool(&world).await;
    let next = world
        .wait("a checkpoint of the restored log", async || {
            let newest = notes(&world).last()?.checkpoint.clone();
            let entry = world.store().await.entries(newest.position, 1).await.ok()?.pop()?;
            (entry.hash == newest.hash && newest.position > entries).then_some(newest.position)
        })
        .await;
    bot.terminate().await;
    // Nothing is appended to the file meanwhile.
    both_verifiers_pass_over_what_was_lost(&world, lost).await;
    // What is left of the held messages is not sent at all.
    for (id, payload) in dead(&world).await {
        assert_eq!(
            verb(&world, &["jobs", "drop", &id], 0).await.trim(),
            "done",
            "{payload}"
        );
    }
    let bot = world.serve("once more", "all").await;
    world.settles().await;
    bot.terminate().await;
    println!(
        "{engine:?}: {entries} entries kept of {lost}, the next checkpoint at {next}; {}",
        world.audit().await
    );
}

/// The log goes through every checkpoint in the file but those that the acknowledgement names.
async fn both_verifiers_pass_over_what_was_lost(world: &World, lost: u64) {
    let (file, export) = (file(world), world.path("export.jsonl").display().to_string());
    let key = verb(world, &["audit", "public-key"], 0).await;
    verb(world, &["audit", "export", "--output", &export], 0).await;
    let words = ["--checkpoint", file.as_str(), "--key", key.trim()];
    for log in [&[][..], &[export.as_str()][..]] {
        let said = verb(world, &[&["audit", "verify"], log, &words].concat(), 0).await;
        assert!(
            said.contains("a restore has lost them") && said.contains(&lost.to_string()),
            "{said}"
        );
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_audit.py");
    let mut python = std::process::Command::new("python3");
    let python = python
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .arg(&export)
        .args(words);
    let output = python.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("a restore has lost them"),
        "{said}"
    );
}

async fn what_was_held_waits_for_a_person(world: &World) {
    let held = dead(world).await;
    let (id, _) = held
        .iter()
        .find(|(_, payload)| payload.contains(UNSENT))
        .unwrap_or_else(|| panic!("{UNSENT} is held: {held:?}"));
    // Long enough for whatever goes out by itself.
    world
        .wait("#releases to say that nobody knows", async || {
            let told = world.slack.messages(RELEASES).into_iter().rev();
            told.map(|message| message.visible_text())
                .find(|text| text.contains("OUTCOME UNKNOWN") && text.contains("restored from a backup"))
        })
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = copies(world, UNSENT);
    assert_eq!(before.len(), 1, "it was sent in the lost history and not again");
    let list = verb(world, &["jobs", "list", "--dead"], 0).await;
    assert!(list.contains("held after a restore"), "{list}");
    // Retried, it is found where the lost history had posted it.
    assert_eq!(verb(world, &["jobs", "retry", id], 0).await.trim(), "done");
    world
        .wait("the retried message to be found", async || {
            let row = world.store().await.message(UNSENT).await.ok()??;
            (row.ts == before[0]).then_some(())
        })
        .await;
    assert_eq!(copies(world, UNSENT), before);
}

async fn two_people_settle(world: &World, action: &str) {
    world.becomes("REL-789", "interrupted").await;
    for user in [DEV, THEO] {
        let card = world
            .wait("the card to ask", async || {
                let posted = world.posted().into_iter().map(|(_, message)| message);
                let mut cards = posted.filter(|message| message.visible_text().contains("REL-789"));
                cards.find(|message| has_action(message, action))
            })
            .await;
        assert_eq!(world.count("REL-789", "AttemptSettled.v1").await, 0);
        assert!(world.slack.click(user, &card.channel, &card.ts, action).await.ok());
        world
            .wait(&format!("{user}'s word"), async || {
                let told = world.told("REL-789").await;
                let said = told.iter().filter(|told| told.name == "SettlementProposed.v1").count();
                (said == if user == DEV { 1 } else { 2 }).then_some(())
            })
            .await;
    }
}

async fn nothing_starts_beside_the_lost_script(world: &World) {
    let starts = world.starts("payments");
    let lost = starts.iter().find(|start| start.starts_with("REL-793.1.")).unwrap();
    let lost = lost.split(' ').next().unwrap().to_owned();
    fs::remove_file(world.path("payments/slow")).unwrap();
    assert_eq!(copies(world, UNSENT_CARD).len(), 1, "the card is held");
    assert!(world.types(DEV, "deploy REL-794").await);
    world
        .wait("the card that this decision needs", async || {
            (copies(world, UNSENT_CARD).len() == 2).then_some(())
        })
        .await;
    let told = world
        .wait("#releases to say why nothing started", async || {
            let told = world.slack.messages(RELEASES).into_iter().rev();
            told.map(|message| message.visible_text())
                .find(|text| text.contains("REL-794") && text.contains("DID NOT START"))
        })
        .await;
    assert!(
        told.contains(&lost) && told.contains("before the database was restored"),
        "{told}"
    );
    assert_eq!(world.starts("payments"), starts);
    for process in living_of(&lost) {
        let _ = kill_process(Pid::from_raw(process).unwrap(), Signal::KILL);
    }
    let status = world.path("data/attempts").join(&lost).join("status.json");
    world
        .wait("the lost script to end, and its supervisor to say so", async || {
            (living_of(&lost).is_empty() && status.exists()).then_some(())
        })
        .await;
}

async fn a_new_attempt_has_its_own_spool(world: &World) {
    let before = world.starts("payments");
    assert_eq!(
        before.iter().filter(|start| start.starts_with("REL-789.2.")).count(),
        1,
        "the lost history had an attempt 2: {before:?}"
    );
    deploys_until_released(world, "REL-789").await;
    let starts = world.starts("payments");
    let start = &starts[before.len()..];
    assert_eq!(start.len(), 1, "{starts:?}");
    let (id, fence) = start[0].split_once(' ').unwrap();
    let fence: u64 = fence.split(' ').next().unwrap().parse().unwrap();
    let fences = before
        .iter()
        .map(|start| start.split(' ').nth(1).unwrap().parse::<u64>().unwrap());
    assert!(
        id.starts_with("REL-789.2.") && fences.max().unwrap() < fence,
        "{starts:?}"
    );
    assert_eq!(world.release("REL-789").await.unwrap().attempts.len(), 2);
    let spool = world.path("data/attempts").join(id);
    assert!(spool.join("status.json").exists(), "{}", spool.display());
}

/// Loses the database, puts the backup back and acknowledges it; a bot serves it when this returns.
async fn puts_back(world: &mut World, backup: &str) -> Replica {
    world.moves_to(new_place(world.database.engine).await);
    verb(world, &["restore", backup], 0).await;
    verb(world, &SAYS, 0).await;
    let bot = world.serve("restored", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    bot
}

async fn backup(world: &World) -> String {
    let path = world.path("backup").display().to_string();
    verb(world, &["backup", &path], 0).await;
    path
}

#[test]
fn what_was_only_requested_may_have_run_and_is_not_started_again() {
    run(Engine::Postgres, what_was_only_requested_may_have_run);
}

async fn what_was_only_requested_may_have_run(engine: Engine) {
    let mut world = with_file(engine).await;
    let bot = world.serve("first", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    approved(&world, "REL-789").await;
    bot.terminate().await;
    let web = world.serve("web", "web").await;
    world.slack.set_bot_urls(std::slice::from_ref(&web.url));
    assert!(world.types(DEV, "deploy REL-789").await);
    world.becomes("REL-789", "queued").await;
    let (path, entries) = (backup(&world).await, world.head().await);
    let worker = world.serve("worker", "worker").await;
    world.becomes("REL-789", "released").await;
    checkpoint_beyond(&world, entries).await;
    worker.kill();
    web.kill();

    let bot = puts_back(&mut world, &path).await;
    two_people_settle(&world, "settle_finished").await;
    world.becomes("REL-789", "released").await;
    assert_eq!(world.starts("payments").len(), 1);
    world
        .wait("#releases to say it", async || {
            let told = world.slack.messages(RELEASES).into_iter();
            let mut told = told.map(|message| message.visible_text());
            told.find(|text| text.contains("RELEASED") && text.contains("agree that it finished"))
        })
        .await;
    bot.terminate().await;
    println!("{engine:?}: {}", world.audit().await);
}

#[test]
fn timers_and_notices_of_a_lost_history_neither_start_nor_tell_again() {
    run(Engine::Sqlite, timers_and_notices_of_a_lost_history);
}

async fn timers_and_notices_of_a_lost_history(engine: Engine) {
    const NOTICE: &str = "notice/HOTFIX-1/1";
    let mut world = with_file(engine).await;
    let bot = world.serve("first", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    world
        .slack
        .fault_about("chat.postMessage", NOTICE, Fault::Unavailable, 10_000);
    asks_for_hotfix(&world, "HOTFIX-1").await;
    world.becomes("HOTFIX-1", "asking").await;
    signs_by_click(&world, "HOTFIX-1", TINA, "tech_lead").await;
    signs_by_click(&world, "HOTFIX-1", CLEO, "cto").await;
    world.becomes("HOTFIX-1", "released").await;
    // The CTO has signed the next one, and no tech lead answers.
    asks_for_hotfix(&world, "HOTFIX-2").await;
    world.becomes("HOTFIX-2", "asking").await;
    signs_by_click(&world, "HOTFIX-2", CLEO, "cto").await;
    let (path, entries) = (backup(&world).await, world.head().await);

    // In the lost history the notice is posted, and the timer starts the second one.
    world.slack.clear_faults();
    world
        .wait("the notice", async || (copies(&world, NOTICE).len() == 1).then_some(()))
        .await;
    world.slack.advance(16 * 60_000).unwrap();
    world.becomes("HOTFIX-2", "released").await;
    checkpoint_beyond(&world, entries).await;
    bot.kill();
    let starts = world.starts("ledger");
    let paged = fs::read_to_string(world.path("pages.log")).unwrap_or_default();
    assert_eq!(starts.len(), 2);

    let bot = puts_back(&mut world, &path).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.starts("ledger"), starts, "the second one was started again");
    assert_eq!(world.count("HOTFIX-2", "DeploymentRequested.v1").await, 0);
    let now = fs::read_to_string(world.path("pages.log")).unwrap_or_default();
    assert_eq!(now, paged, "somebody was rung again");
    assert_eq!(world.count("HOTFIX-1", "NoticeBreached.v1").await, 0);
    let held = dead(&world).await;
    let is_held = |what: &str| held.iter().find(|(_, payload)| payload.contains(what));
    assert!(is_held("end_tech_lead_wait").is_some(), "{held:?}");
    assert!(is_held("escalate_notice").is_some(), "{held:?}");
    let (notice, _) = is_held(NOTICE).unwrap();
    // Looked for and found: it stands once, and counts.
    assert_eq!(verb(&world, &["jobs", "retry", notice], 0).await.trim(), "done");
    world
        .wait("the notice to count", async || {
            (world.count("HOTFIX-1", "NoticePosted.v1").await == 1).then_some(())
        })
        .await;
    assert_eq!(copies(&world, NOTICE).len(), 1);
    for (id, payload) in dead(&world).await {
        assert_eq!(
            verb(&world, &["jobs", "drop", &id], 0).await.trim(),
            "done",
            "{payload}"
        );
    }
    world.settles().await;
    bot.terminate().await;
    println!("{engine:?}: {}", world.audit().await);
}
