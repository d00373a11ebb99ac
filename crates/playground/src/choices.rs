//! What a person can put into interactive elements, and the `state.values` Slack makes of it.
//! Works on Block Kit JSON alone; must not know about views or messages.

use serde_json::{Map, Value, json};

/// All options of an element, inside groups too.
pub(crate) fn offered(element: &Value) -> Vec<&Value> {
    let direct = element["options"].as_array().into_iter().flatten();
    let grouped = element["option_groups"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|group| group["options"].as_array().into_iter().flatten());
    direct.chain(grouped).collect()
}

/// The interactive elements of a list of blocks, each with its block.
pub(crate) fn elements(blocks: &[Value]) -> Vec<(&Value, &Value)> {
    let mut found = Vec::new();
    for block in blocks {
        let several = block["elements"].as_array().into_iter().flatten();
        let single = [&block["element"], &block["accessory"]]
            .into_iter()
            .filter(|e| e.is_object());
        found.extend(
            several
                .chain(single)
                .filter(|element| element["action_id"].is_string())
                .map(|e| (block, e)),
        );
    }
    found
}

/// The key under which Slack reports this kind of element; `None` for buttons and menus.
fn state_key(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "plain_text_input" | "email_text_input" | "url_text_input" | "number_input" => "value",
        "static_select" | "external_select" | "radio_buttons" => "selected_option",
        "multi_static_select" | "multi_external_select" | "checkboxes" => "selected_options",
        "users_select" => "selected_user",
        "multi_users_select" => "selected_users",
        "channels_select" => "selected_channel",
        "multi_channels_select" => "selected_channels",
        "conversations_select" => "selected_conversation",
        "multi_conversations_select" => "selected_conversations",
        "datepicker" => "selected_date",
        "timepicker" => "selected_time",
        "datetimepicker" => "selected_date_time",
        _ => return None,
    })
}

fn initial_key(key: &str) -> String {
    match key {
        "value" => "initial_value".to_owned(),
        _ => key.replacen("selected_", "initial_", 1),
    }
}

/// The element's entry in `state.values` before anybody touched it; `None` if it holds no state.
pub(crate) fn initial(element: &Value) -> Option<Value> {
    let kind = element["type"].as_str()?;
    let key = state_key(kind)?;
    let start = &element[initial_key(key)];
    let value = if start.is_null() && key.ends_with('s') {
        json!([])
    } else {
        start.clone()
    };
    Some(entry(kind, key, value))
}

fn entry(kind: &str, key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([
        ("type".to_owned(), json!(kind)),
        (key.to_owned(), value),
    ]))
}

/// The element's entry after a person chose `input`.
///
/// `input` is plain: a string for text, dates, users and options (the option's value), a list of
/// them for multi-selects, a number for a date and time, `null` to clear. An entry in Slack's own
/// form (an object with `type`) is taken as it is.
pub(crate) fn choose(element: &Value, input: &Value) -> Result<Value, String> {
    let kind = element["type"].as_str().unwrap_or_default();
    let key = state_key(kind).ok_or_else(|| format!("a {kind} holds no value"))?;
    if input["type"].is_string() {
        return Ok(input.clone());
    }
    let value = match key {
        "selected_option" if !input.is_null() => option_of(element, input)?,
        "selected_options" => {
            let chosen: Result<Vec<Value>, String> = input
                .as_array()
                .into_iter()
                .flatten()
                .map(|one| option_of(element, one))
                .collect();
            json!(chosen?)
        }
        _ if key.ends_with('s') && input.is_null() => json!([]),
        "value" if input == "" => Value::Null,
        _ => input.clone(),
    };
    Ok(entry(kind, key, value))
}

fn option_of(element: &Value, input: &Value) -> Result<Value, String> {
    let wanted = if input.is_object() { &input["value"] } else { input };
    offered(element)
        .into_iter()
        .find(|option| option["value"] == *wanted || option["text"]["text"] == *wanted)
        .cloned()
        .ok_or_else(|| format!("{wanted} is not among the options"))
}

