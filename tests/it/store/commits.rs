//! One commit: written whole or not at all, and what stops it.

use super::given::*;
use crate::support::database::{Database, Engine};
use countersign::store::{Commit, Outcome, StoreError, StoredText};
use domain::digest::PrivateText;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

pub async fn a_commit_stands_in_the_chain_with_everything_that_follows(db: Database) {
    let store = db.open().await;
    let text = PrivateText {
        salt: "5a17".to_owned(),
        value: "Zürich \u{1f680}".to_owned(),
    };
    let full = Commit {
        unique: vec!["signoff/1".to_owned()],
        texts: vec![StoredText {
            stream: "release/REL-1".to_owned(),
            text: text.clone(),
        }],
        jobs: vec![job("j-1"), job("j-2")],
        ..asked("r-1", change("release/REL-1", 0))
    };
    let outcome = commit(&store, full).await.unwrap();
    assert_eq!(outcome, Outcome::Committed { positions: vec![1] });
    let outcome = commit(&store, change("release/REL-1", 1)).await.unwrap();
    assert_eq!(outcome, Outcome::Committed { positions: vec![2] });
    assert_eq!(verified(&store).await.len(), 2);
    assert_eq!(
        store.stream("release/REL-1").await.unwrap(),
        Some(state("release/REL-1", 2))
    );
    assert_eq!(store.reply("r-1").await.unwrap().as_deref(), Some("reply to r-1"));
    assert_eq!(
        store.texts(&[text.commitment()]).await.unwrap()[&text.commitment()],
        text.value
    );
    assert_eq!(claim_ids(&store, 9, NOW).await, ["j-1", "j-2"]);
}

pub async fn the_same_request_gets_the_saved_reply(db: Database) {
    let store = db.open().await;
    commit(&store, asked("r-1", change("release/REL-1", 0))).await.unwrap();
    // Whatever it would do now.
    let repeat = Commit {
        jobs: vec![job("j-1")],
        ..asked("r-1", change("release/REL-2", 0))
    };
    let outcome = commit(&store, repeat).await.unwrap();
    assert_eq!(
        outcome,
        Outcome::Duplicate {
            reply: "reply to r-1".to_owned()
        }
    );
    assert_eq!(verified(&store).await.len(), 1);
    assert_eq!(store.stream("release/REL-2").await.unwrap(), None);
    assert_eq!(claim_ids(&store, 9, NOW).await, Vec::<String>::new());
}

pub async fn a_conflict_leaves_nothing_behind(db: Database) {
    let store = db.open().await;
    commit(&store, change("release/REL-1", 0)).await.unwrap();
    let text = PrivateText {
        salt: "00".to_owned(),
        value: "x".to_owned(),
    };
    let stale = Commit {
        unique: vec!["signoff/1".to_owned()],
        texts: vec![StoredText {
            stream: "release/REL-1".to_owned(),
            text: text.clone(),
        }],
        jobs: vec![job("j-1")],
        ..asked("r-2", change("release/REL-1", 0))
    };
    assert_eq!(commit(&store, stale.clone()).await.unwrap(), Outcome::Conflict);
    assert_eq!(store.reply("r-2").await.unwrap(), None);
    assert!(store.texts(&[text.commitment()]).await.unwrap().is_empty());
    assert_eq!(db.number("SELECT count(*) FROM business_key").await, 0);
    assert_eq!(db.number("SELECT count(*) FROM job").await, 0);
    // Decided again on what stands there now, the same request and key go through.
    let fresh = change("release/REL-1", 1);
    let retried = Commit {
        reads: fresh.reads,
        states: fresh.states,
        entries: fresh.entries,
        ..stale
    };
    assert!(is_committed(&commit(&store, retried).await.unwrap()));
    assert_eq!(verified(&store).await.len(), 2);
}

