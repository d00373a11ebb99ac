//! An older program and today's over one PostgreSQL: what people decide goes to both at once while one replica after the other is
//! upgraded and one is rolled back. `COUNTERSIGN_OLDER` names the older program, which `scripts/upgrade` builds; without it
//! today's stands in for it. `COUNTERSIGN_UPGRADE` says how many decisions.

use super::races::{EACH, Race, commands_of, judge};
use super::{hotfix, number, one_effect_each, planned_release, plans, signs_by_typing};
use crate::support::bot::{DEV, PAYMENTS, PRIYA, QUINN, run};
use crate::support::database::{Database, Engine};
use crate::support::orders::plan_many;
use crate::support::process::{Fan, PROGRAM, Replica, World};
use countersign::store::{Commit, JobFilter, Options, Outcome, StateRow, Store, StreamVersion};
use domain::log_entry::Draft;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const DECISIONS: u64 = 1_000;
/// Longer than a request may take.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(4);

/// The older program, and what to call it.
fn older() -> (String, &'static str) {
    match std::env::var("COUNTERSIGN_OLDER") {
        Ok(path) if !path.is_empty() => (path, "an older program"),
        _ => (PROGRAM.to_owned(), "today's program in the place of an older one"),
    }
}

/// Takes a replica out of the traffic, ends it in good order, and puts another program in its place.
async fn replace(world: &World, race: &Race, replicas: &mut Vec<Replica>, program: &str, name: &str) {
    let leaving = replicas.remove(0);
    race.urls.lock().unwrap().retain(|url| *url != commands_of(&leaving));
    tokio::time::sleep(REQUESTS_END_WITHIN).await;
    leaving.terminate().await;
    let coming = world.serve_by(program, name, "web").await;
    race.urls.lock().unwrap().push(commands_of(&coming));
    replicas.push(coming);
}

