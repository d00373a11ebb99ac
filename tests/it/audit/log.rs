//! A small log with checkpoints, always the same, and the ways in which somebody may change it.

use countersign::checkpoints::key::SigningKey;
use countersign::config::Secret;
use domain::checkpoint::Checkpoint;
use domain::digest::Digest;
use domain::log_entry::{Draft, Entry, Head, Sealed, seal};
use domain::log_export::line;
use serde_json::{Value, json};

pub const LOG: &str = "5f0c8e21a4b37d96";
/// A private key for vectors only.
pub const SECRET: &str = "dGhlIGtleSBvZiB0aGUgdGVzdCB2ZWN0b3JzLCBubyE=";

pub fn key() -> SigningKey {
    SigningKey::new(&Secret::new(SECRET)).unwrap()
}

pub fn sample() -> Vec<Sealed> {
    let draft = |stream: &str, version, actor: &str, request: Option<&str>, event: Value| Draft {
        stream: stream.to_owned(),
        version,
        decided_ms: 1_764_072_000_000 + i64::try_from(version).unwrap(),
        actor: actor.to_owned(),
        request: request.map(|text| Digest::of(text.as_bytes()).to_string()),
        event,
    };
    let text = |n: u8| Digest::of(&[n]).to_string();
    let drafts = [
        draft(
            "release/REL-789",
            1,
            "p-00c0ffee",
            Some("1"),
            json!({"name": "ReleasePlanned.v1", "data": {"release": "REL-789", "plan": {"scope": text(1)}, "tickets": []}}),
        ),
        draft(
            "release/REL-789",
            2,
            "countersign",
            None,
            json!({"name": "SourceResolved.v1", "data": {"commit": "0123456789abcdef0123456789abcdef01234567", "observed_ms": -1}}),
        ),
        draft(
            "refused/REL-789",
            1,
            "p-0badf00d",
            Some("2"),
            json!({"name": "CommandRefused.v1", "data": {"rule": "signoff.qa-lead", "cause": "\u{20ac}\u{1f600}\u{fb33}\u{7f}\"\\\n\u{1}"}}),
        ),
        draft(
            "release/REL-789",
            3,
            "p-00c0ffee",
            Some("3"),
            json!({"name": "SignedOff.v1", "data": {"\u{1f600}": 9_007_199_254_740_991_i64, "\u{fb33}": [true, null, {}], "e": ""}}),
        ),
        draft(
            "service/payments",
            1,
            "countersign",
            None,
            json!({"name": "EnvironmentLocked.v1", "data": {"fence": 1}}),
        ),
        draft(
            "release/REL-789",
            4,
            "countersign",
            None,
            json!({"name": "AttemptEnded.v1", "data": {"output": text(2)}}),
        ),
    ];
    let mut head = Head::genesis(LOG);
    let mut log = Vec::new();
    for (draft, now_ms) in drafts.iter().zip(1_764_072_000_100..) {
        let (sealed, after) = seal(&head, std::slice::from_ref(draft), now_ms).unwrap();
        log.extend(sealed);
        head = after;
    }
    log
}

pub fn export(log: &[Sealed]) -> String {
    log.iter().map(|sealed| line(sealed) + "\n").collect()
}

pub fn checkpoint(log: &[Sealed], position: usize) -> Checkpoint {
    let hash = log[position - 1].hash.clone();
    Checkpoint {
        position: position as u64,
        log: LOG.to_owned(),
        hash,
    }
}

/// Two checkpoints, as the file of `audit.file` holds them.
pub fn notes(log: &[Sealed]) -> String {
    let sign = |position| key().sign(&checkpoint(log, position));
    format!("{}\n{}", sign(3), sign(6))
}

/// The entry hashed anew after its bytes were changed, and nothing else.
pub fn rehashed(sealed: &Sealed, change: impl FnOnce(&str) -> String) -> Sealed {
    let bytes = change(&sealed.bytes);
    assert_ne!(bytes, sealed.bytes, "nothing was changed");
    Sealed {
        hash: Digest::of(bytes.as_bytes()),
        bytes,
        ..sealed.clone()
    }
}

/// The log with everything from `position` on chained anew after a change there, as a forger with time would leave it.
pub fn rechained(log: &[Sealed], position: usize, change: impl FnOnce(&mut Draft)) -> Vec<Sealed> {
    let mut change = Some(change);
    let mut forged = log[..position - 1].to_vec();
    let last = forged.last();
    let mut head = last.map_or(Head::genesis(LOG), |last| Head {
        log: LOG.to_owned(),
        position: last.position,
        hash: last.hash.clone(),
        logged_ms: last.logged_ms,
    });
    for sealed in &log[position - 1..] {
        let entry: Entry = sealed.open().unwrap();
        let mut draft = Draft {
            stream: entry.stream,
            version: entry.version,
            decided_ms: entry.decided_ms,
            actor: entry.actor,
            request: entry.request,
            event: entry.event,
        };
        if let Some(change) = change.take() {
            change(&mut draft);
        }
        let (chained, after) = seal(&head, &[draft], entry.logged_ms).unwrap();
        forged.extend(chained);
        head = after;
    }
    forged
}
