//! Block Kit as Slack accepts it: lists of blocks and whole views against the published limits.
//! Pure checks on JSON; must not know about channels, users or storage.

mod blocks;
mod elements;
mod texts;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Value, json};

/// Roughly where Slack answers `msg_blocks_too_long`, counted over the blocks' JSON.
const MESSAGE_BLOCKS_CHARS_MAX: usize = 13_200;
const VIEW_BYTES_MAX: usize = 250_000;

/// Where blocks are to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// A message or an ephemeral message.
    Message,
    /// A modal.
    Modal,
    /// An app's Home tab.
    Home,
}

/// One violation, with the JSON pointer Slack names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// RFC 6901 pointer into the request.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    /// Slack's one-line form.
    pub fn line(&self) -> String {
        format!("{} [json-pointer:{}]", self.message, self.pointer)
    }
}

/// Why a request's blocks or view are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Slack's error code.
    pub code: &'static str,
    /// Details, may be empty.
    pub problems: Vec<Problem>,
}

impl Refusal {
    /// The answer's body.
    pub fn to_json(&self) -> Value {
        if self.problems.is_empty() {
            return json!({"ok": false, "error": self.code});
        }
        let lines: Vec<String> = self.problems.iter().map(Problem::line).collect();
        let messages: Vec<String> = lines.iter().map(|line| format!("[ERROR] {line}")).collect();
        let mut answer = json!({"ok": false, "error": self.code, "response_metadata": {"messages": messages}});
        if self.code == "invalid_blocks" {
            answer["errors"] = json!(lines);
        }
        answer
    }
}

/// Collects violations while walking.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
}

impl Findings {
    fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            pointer: pointer.into(),
            message: message.into(),
        });
    }
}

/// Checks the `blocks` of a message.
pub fn message_blocks(blocks: &[Value]) -> Result<(), Refusal> {
    let mut findings = Findings::default();
    check_list(blocks, Surface::Message, "/blocks", 50, &mut findings);
    if !findings.problems.is_empty() {
        return Err(Refusal {
            code: "invalid_blocks",
            problems: findings.problems,
        });
    }
    let chars: usize = blocks.iter().map(|block| block.to_string().chars().count()).sum();
    if chars > MESSAGE_BLOCKS_CHARS_MAX {
        return Err(Refusal {
            code: "msg_blocks_too_long",
            problems: Vec::new(),
        });
    }
    Ok(())
}

/// Checks a whole view.
pub fn view(view: &Value) -> Result<(), Refusal> {
    let mut findings = Findings::default();
    check_view(view, &mut findings);
    if !findings.problems.is_empty() {
        return Err(Refusal {
            code: "invalid_arguments",
            problems: findings.problems,
        });
    }
    if view.to_string().len() > VIEW_BYTES_MAX {
        return Err(Refusal {
            code: "view_too_large",
            problems: Vec::new(),
        });
    }
    Ok(())
}

fn check_view(view: &Value, findings: &mut Findings) {
    let surface = match view["type"].as_str() {
        Some("modal") => Surface::Modal,
        Some("home") => Surface::Home,
        _ => return findings.add("/view/type", "must be a valid view type: modal or home"),
    };
    let blocks = view["blocks"].as_array();
    match blocks {
        Some(blocks) => check_list(blocks, surface, "/view/blocks", 100, findings),
        None => findings.add("/view", "missing required field: blocks"),
    }
    for (key, limit) in [("private_metadata", 3_000), ("callback_id", 255), ("external_id", 255)] {
        texts::optional_string(view, key, limit, "/view", findings);
    }
    for key in ["title", "submit", "close"] {
        match &view[key] {
            Value::Null if key == "title" && surface == Surface::Modal => {
                findings.add("/view", "missing required field: title");
            }
            Value::Null => {}
            _ if surface == Surface::Home => {
                findings.add(format!("/view/{key}"), "not allowed in a home view");
            }
            text => texts::plain(text, 24, &format!("/view/{key}"), findings),
        }
    }
    let has_input = blocks.is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "input"));
    if surface == Surface::Modal && has_input && view["submit"].is_null() {
        findings.add("/view", "missing required field: submit, needed by the input blocks");
    }
}

fn check_list(blocks: &[Value], surface: Surface, pointer: &str, blocks_max: usize, findings: &mut Findings) {
    if blocks.len() > blocks_max {
        findings.add(pointer, format!("no more than {blocks_max} items allowed"));
    }
    let mut block_ids = HashSet::new();
    for (index, block) in blocks.iter().enumerate() {
        let at = format!("{pointer}/{index}");
        blocks::check(block, surface, &at, findings);
        if let Some(block_id) = block["block_id"].as_str()
            && !block_id.is_empty()
            && !block_ids.insert(block_id)
        {
            findings.add(
                format!("{at}/block_id"),
                format!("`block_id` \"{block_id}\" is used twice"),
            );
        }
    }
    if blocks.iter().filter(|block| block["type"] == "table").count() > 1 {
        findings.add(pointer, "only one table is allowed");
    }
}
