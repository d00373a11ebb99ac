//! Releases that are open before, or become open during, an erasure: nobody is to sign a hole. And what is asked for by mistake.

use super::hits;
use crate::support::database::{Database, Engine, run};
use countersign::fresh;
use countersign::handle::erase::{self, Fate, Report, Wish};
use countersign::store::{Commit, Outcome, StateRow, Store, StoredText, StreamVersion};
use domain::event::Event;
use domain::ids::PersonId;
use domain::log_entry::Draft;
use domain::release::Release;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const OLGA: &str = "U0OLGA";
const OFFICER: &str = "U0OFFICER";

fn wish(names: &[&str]) -> Wish {
    Wish {
        team: "T0ACME".to_owned(),
        users: vec![OLGA.to_owned()],
        names: names.iter().map(|&name| name.to_owned()).collect(),
        by: OFFICER.to_owned(),
        reason: "she asked for it".to_owned(),
        confirmed: true,
    }
}

async fn erased(store: &Store, wish: &Wish) -> Report {
    erase::erase(store, wish, 9).await.unwrap().unwrap()
}

/// The ids of her, of somebody else and of the officer.
async fn people(store: &Store) -> [String; 3] {
    let pairs = [OLGA, "U0OTHER", OFFICER].map(|user| ("T0ACME", user));
    let fresh_ids = [(); 3].map(|()| fresh::person_id().to_string());
    let ids = store.person_ids(&pairs, &fresh_ids).await.unwrap();
    ids.try_into().unwrap()
}

async fn is_on_record(store: &Store, user: &str) -> bool {
    !store.ids_on_record(&[("T0ACME", user)]).await.unwrap().is_empty()
}

/// A hotfix that somebody asks for, saying why.
struct Asks<'a> {
    key: &'a str,
    by: &'a str,
    why: &'a str,
}

fn begun(asks: &Asks<'_>, text: &StoredText) -> (Event, Release) {
    let event = Event::HotfixRequested {
        release: asks.key.to_owned().try_into().unwrap(),
        service: "ledger".to_owned().try_into().unwrap(),
        environment: "production".to_owned().try_into().unwrap(),
        time_zone: "UTC".to_owned(),
        version: "1.4.1".to_owned().try_into().unwrap(),
        requester: PersonId::new(asks.by).unwrap(),
        justification: text.text.commitment(),
        tickets: BTreeSet::new(),
        authors: BTreeSet::new(),
        typed_commit: None,
    };
    let release = Release::begin(&event, 1).unwrap();
    (event, release)
}

async fn moves(store: &Store, by: &str, key: &str, at: (u64, &Event, &Release), texts: Vec<StoredText>) {
    let (version, event, release) = at;
    let stream = format!("release/{key}");
    let commit = Commit {
        reads: vec![StreamVersion {
            stream: stream.clone(),
            version: version - 1,
        }],
        states: vec![StateRow {
            stream: stream.clone(),
            version,
            service: "ledger".to_owned(),
            status: release.status.key().to_owned(),
            state: serde_json::to_string(release).unwrap(),
            updated_ms: 1,
        }],
        entries: vec![Draft {
            stream,
            version,
            decided_ms: 1,
            actor: by.to_owned(),
            request: None,
            event: serde_json::to_value(event).unwrap(),
        }],
        texts,
        people: vec![by.to_owned()],
        decided_ms: 1,
        ..Commit::default()
    };
    let outcome = store.commit(commit, Instant::now() + Duration::from_secs(20)).await;
    assert!(matches!(outcome, Ok(Outcome::Committed { .. })), "{key}: {outcome:?}");
}

async fn asks(store: &Store, asks: Asks<'_>) -> Release {
    let text = StoredText {
        stream: format!("release/{}", asks.key),
        text: fresh::private_text(asks.why),
    };
    let (event, release) = begun(&asks, &text);
    moves(store, asks.by, asks.key, (1, &event, &release), vec![text]).await;
    release
}

