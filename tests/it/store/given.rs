//! Commits to test with, and the check that the chain and its head hold.

use countersign::store::{
    AnsweredRequest, Commit, NewJob, Outcome, Settlement, StateRow, Store, StoreError, StreamVersion,
};
use countersign::store::{ClaimedJob, Fate};
use domain::log_entry::{Draft, Entry, Verifier};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

pub const NOW: i64 = 1_790_000_000_000;

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub fn entry(stream: &str, version: u64) -> Draft {
    Draft {
        stream: stream.to_owned(),
        version,
        decided_ms: NOW,
        actor: "p-1".to_owned(),
        request: None,
        event: json!({"name": "Changed", "to": version}),
    }
}

pub fn seen(stream: &str, version: u64) -> StreamVersion {
    StreamVersion {
        stream: stream.to_owned(),
        version,
    }
}

pub fn state(stream: &str, version: u64) -> StateRow {
    StateRow {
        stream: stream.to_owned(),
        version,
        service: "payments".to_owned(),
        status: "asking".to_owned(),
        state: json!({"version": version}).to_string(),
        updated_ms: NOW,
    }
}

/// A decision that moves `stream` from `version` on.
pub fn change(stream: &str, version: u64) -> Commit {
    Commit {
        reads: vec![seen(stream, version)],
        states: vec![state(stream, version + 1)],
        entries: vec![entry(stream, version + 1)],
        decided_ms: NOW,
        ..Commit::default()
    }
}

pub fn asked(request: &str, commit: Commit) -> Commit {
    let reply = format!("reply to {request}");
    Commit {
        request: Some(AnsweredRequest {
            id: request.to_owned(),
            reply,
        }),
        ..commit
    }
}

pub fn job(id: &str) -> NewJob {
    NewJob {
        id: id.to_owned(),
        kind: "refresh_card.v1".to_owned(),
        payload: "{}".to_owned(),
        lane: "cards".to_owned(),
        order_key: None,
        order: 0,
        coalesce_key: None,
        due_ms: NOW,
        attempts_max: 3,
        subject: "REL-1".to_owned(),
    }
}

pub fn ordered(id: &str, key: &str, order: i64) -> NewJob {
    NewJob {
        order_key: Some(key.to_owned()),
        order,
        ..job(id)
    }
}

pub fn coalescing(id: &str, key: &str) -> NewJob {
    NewJob {
        coalesce_key: Some(key.to_owned()),
        ..job(id)
    }
}

pub async fn commit(store: &Store, commit: Commit) -> Result<Outcome, StoreError> {
    store.commit(commit, soon()).await
}

pub async fn queue(store: &Store, jobs: Vec<NewJob>) {
    let outcome = commit(
        store,
        Commit {
            jobs,
            decided_ms: NOW,
            ..Commit::default()
        },
    )
    .await
    .unwrap();
    assert!(is_committed(&outcome));
}

pub fn is_committed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Committed { .. })
}

/// Claims as owner `w` at `now_ms` with a lease of a minute and returns the ids.
pub async fn claim_ids(store: &Store, limit: u32, now_ms: i64) -> Vec<String> {
    claim(store, limit, now_ms)
        .await
        .into_iter()
        .map(|job| job.id)
        .collect()
}

pub async fn claim(store: &Store, limit: u32, now_ms: i64) -> Vec<ClaimedJob> {
    store.claim("cards", "w", limit, now_ms, 60_000).await.unwrap().jobs
}

pub fn settles(job: &ClaimedJob, fate: Fate) -> Settlement {
    Settlement {
        job: job.id.clone(),
        owner: job.owner.clone(),
        attempt: job.attempt,
        fate,
    }
}

pub fn again(due_ms: i64, forgive: bool) -> Fate {
    Fate::Again {
        due_ms,
        reason: "not yet".to_owned(),
        forgive,
    }
}

/// All entries, after checking that they form the chain that the head says.
pub async fn verified(store: &Store) -> Vec<Entry> {
    let head = store.head().await.unwrap();
    let mut verifier = Verifier::new(store.log_id());
    let mut entries = Vec::new();
    loop {
        let page = store.entries(entries.len() as u64 + 1, 500).await.unwrap();
        if page.is_empty() {
            break;
        }
        entries.extend(page.iter().map(|sealed| verifier.push(sealed).unwrap()));
    }
    verifier.finish(Some(&head)).unwrap();
    entries
}
