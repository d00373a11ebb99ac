//! People and heartbeats.

use super::given::NOW;
use crate::support::database::Database;

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
