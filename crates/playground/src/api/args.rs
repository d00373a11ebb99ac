//! Arguments of a Web API call, from query, form or JSON alike.
//! Must not know the methods; it only turns three encodings into one.

use serde_json::{Map, Value};

use super::ApiError;

/// Arguments by name; form and query values stay strings until they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Args {
    map: Map<String, Value>,
}

impl Args {
    /// Reads query and body; JSON bodies only count if the method takes JSON.
    pub fn read(query: &str, content_type: &str, body: &[u8], takes_json: bool) -> Result<Self, ApiError> {
        let mut args = Self::default();
        args.add_form(query.as_bytes());
        if content_type.starts_with("application/json") {
            if takes_json && !body.is_empty() {
                args.add_json(body)?;
            }
        } else {
            args.add_form(body);
        }
        Ok(args)
    }

    fn add_form(&mut self, form: &[u8]) {
        for (key, value) in form_urlencoded::parse(form) {
            self.map.insert(key.into_owned(), Value::String(value.into_owned()));
        }
    }

    fn add_json(&mut self, body: &[u8]) -> Result<(), ApiError> {
        match serde_json::from_slice(body) {
            // Slack does not look for the token in JSON bodies.
            Ok(Value::Object(object)) => {
                self.map.extend(object.into_iter().filter(|(key, _)| key != "token"));
                Ok(())
            }
            Ok(_) => Err(ApiError::code("json_not_object")),
            Err(_) => Err(ApiError::code("invalid_json")),
        }
    }

    /// Removes the token, so that it reaches neither methods nor journal.
    pub fn take_token(&mut self) -> Option<String> {
        self.map
            .remove("token")
            .and_then(|token| token.as_str().map(str::to_owned))
    }

    /// The arguments for the journal, with embedded JSON unfolded.
    pub fn to_json(&self) -> Value {
        let mut map = self.map.clone();
        for key in ["blocks", "view", "metadata", "attachments"] {
            if let Some(unfolded) = map.get(key).and_then(unfold) {
                map.insert(key.to_owned(), unfolded);
            }
        }
        Value::Object(map)
    }

    /// A non-empty text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// A required text.
    pub fn required(&self, key: &str) -> Result<&str, ApiError> {
        self.text(key).ok_or_else(|| ApiError::missing(key))
    }

    pub fn flag(&self, key: &str) -> bool {
        match self.map.get(key) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => matches!(text.as_str(), "1" | "true" | "True"),
            Some(Value::Number(number)) => number.as_i64() == Some(1),
            _ => false,
        }
    }

    pub fn number(&self, key: &str) -> Option<usize> {
        match self.map.get(key)? {
            Value::Number(number) => usize::try_from(number.as_u64()?).ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// A JSON value, given as such or as a string holding JSON; `Err` if the string is no JSON.
    pub fn nested(&self, key: &str) -> Result<Option<Value>, ()> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(value @ Value::String(_)) => unfold(value).map(Some).ok_or(()),
            Some(value) => Ok(Some(value.clone())),
        }
    }
}

fn unfold(value: &Value) -> Option<Value> {
    serde_json::from_str(value.as_str()?).ok()
}
