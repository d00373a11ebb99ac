//! The log against whoever changes it: every single change of an export is named by position and kind, and no clean log is
//! accused. Random; the seed is printed, and `COUNTERSIGN_SEED` brings it back.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod forger;

use domain::checkpoint::Checkpoint;
use domain::log_entry::{BreakKind, Broken, Draft, Head, Sealed, seal};
use domain::log_export::{LineVerifier, line};
use forger::{Change, Dice};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

const ENTRIES: usize = 5_000;
const MUTATIONS: usize = 10_000;
const CLEAN_LOGS: usize = 1_000;
/// A verdict is looked for from the nearest of these on, instead of from the first line.
const SNAPSHOT_EVERY: usize = 10;
/// Every so many changes, the whole file is judged from its first line to its last.
const WHOLE_EVERY: usize = 500;

const LOG: &str = "5f0c8e21a4b37d96";

/// A log of `entries` entries over some streams, as random decisions would leave it.
fn sample(entries: usize, dice: &mut Dice) -> Vec<Sealed> {
    let (mut versions, mut now_ms) = (BTreeMap::<String, u64>::new(), 1_764_000_000_000);
    let drafts: Vec<Draft> = (0..entries)
        .map(|n| {
            let stream = match dice.below(10) {
                0 => "service/payments".to_owned(),
                1 => format!("refused/REL-{}", dice.below(40)),
                _ => format!("release/REL-{}", dice.below(200)),
            };
            let version = versions.entry(stream.clone()).or_default();
            *version += 1;
            now_ms += i64::try_from(dice.below(60_000)).unwrap();
            let text = Checkpoint::from(&Head::genesis(&n.to_string())).hash;
            Draft {
                version: *version,
                stream,
                decided_ms: now_ms - 20,
                actor: format!("p-{:016x}", dice.below(12)),
                request: (n % 3 == 0).then(|| text.to_string()),
                event: json!({"name": "SignedOff", "version": 1, "data": {"role": "qa_lead", "nötig": [n, -1, true, null],
                    "fingerprint": text, "revision": dice.below(9)}}),
            }
        })
        .collect();
    let mut head = Head::genesis(LOG);
    let mut log = Vec::with_capacity(entries);
    for draft in &drafts {
        let (sealed, after) = seal(&head, std::slice::from_ref(draft), draft.decided_ms + 20).unwrap();
        log.extend(sealed);
        head = after;
    }
    log
}

fn checkpoint(log: &[Sealed], position: usize) -> Checkpoint {
    let hash = log[position - 1].hash.clone();
    Checkpoint {
        position: position as u64,
        log: LOG.to_owned(),
        hash,
    }
}

/// Judges lines until one is broken, or to their end.
fn judge(mut verifier: LineVerifier, lines: &[String], ends: bool) -> Result<Option<Head>, Broken> {
    for line in lines {
        verifier.push(line)?;
    }
    ends.then(|| verifier.finish()).transpose()
}

#[test]
fn no_clean_log_is_accused() {
    let mut dice = Dice::new("clean logs");
    let mut entries = 0;
    for _ in 0..CLEAN_LOGS {
        let size = dice.below(60);
        let log = sample(size, &mut dice);
        let checkpoints = (1..=size).filter(|_| dice.below(8) == 0);
        let checkpoints: Vec<Checkpoint> = checkpoints.map(|at| checkpoint(&log, at)).collect();
        let lines: Vec<String> = log.iter().map(line).collect();
        let head = judge(LineVerifier::new(checkpoints), &lines, true).unwrap().unwrap();
        assert_eq!(head.position, size as u64);
        entries += size;
    }
    println!("{CLEAN_LOGS} clean logs, {entries} entries: none accused");
}

