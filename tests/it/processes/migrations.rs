//! kill -9 while the tables are made: whoever comes next makes them as if nothing had happened.
//! `COUNTERSIGN_MIGRATION_KILLS` says how often, `COUNTERSIGN_SEED` repeats a run's random choices.

use super::number;
use crate::support::bot::run;
use crate::support::database::{Database, Engine, Raw};
use crate::support::process::World;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const KILLS: u64 = 12;
/// A database is killed at so many times at most before it is finished.
const KILLS_OF_ONE_MAX: u64 = 3;

async fn empty(engine: Engine) -> World {
    let database = Database::with_tables(engine, false).await;
    World::over(database, |config| config, Vec::new()).await
}

async fn empties(world: &World) {
    let mut raw = world.database.connect().await;
    for sql in ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"] {
        raw.execute(sql).await.unwrap();
    }
    raw.close().await;
}

fn begin(world: &World, arguments: &[&str]) -> Child {
    let mut command = world.command();
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Everything that makes up the tables, and how many first rows there are.
async fn tables(world: &World) -> Vec<String> {
    let mut raw = world.database.connect().await;
    let mut all = Vec::new();
    for sql in match world.database.engine {
        Engine::Sqlite => SQLITE_TABLES.as_slice(),
        _ => POSTGRES_TABLES.as_slice(),
    } {
        all.extend(raw.texts(sql).await);
    }
    raw.close().await;
    all
}

const SQLITE_TABLES: [&str; 3] = [
    "SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master ORDER BY type, name",
    "SELECT version || ' ' || description || ' ' || success || ' ' || hex(checksum) FROM _sqlx_migrations ORDER BY version",
    FIRST_ROWS,
];
const POSTGRES_TABLES: [&str; 5] = [
    "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexdef",
    "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT concat_ws(' ', version, description, success, encode(checksum, 'hex')) FROM _sqlx_migrations ORDER BY version",
    FIRST_ROWS,
];
const FIRST_ROWS: &str = "SELECT (SELECT count(*) FROM meta) || ' log, ' || (SELECT count(*) FROM head) || ' head at ' || position FROM head";

#[test]
fn a_first_serve_that_is_killed_leaves_nothing_half_on_sqlite() {
    run(Engine::Sqlite, async |engine| {
        killed_while_migrating(engine, "serve").await;
    });
}

#[test]
fn a_migrator_that_is_killed_leaves_nothing_half_on_postgres() {
    run(Engine::Postgres, async |engine| {
        killed_while_migrating(engine, "migrate").await;
    });
}

async fn killed_while_migrating(engine: Engine, verb: &str) {
    let seed = number("COUNTERSIGN_SEED").unwrap_or_else(rand::random);
    let kills = number("COUNTERSIGN_MIGRATION_KILLS").unwrap_or(KILLS);
    println!("{engine:?}: {kills} kills of `{verb}`, COUNTERSIGN_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let undisturbed = empty(engine).await;
    let took = until_migrated(&undisturbed, verb).await;
    let expected = tables(&undisturbed).await;
    assert!(expected.len() > 30, "{expected:#?}");
    let (mut killed, mut databases, mut before, mut inside) = (0, 0, 0, 0);
    let mut world = empty(engine).await;
    while killed < kills {
        match engine {
            Engine::Sqlite => world = empty(engine).await,
            // A server full of databases would get slower and slower.
            _ => empties(&world).await,
        }
        for _ in 0..random.random_range(1..=KILLS_OF_ONE_MAX).min(kills - killed) {
            let mut child = begin(&world, &[verb]);
            tokio::time::sleep(took.mul_f64(random.random_range(0.0..1.1))).await;
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            match stands(&world).await {
                Stands::Nothing => before += 1,
                Stands::Part => inside += 1,
                Stands::All => {}
            }
        }
        let (code, said) = world.verb(&["migrate"]).await;
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(tables(&world).await, expected);
        world.audit().await;
        databases += 1;
    }
    println!(
        "{killed} kills over {databases} databases within {} ms each: {before} before the first table, {inside} on the way, {} \
         after the last row; every one finished and equal to an undisturbed one",
        took.as_millis(),
        killed - before - inside
    );
}

/// How long it takes until everything is there.
async fn until_migrated(world: &World, verb: &str) -> Duration {
    let began = Instant::now();
    let mut child = begin(world, &[verb]);
    while stands(world).await != Stands::All {
        assert!(began.elapsed() < Duration::from_secs(30), "{verb} does not migrate");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = began.elapsed();
    let _ = child.kill();
    child.wait().unwrap();
    took
}

#[derive(Debug, PartialEq, Eq)]
enum Stands {
    Nothing,
    Part,
    All,
}

/// How far the tables are.
async fn stands(world: &World) -> Stands {
    let file = world.database.url.strip_prefix("sqlite:");
    if file.is_some_and(|file| !std::path::Path::new(file).exists()) {
        return Stands::Nothing;
    }
    let tables = match world.database.engine {
        Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
        _ => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
    };
    let mut raw = world.database.connect().await;
    let there = raw.texts(tables).await;
    if there.is_empty() {
        return Stands::Nothing;
    }
    if there.iter().any(|table| table == "head") && !raw.texts(FIRST_ROWS).await.is_empty() {
        return Stands::All;
    }
    Stands::Part
}

#[test]
fn of_three_migrators_at_once_one_does_it_and_the_others_find_it_done() {
    run(Engine::Postgres, async |engine| {
        let undisturbed = empty(engine).await;
        assert_eq!(undisturbed.verb(&["migrate"]).await.0, Some(0));
        let expected = tables(&undisturbed).await;
        for _ in 0..3 {
            let world = empty(engine).await;
            let migrate = || world.verb(&["migrate"]);
            let (one, two, three) = tokio::join!(migrate(), migrate(), migrate());
            for (code, said) in [one, two, three] {
                assert_eq!(code, Some(0), "{said}");
                assert!(said.contains("up to date"), "{said}");
            }
            assert_eq!(tables(&world).await, expected);
            world.audit().await;
        }
    });
}

/// Such a database would look migrated, and no decision could be written.
#[test]
fn a_migrator_that_is_lost_between_the_first_rows_leaves_neither() {
    run(Engine::Postgres, async |engine| {
        let world = World::new(engine).await;
        let mut raw = world.database.connect().await;
        raw.execute("DELETE FROM head").await.unwrap();
        raw.execute("DELETE FROM meta").await.unwrap();
        let mut holder = world.database.connect().await;
        holder.execute("BEGIN").await.unwrap();
        holder.execute("LOCK TABLE head").await.unwrap();
        let (migrated, ()) = tokio::join!(world.verb(&["migrate"]), lose_who_waits(&mut raw));
        assert_ne!(migrated.0, Some(0), "{}", migrated.1);
        holder.execute("ROLLBACK").await.unwrap();
        let (code, said) = world.verb(&["serve"]).await;
        assert_ne!(code, Some(0));
        assert!(said.contains("run `countersign migrate`"), "{said}");
        assert_eq!(world.verb(&["migrate"]).await.0, Some(0));
        world.audit().await;
    });
}

/// Ends the connection that waits for a lock.
async fn lose_who_waits(raw: &mut Raw) {
    let until = Instant::now() + Duration::from_secs(20);
    let lost = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while raw.texts(lost).await.is_empty() {
        assert!(Instant::now() < until, "nobody waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
