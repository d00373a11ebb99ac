//! Walks the TOML file with the path and line of every value, and collects what is wrong instead of stopping at it.

use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::problem::{Place, Report};
use super::roles::{listed_role, role_keys};
use super::shapes::{did_you_mean, is_name};
use super::table;

/// A value of the file and where it stands.
#[derive(Clone)]
pub(super) struct Node<'t> {
    pub path: String,
    text: &'t str,
    start: usize,
    value: Value<'t>,
}

#[derive(Clone, Copy)]
enum Value<'t> {
    Root(&'t DeTable<'t>),
    Inner(&'t DeValue<'t>),
}

impl From<&Node<'_>> for Place {
    fn from(node: &Node<'_>) -> Self {
        Self {
            name: node.path.clone(),
            line: Some(line_at(node.text, node.start)),
        }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    before.iter().fold(1, |lines, byte| lines + usize::from(*byte == b'\n'))
}

/// Reads the text as TOML. Each mistake in the notation becomes a problem; its snippet is left out, since a line of
/// the file may hold a secret.
pub(super) fn parse<'t>(text: &'t str, report: &mut Report) -> Option<DeTable<'t>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let clean = errors.is_empty();
    for error in errors.iter().take(20) {
        let line = error.span().map(|span| line_at(text, span.start));
        report.problem(
            Place {
                name: "the configuration file".to_owned(),
                line,
            },
            format!("this is not TOML: {}", error.message()),
            "Mend the notation there; the rest of the file is judged once it can be read.",
        );
    }
    clean.then(|| table.into_inner())
}

impl<'t> Node<'t> {
    pub fn root(table: &'t DeTable<'t>, text: &'t str) -> Self {
        Self {
            path: String::new(),
            text,
            start: 0,
            value: Value::Root(table),
        }
    }

    fn table(&self) -> Option<&'t DeTable<'t>> {
        match self.value {
            Value::Root(table) | Value::Inner(DeValue::Table(table)) => Some(table),
            Value::Inner(_) => None,
        }
    }

