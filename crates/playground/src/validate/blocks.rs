//! One block: its type, its required fields and its limits on a surface.
//! Must not look at the other blocks of the list.

use std::collections::HashSet;

use serde_json::Value;

use super::{Findings, Surface, elements, texts};

pub(super) fn check(block: &Value, surface: Surface, at: &str, findings: &mut Findings) {
    let Some(kind) = block["type"].as_str() else {
        return findings.add(at, "missing required field: type");
    };
    if !is_known(kind) {
        return findings.add(format!("{at}/type"), format!("unsupported type: {kind}"));
    }
    if !fits(kind, surface) {
        return findings.add(format!("{at}/type"), format!("unsupported type here: {kind}"));
    }
    texts::optional_string(block, "block_id", 255, at, findings);
    match kind {
        "header" => header(block, at, findings),
        "section" => section(block, surface, at, findings),
        "context" => context(block, at, findings),
        "actions" => actions(block, surface, at, findings),
        "input" => input(block, at, findings),
        "image" => image(block, at, findings),
        "markdown" => texts::string(block, "text", 12_000, at, findings),
        "alert" => texts::any(&block["text"], 200, &format!("{at}/text"), findings),
        "rich_text" => required_list(block, "elements", 1..=usize::MAX, at, findings),
        "table" => required_list(block, "rows", 1..=100, at, findings),
        _ => {}
    }
    duplicate_action_ids(block, at, findings);
}

fn is_known(kind: &str) -> bool {
    matches!(
        kind,
        "header"
            | "section"
            | "divider"
            | "context"
            | "actions"
            | "input"
            | "image"
            | "markdown"
            | "rich_text"
            | "table"
            | "video"
            | "file"
            | "alert"
            | "card"
            | "carousel"
            | "container"
            | "context_actions"
            | "plan"
            | "task_card"
            | "data_table"
            | "data_visualization"
            | "layout"
    )
}

/// Which block may stand where; messages are the home of everything but inputs and alerts.
fn fits(kind: &str, surface: Surface) -> bool {
    match kind {
        "input" => surface != Surface::Message,
        "alert" => surface == Surface::Modal,
        "file" | "markdown" | "plan" | "task_card" | "context_actions" => surface == Surface::Message,
        "table" | "container" | "data_table" | "card" | "carousel" | "data_visualization" => surface != Surface::Modal,
        _ => true,
    }
}

fn header(block: &Value, at: &str, findings: &mut Findings) {
    texts::plain(&block["text"], 150, &format!("{at}/text"), findings);
    if !block["level"].is_null() && !block["level"].as_u64().is_some_and(|level| (1..=4).contains(&level)) {
        findings.add(format!("{at}/level"), "must be between 1 and 4");
    }
}

fn section(block: &Value, surface: Surface, at: &str, findings: &mut Findings) {
    if block["text"].is_null() && block["fields"].is_null() {
        findings.add(at, "missing required field: text or fields");
    }
    if !block["text"].is_null() {
        texts::any(&block["text"], 3_000, &format!("{at}/text"), findings);
    }
    if !block["fields"].is_null() {
        required_list(block, "fields", 1..=10, at, findings);
        for (index, field) in list(block, "fields").iter().enumerate() {
            texts::any(field, 2_000, &format!("{at}/fields/{index}"), findings);
        }
    }
    if !block["accessory"].is_null() {
        let place = elements::Place::Accessory(surface);
        elements::check(&block["accessory"], place, &format!("{at}/accessory"), findings);
    }
}

fn context(block: &Value, at: &str, findings: &mut Findings) {
    required_list(block, "elements", 1..=10, at, findings);
    for (index, element) in list(block, "elements").iter().enumerate() {
        let at = format!("{at}/elements/{index}");
        if element["type"] == "image" {
            elements::image(element, &at, findings);
        } else {
            texts::any(element, 3_000, &at, findings);
        }
    }
}

fn actions(block: &Value, surface: Surface, at: &str, findings: &mut Findings) {
    required_list(block, "elements", 1..=25, at, findings);
    for (index, element) in list(block, "elements").iter().enumerate() {
        elements::check(
            element,
            elements::Place::Actions(surface),
            &format!("{at}/elements/{index}"),
            findings,
        );
    }
}

fn input(block: &Value, at: &str, findings: &mut Findings) {
    texts::plain(&block["label"], 2_000, &format!("{at}/label"), findings);
    texts::optional_plain(block, "hint", 2_000, at, findings);
    for key in ["optional", "dispatch_action"] {
        if !block[key].is_null() && !block[key].is_boolean() {
            findings.add(format!("{at}/{key}"), "must provide a boolean");
        }
    }
    if block["element"].is_null() {
        return findings.add(at, "missing required field: element");
    }
    elements::check(
        &block["element"],
        elements::Place::Input,
        &format!("{at}/element"),
        findings,
    );
}

fn image(block: &Value, at: &str, findings: &mut Findings) {
    elements::image(block, at, findings);
    texts::optional_plain(block, "title", 2_000, at, findings);
}

fn required_list(block: &Value, key: &str, counts: std::ops::RangeInclusive<usize>, at: &str, findings: &mut Findings) {
    match block[key].as_array() {
        Some(items) => texts::count(items.len(), counts, &format!("{at}/{key}"), findings),
        None => findings.add(at, format!("missing required field: {key}")),
    }
}

fn list<'a>(block: &'a Value, key: &str) -> &'a [Value] {
    block[key].as_array().map_or(&[], Vec::as_slice)
}

fn duplicate_action_ids(block: &Value, at: &str, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for (index, element) in list(block, "elements").iter().enumerate() {
        if let Some(action_id) = element["action_id"].as_str()
            && !action_id.is_empty()
            && !seen.insert(action_id)
        {
            findings.add(
                format!("{at}/elements/{index}/action_id"),
                format!("`action_id` \"{action_id}\" already exists for another element in this block"),
            );
        }
    }
}
