//! What Slack refuses, and what nobody should have to read: one check for every message and form.

use countersign::slack::blocks::Rendered;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Checks a message and keeps it for the outside validator if asked to.
pub fn check_message(name: &str, rendered: &Rendered) {
    let blocks = rendered
        .blocks
        .as_array()
        .unwrap_or_else(|| panic!("{name}: blocks are no array"));
    assert!((1..=50).contains(&blocks.len()), "{name}: {} blocks", blocks.len());
    let size = rendered.blocks.to_string().len();
    assert!(size <= 12_000, "{name}: {size} bytes of blocks");
    assert!(
        rendered.text.chars().count() <= 3_000 && rendered.text.trim().chars().count() >= 10,
        "{name}: text {:?}",
        rendered.text
    );
    check_markup(name, &rendered.text);
    for block in blocks {
        let kind = block["type"].as_str().unwrap();
        assert!(
            ["header", "section", "context", "divider", "actions"].contains(&kind),
            "{name}: {kind} in a message"
        );
    }
    check_blocks(name, blocks);
    let buttons: Vec<&Value> = blocks
        .iter()
        .filter(|b| b["type"] == "actions")
        .flat_map(|b| b["elements"].as_array().unwrap())
        .collect();
    let primaries = buttons.iter().filter(|b| b["style"] == "primary").count();
    assert!(primaries <= 1, "{name}: {primaries} primary buttons");
    for button in buttons {
        let label = button["text"]["text"].as_str().unwrap();
        let reader_label = button["accessibility_label"].as_str().unwrap();
        assert!(
            reader_label.contains("REL-") || reader_label.contains("HOTFIX-"),
            "{name}: {label} names no release: {reader_label}"
        );
        if button["style"] == "danger" {
            assert!(["Reject…", "Stop"].contains(&label), "{name}: danger on {label}");
        }
        let value = countersign::slack::buttons::ButtonValue::parse(button["value"].as_str().unwrap());
        assert!(value.is_ok(), "{name}: {button}");
        let action = button["action_id"].as_str().unwrap();
        assert!(
            countersign::slack::buttons::ActionId::parse(action).is_some(),
            "{name}: {action}"
        );
    }
    keep(name, &json!({ "text": rendered.text, "blocks": rendered.blocks }));
}

/// Checks a form.
pub fn check_form(name: &str, view: &Value) {
    let blocks = view["blocks"].as_array().unwrap();
    assert!((1..=100).contains(&blocks.len()), "{name}");
    for part in ["title", "submit", "close"] {
        let text = view[part]["text"].as_str().unwrap();
        assert!((1..=24).contains(&text.chars().count()), "{name}: {part} {text:?}");
    }
    assert!(view["private_metadata"].as_str().unwrap().len() <= 3_000, "{name}");
    assert!(
        countersign::slack::modals::Form::parse(view["callback_id"].as_str().unwrap()).is_some(),
        "{name}"
    );
    check_blocks(name, blocks);
    keep(name, view);
}

fn check_blocks(name: &str, blocks: &[Value]) {
    let mut ids = BTreeSet::new();
    for block in blocks {
        if let Err(error) = serde_json::from_value::<slackblocks::Block>(block.clone()) {
            panic!("{name}: {error}\n{block:#}");
        }
        if let Some(id) = block["block_id"].as_str() {
            assert!(ids.insert(id.to_owned()), "{name}: block_id {id} twice");
        }
        let mut actions = BTreeSet::new();
        walk(name, block, &mut actions);
    }
}

fn walk(name: &str, value: &Value, actions: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(name, item, actions)),
        Value::Object(fields) => {
            if let Some(text) = fields.get("text").and_then(Value::as_str) {
                assert!(
                    (1..=3_000).contains(&text.encode_utf16().count()),
                    "{name}: text of {}",
                    text.encode_utf16().count()
                );
                check_markup(name, text);
            }
            if let Some(action) = fields.get("action_id").and_then(Value::as_str) {
                assert!(
                    actions.insert(action.to_owned()),
                    "{name}: action_id {action} twice in one block"
                );
            }
            // What a person wrote goes back into an input as it is: an input shows no markup.
            fields
                .iter()
                .filter(|(key, _)| *key != "initial_value")
                .for_each(|(_, value)| walk(name, value, actions));
        }
        _ => {}
    }
}

/// Only our own markup: known people and dates; every other `<` is escaped; state never by sign alone.
pub fn check_markup(name: &str, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let end = rest[at..]
            .find('>')
            .unwrap_or_else(|| panic!("{name}: an open < in {text:?}"));
        let tag = &rest[at + 1..at + end];
        let is_ours = tag.starts_with("!date^") || super::samples::PEOPLE.iter().any(|(_, id)| tag == format!("@{id}"));
        assert!(is_ours, "{name}: <{tag}> got through");
        rest = &rest[at + end + 1..];
    }
    for (at, _) in text.match_indices('&') {
        let entity = &text[at..];
        assert!(
            ["&amp;", "&lt;", "&gt;"].iter().any(|e| entity.starts_with(e)),
            "{name}: a bare & or half an entity in …{}",
            &entity.chars().take(20).collect::<String>()
        );
    }
    for sign in ['\u{202e}', '\u{0}', '\u{7}'] {
        assert!(!text.contains(sign), "{name}: {sign:?} got through");
    }
    for sign in [
        "✅",
        "❌",
        "⛔",
        "🔴",
        "🟢",
        "🟡",
        ":white_check_mark:",
        ":x:",
        ":red_circle:",
    ] {
        assert!(!text.contains(sign), "{name}: state by sign {sign}");
    }
}

/// Keeps the heaviest rendering of each message and form as `<kind>.json` in the folder that the environment names.
fn keep(name: &str, value: &Value) {
    let Some(folder) = std::env::var_os("COUNTERSIGN_BLOCKS_DIR") else {
        return;
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let odds = [
        "plain", "markup", "long", "escapes", "emoji", "rtl", "lines", "empty", "controls", "many", "erased", "hostile",
    ];
    let name = name
        .split_once('-')
        .filter(|(odd, _)| odds.contains(odd))
        .map_or(name, |(_, rest)| rest);
    // What looks the same in every state is kept once.
    let kinds = [
        "-story-",
        "-done-",
        "-audit",
        "-form-",
        "-refusal-",
        "notice-2",
        "outcome-2",
        "breach-2",
    ];
    let name = kinds
        .iter()
        .find_map(|kind| name.find(kind).map(|at| &name[at..]))
        .unwrap_or(name);
    let file: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let path = folder.join(format!("{}.json", file.trim_matches('-')));
    let json = value.to_string();
    if std::fs::metadata(&path).is_ok_and(|known| known.len() >= json.len() as u64) {
        return;
    }
    // Each test may be a process of its own, whose threads are numbered alike.
    let new = folder.join(format!("{}-{:?}.new", std::process::id(), std::thread::current().id()));
    std::fs::write(&new, json).unwrap();
    std::fs::rename(new, path).unwrap();
}
