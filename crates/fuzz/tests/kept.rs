//! The kept inputs hold without a fuzzer, too, and the checks notice what they are there for.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(
    clippy::print_stdout,
    reason = "the line that a failing test's output ends with names the input"
)]

use countersign::slack::blocks::Rendered;
use serde_json::json;
use std::path::Path;

/// Together, so that a clone stays small.
const BYTES_MAX: u64 = 500_000;
const FILES_MAX: usize = 300;

fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = paths
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 10, "{target}: {} kept inputs", inputs.len());
    inputs
}

#[track_caller]
fn check(target: &str, hold: fn(&[u8])) {
    for (name, input) in kept(target) {
        println!("{name}");
        hold(&input);
    }
}

#[test]
fn the_kept_form_bodies_hold() {
    check("form_bodies", fuzz::form_bodies::check);
}

#[test]
fn the_kept_interactions_hold() {
    check("interactions", fuzz::interactions::check);
}

#[test]
fn the_kept_command_texts_hold() {
    check("command_texts", fuzz::command_texts::check);
}

#[test]
fn the_kept_inputs_stay_few_and_small() {
    let all: Vec<_> = ["form_bodies", "interactions", "command_texts"]
        .into_iter()
        .flat_map(kept)
        .collect();
    let bytes: u64 = all.iter().map(|(_, input)| input.len() as u64).sum();
    assert!(
        all.len() <= FILES_MAX && bytes <= BYTES_MAX,
        "{} files, {bytes} bytes",
        all.len()
    );
}

fn answer(text: &str) -> Rendered {
    let block = json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    Rendered {
        text: "A full sentence.".to_owned(),
        blocks: json!([block]),
    }
}

#[test]
fn an_answer_without_foreign_markup_holds() {
    fuzz::answers::check(&answer("“&lt;!channel&gt; &amp; co” is no verb"));
}

#[test]
#[should_panic(expected = "markup that nobody meant")]
fn a_mention_that_somebody_typed_is_noticed() {
    fuzz::answers::check(&answer("“<!channel>” is no verb"));
}

#[test]
#[should_panic(expected = "no escape of Slack's")]
fn a_cut_escape_is_noticed() {
    fuzz::answers::check(&answer("“&lt;!chan… &am"));
}

#[test]
#[should_panic(expected = "Slack refuses it")]
fn a_text_beyond_slacks_limits_is_noticed() {
    fuzz::answers::check(&answer(&"a".repeat(3_001)));
}

#[test]
#[should_panic(expected = "ms for 5 bytes")]
fn what_computes_for_too_long_is_noticed() {
    fuzz::time::bounded("a loop", b"input", || {
        let begun = fuzz::time::computed_ms();
        while fuzz::time::computed_ms() < begun + 1_100 {}
    });
}
