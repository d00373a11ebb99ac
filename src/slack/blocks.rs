//! The few Block Kit blocks that messages and modals are made of, as plain JSON, within Slack's limits.
//! A message that grows too big is rendered again with less room for foreign text.

use crate::slack::buttons::{ActionId, ButtonValue};
use crate::slack::markup::clip;
use serde_json::{Value, json};

/// A message: blocks, and the sentence for notifications and screen readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// A full sentence that says what the blocks say.
    pub text: String,
    /// An array of blocks.
    pub blocks: Value,
}

/// The most that the blocks of one message may weigh: Slack refuses somewhere above 13,000 characters.
pub const MAX_WEIGHT: usize = 12_000;

/// Builds a message. `build` gets the room for each foreign text and is asked again with less until all fits;
/// `version` goes into the block ids, so that clients draw every update anew.
pub(crate) fn message(text: &str, version: u64, build: impl Fn(usize) -> Vec<Value>) -> Rendered {
    let mut blocks = Vec::new();
    for room in [2_400, 1_200, 600, 300, 120] {
        blocks = build(room);
        if blocks.len() <= 50 && weight(&blocks) <= MAX_WEIGHT {
            break;
        }
    }
    while blocks.len() > 50 || (weight(&blocks) > MAX_WEIGHT && blocks.len() > 1) {
        // Never seen: the smallest room keeps every message far below the limits.
        blocks.pop();
    }
    for (at, block) in blocks.iter_mut().enumerate() {
        block["block_id"] = json!(format!("b{at}.{version}"));
    }
    Rendered {
        text: clip(text, 1_500),
        blocks: Value::Array(blocks),
    }
}

/// What the blocks count at worst: JSON with everything beyond ASCII escaped and a space after each separator.
fn weight(blocks: &[Value]) -> usize {
    let Ok(json) = serde_json::to_string(blocks) else {
        return usize::MAX;
    };
    let of = |c: char| match c {
        ',' | ':' => 2,
        c if c.is_ascii() => 1,
        c => 6 * c.len_utf16(),
    };
    json.chars().map(of).sum()
}

/// A headline. Names only, no foreign text.
pub(crate) fn header(text: &str) -> Value {
    json!({ "type": "header", "text": plain(text, 150) })
}

/// A paragraph.
pub(crate) fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(text, 3_000) })
}

/// Short facts in two columns.
pub(crate) fn fields(facts: &[(&str, String)]) -> Value {
    let fields: Vec<Value> = facts
        .iter()
        .take(10)
        .map(|(title, text)| mrkdwn(&format!("*{title}*\n{text}"), 2_000))
        .collect();
    json!({ "type": "section", "fields": fields })
}

/// A footnote.
pub(crate) fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [mrkdwn(text, 2_000)] })
}

/// A line.
pub(crate) fn divider() -> Value {
    json!({ "type": "divider" })
}

/// A row of buttons; nothing for none.
pub(crate) fn actions(buttons: Vec<Button>) -> Option<Value> {
    let elements: Vec<Value> = buttons.into_iter().take(25).map(Button::into_block).collect();
    (!elements.is_empty()).then(|| json!({ "type": "actions", "elements": elements }))
}

/// Text with markup.
pub(crate) fn mrkdwn(text: &str, room: usize) -> Value {
    // An empty text object is an error; a text of ours is never empty, but an erased one may be.
    let text = if text.trim().is_empty() { "–" } else { text };
    json!({ "type": "mrkdwn", "text": clip(text, room) })
}

/// Text without markup.
pub(crate) fn plain(text: &str, room: usize) -> Value {
    json!({ "type": "plain_text", "text": clip(text, room), "emoji": false })
}

/// A button in the making.
#[derive(Debug, Clone)]
pub(crate) struct Button {
    action: ActionId,
    label: String,
    reader_label: String,
    value: ButtonValue,
    style: Option<&'static str>,
    confirm: Option<Value>,
}

impl Button {
    /// A button; `reader_label` names the release for screen readers.
    pub fn new(action: ActionId, label: &str, reader_label: &str, value: ButtonValue) -> Self {
        Self {
            action,
            label: label.to_owned(),
            reader_label: reader_label.to_owned(),
            value,
            style: None,
            confirm: None,
        }
    }

    /// The one thing to do here.
    pub fn primary(mut self) -> Self {
        self.style = Some("primary");
        self
    }

    /// Says no, or stops something.
    pub fn danger(mut self) -> Self {
        self.style = Some("danger");
        self
    }

    /// Asks once more: what happens, and the two answers.
    pub fn confirm(mut self, title: &str, text: &str, yes: &str) -> Self {
        self.confirm = Some(json!({
            "title": plain(title, 100), "text": plain(text, 300), "confirm": plain(yes, 30), "deny": plain("Not now", 30),
        }));
        self
    }

    fn into_block(self) -> Value {
        let mut block = json!({
            "type": "button", "action_id": self.action.to_string(), "text": plain(&self.label, 75),
            "value": self.value.to_json(), "accessibility_label": clip(&self.reader_label, 75),
        });
        if let Some(style) = self.style {
            block["style"] = json!(style);
        }
        if let Some(confirm) = self.confirm {
            block["confirm"] = confirm;
        }
        block
    }
}
