//! People and heartbeats.

use super::given::{NOW, asked, change, commit, entry, is_committed, job, seen, verified};
use crate::support::database::Database;
use countersign::store::{Commit, Erasure, Outcome, StoredText};
use domain::digest::PrivateText;
use std::collections::BTreeSet;

pub async fn a_person_has_one_id_however_many_ask(db: Database) {
    let store = db.open().await;
    let mut askers = tokio::task::JoinSet::new();
    for asker in 0..12 {
        let store = store.clone();
        askers.spawn(async move {
            let people = [("T1", "U1"), ("T1", "U2"), ("T2", "U1"), ("T1", "U1")];
            let fresh: Vec<String> = (0..4).map(|n| format!("p-{asker}-{n}")).collect();
            store.person_ids(&people, &fresh).await.unwrap()
        });
    }
    let answers = askers.join_all().await;
    assert!(answers.iter().all(|ids| *ids == answers[0]), "{answers:?}");
    let ids = &answers[0];
    assert!(ids[0] == ids[3] && ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    let people = store.people(&[&ids[2], "p-nobody"]).await.unwrap();
    assert_eq!(people.len(), 1);
    assert_eq!((people[0].team.as_str(), people[0].user.as_str()), ("T2", "U1"));
    assert!(store.person_ids(&[], &[]).await.unwrap().is_empty());
}

pub async fn beats_are_kept_by_owner(db: Database) {
    let store = db.open().await;
    store.beat("w-1", "host-a", NOW, true).await.unwrap();
    store.beat("w-2", "host-b", NOW + 1, false).await.unwrap();
    // A lane is stuck: the host lives, and does not get on.
    store.beat("w-1", "host-a", NOW + 2, false).await.unwrap();
    let beats: Vec<_> = store
        .beats()
        .await
        .unwrap()
        .into_iter()
        .map(|b| (b.owner, b.beat_ms, b.got_on_ms))
        .collect();
    assert_eq!(
        beats,
        [("w-1".to_owned(), NOW + 2, NOW), ("w-2".to_owned(), NOW + 1, 0)]
    );
    assert_eq!(store.host_seen_ms("host-a").await.unwrap(), Some(NOW + 2));
}

fn text(value: &str) -> PrivateText {
    PrivateText {
        salt: "5a".repeat(32),
        value: value.to_owned(),
    }
}

/// A decision of `person` that keeps a text.
fn says(person: &str, stream: &str, version: u64, value: &str) -> Commit {
    Commit {
        people: vec![person.to_owned()],
        texts: vec![StoredText {
            stream: stream.to_owned(),
            text: text(value),
        }],
        ..change(stream, version)
    }
}

pub async fn who_is_erased_leaves_an_id_that_stands_for_nobody(db: Database) {
    let store = db.open().await;
    let people = [("T1", "U1"), ("T1", "U2")];
    let fresh = ["p-one".to_owned(), "p-two".to_owned()];
    store.person_ids(&people, &fresh).await.unwrap();
    for (person, stream, value) in [("p-one", "release/REL-1", "hers"), ("p-two", "release/REL-2", "his")] {
        let said = asked(value, says(person, stream, 0, value));
        assert!(is_committed(&commit(&store, said).await.unwrap()));
    }
    for (id, channel) in [("card/REL-1", "C1"), ("question/REL-1/qa_lead/p-one/1", "D1")] {
        store.begin_post(id, "REL-1", channel, 0, NOW).await.unwrap();
        store.take_turn(channel, NOW, 1_000, 0).await.unwrap();
        store.record_posted(id, channel, "1.1", 1, "a digest").await.unwrap();
    }
    let erases = Erasure {
        person: Some("p-one".to_owned()),
        texts: vec![text("hers").commitment()],
        subjects: vec!["REL-1".to_owned()],
        messages: vec!["question/REL-1/qa_lead/p-one/1".to_owned()],
        marks: vec!["U1".to_owned()],
    };
    let erasing = Commit {
        reads: vec![seen("people", 0)],
        entries: vec![entry("people", 1)],
        jobs: vec![job("refresh")],
        people: vec!["p-two".to_owned()],
        erases: Some(erases),
        decided_ms: NOW + 1,
        ..Commit::default()
    };
    assert!(is_committed(&commit(&store, erasing.clone()).await.unwrap()));
    assert_eq!(
        commit(&store, erasing).await.unwrap(),
        Outcome::Conflict,
        "it is done once"
    );

    let known = store.ids_on_record(&people).await.unwrap();
    assert_eq!(known.into_values().collect::<Vec<_>>(), ["p-two"]);
    let texts = [text("hers").commitment(), text("his").commitment()];
    assert_eq!(
        store.texts(&texts).await.unwrap().into_values().collect::<Vec<_>>(),
        ["his"]
    );
    let kept = store.kept_texts("", 10).await.unwrap();
    assert_eq!(kept.iter().map(|text| text.value.as_str()).collect::<Vec<_>>(), ["his"]);
    for (salt, erased) in [("salt = ''", 1), ("salt <> ''", 0)] {
        let rows = format!(
            "SELECT count(*) FROM private_text WHERE {salt} AND erased_ms = {}",
            NOW + 1
        );
        assert_eq!(db.number(&rows).await, erased, "{salt}");
    }
    assert_eq!(store.reply("hers").await.unwrap().as_deref(), Some(""));
    let card = store.message("card/REL-1").await.unwrap().unwrap();
    assert_eq!((card.channel.as_str(), card.rendered.as_str()), ("C1", ""));
    assert_eq!(store.message("question/REL-1/qa_lead/p-one/1").await.unwrap(), None);
    // The channel's turn went with it: the next one need not wait.
    assert_eq!(store.take_turn("D1", NOW, 1_000, 0).await.unwrap(), Some(0));
    assert_eq!(store.take_turn("C1", NOW, 1_000, 0).await.unwrap(), None);
    assert!(store.forget_bytes().await.unwrap());

    // Whoever comes back is somebody else.
    let ids = store
        .person_ids(&people, &["p-new".to_owned(), "p-x".to_owned()])
        .await
        .unwrap();
    assert_eq!(ids, ["p-new", "p-two"]);
    verified(&store).await;
}

pub async fn nothing_is_committed_in_the_name_of_who_was_erased_meanwhile(db: Database) {
    let store = db.open().await;
    store.person_ids(&[("T1", "U1")], &["p-one".to_owned()]).await.unwrap();
    let said = commit(&store, says("p-one", "release/REL-1", 0, "before"))
        .await
        .unwrap();
    assert!(is_committed(&said));
    let erasing = Commit {
        entries: vec![entry("people", 0)],
        erases: Some(Erasure {
            person: Some("p-one".to_owned()),
            ..Erasure::default()
        }),
        decided_ms: NOW,
        ..Commit::default()
    };
    // Many at once, so that some share a group with it: each is before it or not at all.
    let mut racing = tokio::task::JoinSet::new();
    for n in 0..40 {
        let store = store.clone();
        let one = if n == 20 {
            erasing.clone()
        } else {
            says("p-one", &format!("release/REL-{}", n + 2), 0, &format!("text {n}"))
        };
        racing.spawn(async move { (n, commit(&store, one).await.unwrap()) });
    }
    let outcomes = racing.join_all().await;
    let entries = verified(&store).await;
    let erased_at = entries.iter().find(|entry| entry.stream == "people").unwrap().position;
    let mut lost = BTreeSet::new();
    for (n, outcome) in outcomes {
        match outcome {
            Outcome::Committed { positions } => assert!(positions[0] <= erased_at, "{n}: {positions:?}"),
            Outcome::Conflict => drop(lost.insert(n)),
            other => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!(entries.len(), 41 - lost.len());
    let late = commit(&store, says("p-one", "release/REL-99", 0, "after"))
        .await
        .unwrap();
    assert_eq!(late, Outcome::Conflict);
}
