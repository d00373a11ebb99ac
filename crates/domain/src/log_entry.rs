//! The log: what an entry is, its canonical bytes, the hash chain over all streams, and the verifier.
//! The same functions seal new entries and judge stored ones, so that they can't drift apart.

use crate::canonical::{self, NotCanonical};
use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The format of entries written today; the verifier knows every format that ever landed.
pub const FORMAT: u32 = 1;

/// One decision's event, not yet in the chain: position, time of logging and hash come with the
/// head lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Such as `release/REL-789`.
    pub stream: String,
    /// Version of the stream after this entry; the first entry of a stream has version 1.
    pub version: u64,
    /// When it was decided, UTC milliseconds; states are folded with this time.
    pub decided_ms: i64,
    /// A person's id, or `countersign` for the program itself.
    pub actor: String,
    /// The request that caused it, if one did.
    pub request: Option<String>,
    /// The event, as [`crate::event::Event`] serialises it.
    pub event: Value,
}

/// An entry as it stands in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// See [`FORMAT`].
    pub format: u32,
    /// The database's random id: entries of two databases can't be mixed.
    pub log: String,
    /// 1, 2, 3 … over all streams, without a gap.
    pub position: u64,
    /// See [`Draft::stream`].
    pub stream: String,
    /// See [`Draft::version`].
    pub version: u64,
    /// See [`Draft::decided_ms`].
    pub decided_ms: i64,
    /// Never smaller than the entry before, whatever the clocks did.
    pub logged_ms: i64,
    /// See [`Draft::actor`].
    pub actor: String,
    /// See [`Draft::request`].
    pub request: Option<String>,
    /// See [`Draft::event`].
    pub event: Value,
    /// Hash of the entry before; for the first one, of the log's id.
    pub previous: Digest,
}

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// See [`Entry::log`].
    pub log: String,
    /// Position of the last entry, 0 when there is none.
    pub position: u64,
    /// Hash of the last entry.
    pub hash: Digest,
    /// `logged_ms` of the last entry.
    pub logged_ms: i64,
}

impl Head {
    /// The head of an empty log.
    pub fn genesis(log: &str) -> Self {
        let seed = format!("countersign-log-v1\0{log}");
        Self {
            log: log.to_owned(),
            position: 0,
            hash: Digest::of(seed.as_bytes()),
            logged_ms: 0,
        }
    }
}

/// An entry with its exact bytes and hash, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// See [`Entry::position`].
    pub position: u64,
    /// See [`Entry::stream`].
    pub stream: String,
    /// See [`Entry::version`].
    pub version: u64,
    /// See [`Entry::logged_ms`].
    pub logged_ms: i64,
    /// The canonical bytes, as UTF-8 text.
    pub bytes: String,
    /// See [`Entry::previous`].
    pub previous: Digest,
    /// SHA-256 of `bytes`.
    pub hash: Digest,
}

impl Sealed {
    /// The entry behind the bytes, after checking that they are its bytes.
    ///
    /// # Errors
    /// The kind of break, when bytes, hash and columns don't agree.
    pub fn open(&self) -> Result<Entry, BreakKind> {
        if Digest::of(self.bytes.as_bytes()) != self.hash {
            return Err(BreakKind::Edited);
        }
        let entry: Entry = serde_json::from_str(&self.bytes).map_err(|_| BreakKind::Unreadable)?;
        if entry.format != FORMAT {
            return Err(BreakKind::Unreadable);
        }
        let canonical = bytes_of(&entry).map_err(|_| BreakKind::NotCanonical)?;
        if canonical != self.bytes {
            return Err(BreakKind::NotCanonical);
        }
        let same_columns = entry.position == self.position
            && entry.stream == self.stream
            && entry.version == self.version
            && entry.logged_ms == self.logged_ms
            && entry.previous == self.previous;
        if same_columns {
            Ok(entry)
        } else {
            Err(BreakKind::ColumnsDiffer)
        }
    }
}

