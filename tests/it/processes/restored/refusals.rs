//! What is refused around a restore: checkpoints that are forged or broken, an acknowledgement of nothing or beside a running
//! bot, a damaged backup, and tools that are missing or too old.

use super::{SAYS, approved, backup, checkpoint_beyond, dead, file, new_place, notes, verb, with_file};
use crate::processes::plans;
use crate::support::bot::run;
use crate::support::database::{Database, Engine};
use crate::support::process::World;
use countersign::checkpoints::key::SigningKey;
use countersign::config::Secret;
use domain::checkpoint::Checkpoint;
use domain::digest::Digest;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn nothing_is_acknowledged_beside_a_running_bot_nor_where_nothing_is_lost_on_sqlite() {
    run(Engine::Sqlite, nothing_is_acknowledged);
}

#[test]
fn nothing_is_acknowledged_beside_a_running_bot_nor_where_nothing_is_lost_on_postgres() {
    run(Engine::Postgres, nothing_is_acknowledged);
}

async fn nothing_is_acknowledged(engine: Engine) {
    let world = with_file(engine).await;
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    plans(&world, "REL-789").await;
    checkpoint_beyond(&world, 0).await;
    let said = verb(&world, &SAYS, 1).await;
    let expected = match engine {
        Engine::Postgres => "still works on this database",
        _ => "stop the bot first",
    };
    assert!(said.contains(expected), "{said}");
    world.settles().await;
    bot.terminate().await;
    let entries = world.head().await;
    let said = verb(&world, &SAYS, 1).await;
    assert!(said.contains("nothing to acknowledge: the log goes through"), "{said}");
    let said = verb(&world, &["audit", "acknowledge-restore", "--by", "Olga"], 2).await;
    assert!(said.contains("--reason"), "{said}");
    assert_eq!(world.head().await, entries);

    // Who knows better says so, once.
    let all_the_same = [SAYS.as_slice(), &["--without-checkpoint"]].concat();
    for (words, answer, more) in [
        (all_the_same.as_slice(), "acknowledged as entry", 1),
        (SAYS.as_slice(), "nothing to acknowledge: that was done", 1),
        // A backup that holds the acknowledgement was restored.
        (all_the_same.as_slice(), "acknowledged as entry", 2),
    ] {
        let said = verb(&world, words, 0).await;
        assert!(said.contains(answer), "{said}");
        assert_eq!(world.head().await, entries + more);
    }
    let bot = world.serve("again", "all").await;
    world.settles().await;
    bot.terminate().await;
    println!("{engine:?}: {}", world.audit().await);
}

/// The checkpoint of a log that never was, signed with the bot's key.
fn another(world: &World, position: u64) -> String {
    let log = notes(world)[0].checkpoint.log.clone();
    let hash = Digest::of(b"another history");
    let key = SigningKey::new(&Secret::new(crate::audit::SECRET)).unwrap();
    key.sign(&Checkpoint { position, log, hash })
}

#[test]
fn a_log_that_was_rewritten_and_a_file_that_was_tampered_with_are_not_served() {
    run(Engine::Sqlite, a_log_that_was_rewritten);
}

async fn a_log_that_was_rewritten(engine: Engine) {
    let world = with_file(engine).await;
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    plans(&world, "REL-789").await;
    let first = checkpoint_beyond(&world, 0).await;
    let kept = fs::read_to_string(file(&world)).unwrap();
    let fits = notes(&world)[0].checkpoint.clone();
    let cut_off = another(&world, 9_999);

    // The database is put back, or rewritten, under a running bot: it signs nothing that contradicts the file.
    fs::write(file(&world), format!("{kept}\n{}", another(&world, 9_999))).unwrap();
    plans(&world, "REL-790").await;
    world.slack.advance(3_601_000).unwrap();
    let reason = world
        .wait("the checkpoint to be given up", async || {
            let jobs = world.store().await.dead_jobs(None).await.unwrap();
            jobs.into_iter()
                .find(|job| job.kind == "checkpoint.v1")
                .map(|job| job.reason)
        })
        .await;
    assert!(
        reason.contains("no checkpoint is made") && reason.contains("says 9999"),
        "{reason}"
    );
    assert_eq!(notes(&world).len(), 2);
    bot.kill();

    let entries = world.head().await;
    let refused = async |text: String, words: &[&str]| {
        fs::write(file(&world), text).unwrap();
        let said = verb(&world, &["serve"], 1).await;
        for word in words {
            assert!(said.contains(word), "{word:?} in {said}");
        }
    };
    // Another entry at the same place.
    refused(
        format!("{kept}\n{}", another(&world, entries)),
        &[
            &format!("entry {entries} of this log is another one"),
            "rewrote the log",
        ],
    )
    .await;
    // Wherever it stands: what comes after it is smaller.
    refused(format!("{}\n{kept}", another(&world, 9_999)), &["says 9999"]).await;
    let raised = kept.replacen(&format!("\n{first}\n"), &format!("\n{}\n", first + 5), 1);
    refused(raised, &["forged", "somebody else wrote into it"]).await;
    refused(
        format!("countersign/{}\n\n{kept}", fits.log),
        &["begins like a checkpoint"],
    )
    .await;

    // A disk that is not mounted; and nothing makes a file there.
    fs::remove_file(file(&world)).unwrap();
    let said = verb(&world, &["serve"], 1).await;
    assert!(
        said.contains("is not there, and checkpoints of this log were written"),
        "{said}"
    );
    assert!(!fs::exists(file(&world)).unwrap());

    // The file of before, a checkpoint by an earlier key that fits, and one whose writer was cut off, are served.
    let earlier = SigningKey::new(&Secret::new("YW4gZWFybGllciBrZXksIG9mIDMyIGJ5dGVzLCBubyE=")).unwrap();
    let old = earlier.sign(&fits);
    fs::write(file(&world), format!("{old}\n{kept}\n{}", &cut_off[..70])).unwrap();
    let bot = world.serve("again", "all").await;
    assert!(bot.tail(50).contains("are not signed by this key"), "{}", bot.tail(50));
    let (id, _) = dead(&world).await.remove(0);
    verb(&world, &["jobs", "retry", &id], 0).await;
    world.settles().await;
    bot.terminate().await;
    println!("{engine:?}: {}", world.audit().await);
}

