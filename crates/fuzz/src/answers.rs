//! What must hold of every answer: Slack takes it, and nothing in it that somebody else wrote is markup.

use countersign::slack::blocks::Rendered;
use playground::validate;
use serde_json::Value;

/// Checks an answer to words that name nobody: it has no markup of angle brackets at all, ours or foreign.
pub fn check(answer: &Rendered) {
    let blocks = answer.blocks.as_array().unwrap();
    if let Err(refusal) = validate::message_blocks(blocks) {
        panic!("Slack refuses it: {}", refusal.to_json());
    }
    assert!((10..=3_000).contains(&answer.text.chars().count()), "{:?}", answer.text);
    no_tags(&answer.text);
    for block in blocks {
        each_text(block, &mut |kind, text| match kind {
            "mrkdwn" => no_tags(text),
            _ => no_tricks(text),
        });
    }
}

/// Checks a form.
pub fn check_form(form: &Value) {
    if let Err(refusal) = validate::view(form) {
        panic!("Slack refuses it: {}", refusal.to_json());
    }
}

fn each_text(value: &Value, found: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Object(object) => {
            if let (Some(Value::String(kind)), Some(Value::String(text))) = (object.get("type"), object.get("text")) {
                found(kind, text);
            }
            object.values().for_each(|inner| each_text(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| each_text(inner, found)),
        _ => {}
    }
}

/// No mention, no link, no date: no bare angle bracket, and every `&` begins one of Slack's three escapes.
pub fn no_tags(text: &str) {
    assert!(!text.contains(['<', '>']), "markup that nobody meant: {text:?}");
    for (at, _) in text.match_indices('&') {
        let rest = &text[at..];
        assert!(
            ["&amp;", "&lt;", "&gt;"].iter().any(|escape| rest.starts_with(escape)),
            "no escape of Slack's: {text:?}"
        );
    }
    no_tricks(text);
}

/// Nothing that hides text or reverses it.
pub fn no_tricks(text: &str) {
    let hides = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!text.contains(hides), "{text:?}");
}
