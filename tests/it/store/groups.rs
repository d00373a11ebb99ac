//! Many commits at once: each gets the answer it would have got alone.

use super::given::*;
use crate::support::database::Database;
use countersign::store::{Commit, Outcome};

pub async fn many_at_once_with_duplicates_and_conflicts_all_get_the_true_answer(db: Database) {
    let store = db.open().await;
    commit(&store, change("release/TAKEN", 0)).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..64_u64 {
        let store = store.clone();
        callers.spawn(async move {
            let mut acks = 0;
            for turn in 0..20_u64 {
                let id = format!("{caller}-{turn}");
                let stream = format!("release/REL-{id}");
                let jobs = vec![job(&format!("a-{id}")), job(&format!("b-{id}"))];
                let decision = Commit {
                    jobs,
                    ..asked(&id, change(&stream, 0))
                };
                if turn == 9 {
                    let stale = asked(&id, change("release/TAKEN", 0));
                    assert_eq!(commit(&store, stale).await.unwrap(), Outcome::Conflict);
                }
                if turn == 5 {
                    // Twice at the same time: one is written, the other gets its reply.
                    let both = tokio::join!(commit(&store, decision.clone()), commit(&store, decision));
                    let mut both = [both.0.unwrap(), both.1.unwrap()];
                    both.sort_by_key(is_committed);
                    assert_eq!(
                        both[0],
                        Outcome::Duplicate {
                            reply: format!("reply to {id}")
                        }
                    );
                    assert!(is_committed(&both[1]));
                } else {
                    assert!(is_committed(&commit(&store, decision).await.unwrap()));
                }
                acks += 1;
            }
            acks
        });
    }
    let acks: i64 = callers.join_all().await.into_iter().sum();
    assert_eq!(acks, 64 * 20);
    assert_eq!(i64::try_from(verified(&store).await.len()).unwrap(), acks + 1);
    assert_eq!(db.number("SELECT count(*) FROM request").await, acks);
    assert_eq!(db.number("SELECT count(*) FROM job").await, 2 * acks);
}

pub async fn a_crossed_read_in_one_group_is_a_conflict(db: Database) {
    let store = db.open().await;
    commit(&store, change("a", 0)).await.unwrap();
    commit(&store, change("b", 0)).await.unwrap();
    let mut version = [1, 1];
    for _ in 0..20 {
        let crossed = |write: &str, at, read: &str, seen_at| {
            let mut decision = change(write, at);
            decision.reads.push(seen(read, seen_at));
            decision
        };
        // Each moves what the other has read: not both may win.
        let (a, b) = tokio::join!(
            commit(&store, crossed("a", version[0], "b", version[1])),
            commit(&store, crossed("b", version[1], "a", version[0])),
        );
        let won = [is_committed(&a.unwrap()), is_committed(&b.unwrap())];
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        version[0] += u64::from(won[0]);
        version[1] += u64::from(won[1]);
    }
    verified(&store).await;
}

pub async fn members_that_share_a_key_take_turns(db: Database) {
    let store = db.open().await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..40 {
        let store = store.clone();
        let decision = Commit {
            unique: vec!["the-only-one".to_owned()],
            ..asked(&format!("r-{caller}"), change(&format!("release/REL-{caller}"), 0))
        };
        callers.spawn(async move { commit(&store, decision).await.unwrap() });
    }
    let outcomes = callers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| is_committed(outcome)).count(), 1);
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == Outcome::Conflict).count(),
        39
    );
    assert_eq!(db.number("SELECT count(*) FROM request").await, 1);
}
