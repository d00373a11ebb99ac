//! What only PostgreSQL has: several processes, lost connections, and a server that may not be fit.

use super::given::*;
use crate::support::database::{Database, Engine, Raw, run};
use countersign::store::{Commit, OpenError, Options, Outcome, Store, StoreError};
use std::time::Duration;

#[test]
fn an_unmigrated_database_is_refused_until_it_is_migrated() {
    run(Engine::Postgres, async |_| {
        let db = Database::with_tables(Engine::Postgres, false).await;
        let refused = Store::open(&db.url, Options::default()).await.unwrap_err();
        assert!(matches!(refused, OpenError::NotMigrated), "{refused}");
        assert!(refused.to_string().contains("countersign migrate"));
        let migrate = || Store::migrate(&db.url, Options::default());
        let (a, b, c) = tokio::join!(migrate(), migrate(), migrate());
        a.and(b).and(c).unwrap();
        let store = db.open().await;
        assert!(is_committed(&commit(&store, change("release/REL-1", 0)).await.unwrap()));
        migrate().await.unwrap();
        verified(&store).await;
        let mut raw = db.connect().await;
        raw.execute("UPDATE meta SET schema_floor = 9999").await.unwrap();
        assert!(matches!(migrate().await, Err(OpenError::Newer { floor: 9999, .. })));
    });
}

#[test]
fn a_server_that_could_lose_decisions_is_refused() {
    run(Engine::Postgres, async |db| {
        let mut raw = db.connect().await;
        let database = raw.texts("SELECT current_database()::text").await.remove(0);
        raw.execute(&format!("ALTER DATABASE {database} SET synchronous_commit = off"))
            .await
            .unwrap();
        let refused = Store::open(&db.url, Options::default()).await.unwrap_err();
        assert!(refused.to_string().contains("synchronous_commit"), "{refused}");
    });
}

