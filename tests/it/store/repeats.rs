//! Repeats of one refusal are counted instead of chained.

use super::given::*;
use crate::support::database::Database;
use countersign::store::{ClosedRepeat, Commit, Outcome, RepeatGuard};

fn refused(request: &str, at_ms: i64) -> Commit {
    let refusal = Commit {
        entries: vec![entry("refusals/REL-1", 0)],
        jobs: vec![job(&format!("close-{request}"))],
        repeat: Some(RepeatGuard {
            key: "REL-1/p-1/approve".to_owned(),
            window_ms: 600_000,
        }),
        decided_ms: at_ms,
        ..Commit::default()
    };
    asked(request, refusal)
}

fn closed(count: u64) -> Commit {
    let entries = vec![entry("refusals/REL-1", 0)];
    let closes = ClosedRepeat {
        key: "REL-1/p-1/approve".to_owned(),
        count,
    };
    Commit {
        entries,
        closes_repeat: Some(closes),
        decided_ms: NOW,
        ..Commit::default()
    }
}

pub async fn repeats_of_a_refusal_are_counted_beside_the_chain(db: Database) {
    let store = db.open().await;
    assert!(is_committed(&commit(&store, refused("r-0", NOW)).await.unwrap()));
    let mut repeats = tokio::task::JoinSet::new();
    for n in 1..=12 {
        let store = store.clone();
        repeats.spawn(async move { commit(&store, refused(&format!("r-{n}"), NOW + n)).await.unwrap() });
    }
    assert!(
        repeats
            .join_all()
            .await
            .iter()
            .all(|outcome| *outcome == Outcome::Counted)
    );
    // A repeated request is not one more repeat.
    let reply = "reply to r-7".to_owned();
    assert_eq!(
        commit(&store, refused("r-7", NOW + 20)).await.unwrap(),
        Outcome::Duplicate { reply }
    );
    assert_eq!(store.repeats("REL-1/p-1/approve").await.unwrap(), Some(12));
    assert_eq!(verified(&store).await.len(), 1);
    assert_eq!(db.number("SELECT count(*) FROM job").await, 1);
    // The window is over: chained again, and what was counted is not forgotten.
    assert!(is_committed(
        &commit(&store, refused("r-99", NOW + 600_000)).await.unwrap()
    ));
    assert_eq!(store.repeats("REL-1/p-1/approve").await.unwrap(), Some(12));
}

pub async fn a_window_closes_only_with_the_true_count(db: Database) {
    let store = db.open().await;
    assert_eq!(commit(&store, closed(0)).await.unwrap(), Outcome::Conflict);
    for n in 0..3 {
        commit(&store, refused(&format!("r-{n}"), NOW + n)).await.unwrap();
    }
    assert_eq!(commit(&store, closed(1)).await.unwrap(), Outcome::Conflict);
    assert!(is_committed(&commit(&store, closed(2)).await.unwrap()));
    assert_eq!(store.repeats("REL-1/p-1/approve").await.unwrap(), None);
    assert!(is_committed(&commit(&store, refused("r-9", NOW + 9)).await.unwrap()));
    assert_eq!(verified(&store).await.len(), 3);
}
