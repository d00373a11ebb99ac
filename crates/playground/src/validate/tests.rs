//! Table of what Block Kit accepts and refuses, by limit.

use serde_json::{Value, json};

use super::{message_blocks, view};

fn text(length: usize) -> Value {
    json!({"type": "plain_text", "text": "x".repeat(length)})
}

fn button(changes: &Value) -> Value {
    let mut button = json!({"type": "button", "action_id": "go", "text": text(4)});
    for (key, value) in changes.as_object().unwrap() {
        button[key] = value.clone();
    }
    json!({"type": "actions", "elements": [button]})
}

fn options(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| json!({"text": text(3), "value": n.to_string()}))
        .collect()
}

fn confirm(title: usize, body: usize, yes: usize) -> Value {
    json!({"title": text(title), "text": text(body), "confirm": text(yes), "deny": text(2)})
}

fn input(element: &Value) -> Value {
    json!({"type": "input", "block_id": "b", "label": text(5), "element": element})
}

fn modal(block: &Value) -> Value {
    json!({"type": "modal", "title": text(5), "submit": text(5), "blocks": [block]})
}

#[test]
fn blocks_at_and_over_their_limits() {
    let long = |n: usize| "v".repeat(n);
    let rows: Vec<(&str, Value, Option<&str>)> = vec![
        ("header 150", json!({"type": "header", "text": text(150)}), None),
        (
            "header 151",
            json!({"type": "header", "text": text(151)}),
            Some("/blocks/0/text/text"),
        ),
        (
            "header mrkdwn",
            json!({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}),
            Some("/blocks/0/text/type"),
        ),
        ("section 3000", json!({"type": "section", "text": text(3_000)}), None),
        (
            "section 3001",
            json!({"type": "section", "text": text(3_001)}),
            Some("/blocks/0/text/text"),
        ),
        ("section empty", json!({"type": "section"}), Some("/blocks/0")),
        (
            "section blank",
            json!({"type": "section", "text": text(0)}),
            Some("/blocks/0/text/text"),
        ),
        (
            "fields 10",
            json!({"type": "section", "fields": vec![text(20); 10]}),
            None,
        ),
        (
            "fields 11",
            json!({"type": "section", "fields": vec![text(20); 11]}),
            Some("/blocks/0/fields"),
        ),
        (
            "field 2001",
            json!({"type": "section", "fields": [text(2_001)]}),
            Some("/blocks/0/fields/0/text"),
        ),
        (
            "context 10",
            json!({"type": "context", "elements": vec![text(3); 10]}),
            None,
        ),
        (
            "context 11",
            json!({"type": "context", "elements": vec![text(3); 11]}),
            Some("/blocks/0/elements"),
        ),
        ("unknown type", json!({"type": "nonsense"}), Some("/blocks/0/type")),
        ("no type", json!({}), Some("/blocks/0")),
        (
            "block id 256",
            json!({"type": "divider", "block_id": long(256)}),
            Some("/blocks/0/block_id"),
        ),
        ("button text 75", button(&json!({"text": text(75)})), None),
        (
            "button text 76",
            button(&json!({"text": text(76)})),
            Some("/blocks/0/elements/0/text/text"),
        ),
        (
            "button value 2001",
            button(&json!({"value": long(2_001)})),
            Some("/blocks/0/elements/0/value"),
        ),
        (
            "button url",
            button(&json!({"url": "javascript:alert(1)"})),
            Some("/blocks/0/elements/0/url"),
        ),
        (
            "button url 3001",
            button(&json!({"url": format!("https://{}", long(2_993))})),
            Some("/blocks/0/elements/0/url"),
        ),
        (
            "action id 256",
            button(&json!({"action_id": long(256)})),
            Some("/blocks/0/elements/0/action_id"),
        ),
        (
            "label 76",
            button(&json!({"accessibility_label": long(76)})),
            Some("/blocks/0/elements/0/accessibility_label"),
        ),
        (
            "style",
            button(&json!({"style": "loud"})),
            Some("/blocks/0/elements/0/style"),
        ),
        ("confirm fits", button(&json!({"confirm": confirm(100, 300, 30)})), None),
        (
            "confirm title",
            button(&json!({"confirm": confirm(101, 300, 30)})),
            Some("/blocks/0/elements/0/confirm/title/text"),
        ),
        (
            "confirm text",
            button(&json!({"confirm": confirm(100, 301, 30)})),
            Some("/blocks/0/elements/0/confirm/text/text"),
        ),
        (
            "confirm yes",
            button(&json!({"confirm": confirm(100, 300, 31)})),
            Some("/blocks/0/elements/0/confirm/confirm/text"),
        ),
        (
            "no elements",
            json!({"type": "actions", "elements": []}),
            Some("/blocks/0/elements"),
        ),
        (
            "text input in actions",
            json!({"type": "actions", "elements": [{"type": "plain_text_input"}]}),
            Some("/blocks/0/elements/0/type"),
        ),
        (
            "input in message",
            input(&json!({"type": "plain_text_input", "action_id": "a"})),
            Some("/blocks/0/type"),
        ),
        (
            "image",
            json!({"type": "image", "image_url": "https://x.example/a.png", "alt_text": "a"}),
            None,
        ),
        (
            "image no alt",
            json!({"type": "image", "image_url": "https://x.example/a.png"}),
            Some("/blocks/0"),
        ),
        (
            "alert in message",
            json!({"type": "alert", "text": text(3)}),
            Some("/blocks/0/type"),
        ),
        (
            "overflow 6",
            json!({"type": "actions", "elements": [{"type": "overflow", "options": options(6)}]}),
            Some("/blocks/0/elements/0/options"),
        ),
        (
            "select 100",
            json!({"type": "actions", "elements": [{"type": "static_select", "options": options(100)}]}),
            None,
        ),
        (
            "select 101",
            json!({"type": "actions", "elements": [{"type": "static_select", "options": options(101)}]}),
            Some("/blocks/0/elements/0/options"),
        ),
        (
            "emoji in mrkdwn",
            json!({"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": true}}),
            Some("/blocks/0/text/emoji"),
        ),
    ];
    for (name, block, expected) in rows {
        let found = message_blocks(std::slice::from_ref(&block)).err();
        let pointer = found.as_ref().and_then(|refusal| refusal.problems.first());
        assert_eq!(
            pointer.map(|problem| problem.pointer.as_str()),
            expected,
            "{name}: {found:?}"
        );
        assert!(found.is_none_or(|refusal| refusal.code == "invalid_blocks"), "{name}");
    }
}

