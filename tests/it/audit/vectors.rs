//! The checked-in vectors: an export, its checkpoints, and each way to break them with what must be said of it.

use super::log::{LOG, checkpoint, export, key, notes, rechained, rehashed, sample};
use super::{python, said, script};
use domain::checkpoint::Checkpoint;
use domain::digest::Digest;
use domain::log_entry::{Draft, Head, Sealed, seal};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/audit/vectors")
}

/// A vector: files by name, and what a verifier says.
struct Vector {
    name: &'static str,
    export: String,
    checkpoints: Option<String>,
    with_key: bool,
    exit: i32,
    /// The beginning of the first line.
    says: String,
}

fn changed(change: impl FnOnce(&mut Vec<Sealed>)) -> String {
    let mut log = sample();
    change(&mut log);
    export(&log)
}

fn forged(position: usize, from: &'static str, to: &'static str) -> String {
    changed(|log| log[position - 1] = rehashed(&log[position - 1], |bytes| bytes.replacen(from, to, 1)))
}

/// The log put back to its first three entries, and an acknowledgement that names the checkpoint at 6 with this hash.
fn restored(log: &[Sealed], hash: &Digest) -> Vec<Sealed> {
    let acknowledged = Draft {
        stream: domain::restore::STREAM.to_owned(),
        version: 1,
        decided_ms: 1_764_072_000_000,
        actor: "countersign".to_owned(),
        request: None,
        event: json!({"name": "RestoreAcknowledged.v1", "data": {
            "attempts": 0, "by": Digest::of(b"by"), "checkpoints": [{"hash": hash, "position": 6}],
            "fences_above": 1_764_072_000_000_i64, "held": 0, "reason": Digest::of(b"reason"),
        }}),
    };
    let head = Head {
        log: LOG.to_owned(),
        position: 3,
        hash: log[2].hash.clone(),
        logged_ms: log[2].logged_ms,
    };
    let (sealed, _) = seal(&head, &[acknowledged], 1_764_072_000_200).unwrap();
    log[..3].iter().cloned().chain(sealed).collect()
}

