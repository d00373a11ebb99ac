//! Interactive elements: buttons, selects, inputs and pickers, and where each may stand.
//! Must not know anything about the block around it but its kind.

use serde_json::Value;

use super::{Findings, Surface, texts};

/// The spot an element stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Beside a section's text.
    Accessory(Surface),
    /// In an actions block.
    Actions(Surface),
    /// In an input block.
    Input,
}

pub(super) fn check(element: &Value, place: Place, at: &str, findings: &mut Findings) {
    let Some(kind) = element["type"].as_str() else {
        return findings.add(at, "missing required field: type");
    };
    if !fits(kind, place) {
        return findings.add(format!("{at}/type"), format!("unsupported type: {kind}"));
    }
    if kind == "image" {
        return image(element, at, findings);
    }
    texts::optional_string(element, "action_id", 255, at, findings);
    texts::optional_confirm(element, at, findings);
    match kind {
        "button" | "workflow_button" => button(element, at, findings),
        "plain_text_input" | "email_text_input" | "url_text_input" | "number_input" => {
            texts::optional_plain(element, "placeholder", 150, at, findings);
            text_input(element, kind, at, findings);
        }
        "radio_buttons" => {
            texts::options(&element["options"], 1..=10, true, &format!("{at}/options"), findings);
            initial_option(element, true, at, findings);
        }
        "checkboxes" => {
            texts::options(&element["options"], 1..=10, true, &format!("{at}/options"), findings);
            initial_options(element, true, at, findings);
        }
        "overflow" => texts::options(&element["options"], 1..=5, false, &format!("{at}/options"), findings),
        "datepicker" | "timepicker" | "datetimepicker" => picker(element, kind, at, findings),
        _ => select(element, kind, at, findings),
    }
}

fn fits(kind: &str, place: Place) -> bool {
    match kind {
        "button" | "overflow" | "workflow_button" => place != Place::Input,
        "image" => matches!(place, Place::Accessory(_)),
        "plain_text_input" | "email_text_input" | "url_text_input" | "number_input" | "file_input"
        | "rich_text_input" => place == Place::Input,
        "datetimepicker" => !matches!(place, Place::Accessory(_)),
        "static_select"
        | "users_select"
        | "channels_select"
        | "conversations_select"
        | "external_select"
        | "radio_buttons"
        | "checkboxes"
        | "datepicker"
        | "timepicker" => true,
        "multi_static_select"
        | "multi_users_select"
        | "multi_channels_select"
        | "multi_conversations_select"
        | "multi_external_select" => !matches!(place, Place::Actions(_)),
        _ => false,
    }
}

pub(super) fn image(element: &Value, at: &str, findings: &mut Findings) {
    texts::string(element, "alt_text", 2_000, at, findings);
    if element["slack_file"].is_null() {
        texts::url(element, "image_url", at, findings);
    }
}

fn button(element: &Value, at: &str, findings: &mut Findings) {
    texts::plain(&element["text"], 75, &format!("{at}/text"), findings);
    texts::optional_string(element, "value", 2_000, at, findings);
    texts::optional_string(element, "accessibility_label", 75, at, findings);
    texts::style(element, at, findings);
    if !element["url"].is_null() {
        texts::url(element, "url", at, findings);
    }
}

fn text_input(element: &Value, kind: &str, at: &str, findings: &mut Findings) {
    if kind == "number_input" && !element["is_decimal_allowed"].is_boolean() {
        findings.add(at, "missing required field: is_decimal_allowed");
    }
    if kind != "plain_text_input" {
        return;
    }
    texts::optional_string(element, "initial_value", 3_000, at, findings);
    for (key, lowest) in [("min_length", 0), ("max_length", 1)] {
        if !element[key].is_null()
            && !element[key]
                .as_u64()
                .is_some_and(|length| (lowest..=3_000).contains(&length))
        {
            findings.add(format!("{at}/{key}"), format!("must be between {lowest} and 3000"));
        }
    }
    if let (Some(min), Some(max)) = (element["min_length"].as_u64(), element["max_length"].as_u64())
        && min > max
    {
        findings.add(format!("{at}/min_length"), "must not be greater than max_length");
    }
}

