//! Reads what was filled in. What Slack sends is checked like anything else from outside; every problem is told at once.

use crate::slack::markup::{clip, foreign_line};
use crate::slack::modals::inputs::ELEMENT;
use crate::slack::modals::{ServiceChoice, SlackUser};
use crate::slack::payload::FormView;
use domain::ids::{CommitSha, Millis, ReleaseKey, ServiceName, Version, tidy};
use domain::policy::{JUSTIFICATION_MIN_CHARS, TEXT_MAX_CHARS};
use domain::refusal::{Cause, Refusal};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong, by input.
pub type Errors = BTreeMap<String, String>;

/// Why a form can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The person can put it right in the form.
    Errors(Errors),
    /// The form's own ids are gone or foreign.
    Unreadable,
}

/// The answer that keeps the form open and shows each problem at its input.
pub fn errors_response(errors: &Errors) -> Value {
    json!({ "response_action": "errors", "errors": errors })
}

/// A refusal that belongs to inputs of the form, if it does: the names of the domain's fields are those of the inputs.
pub fn errors_of(refusal: &Refusal) -> Option<Errors> {
    let at = |name: &str, text: String| Some(BTreeMap::from([(name.to_owned(), text)]));
    match &refusal.cause {
        Cause::Incomplete(fields) => Some(
            fields
                .iter()
                .map(|(name, expected)| ((*name).to_owned(), crate::slack::state::capital(expected) + "."))
                .collect(),
        ),
        Cause::KeyTaken => at(
            "key",
            "This key names another release already. Choose one that is free.".to_owned(),
        ),
        Cause::NoSuchService => at(
            "service",
            "This service is not configured. An admin adds it.".to_owned(),
        ),
        Cause::JustificationTooShort(chars) => at("justification", too_short(*chars)),
        _ => None,
    }
}

/// What the plan form says when the plan has changed since it was opened.
pub fn plan_has_changed(key: &ReleaseKey) -> Errors {
    let text = format!(
        "The plan of {key} has changed since this form was opened; nothing was saved. Copy what you wrote, close this, and type /release plan {key}."
    );
    BTreeMap::from([("scope".to_owned(), text)])
}

fn too_short(chars: usize) -> String {
    format!(
        "Say in at least {JUSTIFICATION_MIN_CHARS} characters what is broken, for whom and since when; this has {chars} (emergency.justification, 3.4)."
    )
}

/// The values of a form, and the problems found so far.
pub(super) struct Reader<'f> {
    form: &'f FormView,
    errors: Errors,
}

impl<'f> Reader<'f> {
    pub fn new(form: &'f FormView) -> Self {
        Self {
            form,
            errors: Errors::new(),
        }
    }

    /// The finished form, if there is no problem.
    pub fn finish<T>(self, fields: Option<T>) -> Result<T, ReadError> {
        match fields {
            Some(fields) if self.errors.is_empty() => Ok(fields),
            _ if self.errors.is_empty() => Err(ReadError::Unreadable),
            _ => Err(ReadError::Errors(self.errors)),
        }
    }

    /// Notes a problem; the first one of an input stays.
    pub fn wrong<T>(&mut self, name: &str, text: &str) -> Option<T> {
        self.errors.entry(name.to_owned()).or_insert_with(|| clip(text, 1_000));
        None
    }

