//! What can be read, and that the two dialects keep the same tables.

use super::given::*;
use crate::support::database::{Database, Engine};
use countersign::store::{Commit, Options, StateRow, Store, StoreError, StoredText};
use domain::digest::{Digest, PrivateText};

pub async fn lists_are_filtered_and_newest_first(db: Database) {
    let store = db.open().await;
    for (n, service, status) in [
        (1, "payments", "asking"),
        (2, "ledger", "asking"),
        (3, "payments", "done"),
        (4, "payments", "held"),
    ] {
        let stream = format!("release/REL-{n}");
        let row = StateRow {
            service: service.to_owned(),
            status: status.to_owned(),
            updated_ms: NOW + n,
            ..state(&stream, 1)
        };
        commit(
            &store,
            Commit {
                states: vec![row],
                ..change(&stream, 0)
            },
        )
        .await
        .unwrap();
    }
    commit(&store, change("releases", 0)).await.unwrap();
    commit(&store, change("service/payments", 0)).await.unwrap();
    let list = async |service: Option<&str>, statuses: &[&str], limit| {
        let rows = store.list("release/", service, statuses, limit).await.unwrap();
        rows.iter()
            .map(|row| row.stream.replace("release/REL-", ""))
            .collect::<String>()
    };
    assert_eq!(list(None, &[], 10).await, "4321");
    assert_eq!(list(None, &[], 2).await, "43");
    assert_eq!(list(Some("payments"), &[], 10).await, "431");
    assert_eq!(list(Some("payments"), &["asking", "held"], 10).await, "41");
    assert_eq!(list(None, &["nothing"], 10).await, "");
    assert_eq!(store.count("release/").await.unwrap(), 4);
    let wanted = ["release/REL-3", "release/NONE", "service/payments"];
    let mut found: Vec<_> = store
        .streams(&wanted)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.stream)
        .collect();
    found.sort();
    assert_eq!(found, ["release/REL-3", "service/payments"]);
    assert!(store.streams(&[]).await.unwrap().is_empty());
}

pub async fn hotfix_numbers_are_compared_as_numbers(db: Database) {
    let store = db.open().await;
    assert_eq!(store.highest_key_number("release/HOTFIX-").await.unwrap(), 0);
    for key in [
        "HOTFIX-9",
        "HOTFIX-10",
        "HOTFIX-",
        "HOTFIX-11a",
        "HOTFIX-x99",
        "HOTFIXES-77",
        "REL-500",
    ] {
        commit(&store, change(&format!("release/{key}"), 0)).await.unwrap();
    }
    assert_eq!(store.highest_key_number("release/HOTFIX-").await.unwrap(), 10);
}

pub async fn entries_are_read_by_position_and_by_stream(db: Database) {
    let store = db.open().await;
    for version in 0..4 {
        commit(&store, change("release/REL-1", version)).await.unwrap();
        commit(&store, change("release/REL-2", version)).await.unwrap();
    }
    let positions =
        |entries: Vec<domain::log_entry::Sealed>| -> Vec<u64> { entries.iter().map(|entry| entry.position).collect() };
    assert_eq!(positions(store.entries(3, 4).await.unwrap()), [3, 4, 5, 6]);
    assert_eq!(positions(store.entries(8, 4).await.unwrap()), [8]);
    assert_eq!(
        positions(store.entries_of("release/REL-2").await.unwrap()),
        [2, 4, 6, 8]
    );
    assert!(store.entries_of("release/NONE").await.unwrap().is_empty());
}

pub async fn texts_come_back_by_commitment(db: Database) {
    let store = db.open().await;
    let text = |value: &str| PrivateText {
        salt: "ab".to_owned(),
        value: value.to_owned(),
    };
    let texts = ["why", "because", "'; DROP TABLE log; --"].map(text);
    let stored = texts.iter().map(|text| StoredText {
        stream: "release/REL-1".to_owned(),
        text: text.clone(),
    });
    let decision = Commit {
        texts: stored.collect(),
        ..change("release/REL-1", 0)
    };
    commit(&store, decision).await.unwrap();
    let mut raw = db.connect().await;
    let erased = format!(
        "UPDATE private_text SET erased_ms = 1 WHERE commitment = '{}'",
        texts[1].commitment()
    );
    raw.execute(&erased).await.unwrap();
    raw.close().await;
    let mut asked: Vec<Digest> = texts.iter().map(PrivateText::commitment).collect();
    asked.push(Digest::of(b"never seen"));
    let found = store.texts(&asked).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[&texts[2].commitment()], texts[2].value);
}

/// Tables and columns, one text each.
async fn columns(db: &Database) -> Vec<String> {
    let sql = match db.engine {
        Engine::Sqlite => {
            "SELECT t.name || '.' || c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE '\\_%' ESCAPE '\\'"
        }
        _ => {
            "SELECT table_name || '.' || column_name FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_%'"
        }
    };
    let mut raw = db.connect().await;
    let mut columns = raw.texts(sql).await;
    columns.sort();
    columns
}

pub async fn tables_are_the_same_in_both_dialects(db: Database) {
    db.open().await.close().await;
    let other = match db.engine {
        Engine::Sqlite => Database::new(Engine::Postgres).await,
        _ => Database::new(Engine::Sqlite).await,
    };
    other.open().await.close().await;
    let ours = columns(&db).await;
    assert!(ours.len() > 60, "{ours:?}");
    assert_eq!(ours, columns(&other).await);
}

pub async fn opened_for_reading_nothing_is_written(db: Database) {
    let store = db.open().await;
    commit(&store, change("release/REL-1", 0)).await.unwrap();
    let reader = Store::open_read_only(&db.url, Options::default()).await.unwrap();
    commit(&store, change("release/REL-2", 0)).await.unwrap();
    assert_eq!(verified(&reader).await.len(), 2);
    let refused = commit(&reader, change("release/REL-3", 0)).await;
    assert!(matches!(refused, Err(StoreError::Broken(_))), "{refused:?}");
    store.close().await;
    // Nobody serves it any more.
    let reader = Store::open_read_only(&db.url, Options::default()).await.unwrap();
    assert_eq!(verified(&reader).await.len(), 2);
}