async fn cancels(store: &Store, by: &str, key: &str, mut release: Release) -> Release {
    let cancelled = Event::ReleaseCancelled {
        by: PersonId::new(by).unwrap(),
        reason: None,
    };
    release.evolve(&cancelled, 2);
    moves(store, by, key, (2, &cancelled, &release), Vec::new()).await;
    release
}

async fn who_is_named_in_an_open_release_waits_for_it(database: Database) {
    let store = database.open().await;
    let [olga, other, _] = people(&store).await;
    let why = "Invoices are wrong";
    let hers = asks(
        &store,
        Asks {
            key: "HOTFIX-1",
            by: &olga,
            why,
        },
    )
    .await;
    cancels(&store, &olga, "HOTFIX-1", hers).await;
    // She has no part in these two; one names her by her id, one by her name.
    let by_id = Asks {
        key: "HOTFIX-2",
        by: &other,
        why: "<@U0OLGA> found it",
    };
    let by_id = asks(&store, by_id).await;
    let by_name = Asks {
        key: "HOTFIX-3",
        by: &other,
        why: "Olga Petrova found it",
    };
    let by_name = asks(&store, by_name).await;
    let head = store.last_position().await.unwrap();

    for (names, open) in [
        (["nobody"].as_slice(), vec!["HOTFIX-2".to_owned()]),
        (&["Olga Petrova"], vec!["HOTFIX-2".to_owned(), "HOTFIX-3".to_owned()]),
    ] {
        for confirmed in [false, true] {
            let report = erased(
                &store,
                &Wish {
                    confirmed,
                    ..wish(names)
                },
            )
            .await;
            assert_eq!(report.fates[OLGA], Fate::Unfinished { releases: open.clone() });
        }
    }
    assert_eq!(store.last_position().await.unwrap(), head, "nothing was recorded");
    assert!(is_on_record(&store, OLGA).await);
    for text in [why, "<@U0OLGA> found it", "Olga Petrova found it"] {
        assert!(!hits(&database, text).await.is_empty(), "{text}");
    }

    cancels(&store, &other, "HOTFIX-2", by_id).await;
    cancels(&store, &other, "HOTFIX-3", by_name).await;
    let report = erased(&store, &wish(&["Olga Petrova"])).await;
    let gone = Fate::Erased {
        person: Some(olga),
        texts: 3,
        releases: 1,
        open: Vec::new(),
    };
    assert_eq!(report.fates[OLGA], gone);
    for text in [why, OLGA, "Olga Petrova"] {
        assert_eq!(hits(&database, text).await, [], "{text}");
    }
}

#[test]
fn who_is_named_in_an_open_release_waits_for_it_on_sqlite() {
    run(Engine::Sqlite, who_is_named_in_an_open_release_waits_for_it);
}

#[test]
fn who_is_named_in_an_open_release_waits_for_it_on_postgres() {
    run(Engine::Postgres, who_is_named_in_an_open_release_waits_for_it);
}

/// A name that is found everywhere would take everybody's texts along.
async fn what_would_go_is_counted_first(database: Database) {
    let store = database.open().await;
    let [olga, other, _] = people(&store).await;
    for (key, by, why) in [
        ("HOTFIX-1", &olga, "the invoices are wrong"),
        ("HOTFIX-2", &other, "the ledger hangs"),
        ("HOTFIX-3", &other, "the refunds hang"),
        ("HOTFIX-4", &other, "these hang, too"),
    ] {
        let release = asks(&store, Asks { key, by, why }).await;
        cancels(&store, by, key, release).await;
    }
    let head = store.last_position().await.unwrap();
    let counted = Wish {
        confirmed: false,
        ..wish(&["the"])
    };
    let report = erased(&store, &counted).await;
    let found = Fate::Found {
        person: Some(olga),
        texts: 3,
        only_named: 2,
        releases: 3,
    };
    assert_eq!(report.fates[OLGA], found);
    assert_eq!(store.last_position().await.unwrap(), head, "nothing was recorded");
    assert!(is_on_record(&store, OLGA).await);
    assert_eq!(store.kept_texts("", 10).await.unwrap().len(), 4);
}