fn vectors() -> Vec<Vector> {
    let clean = sample();
    let with = |name, export: String, checkpoints: Option<String>, exit, says: &str| Vector {
        name,
        export,
        with_key: checkpoints.is_some(),
        checkpoints,
        exit,
        says: says.to_owned(),
    };
    let plain = |name, export, says: &str| with(name, export, None, 2, says);
    let held = |name, export, says: &str| with(name, export, Some(notes(&sample())), 2, says);
    let bad_note = |name, exit, says: &str, from: &str, to: &str| {
        let text = notes(&sample());
        assert!(text.contains(from), "{name}");
        with(name, export(&sample()), Some(text.replacen(from, to, 1)), exit, says)
    };
    let intact = format!("intact: 6 entries, head {}", clean[5].hash);
    let other_log = Checkpoint {
        log: "00000000aaaaaaaa".to_owned(),
        ..checkpoint(&clean, 6)
    };
    let other_log = key().sign(&other_log).replace(
        &key().public("00000000aaaaaaaa").to_string(),
        &key().public(LOG).to_string(),
    );
    let mut vectors = vec![
        with("clean", export(&clean), Some(notes(&clean)), 0, &intact),
        with("clean_alone", export(&clean), None, 0, &intact),
        with("empty", String::new(), None, 0, "intact: 0 entries"),
        plain(
            "edited",
            changed(|log| log[1].bytes = log[1].bytes.replace("SourceResolved", "SourceRevolved")),
            "BROKEN: entry 2 is edited: its bytes",
        ),
        plain(
            "hash_edited",
            changed(|log| log[4].hash = log[3].hash.clone()),
            "BROKEN: entry 5 is edited: its bytes",
        ),
        plain(
            "column_edited",
            changed(|log| "refused/REL-1".clone_into(&mut log[2].stream)),
            "BROKEN: entry 3 is edited: the columns",
        ),
        plain(
            "line_cut",
            export(&clean)[..export(&clean).len() - 40].to_owned(),
            "BROKEN: entry 6 is unreadable",
        ),
        plain(
            "line_empty",
            export(&clean).replacen('\n', "\n\n", 1),
            "BROKEN: entry 2 is unreadable",
        ),
        plain(
            "format_unknown",
            forged(2, "\"format\":1", "\"format\":2"),
            "BROKEN: entry 2 is unreadable",
        ),
        plain(
            "member_twice",
            forged(2, "\"format\":1", "\"format\":1,\"format\":1"),
            "BROKEN: entry 2 is unreadable",
        ),
        plain(
            "half_a_surrogate",
            forged(2, "SourceResolved", "\\ud800"),
            "BROKEN: entry 2 is unreadable",
        ),
        plain(
            "member_twice_inside",
            forged(2, "\"observed_ms\":-1", "\"observed_ms\":-1,\"observed_ms\":-1"),
            "BROKEN: entry 2 is not canonical",
        ),
        plain(
            "space",
            forged(2, "\"format\":1", "\"format\": 1"),
            "BROKEN: entry 2 is not canonical",
        ),
        plain(
            "escaped_otherwise",
            forged(2, "SourceResolved", "\\u0053ourceResolved"),
            "BROKEN: entry 2 is not canonical",
        ),
        plain(
            "fraction",
            forged(2, "\"observed_ms\":-1", "\"observed_ms\":-1.0"),
            "BROKEN: entry 2 is not canonical",
        ),
        plain(
            "minus_zero",
            forged(2, "\"observed_ms\":-1", "\"observed_ms\":-0"),
            "BROKEN: entry 2 is not canonical",
        ),
        plain(
            "too_large",
            forged(4, "9007199254740991", "9007199254740992"),
            "BROKEN: entry 4 is not canonical",
        ),
        plain(
            "request_left_out",
            forged(2, "\"request\":null,", ""),
            "BROKEN: entry 2 is not canonical",
        ),
        plain(
            "dropped",
            changed(|log| drop(log.remove(2))),
            "BROKEN: entry 3 is missing",
        ),
        plain(
            "first_dropped",
            changed(|log| drop(log.remove(0))),
            "BROKEN: entry 1 is missing",
        ),
        plain("swapped", changed(|log| log.swap(1, 3)), "BROKEN: entry 2 is missing"),
        plain(
            "doubled",
            changed(|log| log.insert(3, log[1].clone())),
            "BROKEN: entry 4 is out of order: the entry",
        ),
        plain(
            "relinked",
            forged(3, "p-0badf00d", "p-00000000"),
            "BROKEN: entry 4 is relinked",
        ),
        plain(
            "foreign",
            forged(3, LOG, "00000000aaaaaaaa"),
            "BROKEN: entry 3 is foreign",
        ),
        plain(
            "earlier",
            changed(|log| {
                let early = log[2].logged_ms - 60_000;
                log[3] = rehashed(&log[3], |bytes| {
                    bytes.replace(
                        &format!("\"logged_ms\":{}", log[3].logged_ms),
                        &format!("\"logged_ms\":{early}"),
                    )
                });
                log[3].logged_ms = early;
            }),
            "BROKEN: entry 4 is out of order: its time",
        ),
        plain(
            "stream_gap",
            export(&rechained(&clean, 4, |draft| draft.version += 1)),
            "BROKEN: entry 4 is stream gap",
        ),
        held("truncated", export(&clean[..4]), "BROKEN: entry 5 is truncated"),
        held("emptied", String::new(), "BROKEN: entry 1 is truncated"),
        held(
            "rechained",
            export(&rechained(&clean, 2, |draft| "p-00c0ffee".clone_into(&mut draft.actor))),
            "BROKEN: entry 3 is rewritten",
        ),
        held(
            "rechained_late",
            export(&rechained(&clean, 6, |draft| "p-00c0ffee".clone_into(&mut draft.actor))),
            "BROKEN: entry 6 is rewritten",
        ),
        with(
            "rechained_unseen",
            export(&rechained(&clean, 2, |draft| "p-00c0ffee".clone_into(&mut draft.actor))),
            None,
            0,
            "intact: 6 entries",
        ),
        with(
            "restored",
            export(&restored(&clean, &clean[5].hash)),
            Some(notes(&clean)),
            0,
            "intact: 4 entries",
        ),
        with(
            "restored_from_something_else",
            export(&restored(&clean, &clean[4].hash)),
            Some(notes(&clean)),
            2,
            "BROKEN: entry 5 is truncated",
        ),
        bad_note(
            "forged_checkpoint",
            2,
            "BROKEN: the checkpoint at 5 is forged",
            "\n6\n",
            "\n5\n",
        ),
        bad_note(
            "unknown_signer",
            2,
            "BROKEN: the checkpoint at 3 is not signed by a given key",
            "\u{2014} countersign/5f0c",
            "\u{2014} countersign/5f0d",
        ),
        bad_note("cut_checkpoint", 1, "", "\n\n\u{2014} ", "\n"),
        bad_note("sloppy_base64", 1, "", "=\n\n", "\n\n"),
    ];
    vectors.push(Vector {
        with_key: false,
        ..with(
            "checkpoint_of_another_log",
            export(&clean),
            Some(other_log),
            2,
            "BROKEN: entry 1 is foreign",
        )
    });
    vectors.push(Vector {
        with_key: false,
        ..with("signatures_unchecked", export(&clean), Some(notes(&clean)), 0, &intact)
    });
    vectors
}