#[test]
fn decisions_race_on_old_and_new_through_a_rolling_upgrade_and_a_rollback() {
    run(Engine::Postgres, async |engine| {
        let (older, called) = older();
        let seed = number("COUNTERSIGN_SEED").unwrap_or_else(rand::random);
        let releases = number("COUNTERSIGN_UPGRADE").unwrap_or(DECISIONS).div_ceil(EACH);
        println!("{called} beside today's, {releases} releases, COUNTERSIGN_SEED={seed}");
        // Today's tables from the start: the older program has to do with them.
        let world = World::new(engine).await;
        let (code, said) = world.verb(&["migrate"]).await;
        assert_eq!(code, Some(0), "{said}");
        let own = world.joins().await;
        plan_many(&own, u32::try_from(releases).unwrap()).await;
        let mut replicas = Vec::new();
        for name in ["old-1", "old-2", "old-3"] {
            replicas.push(world.serve_by(&older, name, "web").await);
        }
        let race = Race::new(own, &replicas);
        let raced = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let racing = tokio::spawn({
            let (race, raced) = (Arc::clone(&race), Arc::clone(&raced));
            async move { race.run(releases, seed, &raced).await }
        });
        let steps = [
            (PROGRAM, "new-1"),
            (PROGRAM, "new-2"),
            (PROGRAM, "new-3"),
            (older.as_str(), "rolled-back"),
        ];
        for (share, (program, name)) in (1..).zip(steps) {
            while raced.load(Ordering::SeqCst) < releases * share / 8 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            replace(&world, &race, &mut replicas, program, name).await;
            println!("{name} after {} of {releases} releases", raced.load(Ordering::SeqCst));
        }
        let decided = racing.await.unwrap();
        judge(&world, &decided, began.elapsed().as_secs_f64(), race.again()).await;
        // The older program's own word on what both have written.
        for verb in ["verify", "replay"] {
            let output = world.command_of(&older).args(["audit", verb]).output().unwrap();
            assert!(
                output.status.success(),
                "{verb}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
        for replica in replicas {
            replica.terminate().await;
        }
    });
}

/// All three do everything, so each job is anybody's.
async fn serves(world: &World, programs: [&str; 3]) -> (Vec<Replica>, Fan) {
    let mut replicas = Vec::new();
    for (number, program) in (1..).zip(programs) {
        replicas.push(world.serve_by(program, &format!("replica-{number}"), "all").await);
    }
    let fan = Fan::start(replicas.iter().map(|replica| replica.url.clone())).await;
    world.slack.set_bot_urls(std::slice::from_ref(&fan.url));
    (replicas, fan)
}

#[test]
fn old_and_new_workers_share_one_queue_through_an_upgrade_and_a_rollback() {
    run(Engine::Postgres, async |engine| {
        let (older, called) = older();
        let older = older.as_str();
        let world = World::new(engine).await;
        let began = Instant::now();
        let mut keys = Vec::new();
        for (number, programs) in (1..).zip([
            [older, older, PROGRAM],
            [older, PROGRAM, PROGRAM],
            [PROGRAM, PROGRAM, PROGRAM],
            [PROGRAM, PROGRAM, older],
        ]) {
            let (replicas, fan) = serves(&world, programs).await;
            let (planned, urgent) = (format!("REL-{number}"), format!("HOTFIX-{number}"));
            planned_release(&world, &planned).await;
            hotfix(&world, &urgent).await;
            keys.push((planned, urgent));
            // With jobs still under way: the next ones take them over.
            drop(fan);
            for replica in replicas {
                replica.terminate().await;
            }
        }
        let (replicas, _fan) = serves(&world, [PROGRAM, older, PROGRAM]).await;
        world.settles().await;
        for (planned, urgent) in &keys {
            one_effect_each(&world, planned, "payments", &["product_owner", "qa_lead"]).await;
            one_effect_each(&world, urgent, "ledger", &["tech_lead", "cto"]).await;
        }
        for replica in replicas {
            replica.terminate().await;
        }
        println!(
            "{called} beside today's, as workers: {} releases through 5 mixtures in {} s, the queue empty; {}",
            2 * keys.len(),
            began.elapsed().as_secs(),
            world.audit().await
        );
    });
}

/// What a next version may do to the tables while this one runs: it only adds.
const NEXT: [&str; 5] = [
    "CREATE TABLE waiver (id TEXT NOT NULL PRIMARY KEY, granted_ms BIGINT NOT NULL)",
    "ALTER TABLE job ADD COLUMN train TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE stream ADD COLUMN stage TEXT",
    "ALTER TABLE private_text ADD COLUMN kind BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX job_train ON job (train)",
];

/// That migration `version` was applied, as the program that knows it would leave it.
async fn migrated_to(database: &Database, version: i64) {
    let mut raw = database.connect().await;
    let blob = if database.engine == Engine::Sqlite {
        "x'00'"
    } else {
        "'\\x00'"
    };
    for sql in NEXT {
        raw.execute(sql).await.unwrap();
    }
    raw.execute(&format!(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES ({version}, 'next', true, {blob}, 1)"
    ))
    .await
    .unwrap();
    raw.close().await;
}

async fn a_schema_one_step_newer_is_served_until_the_floor_rises(engine: Engine) {
    let (older, called) = older();
    let world = World::new(engine).await;
    // A SQLite file has its tables from whoever opens it first.
    assert_eq!(world.verb(&["migrate"]).await.0, Some(0));
    migrated_to(&world.database, 9_000).await;
    let mut keys = Vec::new();
    for (number, program) in (1..).zip([older.as_str(), PROGRAM]) {
        let bot = world.serve_by(program, "bot", "all").await;
        world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
        let key = format!("REL-{number}");
        planned_release(&world, &key).await;
        world.settles().await;
        bot.terminate().await;
        keys.push(key);
    }
    for key in &keys {
        one_effect_each(&world, key, "payments", &["product_owner", "qa_lead"]).await;
    }
    println!(
        "{engine:?}: {called} and today's serve tables that are one step newer; {}",
        world.audit().await
    );

    for (sql, says) in [
        (
            "UPDATE meta SET schema_floor = 9000",
            "needs a program that knows migration 9000",
        ),
        (
            "UPDATE meta SET schema_floor = 1; DELETE FROM _sqlx_migrations",
            "run `countersign migrate`",
        ),
    ] {
        let mut raw = world.database.connect().await;
        for one in sql.split("; ") {
            raw.execute(one).await.unwrap();
        }
        raw.close().await;
        for program in [older.as_str(), PROGRAM] {
            // A SQLite file is migrated by whoever serves it, so only who reads can find it too old.
            for verb in [["audit", "verify"].as_slice(), &["serve"]] {
                if engine == Engine::Sqlite && verb == ["serve"] && says.contains("migrate`") {
                    continue;
                }
                let mut command = tokio::process::Command::from(world.command_of(program));
                let ended = command.args(verb).kill_on_drop(true).output();
                let ended = tokio::time::timeout(Duration::from_secs(20), ended)
                    .await
                    .unwrap()
                    .unwrap();
                let said = String::from_utf8_lossy(&ended.stderr).into_owned();
                assert!(!ended.status.success() && said.contains(says), "{verb:?}: {said}");
            }
        }
    }
}

#[test]
fn a_schema_one_step_newer_is_served_until_the_floor_rises_on_sqlite() {
    run(Engine::Sqlite, a_schema_one_step_newer_is_served_until_the_floor_rises);
}

#[test]
fn a_schema_one_step_newer_is_served_until_the_floor_rises_on_postgres() {
    run(
        Engine::Postgres,
        a_schema_one_step_newer_is_served_until_the_floor_rises,
    );
}

/// Adds an entry to a release as a next version would, and to its state what follows from it.
async fn a_newer_version_decides(database: &Database, key: &str, event: Value, state: Option<Value>) {
    let store = Store::open(&database.url, Options::default()).await.unwrap();
    let stream = format!("release/{key}");
    let row = store.stream(&stream).await.unwrap().unwrap();
    let mut next: Value = serde_json::from_str(&row.state).unwrap();
    for (member, value) in state.iter().filter_map(Value::as_object).flatten() {
        next[member] = value.clone();
    }
    let commit = Commit {
        reads: vec![StreamVersion {
            stream: stream.clone(),
            version: row.version,
        }],
        entries: vec![Draft {
            stream,
            version: row.version + 1,
            decided_ms: row.updated_ms,
            actor: "p-newer".to_owned(),
            request: None,
            event,
        }],
        states: vec![StateRow {
            version: row.version + 1,
            state: next.to_string(),
            ..row
        }],
        decided_ms: 1,
        ..Commit::default()
    };
    let soon = tokio::time::Instant::now() + Duration::from_secs(10);
    let outcome = store.commit(commit, soon).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    store.close().await;
}

async fn what_only_a_newer_version_knows_is_not_judged_and_not_lost(engine: Engine) {
    let world = World::new(engine).await;
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    for key in ["REL-1", "REL-2", "REL-3"] {
        plans(&world, key).await;
        world.becomes(key, "asking").await;
    }
    for (user, role) in [(PRIYA, "product_owner"), (QUINN, "qa_lead")] {
        signs_by_typing(&world, "REL-2", user, role).await;
    }
    world.becomes("REL-2", "approved").await;
    world.settles().await;
    bot.terminate().await;
    // One that changes what is judged, and one that only stands in the log.
    let suspended = json!({ "name": "RuleSuspended.v1", "data": { "rule": "signoff.qa-lead", "by": "p-newer" } });
    a_newer_version_decides(
        &world.database,
        "REL-1",
        suspended,
        Some(json!({ "suspended": ["signoff.qa-lead"] })),
    )
    .await;
    let noted = json!({ "name": "TrainJoined.v1", "data": { "train": "T-7" } });
    a_newer_version_decides(&world.database, "REL-2", noted, None).await;
    let before = state_of(&world, "REL-1").await;
    let entries = world.store().await.entries(1, 10_000).await.unwrap();

    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    for typed in [
        "approve REL-1",
        "reject REL-1 no",
        "withdraw REL-1",
        "cancel REL-1",
        "status REL-1",
        "why REL-1",
        "audit REL-1",
        "audit REL-2",
    ] {
        let ack = world.slack.command(PRIYA, PAYMENTS, typed).await;
        assert!(
            ack.ok() && ack.body.to_string().contains("newer version"),
            "{typed}: {ack:?}"
        );
    }
    let listed = world.slack.command(PRIYA, PAYMENTS, "list").await.body.to_string();
    assert!(
        listed.contains("REL-2") && listed.contains("more can't be shown"),
        "{listed}"
    );
    // What is known is judged as ever; only the start reads all of the log.
    assert!(world.types(DEV, "deploy REL-2").await);
    world
        .wait("REL-2 to be requested", async || {
            state_of(&world, "REL-2")
                .await
                .contains("\"status\":\"queued\"")
                .then_some(())
        })
        .await;
    world
        .wait("the start to wait for a newer version", async || {
            let filter = JobFilter {
                subject: Some("REL-2".to_owned()),
                limit: 100,
                ..JobFilter::default()
            };
            let jobs = world.store().await.jobs(&filter).await.unwrap();
            assert!(jobs.iter().all(|job| job.state != "dead"), "{jobs:?}");
            let waits =
                |job: &countersign::store::JobRow| job.reason.contains("newer version") && job.state == "queued";
            jobs.iter().any(waits).then_some(())
        })
        .await;
    assert_eq!(world.starts("payments"), [] as [String; 0]);
    // Others go on, in another service.
    hotfix(&world, "HOTFIX-1").await;
    signs_by_typing(&world, "REL-3", PRIYA, "product_owner").await;

    assert_eq!(state_of(&world, "REL-1").await, before, "nothing of it is lost");
    let now = world.store().await.entries(1, 10_000).await.unwrap();
    assert_eq!(now[..entries.len()], entries[..]);
    let log = bot.tail(usize::MAX);
    assert!(!log.contains("panic"), "{log}");
    bot.terminate().await;
    let (code, said) = world.verb(&["audit", "verify"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = world.verb(&["audit", "replay"]).await;
    let differs = said.matches("an event that this version doesn't know").count();
    assert!(code == Some(2) && differs == 2 && said.contains("2 differ"), "{said}");
}

async fn state_of(world: &World, key: &str) -> String {
    let row = world
        .store()
        .await
        .stream(&format!("release/{key}"))
        .await
        .unwrap()
        .unwrap();
    format!("{} {}", row.version, row.state)
}

#[test]
fn what_only_a_newer_version_knows_is_not_judged_and_not_lost_on_sqlite() {
    run(
        Engine::Sqlite,
        what_only_a_newer_version_knows_is_not_judged_and_not_lost,
    );
}

#[test]
fn what_only_a_newer_version_knows_is_not_judged_and_not_lost_on_postgres() {
    run(
        Engine::Postgres,
        what_only_a_newer_version_knows_is_not_judged_and_not_lost,
    );
}