#[test]
fn a_replica_with_a_wrong_clock_refuses_to_commit() {
    run(Engine::Postgres, async |db| {
        let store = db.open_ahead(-5_000).await;
        let skew = store.clock_skew_ms().await.unwrap();
        assert!((-5_200..=-4_800).contains(&skew), "{skew}");
        let refused = commit(&store, change("release/REL-1", 0)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(refused.unwrap_err().to_string().contains("clock"));
        assert!(verified(&store).await.is_empty());
    });
}

#[test]
fn other_processes_are_woken() {
    run(Engine::Postgres, async |db| {
        let (here, there) = (db.open().await, db.open().await);
        let mut wake = there.wake();
        let woken = async |wake: &mut countersign::store::Wake| {
            tokio::time::timeout(Duration::from_millis(500), wake.next())
                .await
                .is_ok()
        };
        while woken(&mut wake).await {}
        queue(&here, vec![job("j-1")]).await;
        assert!(woken(&mut wake).await);
        assert_eq!(claim_ids(&there, 9, NOW).await, ["j-1"]);
        assert!(!woken(&mut wake).await, "one hint is not passed back and forth");
    });
}

/// Ends every connection of the store, in whatever state it is.
async fn terminate_all(raw: &mut Raw) {
    raw.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await
    .unwrap();
}

#[test]
fn lost_connections_are_told_apart_and_replaced() {
    run(Engine::Postgres, async |db| {
        let store = db.open().await;
        let mut raw = db.connect().await;
        // Lost while idle: nobody notices.
        commit(&store, change("release/IDLE", 0)).await.unwrap();
        terminate_all(&mut raw).await;
        assert!(is_committed(&commit(&store, change("release/IDLE", 1)).await.unwrap()));
        assert_eq!(store.stream("release/IDLE").await.unwrap().unwrap().version, 2);
        terminate_all(&mut raw).await;
        store.beat("w", "host", NOW, true).await.unwrap();
        // Lost while it waits for a lock: nothing was written.
        let mut holder = db.connect().await;
        holder.execute("BEGIN").await.unwrap();
        holder.execute("SELECT 1 FROM head FOR UPDATE").await.unwrap();
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { commit(&store, asked("r-1", change("release/LOST", 0))).await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        raw.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await
        .unwrap();
        let lost = waiting.await.unwrap();
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        // A lock that nobody gives back is waited for so long and no longer.
        let refused = commit(&store, asked("r-2", change("release/LOST", 0))).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        holder.execute("ROLLBACK").await.unwrap();
        assert!(is_committed(
            &commit(&store, asked("r-1", change("release/LOST", 0))).await.unwrap()
        ));
        assert_eq!(verified(&store).await.len(), 3);
    });
}

#[test]
fn a_commit_in_flight_is_not_known() {
    run(Engine::Postgres, async |db| {
        let store = db.open().await;
        let mut raw = db.connect().await;
        // Stops inside COMMIT, as a slow disk would.
        raw.execute(
            "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$",
        )
        .await
        .unwrap();
        raw.execute(
            "CREATE CONSTRAINT TRIGGER stall AFTER INSERT ON request DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION stall()",
        )
        .await
        .unwrap();
        let in_flight = tokio::spawn({
            let store = store.clone();
            async move { commit(&store, asked("r-1", change("release/REL-1", 0))).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        terminate_all(&mut raw).await;
        let outcome = in_flight.await.unwrap();
        assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{outcome:?}");
        // So does a caller whose deadline passes meanwhile; the commit goes on.
        let deadline = tokio::time::Instant::now() + Duration::from_millis(300);
        let outcome = store.commit(asked("r-2", change("release/REL-2", 0)), deadline).await;
        assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{outcome:?}");
        raw.execute("ALTER TABLE request DISABLE TRIGGER stall").await.unwrap();
        let outcome = commit(&store, asked("r-2", change("release/REL-2", 0))).await.unwrap();
        assert!(matches!(outcome, Outcome::Duplicate { .. }), "{outcome:?}");
        verified(&store).await;
    });
}

#[test]
fn kills_at_random_lose_nothing_that_was_acknowledged() {
    run(Engine::Postgres, async |db| {
        let store = db.open().await;
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..8 {
            let store = store.clone();
            callers.spawn(async move {
                let (mut acked, mut unclear) = (Vec::new(), 0);
                for turn in 0..60 {
                    let id = format!("{caller}-{turn}");
                    match commit(&store, asked(&id, change(&format!("release/{id}"), 0))).await {
                        Ok(Outcome::Committed { .. }) => acked.push(id),
                        Ok(other) => panic!("{other:?}"),
                        Err(StoreError::Unknown(_)) => unclear += 1,
                        Err(StoreError::Unavailable(_)) => {}
                        Err(broken) => panic!("{broken}"),
                    }
                }
                (acked, unclear)
            });
        }
        let mut raw = db.connect().await;
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(15)).await;
            terminate_all(&mut raw).await;
        }
        let (mut acked, mut unclear) = (Vec::new(), 0);
        for (ids, unknown) in callers.join_all().await {
            acked.extend(ids);
            unclear += unknown;
        }
        let entries = verified(&store).await.len();
        assert!((acked.len()..=acked.len() + unclear).contains(&entries), "{entries}");
        for id in acked {
            assert!(store.reply(&id).await.unwrap().is_some(), "{id}");
        }
    });
}

#[test]
fn a_crossed_read_in_two_processes_is_a_conflict() {
    run(Engine::Postgres, async |db| {
        let (one, two) = (db.open().await, db.open().await);
        commit(&one, change("a", 0)).await.unwrap();
        commit(&one, change("b", 0)).await.unwrap();
        // An absent stream is read and written like one that exists.
        let cases = [("a", 1, "b", 1), ("new-a", 0, "new-b", 0)];
        for (a, a_version, b, b_version) in cases {
            let crossed = |write: &str, at, read: &str, seen_at| {
                let mut decision = change(write, at);
                decision.reads.push(seen(read, seen_at));
                decision
            };
            // Both get as far as they can before either is through.
            let mut holder = db.connect().await;
            holder.execute("BEGIN").await.unwrap();
            holder.execute("SELECT 1 FROM head FOR UPDATE").await.unwrap();
            let (first, second, ()) = tokio::join!(
                commit(&one, crossed(a, a_version, b, b_version)),
                commit(&two, crossed(b, b_version, a, a_version)),
                async {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    holder.execute("ROLLBACK").await.unwrap();
                },
            );
            let won = [is_committed(&first.unwrap()), is_committed(&second.unwrap())];
            assert_eq!(won.iter().filter(|won| **won).count(), 1, "{a}");
        }
        verified(&one).await;
    });
}

#[test]
fn two_processes_share_one_chain_without_deadlocks() {
    run(Engine::Postgres, async |db| {
        let stores = [db.open().await, db.open().await];
        for stream in 0..8 {
            commit(&stores[0], change(&format!("s-{stream}"), 0)).await.unwrap();
        }
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..20_u64 {
            let store = stores[usize::try_from(caller % 2).unwrap()].clone();
            callers.spawn(async move {
                let mut acks = 0;
                for turn in 0..100_u64 {
                    acks += decide(&store, caller, turn).await;
                }
                acks
            });
        }
        let acks: usize = callers.join_all().await.into_iter().sum();
        assert_eq!(acks, 2_000);
        assert_eq!(verified(&stores[1]).await.len(), acks + 8);
        assert_eq!(db.number("SELECT count(*) FROM job").await, 2_000);
        // A connection that ends has reported its statistics.
        for store in stores {
            store.close().await;
        }
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(db.number(deadlocks).await, 0);
    });
}

/// Writes one of eight hot streams or a cold one, reading another, until it goes through.
async fn decide(store: &Store, caller: u64, turn: u64) -> usize {
    let id = format!("{caller}-{turn}");
    let hot = format!("s-{}", (caller + turn) % 8);
    let read = format!("s-{}", (caller * 3 + turn * 5) % 8);
    let cold = format!("release/{}", turn % 10 * 100 + caller);
    let target = if turn.is_multiple_of(4) { &hot } else { &cold };
    for _ in 0..500 {
        let rows = store.streams(&[target, &read]).await.unwrap();
        let version = |stream: &str| {
            rows.iter()
                .find(|row| row.stream == stream)
                .map_or(0, |row| row.version)
        };
        let mut decision = change(target, version(target));
        if read != *target {
            decision.reads.push(seen(&read, version(&read)));
        }
        let jobs = vec![ordered(
            &format!("j-{id}"),
            target,
            i64::try_from(version(target)).unwrap(),
        )];
        match commit(
            store,
            Commit {
                jobs,
                ..asked(&id, decision)
            },
        )
        .await
        .unwrap()
        {
            Outcome::Committed { .. } => return 1,
            Outcome::Conflict => tokio::time::sleep(Duration::from_millis(rand::random_range(0..4))).await,
            other => panic!("{other:?}"),
        }
    }
    panic!("{id} never went through")
}

#[test]
fn a_race_that_the_database_undid_is_run_again() {
    run(Engine::Postgres, async |db| {
        let store = db.open().await;
        let mut raw = db.connect().await;
        for sql in [
            "CREATE SEQUENCE failures",
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('failures') <= 4 THEN RAISE EXCEPTION 'made up' USING ERRCODE = '40001'; END IF;
                 RETURN NEW; END $$",
            "CREATE TRIGGER fail BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION fail()",
        ] {
            raw.execute(sql).await.unwrap();
        }
        let outcome = commit(&store, asked("r-1", change("release/REL-1", 0))).await.unwrap();
        assert_eq!(outcome, Outcome::Committed { positions: vec![1] });
        assert_eq!(db.number("SELECT last_value FROM failures").await, 5);
        verified(&store).await;
    });
}

#[test]
fn a_server_that_became_read_only_is_unavailable_until_it_is_not() {
    run(Engine::Postgres, async |db| {
        let store = db.open().await;
        let mut raw = db.connect().await;
        let database = raw.texts("SELECT current_database()::text").await.remove(0);
        let read_only = |on: &str| format!("ALTER DATABASE {database} SET default_transaction_read_only = {on}");
        raw.execute(&read_only("on")).await.unwrap();
        terminate_all(&mut raw).await;
        let refused = commit(&store, asked("r-1", change("release/REL-1", 0))).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        let refused = store.beat("w", "host", NOW, true).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(verified(&store).await.is_empty());
        raw.execute("SET default_transaction_read_only = off").await.unwrap();
        raw.execute(&read_only("off")).await.unwrap();
        terminate_all(&mut raw).await;
        assert!(is_committed(
            &commit(&store, asked("r-1", change("release/REL-1", 0))).await.unwrap()
        ));
    });
}

/// A backup that is put back under a running bot, or a standby that takes over without the last commits.
#[test]
fn nothing_is_committed_to_a_log_that_went_back_behind_this_process() {
    run(Engine::Postgres, async |db| {
        let store = db.open().await;
        for key in ["release/REL-1", "release/REL-2"] {
            assert!(is_committed(&commit(&store, change(key, 0)).await.unwrap()));
        }
        let mut raw = db.connect().await;
        for statement in [
            "ALTER TABLE log DISABLE TRIGGER USER",
            "DELETE FROM stream WHERE stream = 'release/REL-2'",
            "DELETE FROM log WHERE position = 2",
            "UPDATE head SET (position, hash, logged_ms) = (SELECT position, hash, logged_ms FROM log WHERE position = 1)",
        ] {
            raw.execute(statement).await.unwrap();
        }
        // Another replica has gone on as far as we were.
        for entries in [1, 2] {
            let refused = commit(&store, change("release/REL-4", 0)).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
            let said = refused.unwrap_err().to_string();
            assert!(said.contains("the database went back"), "{said}");
            assert_eq!(verified(&store).await.len(), entries);
            if entries == 1 {
                let other = db.open().await;
                assert!(is_committed(&commit(&other, change("release/REL-3", 0)).await.unwrap()));
            }
        }
    });
}

/// A card is refreshed by one waiting job. A worker that took it while a commit is under way that counts on it would render
/// the state from before.
#[test]
fn a_waiting_job_that_a_commit_counts_on_is_not_taken_before_it() {
    run(Engine::Postgres, async |db| {
        let (store, worker) = (db.open().await, db.open().await);
        queue(&store, vec![coalescing("a", "card")]).await;
        let mut holder = db.connect().await;
        holder.execute("BEGIN").await.unwrap();
        holder.execute("SELECT 1 FROM head FOR UPDATE").await.unwrap();
        let under_way = tokio::spawn({
            let store = store.clone();
            let counts_on_it = Commit {
                jobs: vec![coalescing("b", "card")],
                ..change("release/REL-1", 0)
            };
            async move { commit(&store, counts_on_it).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(
            claim_ids(&worker, 9, NOW).await.is_empty(),
            "it would see the state from before"
        );
        holder.execute("ROLLBACK").await.unwrap();
        assert!(is_committed(&under_way.await.unwrap().unwrap()));
        assert_eq!(claim_ids(&worker, 9, NOW).await, ["a"]);
    });
}

/// A dump that began before an erasure has its rows kept.
#[test]
fn bytes_are_not_given_up_while_a_snapshot_from_before_is_open() {
    run(Engine::Postgres, async |db| {
        let store = db.open().await;
        store.person_ids(&[("T1", "U1")], &["p-1".to_owned()]).await.unwrap();
        assert!(store.forget_bytes().await.unwrap());
        let mut dump = db.connect().await;
        dump.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
        dump.execute("SELECT 1 FROM person").await.unwrap();
        db.connect().await.execute("DELETE FROM person").await.unwrap();
        assert!(!store.forget_bytes().await.unwrap());
        dump.execute("COMMIT").await.unwrap();
        assert!(store.forget_bytes().await.unwrap());
    });
}

/// PostgreSQL only warns of a table that a login may not vacuum.
#[test]
fn bytes_are_not_given_up_by_a_login_that_may_not_vacuum() {
    run(Engine::Postgres, async |db| {
        let mut raw = db.connect().await;
        let database = raw.texts("SELECT current_database()::text").await.remove(0);
        let login = format!("bot_of_{database}");
        for sql in [
            format!("CREATE ROLE {login} LOGIN PASSWORD 'countersign'"),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {login}"),
        ] {
            raw.execute(&sql).await.unwrap();
        }
        let mut url = url::Url::parse(&db.url).unwrap();
        url.set_username(&login).unwrap();
        url.set_password(Some("countersign")).unwrap();
        let store = Store::open(url.as_str(), Options::default()).await.unwrap();
        assert!(!store.forget_bytes().await.unwrap());
        for table in ["person", "private_text", "request", "message", "job", "channel_turn"] {
            raw.execute(&format!("ALTER TABLE {table} OWNER TO {login}"))
                .await
                .unwrap();
        }
        assert!(store.forget_bytes().await.unwrap());
        store.close().await;
        raw.execute(&format!("REASSIGN OWNED BY {login} TO CURRENT_USER"))
            .await
            .unwrap();
        raw.execute(&format!("DROP OWNED BY {login}")).await.unwrap();
        raw.execute(&format!("DROP ROLE {login}")).await.unwrap();
    });
}