    fn element(&self, name: &str) -> Option<&'f Value> {
        self.form.state.values.get(name)?.get(ELEMENT)
    }

    fn typed(&self, name: &str) -> Option<&'f str> {
        let text = self.element(name)?.get("value")?.as_str()?;
        Some(text).filter(|text| !text.trim().is_empty())
    }

    /// The chosen option.
    pub fn chosen(&self, name: &str) -> Option<&'f str> {
        self.element(name)?.get("selected_option")?.get("value")?.as_str()
    }

    /// The ticked options.
    pub fn ticked(&self, name: &str) -> Vec<&'f str> {
        let chosen = self.element(name).and_then(|element| element.get("selected_options"));
        let options = chosen.and_then(Value::as_array).into_iter().flatten();
        options.filter_map(|option| option.get("value")?.as_str()).collect()
    }

    /// A text that may stay empty.
    pub fn optional_text(&mut self, name: &str) -> Option<String> {
        let text = self.typed(name)?.trim();
        match text.chars().count() {
            chars if chars > TEXT_MAX_CHARS => self.wrong(
                name,
                &format!("At most 3,000 characters; this has {chars}. Shorten it."),
            ),
            _ => Some(text.to_owned()),
        }
    }

    /// A text that must be there.
    pub fn text(&mut self, name: &str, remedy: &str) -> Option<String> {
        if self.typed(name).is_none() {
            return self.wrong(name, remedy);
        }
        self.optional_text(name)
    }

    /// A justification that is one.
    pub fn justification(&mut self) -> Option<String> {
        let text = self.text("justification", &too_short(0))?;
        let chars = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().count();
        if chars < JUSTIFICATION_MIN_CHARS {
            self.wrong("justification", &too_short(chars))
        } else {
            Some(text)
        }
    }

    /// A key, which may stay empty.
    pub fn optional_key(&mut self, name: &str) -> Option<ReleaseKey> {
        let typed = self.typed(name)?;
        match ReleaseKey::from_typed(typed) {
            Ok(key) => Some(key),
            Err(_) => self.wrong(
                name,
                &format!("“{}” is no key. Write it like REL-789.", foreign_line(typed, 80)),
            ),
        }
    }

    /// A key.
    pub fn key(&mut self, name: &str) -> Option<ReleaseKey> {
        if self.typed(name).is_none() {
            return self.wrong(name, "Name the release with a key such as REL-789.");
        }
        self.optional_key(name)
    }

    /// A version.
    pub fn version(&mut self) -> Option<Version> {
        let Some(typed) = self.typed("version") else {
            return self.wrong(
                "version",
                "Name the version, such as v1.4.0; its Git tag has the same name.",
            );
        };
        match Version::from_typed(typed) {
            Ok(version) => Some(version),
            Err(_) => self.wrong(
                "version",
                &format!("“{}” is no version. Write it like v1.4.0.", foreign_line(typed, 80)),
            ),
        }
    }

    /// One of the services.
    pub fn service(&mut self, services: &[ServiceChoice]) -> Option<ServiceName> {
        let Some(typed) = self.chosen("service").or_else(|| self.typed("service")) else {
            return self.wrong("service", "Choose the service.");
        };
        let name = tidy(typed).to_lowercase();
        match services.iter().find(|service| service.name.as_str() == name) {
            Some(service) => Some(service.name.clone()),
            None => self.wrong(
                "service",
                "This service is not configured. Choose another one, or ask an admin to add it.",
            ),
        }
    }

    /// Tickets, however they are listed; links to them are tickets too.
    pub fn tickets(&mut self, name: &str, required: bool) -> Option<BTreeSet<ReleaseKey>> {
        let typed = self.typed(name).unwrap_or_default();
        let words = typed
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'))
            .filter(|word| !word.is_empty());
        let (mut tickets, mut wrong) = (BTreeSet::new(), Vec::new());
        for word in words {
            let key = word.trim_end_matches('/').rsplit('/').next().unwrap_or(word);
            match ReleaseKey::from_typed(key) {
                Ok(key) => drop(tickets.insert(key)),
                Err(_) => wrong.push(foreign_line(word, 40)),
            }
        }
        if !wrong.is_empty() {
            let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            return self.wrong(
                name,
                &format!("No ticket keys: {shown}. Write them like PAY-101, PAY-107."),
            );
        }
        if (required && tickets.is_empty()) || tickets.len() > 100 {
            return self.wrong(name, "Name 1 to 100 tickets, such as PAY-101, PAY-107.");
        }
        Some(tickets)
    }

    /// Who wrote the commits.
    pub fn authors(&mut self) -> Option<BTreeSet<SlackUser>> {
        let chosen = self
            .element("authors")
            .and_then(|element| element.get("selected_users"))
            .and_then(Value::as_array);
        // All or none: an author who is left out could sign.
        let authors: Option<BTreeSet<SlackUser>> = chosen
            .into_iter()
            .flatten()
            .map(|user| user.as_str().and_then(SlackUser::new))
            .collect();
        match authors {
            Some(authors) if (1..=50).contains(&authors.len()) => Some(authors),
            _ => self.wrong(
                "authors",
                "Choose 1 to 50 people who wrote the commits; none of them can sign it.",
            ),
        }
    }

    /// The full commit; demanded where the service names no repository.
    pub fn commit(&mut self, service: Option<&ServiceName>, services: &[ServiceChoice]) -> Option<CommitSha> {
        let Some(typed) = self.typed("commit") else {
            let needed = services
                .iter()
                .any(|choice| Some(&choice.name) == service && !choice.has_repository);
            return if needed {
                self.wrong("commit", "This service names no repository, so type the full commit of 40 characters; `git rev-parse v1.4.0^{commit}` prints it.")
            } else {
                None
            };
        };
        match CommitSha::new(tidy(typed).to_lowercase()) {
            Ok(commit) => Some(commit),
            Err(_) => self.wrong(
                "commit",
                "This is no full commit. It has 40 characters, 0-9 and a-f; `git rev-parse v1.4.0^{commit}` prints it.",
            ),
        }
    }

    /// A day and a time.
    pub fn time(&mut self, name: &str) -> Option<Millis> {
        self.time_of(name, "Choose the day and time of the planned start.")
    }

    /// A day and a time, with what to do without it.
    pub fn time_of(&mut self, name: &str, remedy: &str) -> Option<Millis> {
        let seconds = self
            .element(name)
            .and_then(|element| element.get("selected_date_time"))
            .and_then(Value::as_i64);
        match seconds.filter(|seconds| (0..=9_999_999_999).contains(seconds)) {
            Some(seconds) => Some(seconds * 1_000),
            None => self.wrong(name, remedy),
        }
    }

    /// Minutes, as milliseconds.
    pub fn minutes(&mut self, name: &str) -> Option<Millis> {
        let minutes = self
            .typed(name)
            .and_then(|text| tidy(text).parse::<i64>().ok())
            .filter(|minutes| (1..=1_440).contains(minutes));
        match minutes {
            Some(minutes) => Some(minutes * domain::ids::MINUTE_MS),
            None => self.wrong(name, "Say how long it takes at most, in whole minutes from 1 to 1440."),
        }
    }
}
