//! PostgreSQL: connections that die, servers that restart, go read-only, undo transactions or hold locks, and servers that
//! must not be used.

use super::Stream;
use crate::processes::{plans, signs_by_typing};
use crate::support::bot::{PRIYA, run};
use crate::support::database::{Database, Engine, Raw};
use crate::support::postgres::Cluster;
use crate::support::process::{Replica, World};
use serde_json::Value;
use std::time::{Duration, Instant};

const LASTS: Duration = Duration::from_millis(2_500);
/// Longer than a statement waits for a lock.
const HELD: Duration = Duration::from_millis(1_800);
/// Connections that a bot has for everything but commits.
const POOL: i64 = 8;
const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

async fn stream() -> Stream {
    Stream::over(Database::new(Engine::Postgres).await, Vec::new()).await
}

/// Ends every connection of the bot, in whatever state it is; how many.
async fn terminate_all(raw: &mut Raw) -> usize {
    let ended = raw
        .texts(
            "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    ended.len()
}

async fn database_of(raw: &mut Raw) -> String {
    raw.texts("SELECT current_database()::text").await.remove(0)
}

#[test]
fn connections_that_are_killed_over_and_over_lose_nothing() {
    run(Engine::Postgres, async |_| {
        stream()
            .await
            .endures("killed connections", true, async |stream| {
                let mut raw = stream.world.database.connect().await;
                let (began, mut killed) = (Instant::now(), 0);
                while began.elapsed() < LASTS {
                    killed += terminate_all(&mut raw).await;
                    tokio::time::sleep(Duration::from_millis(7)).await;
                }
                println!("{killed} connections killed");
                assert!(killed > 20, "{killed}");
            })
            .await;
    });
}

#[test]
fn a_server_that_turns_read_only_is_told_and_left_behind() {
    run(Engine::Postgres, async |_| {
        stream()
            .await
            .endures("read-only", true, async |stream| {
                let mut raw = stream.world.database.connect().await;
                let database = database_of(&mut raw).await;
                for (setting, lasts) in [("on", LASTS), ("off", Duration::ZERO)] {
                    raw.execute("SET default_transaction_read_only = off").await.unwrap();
                    let sql = format!("ALTER DATABASE {database} SET default_transaction_read_only = {setting}");
                    raw.execute(&sql).await.unwrap();
                    terminate_all(&mut raw).await;
                    tokio::time::sleep(lasts).await;
                }
            })
            .await;
    });
}

/// Whoever runs the server may make every transaction serializable. Then a rival makes them fail, and they are run again.
#[test]
fn transactions_that_a_rival_undoes_are_run_again() {
    run(Engine::Postgres, async |_| {
        let stream = stream().await;
        let mut raw = stream.world.database.connect().await;
        let database = database_of(&mut raw).await;
        let sql = format!("ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'");
        raw.execute(&sql).await.unwrap();
        terminate_all(&mut raw).await;
        let undone = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
        let before = stream.world.database.number(undone).await;
        stream
            .endures("a rival", false, async |stream| {
                let mut rival = stream.world.database.connect().await;
                let (began, mut turns) = (Instant::now(), 0_u32);
                while began.elapsed() < LASTS {
                    turns += 1;
                    // The head moves under whoever has read it before, and sometimes stays locked for a while.
                    let _ = rival.execute("BEGIN").await;
                    let _ = rival.execute("UPDATE head SET logged_ms = logged_ms").await;
                    let held_ms = if turns.is_multiple_of(20) { 600 } else { 15 };
                    tokio::time::sleep(Duration::from_millis(held_ms)).await;
                    if rival.execute("COMMIT").await.is_err() {
                        let _ = rival.execute("ROLLBACK").await;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let undone = stream.world.database.number(undone).await - before;
                println!("{undone} transactions undone");
                assert!(undone > 0);
            })
            .await;
    });
}

#[test]
fn a_pool_that_is_exhausted_by_held_locks_is_told_in_time() {
    run(Engine::Postgres, async |_| {
        stream()
            .await
            .endures("held locks", true, async |stream| {
                let mut holder = stream.world.database.connect().await;
                let mut most = 0;
                for tables in ["job", "job, person, message", "job, stream"] {
                    holder.execute("BEGIN").await.unwrap();
                    let lock = format!("LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE");
                    holder.execute(&lock).await.unwrap();
                    let began = Instant::now();
                    while began.elapsed() < HELD {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        most = most.max(stream.world.database.number(WAITING).await);
                    }
                    holder.execute("ROLLBACK").await.unwrap();
                }
                println!("{most} connections waited for locks at once");
                assert!(most >= POOL, "{most}");
            })
            .await;
    });
}

#[test]
fn a_server_that_restarts_crashes_and_is_away_loses_nothing() {
    run(Engine::Postgres, async |_| {
        let Some(cluster) = Cluster::start() else {
            println!("not run: PostgreSQL's own programs are not installed here");
            return;
        };
        let database = Database::at(Engine::Postgres, cluster.database("own").await);
        let stream = Stream::over(database, Vec::new()).await;
        stream
            .endures("restarts", true, async |_| {
                let away = [("fast", 0), ("immediate", 300), ("fast", 2_000)];
                for (how, away_ms) in away {
                    cluster.stop(how);
                    tokio::time::sleep(Duration::from_millis(away_ms)).await;
                    cluster.go_on("");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            })
            .await;
    });
}

/// The text that `serve` is refused with.
async fn refused(world: &World, why: &str) {
    let (code, said) = world.verb(&["serve"]).await;
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("could lose decisions") && said.contains(why), "{said}");
    let (code, said) = world.verb(&["migrate"]).await;
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains(why), "{said}");
}

/// What `/readyz` complains of.
async fn problems(bot: &Replica) -> String {
    let answer = reqwest::get(format!("{}/readyz", bot.url)).await.unwrap();
    let ready = answer.status() == 200;
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["ready"], ready);
    told["problems"].to_string()
}

#[test]
fn a_server_without_fsync_and_a_standby_are_refused() {
    run(Engine::Postgres, async |engine| {
        let Some(primary) = Cluster::start() else {
            println!("not run: PostgreSQL's own programs are not installed here");
            return;
        };
        let url = primary.database("own").await;
        let world = World::over(Database::at(engine, url), |config| config, Vec::new()).await;
        let bot = world.serve("bot", "all").await;
        world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
        plans(&world, "REL-1").await;

        // A server that loses its fsync under a running bot gets no decision any more.
        primary.stop("fast");
        primary.go_on("-c fsync=off");
        let head = world.head().await;
        world
            .wait("/readyz to say it", async || {
                problems(&bot).await.contains("fsync = off").then_some(())
            })
            .await;
        world.types(PRIYA, "approve REL-1").await;
        world.types(PRIYA, "cancel REL-1").await;
        assert_eq!(world.head().await, head, "recorded without fsync");
        refused(&world, "fsync = off").await;
        primary.stop("fast");
        primary.go_on("");
        signs_by_typing(&world, "REL-1", PRIYA, "product_owner").await;
        assert_eq!(problems(&bot).await, "[]");
        world.settles().await;
        bot.terminate().await;

        // A standby is refused until it is the primary; then everything is there.
        let standby = primary.standby();
        let there = Database::at(engine, standby.url("own"));
        let there = World::over(there, |config| config, Vec::new()).await;
        refused(&there, "standby").await;
        world.audit().await;
        let head = world.head().await;
        primary.stop("fast");
        standby.promote();
        let bot = there.serve("bot", "all").await;
        assert!(there.head().await >= head);
        there.audit().await;
        bot.terminate().await;
    });
}
