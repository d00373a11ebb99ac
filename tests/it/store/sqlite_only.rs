//! What only SQLite has: one process per file.

use super::given::*;
use crate::support::database::{Engine, run};
use countersign::store::{OpenError, Options, Store, StoreError};

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_file() {
    run(Engine::Sqlite, async |db| {
        let store = db.open().await;
        let refused = Store::open(&db.url, Options::default()).await.unwrap_err();
        let OpenError::Locked { file, pid } = &refused else {
            panic!("{refused}")
        };
        assert!(file.to_str().unwrap().ends_with("test.sqlite.lock"));
        assert_eq!(*pid, Some(std::process::id()));
        assert!(refused.to_string().contains(&std::process::id().to_string()));
        commit(&store, change("release/REL-1", 0)).await.unwrap();
        store.close().await;
        let again = db.open().await;
        assert_eq!(verified(&again).await.len(), 1);
    });
}

#[test]
fn a_file_of_a_newer_program_is_refused() {
    run(Engine::Sqlite, async |db| {
        db.open().await.close().await;
        let mut raw = db.connect().await;
        raw.execute("UPDATE meta SET schema_floor = 9999").await.unwrap();
        raw.close().await;
        for result in [
            Store::open(&db.url, Options::default()).await,
            Store::open_read_only(&db.url, Options::default()).await,
        ] {
            assert!(
                matches!(result, Err(OpenError::Newer { floor: 9999, .. })),
                "{result:?}"
            );
        }
    });
}

/// A write transaction that begins without the right to write reads what a stranger is about to change, and fails once the
/// stranger has written.
#[test]
fn a_stranger_who_writes_the_file_makes_no_commit_fail() {
    run(Engine::Sqlite, async |db| {
        let store = db.open().await;
        let mut raw = db.connect().await;
        raw.execute("BEGIN IMMEDIATE").await.unwrap();
        raw.execute("UPDATE meta SET schema_floor = schema_floor")
            .await
            .unwrap();
        let waiting = tokio::spawn(async move {
            let outcome = commit(&store, change("release/REL-1", 0)).await;
            (store, outcome)
        });
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert!(!waiting.is_finished());
        raw.execute("COMMIT").await.unwrap();
        let (store, outcome) = waiting.await.unwrap();
        assert!(is_committed(outcome.as_ref().unwrap()), "{outcome:?}");
        assert_eq!(verified(&store).await.len(), 1);
    });
}

#[test]
fn a_locked_file_is_waited_for() {
    run(Engine::Sqlite, async |db| {
        let store = db.open().await;
        let mut raw = db.connect().await;
        raw.execute("BEGIN IMMEDIATE").await.unwrap();
        let waiting = tokio::spawn(async move {
            let outcome = commit(&store, change("release/REL-1", 0)).await;
            (store, outcome)
        });
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert!(!waiting.is_finished());
        raw.execute("ROLLBACK").await.unwrap();
        let (store, outcome) = waiting.await.unwrap();
        assert!(is_committed(&outcome.unwrap()));
        assert_eq!(verified(&store).await.len(), 1);
    });
}

#[test]
fn a_full_queue_is_told_at_once_and_records_nothing() {
    run(Engine::Sqlite, async |db| {
        let store = db.open().await;
        let mut raw = db.connect().await;
        raw.execute("BEGIN IMMEDIATE").await.unwrap();
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..5_000 {
            let store = store.clone();
            callers.spawn(async move { commit(&store, change(&format!("release/{caller}"), 0)).await });
        }
        let busy = callers.join_next().await.unwrap().unwrap().unwrap_err();
        assert!(matches!(busy, StoreError::Unavailable(_)), "{busy}");
        assert!(busy.to_string().contains("nothing was recorded: busy"), "{busy}");
        raw.execute("ROLLBACK").await.unwrap();
        let outcomes = callers.join_all().await;
        let written = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(verified(&store).await.len(), written);
    });
}