    /// The value under a key, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<Self> {
        let (name, value) = self.table()?.get_key_value(key)?;
        // The key's own line: the value may begin below it, and a table's span begins at its header.
        Some(self.child(name.get_ref(), name.span().start, value.get_ref()))
    }

    /// The keys of a table with their values; nothing for any other value.
    pub fn entries(&self) -> Vec<(String, Self)> {
        let table = self.table().into_iter().flatten();
        table
            .map(|(key, value)| {
                (
                    key.get_ref().to_string(),
                    self.child(key.get_ref(), key.span().start, value.get_ref()),
                )
            })
            .collect()
    }

    fn child(&self, key: &str, start: usize, value: &'t DeValue<'t>) -> Self {
        Self {
            path: join(&self.path, key),
            text: self.text,
            start,
            value: Value::Inner(value),
        }
    }

    /// The path of a key that may be absent.
    pub fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The text of this value: not blank, no control characters.
    pub fn text(&self, report: &mut Report) -> Option<&'t str> {
        let Value::Inner(DeValue::String(text)) = self.value else {
            self.wrong_type("a text in quotes", report);
            return None;
        };
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            report.problem(
                self,
                "the text is blank or holds control characters",
                "Write a visible text on one line, or remove it.",
            );
            return None;
        }
        Some(text)
    }

    /// The whole number of this value, within `limits`; else `remedy` says what to choose.
    pub fn number_within(&self, limits: &RangeInclusive<u64>, remedy: &str, report: &mut Report) -> Option<u64> {
        let number = self.number(report)?;
        if limits.contains(&number) {
            return Some(number);
        }
        let wrong = format!("{number} is outside the limits, {} to {}", limits.start(), limits.end());
        report.problem(self, wrong, remedy);
        None
    }

    fn number(&self, report: &mut Report) -> Option<u64> {
        if let Value::Inner(DeValue::Integer(number)) = self.value
            && let Ok(number) = u64::from_str_radix(number.as_str(), number.radix())
        {
            return Some(number);
        }
        report.problem(
            self,
            "this is not a whole number, zero or more",
            "Write digits without quotes, such as 1048576.",
        );
        None
    }

    /// The values of a list.
    pub fn items(&self, report: &mut Report) -> Vec<Self> {
        let Value::Inner(DeValue::Array(list)) = self.value else {
            self.wrong_type("a list in brackets", report);
            return Vec::new();
        };
        let item = |value: &'t toml::Spanned<DeValue<'t>>| Self {
            path: self.path.clone(),
            text: self.text,
            start: value.span().start,
            value: Value::Inner(value.get_ref()),
        };
        list.iter().map(item).collect()
    }

    /// The value as JSON, for the parts that others check. Dates, and numbers that JSON lacks, have no form there.
    pub fn json(&self, report: &mut Report) -> Option<serde_json::Value> {
        match self.value {
            Value::Inner(value) => {
                let json = to_json(value);
                if json.is_none() {
                    report.problem(
                        self,
                        "it holds a date, or a number that is infinite or too large",
                        "Write texts, numbers, true or false, lists and tables.",
                    );
                }
                json
            }
            Value::Root(_) => None,
        }
    }

    pub fn is_table(&self) -> bool {
        self.table().is_some()
    }

    fn wrong_type(&self, expected: &str, report: &mut Report) {
        let found = match self.value {
            Value::Root(_) | Value::Inner(DeValue::Table(_)) => "a section",
            Value::Inner(DeValue::String(_)) => "a text",
            Value::Inner(DeValue::Integer(_) | DeValue::Float(_)) => "a number",
            Value::Inner(DeValue::Boolean(_)) => "true or false",
            Value::Inner(DeValue::Datetime(_)) => "a date",
            Value::Inner(DeValue::Array(_)) => "a list",
        };
        report.problem(
            self,
            format!("found {found}, but this is {expected}"),
            format!("Write {expected}; docs/configuration.md has an example."),
        );
    }

    /// Finds every key that the table of keys does not have, here and below. `pattern` is this node's place in it.
    pub fn check_keys(&self, pattern: &[&'static str], report: &mut Report) {
        let known = table::children(pattern);
        if known.is_empty() {
            return;
        }
        if !self.is_table() {
            self.wrong_type("a section", report);
            return;
        }
        for (name, node) in self.entries() {
            let literal = known.iter().find(|child| **child == name);
            let placeholder = known
                .iter()
                .find(|child| child.starts_with(|first: char| first.is_ascii_uppercase()));
            match (literal, placeholder) {
                (Some(child), _) => node.check_keys(&[pattern, &[*child]].concat(), report),
                (None, Some(child)) if node.name_fits(&name, child, report) => {
                    node.check_keys(&[pattern, &[*child]].concat(), report);
                }
                (None, Some(_)) => {}
                (None, None) => {
                    let wrong = format!("there is no such key.{}", did_you_mean(&name, known.iter().copied()));
                    report.problem(&node, wrong, format!("Known here: {}.", known.join(", ")));
                }
            }
        }
    }

    fn name_fits(&self, name: &str, placeholder: &str, report: &mut Report) -> bool {
        match placeholder {
            "ROLE" if listed_role(name).is_none() => {
                let wrong = format!("there is no such role.{}", did_you_mean(name, role_keys()));
                report.problem(self, wrong, format!("The roles are: {}.", role_keys().join(", ")));
                false
            }
            "NAME" | "ENVIRONMENT" if !is_name(name) => {
                report.problem(
                    self,
                    "this name can't be typed in a command",
                    "Use lower-case letters, digits, - and _, at most 40 characters.",
                );
                false
            }
            _ => true,
        }
    }
}

fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

fn to_json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.into(),
        DeValue::Float(number) => serde_json::Number::from_f64(number.as_str().parse().ok()?)?.into(),
        DeValue::Boolean(truth) => (*truth).into(),
        DeValue::Datetime(_) => return None,
        DeValue::Array(list) => list
            .iter()
            .map(|item| to_json(item.get_ref()))
            .collect::<Option<Vec<_>>>()?
            .into(),
        DeValue::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, item)| Some((key.get_ref().to_string(), to_json(item.get_ref())?)));
            pairs.collect::<Option<serde_json::Map<_, _>>>()?.into()
        }
    })
}