/// True if nothing is entered or selected.
pub(crate) fn is_empty(entry: &Value) -> bool {
    let Some(key) = entry["type"].as_str().and_then(state_key) else {
        return true;
    };
    match &entry[key] {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// `state.values` with all elements untouched, keeping entries of `before` whose ids still exist.
pub(crate) fn initial_values(blocks: &[Value], before: &Value) -> Value {
    let mut values = json!({});
    for (block, element) in elements(blocks) {
        let (Some(block_id), Some(action_id)) = (block["block_id"].as_str(), element["action_id"].as_str()) else {
            continue;
        };
        let Some(fresh) = initial(element) else {
            continue;
        };
        let kept = &before[block_id][action_id];
        let entry = if kept["type"] == fresh["type"] {
            kept.clone()
        } else {
            fresh
        };
        values[block_id][action_id] = entry;
    }
    values
}

/// What Slack itself complains about before it sends a modal away: by block id.
pub(crate) fn complaints(blocks: &[Value], values: &Value) -> Map<String, Value> {
    let mut complaints = Map::new();
    for block in blocks.iter().filter(|block| block["type"] == "input") {
        let (Some(block_id), Some(action_id)) = (block["block_id"].as_str(), block["element"]["action_id"].as_str())
        else {
            continue;
        };
        let entry = &values[block_id][action_id];
        if let Some(complaint) = complaint(block, entry) {
            complaints.insert(block_id.to_owned(), json!(complaint));
        }
    }
    complaints
}

fn complaint(block: &Value, entry: &Value) -> Option<String> {
    if is_empty(entry) {
        return (block["optional"] != true).then(|| "Please complete this required field.".to_owned());
    }
    let length = entry["value"].as_str().map_or(0, |text| text.chars().count() as u64);
    if let Some(max) = block["element"]["max_length"].as_u64()
        && length > max
    {
        return Some(format!("This is too long: at most {max} characters."));
    }
    if let Some(min) = block["element"]["min_length"].as_u64()
        && entry["value"].is_string()
        && length < min
    {
        return Some(format!("This is too short: at least {min} characters."));
    }
    None
}

/// Gives every block and interactive element an id, as Slack does with those that come without.
pub(crate) fn fill_in_ids(blocks: &mut [Value]) {
    for block in blocks {
        if block["block_id"].as_str().is_none_or(str::is_empty) {
            block["block_id"] = json!(crate::signing::random_id("", 5));
        }
        if let Some(several) = block["elements"].as_array_mut() {
            several.iter_mut().for_each(fill_in_action_id);
        }
        for key in ["element", "accessory"] {
            if block[key].is_object() {
                fill_in_action_id(&mut block[key]);
            }
        }
    }
}

fn fill_in_action_id(element: &mut Value) {
    let kind = element["type"].as_str().unwrap_or_default();
    let acts = state_key(kind).is_some() || matches!(kind, "button" | "overflow");
    if acts && element["action_id"].as_str().is_none_or(str::is_empty) {
        element["action_id"] = json!(crate::signing::random_id("", 5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_input_becomes_slacks_entries() {
        let option = json!({"text": {"type": "plain_text", "text": "Minor"}, "value": "minor"});
        let select = json!({"type": "static_select", "action_id": "a", "options": [option]});
        let boxes = json!({"type": "checkboxes", "action_id": "a", "options": [option]});
        let rows = [
            (
                json!({"type": "plain_text_input"}),
                json!("x"),
                json!({"type": "plain_text_input", "value": "x"}),
            ),
            (
                json!({"type": "plain_text_input"}),
                json!(""),
                json!({"type": "plain_text_input", "value": null}),
            ),
            (
                select.clone(),
                json!("minor"),
                json!({"type": "static_select", "selected_option": option}),
            ),
            (
                select.clone(),
                json!("Minor"),
                json!({"type": "static_select", "selected_option": option}),
            ),
            (
                select.clone(),
                Value::Null,
                json!({"type": "static_select", "selected_option": null}),
            ),
            (
                boxes,
                json!(["minor"]),
                json!({"type": "checkboxes", "selected_options": [option]}),
            ),
            (
                json!({"type": "multi_users_select"}),
                json!(["U1"]),
                json!({"type": "multi_users_select", "selected_users": ["U1"]}),
            ),
            (
                json!({"type": "datetimepicker"}),
                json!(5),
                json!({"type": "datetimepicker", "selected_date_time": 5}),
            ),
        ];
        for (element, input, expected) in rows {
            assert_eq!(choose(&element, &input).unwrap(), expected);
        }
        assert!(choose(&select, &json!("major")).is_err());
        assert!(choose(&json!({"type": "button"}), &json!("x")).is_err());
    }
}