#[test]
fn an_empty_database_beside_the_checkpoints_of_another_log_is_not_served() {
    run(Engine::Sqlite, an_empty_database);
}

async fn an_empty_database(engine: Engine) {
    let mut world = with_file(engine).await;
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    plans(&world, "REL-789").await;
    let entries = checkpoint_beyond(&world, 0).await;
    bot.terminate().await;
    let filled = std::mem::replace(&mut world.database, new_place(engine).await);
    world.moves_to(new_place(engine).await);
    let said = verb(&world, &["serve"], 1).await;
    let up_to = format!("up to entry {entries}");
    for part in ["this database is empty", &up_to, "an audit.file of its own"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    // Whoever says that the file is lost goes on without it.
    world.moves_to(filled);
    fs::write(file(&world), "").unwrap();
    let bot = world.serve("again", "all").await;
    assert!(
        bot.tail(50).contains("holds no checkpoint of this log"),
        "{}",
        bot.tail(50)
    );
    world.settles().await;
    bot.terminate().await;
    println!("{engine:?}: {}", world.audit().await);
}

#[test]
fn a_damaged_backup_is_not_restored() {
    run(Engine::Sqlite, a_damaged_backup);
}

async fn a_damaged_backup(engine: Engine) {
    let mut world = with_file(engine).await;
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    approved(&world, "REL-789").await;
    let path = backup(&world).await;
    bot.kill();
    let mut raw = Database::at(engine, format!("sqlite:{path}")).connect().await;
    raw.execute("DROP TRIGGER log_no_update").await.unwrap();
    raw.execute("UPDATE log SET bytes = 'x' WHERE position = 3")
        .await
        .unwrap();
    raw.close().await;
    world.moves_to(new_place(engine).await);
    let said = verb(&world, &["restore", &path], 2).await;
    assert!(
        said.contains("nothing was restored") && said.contains("entry 3 is edited"),
        "{said}"
    );
    let place = world.database.url.strip_prefix("sqlite:").unwrap().to_owned();
    assert!(!fs::exists(&place).unwrap());
    // What a lost database left beside its place would be taken for a part of the restored one.
    fs::write(format!("{place}-wal"), "old").unwrap();
    let said = verb(&world, &["restore", &path], 1).await;
    assert!(said.contains("-wal exists"), "{said}");
    let said = verb(&world, &["restore", &world.path("nothing").display().to_string()], 1).await;
    assert!(said.contains("is not a file"), "{said}");
}

#[test]
fn client_tools_that_are_missing_or_too_old_are_named_and_get_no_secrets_as_arguments() {
    run(Engine::Postgres, client_tools);
}

async fn client_tools(engine: Engine) {
    let world = with_file(engine).await;
    let bin = world.path("bin");
    fs::create_dir(&bin).unwrap();
    let backs_up = || {
        let mut command = world.command();
        command.env("PATH", &bin).arg("backup").arg(world.path("backup"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = backs_up();
    assert!(
        said.contains("pg_dump can't be run: install PostgreSQL's client tools"),
        "{said}"
    );

    let old = bin.join("pg_dump");
    let script = "#!/bin/sh\necho \"$*\" > \"$0.arguments\"\necho \"$PGDATABASE $PGHOST\" > \"$0.environment\"\n\
         echo 'pg_dump: error: aborting because of server version mismatch' >&2\nexit 1\n";
    fs::write(&old, script).unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    let said = backs_up();
    assert!(
        said.contains("its version must be the server's or a later one"),
        "{said}"
    );
    assert!(!world.path("backup").exists() && !world.path("backup.partial").exists());
    let told = |what: &str| fs::read_to_string(bin.join(format!("pg_dump.{what}"))).unwrap();
    let (name, _) = world.database.url.rsplit_once('/').unwrap().1.split_once('?').unwrap();
    assert!(told("environment").contains(name), "{}", told("environment"));
    let arguments = told("arguments");
    assert!(
        !arguments.contains(name) && !arguments.contains("socket"),
        "{arguments}"
    );
}
