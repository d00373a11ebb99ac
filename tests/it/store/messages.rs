//! Messages: one attempt posts, one post counts, a rendering replaces what it saw.

use super::given::*;
use crate::support::database::Database;
use countersign::store::MessageState;

pub async fn of_two_attempts_to_post_one_begins(db: Database) {
    let store = db.open().await;
    let begin = |seen_ms, now_ms| store.begin_post("card/REL-1", "REL-1", "C1", seen_ms, now_ms);
    let (a, b) = tokio::join!(begin(0, NOW), begin(0, NOW));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(u8::from(a.begun) + u8::from(b.begun), 1);
    assert_eq!(a.message, b.message);
    assert_eq!((a.message.state, a.message.attempted_ms), (MessageState::Posting, NOW));
    // Both find its outcome unknown and try again, even within the same millisecond.
    let (a, b) = tokio::join!(begin(NOW, NOW), begin(NOW, NOW));
    assert_eq!(u8::from(a.unwrap().begun) + u8::from(b.unwrap().begun), 1);
    assert!(!begin(NOW, NOW + 9).await.unwrap().begun);
    assert!(store.record_posted("card/REL-1", "C1", "1.1", 1, "d").await.unwrap());
    let posted = begin(NOW + 1, NOW + 9).await.unwrap();
    assert_eq!((posted.begun, posted.message.ts.as_str()), (false, "1.1"));
}

pub async fn a_message_is_posted_once(db: Database) {
    let store = db.open().await;
    assert!(!store.record_posted("card/REL-1", "C1", "1.1", 1, "d1").await.unwrap());
    assert!(!store.record_verified("card/REL-1").await.unwrap());
    store.begin_post("card/REL-1", "REL-1", "C1", 0, NOW).await.unwrap();
    assert!(!store.record_verified("card/REL-1").await.unwrap());
    assert!(store.record_posted("card/REL-1", "C1", "1.1", 1, "d1").await.unwrap());
    let seen = store.message("card/REL-1").await.unwrap().unwrap();
    assert!(store.record_rendered(&seen, 4, "d4").await.unwrap());
    assert!(store.record_verified("card/REL-1").await.unwrap());
    // The same again says yes and undoes nothing; another one says no.
    assert!(store.record_posted("card/REL-1", "C1", "1.1", 1, "d1").await.unwrap());
    assert!(!store.record_posted("card/REL-1", "C1", "2.2", 1, "d1").await.unwrap());
    let message = store.find_message("C1", "1.1").await.unwrap().unwrap();
    assert_eq!(message.state, MessageState::Verified);
    assert_eq!((message.rendered_version, message.rendered.as_str()), (4, "d4"));
    assert_eq!(store.find_message("C1", "").await.unwrap(), None);
    assert_eq!(store.message("card/REL-1").await.unwrap(), Some(message.clone()));
    store.begin_post("thread/REL-1", "REL-1", "C1", 0, NOW).await.unwrap();
    let ids: Vec<_> = store
        .messages_of("REL-1")
        .await
        .unwrap()
        .into_iter()
        .map(|m| m.id)
        .collect();
    assert_eq!(ids, ["card/REL-1", "thread/REL-1"]);
}

pub async fn a_rendering_replaces_only_what_it_saw(db: Database) {
    let store = db.open().await;
    store.begin_post("card/REL-1", "REL-1", "C1", 0, NOW).await.unwrap();
    store.record_posted("card/REL-1", "C1", "1.1", 3, "d3").await.unwrap();
    let now = async || store.message("card/REL-1").await.unwrap().unwrap();
    let first = now().await;
    assert!(store.record_rendered(&first, 5, "d5").await.unwrap());
    assert!(!store.record_rendered(&first, 4, "d4").await.unwrap());
    // Of two that render the same version at different times, the later one may have shown what was true earlier.
    let second = now().await;
    assert!(store.record_rendered(&second, 5, "d5 later").await.unwrap());
    assert!(!store.record_rendered(&second, 5, "d5").await.unwrap());
    assert_eq!(now().await.rendered, "d5 later");
}

pub async fn replicas_share_the_turns_of_a_channel(db: Database) {
    let store = db.open().await;
    let turn = |channel: &'static str, now_ms| store.take_turn(channel, now_ms, 1_000, 2_000);
    let (a, b) = tokio::join!(turn("C1", NOW), turn("C1", NOW));
    let mut waits = [a.unwrap().unwrap(), b.unwrap().unwrap()];
    waits.sort_unstable();
    assert_eq!(waits, [0, 1_000]);
    assert_eq!(turn("C1", NOW + 100).await.unwrap(), Some(1_900));
    assert_eq!(
        turn("C1", NOW + 100).await.unwrap(),
        None,
        "too long a queue is left alone"
    );
    assert_eq!(
        turn("C1", NOW + 1_000).await.unwrap(),
        Some(2_000),
        "and nothing of it was taken"
    );
    assert_eq!(turn("C2", NOW).await.unwrap(), Some(0), "each channel has its own");
    assert_eq!(turn("C1", NOW + 90_000).await.unwrap(), Some(0), "old turns are over");
    // A clock that was ahead and came back holds nobody up.
    assert_eq!(turn("C1", NOW).await.unwrap(), Some(0));
}

pub async fn what_slack_lost_is_forgotten_once(db: Database) {
    let store = db.open().await;
    store.begin_post("notice/REL-1/1", "REL-1", "C1", 0, NOW).await.unwrap();
    assert!(!store.forget_posted("notice/REL-1/1", "1.1").await.unwrap());
    store
        .record_posted("notice/REL-1/1", "C1", "1.1", 1, "d")
        .await
        .unwrap();
    assert!(!store.forget_posted("notice/REL-1/1", "2.2").await.unwrap());
    assert!(store.forget_posted("notice/REL-1/1", "1.1").await.unwrap());
    assert!(!store.forget_posted("notice/REL-1/1", "1.1").await.unwrap());
    let lost = store.message("notice/REL-1/1").await.unwrap().unwrap();
    assert_eq!(
        (lost.state, lost.ts.as_str(), lost.attempted_ms),
        (MessageState::Posting, "", NOW)
    );
    assert!(
        store
            .begin_post("notice/REL-1/1", "REL-1", "C1", NOW, NOW + 1)
            .await
            .unwrap()
            .begun
    );
    store
        .record_posted("notice/REL-1/1", "C1", "3.3", 1, "d")
        .await
        .unwrap();
    store.record_verified("notice/REL-1/1").await.unwrap();
    assert!(
        !store.forget_posted("notice/REL-1/1", "3.3").await.unwrap(),
        "it was read back"
    );
}
