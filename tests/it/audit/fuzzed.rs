//! Random changes inside entries, hashed anew so that the bytes are really read: both verifiers call each by the same name.

use super::log::{export, rehashed, sample};
use super::{python, said, script};
use domain::log_entry::Sealed;
use domain::log_export::LineVerifier;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::fmt::Write as _;
use std::fs;

const CASES: usize = 400;
const PIECES: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0041",
    "\\ud800",
    "\\ud83d\\ude00",
    "0",
    "-",
    "-0",
    "1.5",
    "1e9",
    "null",
    "true",
    " ",
    "\t",
    "NaN",
    "18446744073709551616",
    "9007199254740992",
    "\u{1f600}",
    "\u{1}",
    "\"a\":1,\"a\":1",
];

const DRIVER: &str = "
import os, sys
sys.path.insert(0, sys.argv[1])
from verify_audit import Broken, Verifier
for name in sorted(os.listdir(sys.argv[2])):
    verifier = Verifier([])
    try:
        with open(os.path.join(sys.argv[2], name), 'rb') as file:
            for line in file:
                verifier.push(line.rstrip(b'\\n'))
        verifier.finish()
        print('intact')
    except Broken as broken:
        print(broken.position, broken.kind)
";

/// Replaces some characters of a text by a piece.
fn edit(text: &str, at: usize, cut: usize, piece: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let at = at % characters.len();
    let end = (at + cut).min(characters.len());
    let mut edited: String = characters[..at].iter().collect();
    edited.push_str(piece);
    edited.extend(&characters[end..]);
    edited
}

fn judge(text: &str) -> String {
    let mut verifier = LineVerifier::new(Vec::new());
    let verdict = text
        .lines()
        .try_for_each(|line| verifier.push(line))
        .and_then(|()| verifier.finish());
    verdict.map_or_else(
        |broken| {
            format!(
                "{} {}",
                broken.position,
                serde_json::to_value(broken.kind).unwrap().as_str().unwrap()
            )
        },
        |_| "intact".to_owned(),
    )
}

#[test]
fn both_verifiers_say_the_same_of_random_changes() {
    let mut seed = [0_u8; 32];
    seed[..8].copy_from_slice(&crate::audit::fuzzed::seed().to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let change = (0..6_usize, any::<usize>(), 0..4_usize, 0..PIECES.len(), 0..8_u8);
    let folder = tempfile::tempdir().unwrap();
    let (mut ours, mut unlike) = (String::new(), std::collections::BTreeMap::<String, usize>::new());
    for case in 0..CASES {
        let (entry, at, cut, piece, how) = change.new_tree(&mut runner).unwrap().current();
        let mut log = sample();
        let text = match how {
            // The line itself.
            0 => {
                let whole = export(&log);
                edit(&whole, at, cut, PIECES[piece]).replace('\r', "")
            }
            // Deep nesting, at the limits of both readers.
            1 => {
                let deep = [31, 32, 33, 124, 125, 126, 127, 900][at % 8];
                let nested = format!("\"data\":{}{},", "[".repeat(deep), "]".repeat(deep));
                log[entry] = rehashed(&log[entry], |bytes| {
                    bytes.replacen("\"data\":", &format!("{nested}\"x\":"), 1)
                });
                export(&log)
            }
            _ => {
                let bytes = edit(&log[entry].bytes, at, cut, PIECES[piece]);
                if bytes != log[entry].bytes {
                    log[entry] = rehashed(&log[entry], |_| bytes);
                }
                export(&log)
            }
        };
        fs::write(folder.path().join(format!("{case:05}")), &text).unwrap();
        let verdict = judge(&text);
        let kind = verdict.rsplit(' ').next().unwrap_or_default();
        *unlike.entry(kind.to_owned()).or_default() += 1;
        let _ = writeln!(ours, "{verdict}");
    }
    let scripts = script().parent().unwrap().to_owned();
    let (code, theirs) = said(python().args(["-c", DRIVER]).arg(scripts).arg(folder.path()));
    assert_eq!(code, Some(0), "{theirs}");
    for (case, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        let text = || fs::read_to_string(folder.path().join(format!("{case:05}"))).unwrap();
        assert_eq!(
            ours,
            theirs,
            "case {case}: the program and the script differ about\n{}",
            text()
        );
    }
    assert_eq!(theirs.lines().count(), CASES);
    println!("both verifiers agree on {CASES} random changes: {unlike:?}");
}

/// Printed, and brought back by `COUNTERSIGN_SEED`.
fn seed() -> u64 {
    let given = std::env::var("COUNTERSIGN_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()));
    println!("random changes: COUNTERSIGN_SEED={seed}");
    seed
}

/// Keeps the compiler honest about what a log is.
#[test]
fn the_unchanged_log_is_intact() {
    let log: Vec<Sealed> = sample();
    assert_eq!(judge(&export(&log)), "intact");
}