fn picker(element: &Value, kind: &str, at: &str, findings: &mut Findings) {
    if kind != "datetimepicker" {
        texts::optional_plain(element, "placeholder", 150, at, findings);
    }
    let (key, ok) = match kind {
        "datepicker" => ("initial_date", element["initial_date"].as_str().is_some_and(is_date)),
        "timepicker" => ("initial_time", element["initial_time"].as_str().is_some_and(is_time)),
        _ => (
            "initial_date_time",
            element["initial_date_time"]
                .as_i64()
                .is_some_and(|seconds| (1_000_000_000..=9_999_999_999).contains(&seconds)),
        ),
    };
    if !element[key].is_null() && !ok {
        findings.add(format!("{at}/{key}"), "must be a valid value");
    }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let number = |part: &str| part.parse::<u32>().unwrap_or(0);
    year.len() == 4
        && month.len() == 2
        && day.len() == 2
        && number(year) > 0
        && (1..=12).contains(&number(month))
        && (1..=31).contains(&number(day))
}

fn is_time(text: &str) -> bool {
    let Some((hour, minute)) = text.split_once(':') else {
        return false;
    };
    let below = |part: &str, end: u32| part.len() == 2 && part.parse::<u32>().is_ok_and(|n| n < end);
    below(hour, 24) && below(minute, 60)
}

fn select(element: &Value, kind: &str, at: &str, findings: &mut Findings) {
    texts::optional_plain(element, "placeholder", 150, at, findings);
    if kind.starts_with("multi_")
        && !element["max_selected_items"].is_null()
        && element["max_selected_items"].as_u64().is_none_or(|count| count == 0)
    {
        findings.add(format!("{at}/max_selected_items"), "must be at least 1");
    }
    if kind != "static_select" && kind != "multi_static_select" {
        return;
    }
    let groups = &element["option_groups"];
    match (element["options"].is_null(), groups.is_null()) {
        (true, true) => findings.add(at, "missing required field: options"),
        (false, false) => findings.add(at, "must have either options or option_groups, not both"),
        (false, true) => {
            texts::options(&element["options"], 1..=100, false, &format!("{at}/options"), findings);
        }
        (true, false) => option_groups(groups, &format!("{at}/option_groups"), findings),
    }
    if kind == "static_select" {
        initial_option(element, false, at, findings);
    } else {
        initial_options(element, false, at, findings);
    }
}

fn option_groups(groups: &Value, at: &str, findings: &mut Findings) {
    let Some(groups) = groups.as_array() else {
        return findings.add(at, "must provide an array");
    };
    texts::count(groups.len(), 1..=100, at, findings);
    for (index, group) in groups.iter().enumerate() {
        let at = format!("{at}/{index}");
        texts::plain(&group["label"], 75, &format!("{at}/label"), findings);
        texts::options(&group["options"], 1..=100, false, &format!("{at}/options"), findings);
    }
}

fn initial_option(element: &Value, mrkdwn: bool, at: &str, findings: &mut Findings) {
    let initial = &element["initial_option"];
    if !initial.is_null() {
        let at = format!("{at}/initial_option");
        texts::option(initial, mrkdwn, &at, findings);
        must_be_offered(element, initial, &at, findings);
    }
}

fn initial_options(element: &Value, mrkdwn: bool, at: &str, findings: &mut Findings) {
    let initial = &element["initial_options"];
    if initial.is_null() {
        return;
    }
    let at = format!("{at}/initial_options");
    texts::options(initial, 1..=100, mrkdwn, &at, findings);
    for option in initial.as_array().into_iter().flatten() {
        must_be_offered(element, option, &at, findings);
    }
}

fn must_be_offered(element: &Value, initial: &Value, at: &str, findings: &mut Findings) {
    if !crate::choices::offered(element)
        .iter()
        .any(|option| option["value"] == initial["value"])
    {
        findings.add(at, "must be one of the provided options");
    }
}
