//! Somebody with write access who changes one thing of a log, and what an honest reader must say of it.

use domain::digest::Digest;
use domain::log_entry::{BreakKind, Draft, Head, Sealed, seal};
use domain::log_export::line;
use serde_json::json;
use std::ops::Range;

/// How far behind a change its verdict may stand, if no checkpoint comes before: the next entry, and some.
const SOON: usize = 3;

/// `SplitMix64`: the same seed, the same changes.
pub struct Dice(u64);

impl Dice {
    pub fn new(what: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = std::env::var("COUNTERSIGN_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(now.unwrap().subsec_nanos()));
        println!("{what}: COUNTERSIGN_SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

/// Replaces the entries of `range` (counted from 0) by these lines.
struct Splice {
    range: Range<usize>,
    lines: Vec<String>,
}

/// One change, where it begins, by which entry it must have shown, and as what.
pub struct Change {
    pub name: &'static str,
    /// The first changed position.
    pub first: usize,
    /// Lines up to this position are enough to see it.
    pub shows_by: usize,
    pub position: usize,
    pub kind: BreakKind,
    splices: Vec<Splice>,
}

impl Change {
    /// The lines after `from` entries, up to the entry at position `until`, with the change in them.
    pub fn apply(&self, lines: &[String], from: usize, until: usize) -> Vec<String> {
        let (mut changed, mut at) = (Vec::new(), from);
        for splice in self.splices.iter().filter(|splice| splice.range.start <= until) {
            changed.extend_from_slice(&lines[at..splice.range.start]);
            changed.extend_from_slice(&splice.lines);
            at = splice.range.end;
        }
        if at < until {
            changed.extend_from_slice(&lines[at..until]);
        }
        changed
    }

    /// `checkpoints` are positions, rising; the last one is the log's end.
    pub fn random(log: &[Sealed], checkpoints: &[usize], dice: &mut Dice) -> Self {
        let position = 1 + dice.below(log.len());
        match dice.below(6) {
            0 => edit(log, checkpoints, position, dice),
            1 => drop(log, position),
            2 => swap(log, position, dice),
            3 => insert(log, checkpoints, position - 1, dice),
            4 => truncate(log, position - 1),
            _ => rechain(log, checkpoints, position, dice),
        }
    }
}

/// The entry at `position` replaced by one line.
fn replaced(log: &[Sealed], position: usize, line: String, verdict: (usize, BreakKind)) -> Change {
    Change {
        name: "edit",
        first: position,
        shows_by: (verdict.0 + SOON).min(log.len()),
        position: verdict.0,
        kind: verdict.1,
        splices: vec![Splice {
            range: position - 1..position,
            lines: vec![line],
        }],
    }
}

fn edit(log: &[Sealed], checkpoints: &[usize], position: usize, dice: &mut Dice) -> Change {
    let mut entry = log[position - 1].clone();
    let kind = match dice.below(10) {
        0..=2 => {
            entry.bytes = other_character(&entry.bytes, dice);
            BreakKind::Edited
        }
        3 => {
            entry.hash = Digest::of(entry.hash.as_str().as_bytes());
            BreakKind::Edited
        }
        4 => {
            match dice.below(5) {
                0 => entry.previous = Digest::of(b""),
                1 => entry.position += 1 + dice.below(9) as u64,
                2 => entry.stream.push('x'),
                3 => entry.version += 1,
                _ => entry.logged_ms -= 1,
            }
            BreakKind::ColumnsDiffer
        }
        5 => {
            let whole = line(&entry);
            let mut cut = dice.below(whole.len());
            while !whole.is_char_boundary(cut) {
                cut -= 1;
            }
            return replaced(
                log,
                position,
                whole[..cut].to_owned(),
                (position, BreakKind::Unreadable),
            );
        }
        6 => {
            entry.bytes = entry.bytes.replacen(':', ": ", 1);
            entry.hash = Digest::of(entry.bytes.as_bytes());
            BreakKind::NotCanonical
        }
        // Hashed anew, so that only the next entry, or a checkpoint, tells.
        _ => {
            let forged = rechained(&log[..position], position, |draft| "p-0".clone_into(&mut draft.actor));
            let verdict = if checkpoints.contains(&position) {
                (position, BreakKind::Rewritten)
            } else {
                (position + 1, BreakKind::Relinked)
            };
            return replaced(log, position, line(&forged[0]), verdict);
        }
    };
    replaced(log, position, line(&entry), (position, kind))
}

/// The text with one character exchanged for another one.
fn other_character(text: &str, dice: &mut Dice) -> String {
    let at = dice.below(text.chars().count());
    let exchange = |(index, old): (usize, char)| match (index == at, old) {
        (true, '0') => '1',
        (true, _) => '0',
        (false, old) => old,
    };
    text.chars().enumerate().map(exchange).collect()
}

fn drop(log: &[Sealed], position: usize) -> Change {
    let last = position == log.len();
    Change {
        name: "drop",
        first: position,
        shows_by: (position + SOON).min(log.len()),
        position,
        kind: if last { BreakKind::Truncated } else { BreakKind::Missing },
        splices: vec![Splice {
            range: position - 1..position,
            lines: Vec::new(),
        }],
    }
}

fn swap(log: &[Sealed], position: usize, dice: &mut Dice) -> Change {
    let other = (position + dice.below(log.len() - 1)) % log.len() + 1;
    let (first, second) = (position.min(other), position.max(other));
    let put = |at: usize, from: usize| Splice {
        range: at - 1..at,
        lines: vec![line(&log[from - 1])],
    };
    Change {
        name: "swap",
        first,
        shows_by: (first + SOON).min(log.len()),
        position: first,
        kind: BreakKind::Missing,
        splices: vec![put(first, second), put(second, first)],
    }
}

/// A line between the entries at `after` and the next one.
fn insert(log: &[Sealed], checkpoints: &[usize], after: usize, dice: &mut Dice) -> Change {
    let here = after + 1;
    let (inserted, position, kind) = if dice.below(2) == 0 {
        // A copy of an entry.
        let copied = 1 + dice.below(log.len());
        let (position, kind) = match copied {
            copied if copied == here => (here + 1, BreakKind::OutOfOrder),
            copied if copied < here => (here, BreakKind::OutOfOrder),
            _ => (here, BreakKind::Missing),
        };
        (line(&log[copied - 1]), position, kind)
    } else {
        // A new one, well chained to the one before it.
        let (forged, _) = seal(&head(log, after), &[forged()], log[after].logged_ms).unwrap();
        let verdict = if checkpoints.contains(&here) {
            (here, BreakKind::Rewritten)
        } else {
            (here + 1, BreakKind::OutOfOrder)
        };
        (line(&forged[0]), verdict.0, verdict.1)
    };
    Change {
        name: "insert",
        first: here,
        shows_by: (here + SOON).min(log.len()),
        position,
        kind,
        splices: vec![Splice {
            range: after..after,
            lines: vec![inserted],
        }],
    }
}

fn truncate(log: &[Sealed], kept: usize) -> Change {
    Change {
        name: "truncate",
        first: kept + 1,
        shows_by: log.len(),
        position: kept + 1,
        kind: BreakKind::Truncated,
        splices: vec![Splice {
            range: kept..log.len(),
            lines: Vec::new(),
        }],
    }
}

/// An entry changed, removed or added, and everything behind it chained anew: up to the next checkpoint all looks well.
fn rechain(log: &[Sealed], checkpoints: &[usize], position: usize, dice: &mut Dice) -> Change {
    let shows_at = *checkpoints.iter().find(|at| **at >= position).unwrap();
    let end = log.len().min(shows_at + 1);
    let mut drafts: Vec<Draft> = log[position - 1..end].iter().map(draft).collect();
    let (mut at, mut kind) = (shows_at, BreakKind::Rewritten);
    match dice.below(3) {
        0 => "p-0".clone_into(&mut drafts[0].actor),
        1 => {
            let removed = drafts.remove(0);
            // A careful forger closes the gap in its stream too.
            for draft in drafts.iter_mut().filter(|draft| draft.stream == removed.stream) {
                draft.version -= 1;
            }
            if shows_at == log.len() {
                (at, kind) = (log.len(), BreakKind::Truncated);
            }
        }
        _ => drafts.insert(0, forged()),
    }
    let times = log[position - 1..].iter().map(|entry| entry.logged_ms);
    let lines = chained(head(log, position - 1), &drafts, times)
        .iter()
        .map(line)
        .collect();
    Change {
        name: "re-chain",
        first: position,
        shows_by: end,
        position: at,
        kind,
        splices: vec![Splice {
            range: position - 1..end,
            lines,
        }],
    }
}

/// The entries from `position` on, the first of them changed, all of them chained anew.
pub fn rechained(log: &[Sealed], position: usize, change: impl FnOnce(&mut Draft)) -> Vec<Sealed> {
    let mut drafts: Vec<Draft> = log[position - 1..].iter().map(draft).collect();
    change(&mut drafts[0]);
    let times = log[position - 1..].iter().map(|entry| entry.logged_ms);
    chained(head(log, position - 1), &drafts, times)
}

fn chained(mut head: Head, drafts: &[Draft], times: impl Iterator<Item = i64>) -> Vec<Sealed> {
    let times = times.chain(std::iter::repeat(0));
    let mut entries = Vec::with_capacity(drafts.len());
    for (draft, now_ms) in drafts.iter().zip(times) {
        let (sealed, after) = seal(&head, std::slice::from_ref(draft), now_ms).unwrap();
        entries.extend(sealed);
        head = after;
    }
    entries
}

fn head(log: &[Sealed], position: usize) -> Head {
    let Some(last) = position.checked_sub(1).map(|index| &log[index]) else {
        return Head::genesis(crate::LOG);
    };
    Head {
        log: crate::LOG.to_owned(),
        position: last.position,
        hash: last.hash.clone(),
        logged_ms: last.logged_ms,
    }
}

fn draft(sealed: &Sealed) -> Draft {
    let entry = sealed.open().unwrap();
    Draft {
        stream: entry.stream,
        version: entry.version,
        decided_ms: entry.decided_ms,
        actor: entry.actor,
        request: entry.request,
        event: entry.event,
    }
}

fn forged() -> Draft {
    Draft {
        stream: "release/FORGED-1".to_owned(),
        version: 1,
        decided_ms: 1_764_000_000_000,
        actor: "p-0".to_owned(),
        request: None,
        event: json!({"name": "SignedOff"}),
    }
}