#[test]
fn what_would_go_is_counted_first_on_sqlite() {
    run(Engine::Sqlite, what_would_go_is_counted_first);
}

#[test]
fn what_would_go_is_counted_first_on_postgres() {
    run(Engine::Postgres, what_would_go_is_counted_first);
}

#[test]
fn who_decides_an_erasure_is_on_record_already() {
    run(Engine::Sqlite, async |database| {
        let store = database.open().await;
        people(&store).await;
        let mistyped = Wish {
            by: "U0OFFICCER".to_owned(),
            ..wish(&[])
        };
        let refused = erase::erase(&store, &mistyped, 9).await.unwrap().unwrap_err();
        assert!(refused.contains("`U0OFFICCER` is not on record"), "{refused}");
        assert!(is_on_record(&store, OLGA).await && !is_on_record(&store, "U0OFFICCER").await);
        assert_eq!(store.last_position().await.unwrap(), 0);
    });
}

/// Until some session waits for a lock.
async fn is_blocked(database: &Database) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..500 {
        if database.number(waits).await > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits for a lock");
}

#[test]
fn a_release_that_opens_between_the_check_and_the_erasure_is_judged_again() {
    run(Engine::Postgres, async |database| {
        let store = database.open().await;
        let [olga, ..] = people(&store).await;
        let open = asks(
            &store,
            Asks {
                key: "HOTFIX-1",
                by: &olga,
                why: "Invoices are wrong",
            },
        )
        .await;
        cancels(&store, &olga, "HOTFIX-1", open.clone()).await;
        let head = store.last_position().await.unwrap();
        // It was judged to be over, and the erasure's commit waits for who is about to move it.
        let mut mover = database.connect().await;
        let state = serde_json::to_string(&open).unwrap();
        mover.execute("BEGIN").await.unwrap();
        let opens = format!("UPDATE stream SET version = 3, state = '{state}' WHERE stream = 'release/HOTFIX-1'");
        mover.execute(&opens).await.unwrap();
        let (report, ()) = tokio::join!(async { erased(&store, &wish(&[])).await }, async {
            is_blocked(&database).await;
            mover.execute("COMMIT").await.unwrap();
        });
        let waits = Fate::Unfinished {
            releases: vec!["HOTFIX-1".to_owned()],
        };
        assert_eq!(report.fates[OLGA], waits);
        assert!(report.forgotten);
        assert_eq!(store.last_position().await.unwrap(), head, "nothing was recorded");
        assert!(is_on_record(&store, OLGA).await && !hits(&database, "Invoices are wrong").await.is_empty());
    });
}

#[test]
fn a_release_that_she_begins_while_she_is_erased_is_named() {
    run(Engine::Postgres, async |database| {
        let (store, replica) = (database.open().await, database.open().await);
        let [olga, ..] = people(&store).await;
        let over = asks(
            &store,
            Asks {
                key: "HOTFIX-1",
                by: &olga,
                why: "Invoices are wrong",
            },
        )
        .await;
        cancels(&store, &olga, "HOTFIX-1", over).await;
        // The erasure's commit waits at her row, which decisions of hers may still share.
        let mut holder = database.connect().await;
        holder.execute("BEGIN").await.unwrap();
        let share = format!("SELECT 1 FROM person WHERE id = '{olga}' FOR KEY SHARE");
        holder.execute(&share).await.unwrap();
        let (report, ()) = tokio::join!(async { erased(&store, &wish(&[])).await }, async {
            is_blocked(&database).await;
            asks(
                &replica,
                Asks {
                    key: "HOTFIX-2",
                    by: &olga,
                    why: "Refunds hang",
                },
            )
            .await;
            holder.execute("COMMIT").await.unwrap();
        });
        let open = vec!["HOTFIX-2".to_owned()];
        assert_eq!(
            report.fates[OLGA],
            Fate::Erased {
                person: Some(olga.clone()),
                texts: 2,
                releases: 2,
                open
            }
        );
        assert!(report.forgotten);
        for text in ["Invoices are wrong", "Refunds hang", OLGA] {
            assert_eq!(hits(&database, text).await, [], "{text}");
        }
    });
}