pub async fn a_stream_that_was_only_read_must_not_have_moved(db: Database) {
    let store = db.open().await;
    commit(&store, change("service/payments", 0)).await.unwrap();
    let with_service = |version| {
        let mut decision = change("release/REL-1", 0);
        decision.reads.push(seen("service/payments", version));
        decision
    };
    commit(&store, change("service/payments", 1)).await.unwrap();
    assert_eq!(commit(&store, with_service(1)).await.unwrap(), Outcome::Conflict);
    assert!(is_committed(&commit(&store, with_service(2)).await.unwrap()));
}

pub async fn a_stream_that_was_read_as_absent_must_still_be_absent(db: Database) {
    let store = db.open().await;
    let with_service = |release| {
        let mut decision = change(release, 0);
        decision.reads.push(seen("service/payments", 0));
        decision
    };
    assert!(is_committed(
        &commit(&store, with_service("release/REL-1")).await.unwrap()
    ));
    assert_eq!(store.stream("service/payments").await.unwrap(), None);
    assert_eq!(store.count("service/").await.unwrap(), 0);
    assert!(is_committed(
        &commit(&store, change("service/payments", 0)).await.unwrap()
    ));
    assert_eq!(
        commit(&store, with_service("release/REL-2")).await.unwrap(),
        Outcome::Conflict
    );
}

pub async fn a_business_key_exists_once(db: Database) {
    let store = db.open().await;
    let signed = |stream| Commit {
        unique: vec!["signoff/1/qa/p-1".to_owned()],
        ..change(stream, 0)
    };
    assert!(is_committed(&commit(&store, signed("release/REL-1")).await.unwrap()));
    assert_eq!(
        commit(&store, asked("r-2", signed("release/REL-2"))).await.unwrap(),
        Outcome::Conflict
    );
    assert_eq!(store.reply("r-2").await.unwrap(), None);
    assert_eq!(verified(&store).await.len(), 1);
}

pub async fn of_two_decisions_on_one_stream_one_wins(db: Database) {
    let store = db.open().await;
    for round in 0..20 {
        let decision = |who: &str| asked(&format!("{who}-{round}"), change("release/REL-1", round));
        let (a, b) = tokio::join!(commit(&store, decision("a")), commit(&store, decision("b")));
        let mut outcomes = [a.unwrap(), b.unwrap()];
        outcomes.sort_by_key(is_committed);
        assert_eq!(outcomes[0], Outcome::Conflict);
        assert!(is_committed(&outcomes[1]));
    }
    assert_eq!(verified(&store).await.len(), 20);
    assert_eq!(db.number("SELECT count(*) FROM request").await, 20);
}