fn bytes_of(entry: &Entry) -> Result<String, NotCanonical> {
    // An `Entry` holds only strings, integers and a JSON value: serialising it can't fail.
    let value = serde_json::to_value(entry).map_err(|_| NotCanonical::TooDeep)?;
    let bytes = canonical::to_bytes(&value)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Chains `drafts` behind `head`, in order, logged at `now_ms` or at the head's time if that is
/// later.
///
/// # Errors
/// A draft without a canonical form; nothing is chained then.
pub fn seal(head: &Head, drafts: &[Draft], now_ms: i64) -> Result<(Vec<Sealed>, Head), NotCanonical> {
    let mut head = head.clone();
    let mut sealed = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let entry = Entry {
            format: FORMAT,
            log: head.log.clone(),
            position: head.position + 1,
            stream: draft.stream.clone(),
            version: draft.version,
            decided_ms: draft.decided_ms,
            logged_ms: now_ms.max(head.logged_ms),
            actor: draft.actor.clone(),
            request: draft.request.clone(),
            event: draft.event.clone(),
            previous: head.hash.clone(),
        };
        let bytes = bytes_of(&entry)?;
        let hash = Digest::of(bytes.as_bytes());
        head.position = entry.position;
        head.hash = hash.clone();
        head.logged_ms = entry.logged_ms;
        sealed.push(Sealed {
            position: entry.position,
            stream: entry.stream,
            version: entry.version,
            logged_ms: entry.logged_ms,
            bytes,
            previous: entry.previous,
            hash,
        });
    }
    Ok((sealed, head))
}

/// What is wrong with the first broken entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// The bytes are not those that were hashed.
    Edited,
    /// The bytes are no entry of a known format.
    Unreadable,
    /// The entry is not in canonical form.
    NotCanonical,
    /// The columns beside the bytes say something else.
    ColumnsDiffer,
    /// A position is missing: one or more entries were removed.
    Missing,
    /// A position comes twice or too late: entries were inserted or swapped.
    OutOfOrder,
    /// The entry doesn't continue the entry before it: it was inserted, or the part before it re-chained.
    Relinked,
    /// The entry belongs to another log.
    ForeignLog,
    /// The time of logging runs backwards.
    ClockRegressed,
    /// The stream's versions have a gap or a repetition.
    StreamGap,
    /// The chain ends before its head: entries were cut off.
    Truncated,
    /// The chain's end is not the recorded head.
    HeadDiffers,
    /// Entries stand after the recorded head: they were added beside every commit.
    BeyondHead,
    /// The entry at a checkpoint's position is another one: something up to here was rewritten, and chained anew.
    Rewritten,
}

impl fmt::Display for BreakKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edited => "edited: its bytes don't match its hash",
            Self::Unreadable => "unreadable: its bytes are no entry of a known format",
            Self::NotCanonical => "not canonical: its bytes were written by something else",
            Self::ColumnsDiffer => "edited: the columns beside its bytes say something else",
            Self::Missing => "missing: the entry at this position was removed",
            Self::OutOfOrder => "out of order: the entry was inserted or swapped",
            Self::Relinked => "relinked: it doesn't continue the entry before it",
            Self::ForeignLog => "foreign: it belongs to another log",
            Self::ClockRegressed => "out of order: its time is before the entry before it",
            Self::StreamGap => "stream gap: its stream's versions don't follow each other",
            Self::Truncated => "truncated: the chain ends before its recorded head",
            Self::HeadDiffers => "head differs: the chain's end is not the recorded head",
            Self::BeyondHead => "added: it stands after the recorded head",
            Self::Rewritten => "rewritten: it is not the entry that a checkpoint names",
        })
    }
}

/// The first broken place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The position where an intact chain would continue.
    pub position: u64,
    /// What is wrong there.
    pub kind: BreakKind,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} is {}", self.position, self.kind)
    }
}

impl std::error::Error for Broken {}

