//! The small parts blocks are made of: text objects, options, confirmation dialogs, plain strings.
//! Must not know which block they sit in.

use serde_json::Value;

use super::Findings;

/// A required `plain_text` object.
pub(super) fn plain(text: &Value, limit: usize, at: &str, findings: &mut Findings) {
    if text["type"] == "mrkdwn" {
        return findings.add(format!("{at}/type"), "unsupported type: mrkdwn, must be plain_text");
    }
    any(text, limit, at, findings);
}

/// A required text object, `plain_text` or `mrkdwn`.
pub(super) fn any(text: &Value, limit: usize, at: &str, findings: &mut Findings) {
    if !text.is_object() {
        return findings.add(at, "must provide an object");
    }
    match text["type"].as_str() {
        Some("plain_text") => {
            if !text["verbatim"].is_null() {
                findings.add(format!("{at}/verbatim"), "invalid additional property: verbatim");
            }
        }
        Some("mrkdwn") => {
            if !text["emoji"].is_null() {
                findings.add(format!("{at}/emoji"), "invalid additional property: emoji");
            }
        }
        _ => findings.add(format!("{at}/type"), "unsupported type: must be plain_text or mrkdwn"),
    }
    string(text, "text", limit, at, findings);
}

/// A required, non-empty string.
pub(super) fn string(owner: &Value, key: &str, limit: usize, at: &str, findings: &mut Findings) {
    let Some(value) = owner[key].as_str() else {
        return findings.add(at, format!("missing required field: {key}"));
    };
    if value.is_empty() {
        findings.add(format!("{at}/{key}"), "must be more than 0 characters");
    }
    length(value, key, limit, at, findings);
}

/// A string that may be absent.
pub(super) fn optional_string(owner: &Value, key: &str, limit: usize, at: &str, findings: &mut Findings) {
    match &owner[key] {
        Value::Null => {}
        Value::String(value) => length(value, key, limit, at, findings),
        _ => findings.add(format!("{at}/{key}"), "must provide a string"),
    }
}

fn length(value: &str, key: &str, limit: usize, at: &str, findings: &mut Findings) {
    if value.chars().count() > limit {
        findings.add(
            format!("{at}/{key}"),
            format!("must be less than {} characters", limit + 1),
        );
    }
}

/// A plain text that may be absent, such as a placeholder.
pub(super) fn optional_plain(owner: &Value, key: &str, limit: usize, at: &str, findings: &mut Findings) {
    if !owner[key].is_null() {
        plain(&owner[key], limit, &format!("{at}/{key}"), findings);
    }
}

/// A confirmation dialog that may be absent.
pub(super) fn optional_confirm(owner: &Value, at: &str, findings: &mut Findings) {
    let confirm = &owner["confirm"];
    if confirm.is_null() {
        return;
    }
    let at = format!("{at}/confirm");
    plain(&confirm["title"], 100, &format!("{at}/title"), findings);
    any(&confirm["text"], 300, &format!("{at}/text"), findings);
    // Slack fills in its own words for buttons that are left out.
    optional_plain(confirm, "confirm", 30, &at, findings);
    optional_plain(confirm, "deny", 30, &at, findings);
    style(confirm, &at, findings);
}

/// The `style` of a button or dialog.
pub(super) fn style(owner: &Value, at: &str, findings: &mut Findings) {
    match &owner["style"] {
        Value::Null => {}
        Value::String(style) if style == "primary" || style == "danger" => {}
        _ => findings.add(format!("{at}/style"), "must be a valid style: primary or danger"),
    }
}

/// A required list of options.
pub(super) fn options(
    list: &Value,
    counts: std::ops::RangeInclusive<usize>,
    mrkdwn: bool,
    at: &str,
    findings: &mut Findings,
) {
    let Some(list) = list.as_array() else {
        return findings.add(at, "must provide an array");
    };
    count(list.len(), counts, at, findings);
    for (index, option) in list.iter().enumerate() {
        self::option(option, mrkdwn, &format!("{at}/{index}"), findings);
    }
}

/// One option of a select, radio group or checkbox group.
pub(super) fn option(option: &Value, mrkdwn: bool, at: &str, findings: &mut Findings) {
    let text_at = format!("{at}/text");
    if mrkdwn {
        any(&option["text"], 75, &text_at, findings);
    } else {
        plain(&option["text"], 75, &text_at, findings);
    }
    string(option, "value", 150, at, findings);
    if !option["description"].is_null() {
        let at = format!("{at}/description");
        if mrkdwn {
            any(&option["description"], 75, &at, findings);
        } else {
            plain(&option["description"], 75, &at, findings);
        }
    }
}

/// How many items a list holds.
pub(super) fn count(items: usize, counts: std::ops::RangeInclusive<usize>, at: &str, findings: &mut Findings) {
    if items < *counts.start() {
        findings.add(at, format!("no less than {} items allowed", counts.start()));
    } else if items > *counts.end() {
        findings.add(at, format!("no more than {} items allowed", counts.end()));
    }
}

/// An absolute http(s) address.
pub(super) fn url(owner: &Value, key: &str, at: &str, findings: &mut Findings) {
    string(owner, key, 3_000, at, findings);
    let is_web = owner[key]
        .as_str()
        .is_none_or(|url| url.is_empty() || url.starts_with("https://") || url.starts_with("http://"));
    if !is_web {
        findings.add(format!("{at}/{key}"), "must be a valid URL");
    }
}
