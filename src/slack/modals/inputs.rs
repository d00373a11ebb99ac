//! The inputs that forms are made of.

use crate::slack::blocks::plain;
use crate::slack::modals::{Form, ServiceChoice};
use domain::ids::{Millis, ServiceName};
use domain::policy::TEXT_MAX_CHARS;
use serde_json::{Value, json};

/// The one element of every input block; the block names the field.
pub(super) const ELEMENT: &str = "value";

/// The form around `blocks`. `metadata` holds ids only.
pub(super) fn form(form: Form, title: &str, submit: &str, metadata: &str, blocks: &[Value]) -> Value {
    json!({
        "type": "modal", "callback_id": form.to_string(), "title": plain(title, 24), "submit": plain(submit, 24),
        "close": plain("Not now", 24), "private_metadata": metadata, "blocks": blocks,
    })
}

/// An input in the making.
pub(super) struct Input {
    block: Value,
}

impl Input {
    fn new(name: &str, label: &str, mut element: Value) -> Self {
        element["action_id"] = json!(ELEMENT);
        Self {
            block: json!({ "type": "input", "block_id": name, "label": plain(label, 2_000), "element": element }),
        }
    }

    /// A text on one line.
    pub fn line(name: &str, label: &str, value: &str) -> Self {
        Self::text(name, label, value, false)
    }

    /// A text on several lines.
    pub fn lines(name: &str, label: &str, value: &str) -> Self {
        Self::text(name, label, value, true)
    }

    fn text(name: &str, label: &str, value: &str, multiline: bool) -> Self {
        let mut element = json!({ "type": "plain_text_input", "multiline": multiline, "max_length": TEXT_MAX_CHARS });
        if !value.is_empty() {
            // What people wrote goes back as they wrote it: an input shows text, not markup.
            element["initial_value"] = json!(value.chars().take(TEXT_MAX_CHARS).collect::<String>());
        }
        Self::new(name, label, element)
    }

    /// One of a few, by value and label.
    pub fn select(name: &str, label: &str, options: &[(&str, &str)], initial: Option<&str>) -> Self {
        Self::choice("static_select", name, label, options, initial)
    }

    /// One of a few, all in view.
    pub fn radio(name: &str, label: &str, options: &[(&str, &str)], initial: Option<&str>) -> Self {
        Self::choice("radio_buttons", name, label, options, initial)
    }

    /// Any of a few, all in view and none of them ticked.
    pub fn ticks(name: &str, label: &str, options: &[(&str, String)]) -> Self {
        let option = |(value, label): &(&str, String)| json!({ "text": plain(label, 75), "value": value });
        let all: Vec<Value> = options.iter().map(option).collect();
        Self::new(name, label, json!({ "type": "checkboxes", "options": all }))
    }

    fn choice(kind: &str, name: &str, label: &str, options: &[(&str, &str)], initial: Option<&str>) -> Self {
        let option = |(value, label): &(&str, &str)| json!({ "text": plain(label, 75), "value": value });
        let all: Vec<Value> = options.iter().map(option).collect();
        let mut element = json!({ "type": kind, "options": all });
        if let Some(chosen) = options.iter().find(|(value, _)| Some(*value) == initial) {
            element["initial_option"] = option(chosen);
        }
        Self::new(name, label, element)
    }

    /// One of the configured services; a plain text where a list could not hold them.
    pub fn service(services: &[ServiceChoice], initial: Option<&ServiceName>) -> Self {
        let initial = initial.map(ServiceName::as_str);
        if services.is_empty() || services.len() > 100 {
            return Self::line("service", "Service", initial.unwrap_or_default());
        }
        let options: Vec<(&str, &str)> = services
            .iter()
            .map(|service| (service.name.as_str(), service.name.as_str()))
            .collect();
        Self::select("service", "Service", &options, initial)
    }

    /// A day and a time, shown in the reader's own zone.
    pub fn time(name: &str, label: &str, initial_ms: Option<Millis>) -> Self {
        let mut element = json!({ "type": "datetimepicker" });
        // Slack takes ten digits, nothing else.
        if let Some(seconds) = initial_ms
            .map(|ms| ms.div_euclid(1_000))
            .filter(|s| (1_000_000_000..=9_999_999_999).contains(s))
        {
            element["initial_date_time"] = json!(seconds);
        }
        Self::new(name, label, element)
    }

    /// A whole number.
    pub fn number(name: &str, label: &str, (least, most): (i64, i64), initial: Option<i64>) -> Self {
        let mut element = json!({
            "type": "number_input", "is_decimal_allowed": false, "min_value": least.to_string(), "max_value": most.to_string(),
        });
        if let Some(number) = initial.filter(|number| (least..=most).contains(number)) {
            element["initial_value"] = json!(number.to_string());
        }
        Self::new(name, label, element)
    }

    /// Several people.
    pub fn people(name: &str, label: &str, initial: &[String]) -> Self {
        let mut element = json!({ "type": "multi_users_select", "max_selected_items": 50 });
        if !initial.is_empty() {
            element["initial_users"] = json!(initial.iter().take(50).collect::<Vec<_>>());
        }
        Self::new(name, label, element)
    }

    /// May stay empty.
    pub fn optional(mut self) -> Self {
        self.block["optional"] = json!(true);
        self
    }

    /// Says more below the input.
    pub fn hint(mut self, hint: &str) -> Self {
        self.block["hint"] = plain(hint, 2_000);
        self
    }

    /// The finished block.
    pub fn build(self) -> Value {
        self.block
    }
}

/// The input for the full commit, with what demands it.
pub(super) fn commit(services: &[ServiceChoice], value: &str) -> Value {
    let without: Vec<&str> = services
        .iter()
        .filter(|service| !service.has_repository)
        .map(|service| service.name.as_str())
        .take(20)
        .collect();
    let hint = if without.is_empty() {
        "Countersign reads it from the tag. Fill it in only if Git can't be asked.".to_owned()
    } else {
        format!(
            "Countersign reads it from the tag. Needed for services without a repository: {}.",
            without.join(", ")
        )
    };
    Input::line("commit", "Full commit, 40 characters", value)
        .optional()
        .hint(&hint)
        .build()
}