/// Checks entries one by one, in the order in which they are stored.
#[derive(Debug, Clone)]
pub struct Verifier {
    head: Head,
    streams: BTreeMap<String, u64>,
    /// Not reached yet, the next one last.
    checkpoints: Vec<Checkpoint>,
}

impl Verifier {
    /// A verifier for the log with this id, before its first entry.
    pub fn new(log: &str) -> Self {
        Self {
            head: Head::genesis(log),
            streams: BTreeMap::new(),
            checkpoints: Vec::new(),
        }
    }

    /// The same verifier, which also holds the log against checkpoints of it. Only they show that a chain was cut off, or
    /// changed and chained anew.
    #[must_use]
    pub fn against(mut self, mut checkpoints: Vec<Checkpoint>) -> Self {
        checkpoints.sort_by(|a, b| b.cmp(a));
        self.checkpoints = checkpoints;
        self
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// Where and how the chain is broken.
    pub fn push(&mut self, sealed: &Sealed) -> Result<Entry, Broken> {
        let position = self.head.position + 1;
        let broken = |kind| Broken { position, kind };
        let entry = sealed.open().map_err(broken)?;
        if entry.log != self.head.log {
            return Err(broken(BreakKind::ForeignLog));
        }
        if entry.position > position {
            return Err(broken(BreakKind::Missing));
        }
        if entry.position < position {
            return Err(broken(BreakKind::OutOfOrder));
        }
        if entry.previous != self.head.hash {
            return Err(broken(BreakKind::Relinked));
        }
        if entry.logged_ms < self.head.logged_ms {
            return Err(broken(BreakKind::ClockRegressed));
        }
        let version = self.streams.entry(entry.stream.clone()).or_default();
        if entry.version != *version + 1 {
            return Err(broken(BreakKind::StreamGap));
        }
        *version = entry.version;
        self.head.position = position;
        self.head.hash = sealed.hash.clone();
        self.head.logged_ms = entry.logged_ms;
        self.pass_checkpoints()?;
        Ok(entry)
    }

    /// Compares the end so far with every checkpoint of its position.
    fn pass_checkpoints(&mut self) -> Result<(), Broken> {
        let position = self.head.position;
        while let Some(checkpoint) = self.checkpoints.pop_if(|next| next.position <= position) {
            if checkpoint.log != self.head.log {
                return Err(Broken {
                    position,
                    kind: BreakKind::ForeignLog,
                });
            }
            if checkpoint.hash != self.head.hash {
                return Err(Broken {
                    position,
                    kind: BreakKind::Rewritten,
                });
            }
        }
        Ok(())
    }

    /// Compares the end of the chain with the recorded head, if there is one to compare with, and
    /// returns the end.
    ///
    /// # Errors
    /// [`BreakKind::Truncated`] or [`BreakKind::HeadDiffers`].
    pub fn finish(mut self, recorded: Option<&Head>) -> Result<Head, Broken> {
        // Those of an empty log, which no entry has passed.
        self.pass_checkpoints()?;
        if let Some(ahead) = self.checkpoints.first() {
            let foreign = ahead.log != self.head.log;
            return Err(Broken {
                position: self.head.position + 1,
                kind: if foreign {
                    BreakKind::ForeignLog
                } else {
                    BreakKind::Truncated
                },
            });
        }
        match recorded {
            Some(recorded) if recorded.position > self.head.position => Err(Broken {
                position: self.head.position + 1,
                kind: BreakKind::Truncated,
            }),
            Some(recorded) if *recorded != self.head => Err(Broken {
                position: self.head.position,
                kind: BreakKind::HeadDiffers,
            }),
            _ => Ok(self.head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> (Vec<Sealed>, Head) {
        let draft = |stream: &str, version, n: u64| Draft {
            stream: stream.to_owned(),
            version,
            decided_ms: 1_000,
            actor: "p-1".to_owned(),
            request: None,
            event: json!({"name": "Sample", "n": n}),
        };
        let drafts = [
            draft("release/REL-1", 1, 1),
            draft("release/REL-2", 1, 2),
            draft("release/REL-1", 2, 3),
            draft("service/payments", 1, 4),
        ];
        seal(&Head::genesis("log-1"), &drafts, 2_000).unwrap()
    }

    fn check(change: impl FnOnce(&mut Vec<Sealed>), expected: Result<u64, (u64, BreakKind)>) {
        let (mut entries, head) = sample();
        change(&mut entries);
        let mut verifier = Verifier::new("log-1");
        let result = entries
            .iter()
            .try_for_each(|entry| verifier.push(entry).map(drop))
            .and_then(|()| verifier.finish(Some(&head)))
            .map(|head| head.position)
            .map_err(|broken| (broken.position, broken.kind));
        assert_eq!(result, expected);
    }

    /// Re-hashes an entry after an edit, as somebody with write access would.
    fn rehash(entry: &mut Sealed, edit: impl FnOnce(&mut Entry)) {
        let mut inner: Entry = serde_json::from_str(&entry.bytes).unwrap();
        edit(&mut inner);
        entry.bytes = bytes_of(&inner).unwrap();
        entry.hash = Digest::of(entry.bytes.as_bytes());
        entry.position = inner.position;
        entry.version = inner.version;
        entry.logged_ms = inner.logged_ms;
        entry.previous = inner.previous;
    }

    #[test]
    fn an_intact_chain_verifies_to_its_head() {
        check(|_| {}, Ok(4));
    }

    #[test]
    fn every_kind_of_break_is_named_at_its_place() {
        check(
            |e| e[1].bytes = e[1].bytes.replace("REL-2", "REL-9"),
            Err((2, BreakKind::Edited)),
        );
        check(
            |e| e[1].stream = "release/REL-9".to_owned(),
            Err((2, BreakKind::ColumnsDiffer)),
        );
        check(|e| drop(e.remove(1)), Err((2, BreakKind::Missing)));
        check(|e| e.swap(1, 2), Err((2, BreakKind::Missing)));
        check(|e| e.insert(2, e[1].clone()), Err((3, BreakKind::OutOfOrder)));
        check(|e| drop(e.pop()), Err((4, BreakKind::Truncated)));
        check(
            |e| rehash(&mut e[1], |i| i.actor = "p-2".to_owned()),
            Err((3, BreakKind::Relinked)),
        );
        check(
            |e| rehash(&mut e[3], |i| i.actor = "p-2".to_owned()),
            Err((4, BreakKind::HeadDiffers)),
        );
        check(
            |e| rehash(&mut e[1], |i| i.log = "log-2".to_owned()),
            Err((2, BreakKind::ForeignLog)),
        );
        check(
            |e| rehash(&mut e[1], |i| i.logged_ms = 1),
            Err((2, BreakKind::ClockRegressed)),
        );
        check(|e| rehash(&mut e[2], |i| i.version = 3), Err((3, BreakKind::StreamGap)));
        check(
            |e| rehash(&mut e[2], |i| i.format = 99),
            Err((3, BreakKind::Unreadable)),
        );
        check(
            |e| {
                e[1].bytes.push(' ');
                e[1].hash = Digest::of(e[1].bytes.as_bytes());
            },
            Err((2, BreakKind::NotCanonical)),
        );
    }

    #[test]
    fn an_entry_is_never_logged_before_the_one_before_it() {
        let (_, head) = sample();
        let draft = Draft {
            stream: "release/REL-1".to_owned(),
            version: 3,
            decided_ms: 500,
            actor: "countersign".to_owned(),
            request: None,
            event: json!({}),
        };
        let (sealed, _) = seal(&head, &[draft], 600).unwrap();
        assert_eq!(sealed[0].logged_ms, 2_000);
        assert_eq!(sealed[0].open().unwrap().decided_ms, 500);
    }
}
