//! `countersign audit` on an intact log, and on one that somebody changed behind the program's back.

use super::{plans, signs_by_typing};
use crate::support::bot::{DEV, PRIYA, run};
use crate::support::database::{Engine, Raw};
use crate::support::process::World;
use domain::log_entry::Head;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs;

#[test]
fn a_broken_log_is_named_by_position_and_kind_on_sqlite() {
    run(Engine::Sqlite, a_broken_log_is_named_by_position_and_kind);
}

#[test]
fn a_broken_log_is_named_by_position_and_kind_on_postgres() {
    run(Engine::Postgres, a_broken_log_is_named_by_position_and_kind);
}

fn sha256(text: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

async fn execute(raw: &mut Raw, sql: &str) {
    raw.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// What only a person with the database in their hands can do.
async fn disarm(raw: &mut Raw, engine: Engine) {
    let update = "UPDATE log SET bytes = 'x' WHERE position = 1";
    assert!(raw.execute(update).await.is_err(), "the log is append-only");
    assert!(raw.execute("DELETE FROM log").await.is_err(), "the log is append-only");
    let triggers: &[&str] = match engine {
        Engine::Sqlite => &["DROP TRIGGER log_no_update", "DROP TRIGGER log_no_delete"],
        _ => &["DROP TRIGGER log_no_update ON log"],
    };
    for sql in triggers {
        execute(raw, sql).await;
    }
    execute(raw, "CREATE TABLE kept AS SELECT * FROM log").await;
}

async fn restore(raw: &mut Raw) {
    execute(raw, "DELETE FROM log").await;
    execute(raw, "INSERT INTO log SELECT * FROM kept").await;
}

async fn verify(world: &World, code: i32) -> String {
    let (ended, said) = world.verb(&["audit", "verify"]).await;
    assert_eq!(ended, Some(code), "{said}");
    said
}

/// Exports the log and verifies it with nothing but SHA-256; how many entries there are.
async fn export_verifies(world: &World) -> u64 {
    let file = world.path("export.jsonl");
    let (ended, said) = world
        .verb(&["audit", "export", "--output", &file.display().to_string()])
        .await;
    assert_eq!(ended, Some(0), "{said}");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut previous = String::new();
    for (position, line) in (1_u64..).zip(&lines) {
        let bytes = line["bytes"].as_str().unwrap();
        let entry: Value = serde_json::from_str(bytes).unwrap();
        if position == 1 {
            previous = Head::genesis(entry["log"].as_str().unwrap()).hash.to_string();
        }
        assert_eq!(line["position"], position);
        assert_eq!(line["previous"], previous);
        for field in ["position", "stream", "version", "logged_ms", "previous"] {
            assert_eq!(entry[field], line[field], "{field} of entry {position}");
        }
        previous = sha256(bytes);
        assert_eq!(line["hash"], previous, "entry {position}");
    }
    let printed = world.verb(&["audit", "export"]).await;
    assert_eq!(printed, (Some(0), text), "standard output and file");
    u64::try_from(lines.len()).unwrap()
}

async fn a_broken_log_is_named_by_position_and_kind(engine: Engine) {
    let world = World::new(engine).await;
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    plans(&world, "REL-789").await;
    world.becomes("REL-789", "asking").await;
    assert!(world.types(DEV, "deploy REL-789").await);
    signs_by_typing(&world, "REL-789", PRIYA, "product_owner").await;
    world.settles().await;
    bot.terminate().await;
    world.audit().await;
    let last = export_verifies(&world).await;
    assert_eq!(last, world.head().await);
    assert!(last > 4, "{last} entries");

    let mut raw = world.database.connect().await;
    disarm(&mut raw, engine).await;
    let bytes = raw.texts("SELECT bytes FROM log WHERE position = 2").await.remove(0);
    let forged = bytes.replace("\"decided_ms\":1", "\"decided_ms\":2");
    assert_ne!(forged, bytes);
    let quoted = forged.replace('\'', "''");
    let rehashed = format!(
        "UPDATE log SET bytes = '{quoted}', hash = '{}' WHERE position = 2",
        sha256(&forged)
    );
    let edited = format!("UPDATE log SET bytes = '{quoted}' WHERE position = 2");
    let cut = format!("DELETE FROM log WHERE position = {last}");
    for (sql, position, kind) in [
        (edited.as_str(), 2, "edited"),
        (
            "UPDATE log SET stream = 'release/REL-1' WHERE position = 3",
            3,
            "edited",
        ),
        // Whoever hashes it anew breaks the link of the next one.
        (rehashed.as_str(), 3, "relinked"),
        ("DELETE FROM log WHERE position = 2", 2, "missing"),
        (cut.as_str(), last, "truncated"),
    ] {
        execute(&mut raw, sql).await;
        let said = verify(&world, 2).await;
        assert!(said.contains("BROKEN"), "{sql}: {said}");
        assert!(said.contains(&format!("entry {position} is {kind}")), "{sql}: {said}");
        restore(&mut raw).await;
        verify(&world, 0).await;
    }

    // A state row that says something else than the log.
    execute(
        &mut raw,
        "UPDATE stream SET state = replace(state, 'payments', 'ledger') WHERE stream = 'release/REL-789'",
    )
    .await;
    verify(&world, 0).await;
    let (ended, said) = world.verb(&["audit", "replay"]).await;
    assert_eq!(ended, Some(2), "{said}");
    let differs: Vec<&str> = said.lines().filter(|line| line.contains("DIFFERS")).collect();
    assert!(differs.len() == 1 && differs[0].contains("release/REL-789"), "{said}");
    println!("{engine:?}: {last} entries exported, every break named");
}