/// The files as they are checked in, by name.
fn files(vectors: &[Vector]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([("public_key".to_owned(), format!("{}\n", key().public(LOG)))]);
    let mut list = Vec::new();
    for vector in vectors {
        let mut row = json!({"name": vector.name, "exit": vector.exit, "says": vector.says, "key": vector.with_key});
        // Most are the clean ones: those stand there once.
        let mut put = |what: &str, ending: &str, text: &str, clean: &str| {
            let name = if text == clean {
                format!("clean.{ending}")
            } else {
                format!("{}.{ending}", vector.name)
            };
            row[what] = Value::from(name.clone());
            files.insert(name, text.to_owned());
        };
        put("export", "jsonl", &vector.export, &export(&sample()));
        if let Some(text) = &vector.checkpoints {
            put("checkpoints", "checkpoints", text, &notes(&sample()));
        }
        list.push(row.to_string());
    }
    files.insert("vectors.jsonl".to_owned(), list.join("\n") + "\n");
    files
}

#[test]
fn the_vectors_are_what_the_program_writes() {
    for (name, text) in files(&vectors()) {
        let path = folder().join(&name);
        if !path.exists() && std::env::var("COUNTERSIGN_BLESS").is_ok() {
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(there, text, "{name} is another one");
    }
    let there = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(
        there,
        files(&vectors()).len(),
        "a file among the vectors belongs to none of them"
    );
}

#[test]
fn both_verifiers_say_the_same_of_every_vector() {
    let key = key().public(LOG).to_string();
    let list = std::fs::read_to_string(folder().join("vectors.jsonl")).unwrap();
    let mut count = 0;
    for row in list.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let path = |what: &str| row[what].as_str().map(|name| folder().join(name).display().to_string());
        let mut words = vec![path("export").unwrap()];
        words.extend(
            path("checkpoints")
                .into_iter()
                .flat_map(|path| ["--checkpoint".to_owned(), path]),
        );
        if row["key"] == true {
            words.extend(["--key".to_owned(), key.clone()]);
        }
        let ours = said(
            Command::new(env!("CARGO_BIN_EXE_countersign"))
                .args(["audit", "verify"])
                .args(&words),
        );
        let theirs = said(python().arg(script()).args(&words));
        let name = &row["name"];
        assert_eq!(ours, theirs, "{name}: the program and the script");
        assert_eq!(
            ours.0,
            row["exit"].as_i64().and_then(|code| i32::try_from(code).ok()),
            "{name}: {}",
            ours.1
        );
        assert!(ours.1.starts_with(row["says"].as_str().unwrap()), "{name}: {}", ours.1);
        count += 1;
    }
    println!("both verifiers agree on {count} vectors");
}

/// RFC 8032, section 7.1: the script has an Ed25519 of its own.
#[test]
fn the_script_checks_signatures_as_rfc_8032_does() {
    const TESTS: [[&str; 3]; 3] = [
        [
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];
    const DRIVER: &str = "
import sys
sys.path.insert(0, sys.argv[1])
from verify_audit import ed25519_verify, ORDER
for key, message, signature in zip(*[iter(map(bytes.fromhex, sys.argv[2:]))] * 3):
    print(ed25519_verify(key, message, signature))
    # A changed message, each part of the signature changed, another key, and the same response written otherwise.
    print(ed25519_verify(key, message + b'x', signature))
    for at in (0, 31, 32, 63):
        print(ed25519_verify(key, message, signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1:]))
    print(ed25519_verify(bytes([key[0] ^ 2]) + key[1:], message, signature))
    response = int.from_bytes(signature[32:], 'little') + ORDER
    print(ed25519_verify(key, message, signature[:32] + response.to_bytes(32, 'little')))
";
    let scripts = script().parent().unwrap().to_owned();
    let (code, said) = said(python().args(["-c", DRIVER]).arg(scripts).args(TESTS.as_flattened()));
    assert_eq!(code, Some(0), "{said}");
    let expected = "True\nFalse\nFalse\nFalse\nFalse\nFalse\nFalse\nFalse\n".repeat(3);
    assert_eq!(said, expected);
}