#[test]
fn whole_lists() {
    let divider = json!({"type": "divider"});
    assert!(message_blocks(&vec![divider.clone(); 50]).is_ok());
    assert_eq!(
        message_blocks(&vec![divider; 51]).unwrap_err().problems[0].pointer,
        "/blocks"
    );
    let named = json!({"type": "divider", "block_id": "same"});
    assert_eq!(
        message_blocks(&[named.clone(), named]).unwrap_err().problems[0].pointer,
        "/blocks/1/block_id"
    );
    let twice = json!({"type": "button", "action_id": "go", "text": text(2)});
    let refusal = message_blocks(&[json!({"type": "actions", "elements": [twice, twice]})]).unwrap_err();
    assert_eq!(refusal.problems[0].pointer, "/blocks/0/elements/1/action_id");
    let answer = refusal.to_json();
    assert_eq!(answer["error"], "invalid_blocks");
    assert!(
        answer["errors"][0]
            .as_str()
            .unwrap()
            .ends_with("[json-pointer:/blocks/0/elements/1/action_id]")
    );
    let long = json!({"type": "section", "text": text(2_900)});
    assert_eq!(message_blocks(&vec![long; 5]).unwrap_err().code, "msg_blocks_too_long");
}

#[test]
fn views_at_and_over_their_limits() {
    let plain_input = |changes: Value| {
        let mut element = json!({"type": "plain_text_input", "action_id": "a"});
        for (key, value) in changes.as_object().unwrap() {
            element[key] = value.clone();
        }
        modal(&input(&element))
    };
    let with = |key: &str, value: Value| {
        let mut view = modal(&json!({"type": "divider"}));
        view[key] = value;
        view
    };
    let long = |n: usize| "v".repeat(n);
    let select = |initial: &str| {
        modal(&input(
            &json!({"type": "static_select", "action_id": "a", "options": options(2),
            "initial_option": {"text": text(3), "value": initial}}),
        ))
    };
    let rows: Vec<(&str, Value, Option<&str>)> = vec![
        ("plain modal", with("title", text(24)), None),
        ("title 25", with("title", text(25)), Some("/view/title/text")),
        ("title missing", with("title", Value::Null), Some("/view")),
        ("submit 25", with("submit", text(25)), Some("/view/submit/text")),
        ("close 25", with("close", text(25)), Some("/view/close/text")),
        ("metadata 3000", with("private_metadata", json!(long(3_000))), None),
        (
            "metadata 3001",
            with("private_metadata", json!(long(3_001))),
            Some("/view/private_metadata"),
        ),
        (
            "callback 256",
            with("callback_id", json!(long(256))),
            Some("/view/callback_id"),
        ),
        ("bad type", with("type", json!("window")), Some("/view/type")),
        ("blocks missing", with("blocks", Value::Null), Some("/view")),
        (
            "blocks 101",
            with("blocks", json!(vec![json!({"type": "divider"}); 101])),
            Some("/view/blocks"),
        ),
        ("home with title", with("type", json!("home")), Some("/view/title")),
        (
            "text input",
            plain_input(json!({"multiline": true, "max_length": 3_000})),
            None,
        ),
        (
            "max length",
            plain_input(json!({"max_length": 3_001})),
            Some("/view/blocks/0/element/max_length"),
        ),
        (
            "placeholder",
            plain_input(json!({"placeholder": text(151)})),
            Some("/view/blocks/0/element/placeholder/text"),
        ),
        (
            "min over max",
            plain_input(json!({"min_length": 9, "max_length": 3})),
            Some("/view/blocks/0/element/min_length"),
        ),
        (
            "radio 11",
            modal(&input(&json!({"type": "radio_buttons", "options": options(11)}))),
            Some("/view/blocks/0/element/options"),
        ),
        (
            "boxes 10",
            modal(&input(&json!({"type": "checkboxes", "options": options(10)}))),
            None,
        ),
        ("users", modal(&input(&json!({"type": "multi_users_select"}))), None),
        (
            "button as input",
            modal(&input(&json!({"type": "button", "text": text(2)}))),
            Some("/view/blocks/0/element/type"),
        ),
        (
            "date",
            modal(&input(&json!({"type": "datepicker", "initial_date": "2026-11-30"}))),
            None,
        ),
        (
            "bad date",
            modal(&input(&json!({"type": "datepicker", "initial_date": "30.11.2026"}))),
            Some("/view/blocks/0/element/initial_date"),
        ),
        (
            "bad time",
            modal(&input(&json!({"type": "timepicker", "initial_time": "24:00"}))),
            Some("/view/blocks/0/element/initial_time"),
        ),
        ("initial offered", select("1"), None),
        (
            "initial unknown",
            select("9"),
            Some("/view/blocks/0/element/initial_option"),
        ),
        (
            "alert in modal",
            modal(&json!({"type": "alert", "text": text(3)})),
            None,
        ),
    ];
    for (name, candidate, expected) in rows {
        let found = view(&candidate).err();
        let pointer = found.as_ref().and_then(|refusal| refusal.problems.first());
        assert_eq!(
            pointer.map(|problem| problem.pointer.as_str()),
            expected,
            "{name}: {found:?}"
        );
    }
    let mut no_submit = modal(&input(&json!({"type": "plain_text_input"})));
    no_submit["submit"] = Value::Null;
    assert!(view(&no_submit).unwrap_err().problems[0].message.contains("submit"));
}