#[test]
fn every_single_change_of_an_export_is_named_by_position_and_kind() {
    let began = Instant::now();
    let mut dice = Dice::new("changes");
    let log = sample(ENTRIES, &mut dice);
    let lines: Vec<String> = log.iter().map(line).collect();
    let mut at: Vec<usize> = (0..60).map(|_| 1 + dice.below(ENTRIES)).collect();
    at.push(ENTRIES);
    at.sort_unstable();
    at.dedup();
    let checkpoints: Vec<Checkpoint> = at.iter().map(|position| checkpoint(&log, *position)).collect();
    let snapshots = snapshots(&lines, &checkpoints);
    let mut seen = BTreeMap::<(&str, String), usize>::new();
    for n in 0..MUTATIONS {
        let change = Change::random(&log, &at, &mut dice);
        // A change is judged from a snapshot before it, as far as it must have shown.
        let start = (change.first - 1) / SNAPSHOT_EVERY * SNAPSHOT_EVERY;
        let whole = n % WHOLE_EVERY == 0;
        let (from, until) = if whole { (0, ENTRIES) } else { (start, change.shows_by) };
        let changed = change.apply(&lines, from, until);
        let ends = whole || change.shows_by >= ENTRIES;
        let verdict = judge(snapshots[from / SNAPSHOT_EVERY].clone(), &changed, ends);
        let expected = Broken {
            position: change.position as u64,
            kind: change.kind,
        };
        assert_eq!(
            verdict,
            Err(expected),
            "change {n}: {} at {}",
            change.name,
            change.first
        );
        *seen.entry((change.name, format!("{:?}", change.kind))).or_default() += 1;
    }
    for ((name, kind), count) in &seen {
        println!("{name}: {kind} {count} times");
    }
    let kinds: Vec<&str> = seen.keys().map(|(name, _)| *name).collect();
    for name in ["edit", "drop", "swap", "insert", "truncate", "re-chain"] {
        assert!(kinds.contains(&name), "no {name} among the changes");
    }
    println!(
        "{MUTATIONS} changes of an export of {ENTRIES} entries with {} checkpoints, all named, in {:?}",
        checkpoints.len(),
        began.elapsed()
    );
}

fn snapshots(lines: &[String], checkpoints: &[Checkpoint]) -> Vec<LineVerifier> {
    let mut verifier = LineVerifier::new(checkpoints.to_vec());
    let mut snapshots = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if index % SNAPSHOT_EVERY == 0 {
            snapshots.push(verifier.clone());
        }
        verifier.push(line).unwrap();
    }
    snapshots.push(verifier.clone());
    assert_eq!(verifier.finish().unwrap().position, ENTRIES as u64);
    snapshots
}

#[test]
fn without_a_checkpoint_a_cut_or_rewritten_log_looks_whole() {
    let mut dice = Dice::new("no checkpoint");
    let log = sample(40, &mut dice);
    let lines: Vec<String> = log.iter().map(line).collect();
    assert!(judge(LineVerifier::new(Vec::new()), &lines[..30], true).is_ok());
    let rewritten = forger::rechained(&log, 20, |draft| "p-0".clone_into(&mut draft.actor));
    let rewritten: Vec<String> = log[..19].iter().chain(&rewritten).map(line).collect();
    assert!(judge(LineVerifier::new(Vec::new()), &rewritten, true).is_ok());
    let with = |lines: &[String]| judge(LineVerifier::new(vec![checkpoint(&log, 40)]), lines, true).unwrap_err();
    assert_eq!(
        (with(&lines[..30]).position, with(&lines[..30]).kind),
        (31, BreakKind::Truncated)
    );
    assert_eq!(
        (with(&rewritten).position, with(&rewritten).kind),
        (40, BreakKind::Rewritten)
    );
    // The first entry of another log, and a checkpoint of another log.
    let foreign = Checkpoint {
        log: "other".to_owned(),
        ..checkpoint(&log, 40)
    };
    let verdict = judge(LineVerifier::new(vec![foreign]), &lines, true).unwrap_err();
    assert_eq!((verdict.position, verdict.kind), (1, BreakKind::ForeignLog));
}