pub async fn entries_without_a_version_follow_each_other(db: Database) {
    let store = db.open().await;
    let refusal = || Commit {
        entries: vec![entry("refusals/REL-1", 0)],
        decided_ms: NOW,
        ..Commit::default()
    };
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let store = store.clone();
        let refusal = refusal();
        all.spawn(async move { commit(&store, refusal).await.unwrap() });
    }
    assert!(all.join_all().await.iter().all(is_committed));
    let versions: Vec<u64> = verified(&store).await.iter().map(|entry| entry.version).collect();
    assert_eq!(versions, (1..=30).collect::<Vec<_>>());
    let row = store.stream("refusals/REL-1").await.unwrap().unwrap();
    assert_eq!((row.version, row.state.as_str()), (30, "{}"));
    // A stream with a state keeps it.
    commit(&store, change("release/REL-1", 0)).await.unwrap();
    let remark = Commit {
        entries: vec![entry("release/REL-1", 0)],
        decided_ms: NOW,
        ..Commit::default()
    };
    commit(&store, remark).await.unwrap();
    let row = store.stream("release/REL-1").await.unwrap().unwrap();
    assert_eq!((row.version, row.state.as_str()), (2, r#"{"version":1}"#));
}

pub async fn what_can_never_be_written_fails_alone(db: Database) {
    let store = db.open().await;
    let mut float = change("release/REL-1", 0);
    float.entries[0].event = json!({"share": 0.5});
    let mut nul = change("release/REL-2", 0);
    nul.states[0].status.push('\0');
    let mut unread = change("release/REL-3", 0);
    unread.reads.clear();
    let mut gap = change("release/REL-4", 0);
    gap.entries[0].version = 2;
    // Passes every check but the database's own: this version stands in the log already.
    commit(&store, change("release/REL-5", 0)).await.unwrap();
    let mut raw = db.connect().await;
    raw.execute("UPDATE stream SET version = 0 WHERE stream = 'release/REL-5'")
        .await
        .unwrap();
    let poison = change("release/REL-5", 0);
    let mut all = tokio::task::JoinSet::new();
    for (number, bad) in [float, nul, unread, gap, poison].into_iter().enumerate() {
        let (store, good) = (store.clone(), change(&format!("release/GOOD-{number}"), 0));
        all.spawn(async move {
            let (bad, good) = tokio::join!(commit(&store, bad), commit(&store, good));
            assert!(matches!(bad, Err(StoreError::Broken(_))), "{number}: {bad:?}");
            assert!(is_committed(&good.unwrap()));
        });
    }
    all.join_all().await;
    assert_eq!(verified(&store).await.len(), 6);
    // An event may hold one: JSON escapes it.
    let mut escaped = change("release/REL-6", 0);
    escaped.entries[0].event = json!({"said": "a\u{0}b"});
    assert!(is_committed(&commit(&store, escaped).await.unwrap()));
    assert_eq!(verified(&store).await.len(), 7);
}

pub async fn a_deadline_that_has_passed_leaves_nothing(db: Database) {
    let store = db.open().await;
    let late = asked("r-1", change("release/REL-1", 0));
    let result = store.commit(late, Instant::now()).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    // Behind it in the queue: when this is answered, that was decided.
    assert!(is_committed(&commit(&store, change("release/REL-2", 0)).await.unwrap()));
    assert_eq!(store.reply("r-1").await.unwrap(), None);
    assert_eq!(verified(&store).await.len(), 1);
}

pub async fn a_caller_that_leaves_does_not_undo_its_commit(db: Database) {
    let store = db.open().await;
    let left = commit(&store, asked("r-1", change("release/REL-1", 0)));
    let _ = tokio::time::timeout(Duration::ZERO, left).await;
    commit(&store, change("release/REL-2", 0)).await.unwrap();
    assert!(store.reply("r-1").await.unwrap().is_some());
    assert_eq!(verified(&store).await.len(), 2);
}

pub async fn entries_cant_be_changed_or_removed(db: Database) {
    let store = db.open().await;
    commit(&store, change("release/REL-1", 0)).await.unwrap();
    let mut raw = db.connect().await;
    let mut attacks = vec!["UPDATE log SET bytes = ''", "DELETE FROM log"];
    if db.engine == Engine::Postgres {
        attacks.push("TRUNCATE log");
    }
    for attack in attacks {
        let error = raw.execute(attack).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
    assert_eq!(verified(&store).await.len(), 1);
}

pub async fn entries_are_logged_in_order_whatever_the_clock_says(db: Database) {
    let ahead = db.open_ahead(1_500).await;
    commit(&ahead, change("release/REL-1", 0)).await.unwrap();
    ahead.close().await;
    let store = db.open().await;
    commit(&store, change("release/REL-2", 0)).await.unwrap();
    let logged: Vec<i64> = verified(&store).await.iter().map(|entry| entry.logged_ms).collect();
    assert_eq!(logged[0], logged[1]);
}

pub async fn a_closed_store_has_written_what_waited(db: Database) {
    let store = db.open().await;
    let mut all = tokio::task::JoinSet::new();
    for n in 0..50 {
        let store = store.clone();
        all.spawn(async move { commit(&store, change(&format!("release/REL-{n}"), 0)).await });
    }
    tokio::time::sleep(Duration::from_millis(2)).await;
    store.clone().close().await;
    let outcomes = all.join_all().await;
    let written = outcomes
        .iter()
        .filter(|outcome| outcome.as_ref().is_ok_and(is_committed))
        .count();
    let refused = outcomes
        .iter()
        .filter(|o| matches!(o, Err(StoreError::Unavailable(_))))
        .count();
    assert_eq!(written + refused, 50);
    let again = db.open().await;
    assert_eq!(verified(&again).await.len(), written);
}
