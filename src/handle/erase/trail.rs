//! What somebody has left behind: read from the log by the random id, and from the texts beside it by what names them. Reads
//! entries as plain JSON, so that an event of a newer version hides nothing.

use super::super::HandleError;
use crate::store::{KeptText, Store};
use domain::digest::Digest;
use domain::ids::{PersonId, ReleaseKey};
use domain::log_entry::Sealed;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

const PAGE: u32 = 1_000;
/// Members of events that commit to a text.
const TEXTS: [&str; 9] = [
    "scope",
    "dependencies",
    "outcome",
    "abort_criteria",
    "justification",
    "reason",
    "note",
    "seen",
    "output",
];
/// A shorter text that stands inside another one is chance.
const COPY_CHARACTERS_MIN: usize = 12;

/// One person's traces.
#[derive(Debug, Clone)]
pub(super) struct Trail {
    /// Slack's id.
    pub(super) user: String,
    /// The log's id.
    pub(super) id: Option<PersonId>,
    /// Whether the id stands for nobody by now.
    pub(super) is_gone: bool,
    /// Releases whose log holds the id.
    pub(super) releases: BTreeSet<ReleaseKey>,
    /// Releases that the texts belong to.
    pub(super) text_releases: BTreeSet<ReleaseKey>,
    /// The texts that have to go, of those that are there.
    pub(super) texts: BTreeSet<Digest>,
    /// How many of these only hold one of the names given.
    pub(super) only_named: u64,
    /// Commitments to texts that they wrote, by stream.
    written: BTreeMap<String, BTreeSet<Digest>>,
    /// How far the log was read when their texts were looked for.
    read_to: u64,
}

impl Trail {
    pub(super) fn new(user: String, id: Option<PersonId>) -> Self {
        Self {
            user,
            id,
            is_gone: false,
            releases: BTreeSet::new(),
            text_releases: BTreeSet::new(),
            texts: BTreeSet::new(),
            only_named: 0,
            written: BTreeMap::new(),
            read_to: 0,
        }
    }
}

/// What the log has said so far, of anybody.
#[derive(Debug)]
pub(super) struct Reading {
    read_to: u64,
    /// Places among the people by their ids in the log.
    by_id: HashMap<String, usize>,
    /// Commitments to what signers had on the screen, by stream.
    seen: HashMap<String, HashSet<Digest>>,
    /// The last entry of each stream that commits to a text.
    last: HashMap<String, u64>,
}

impl Reading {
    pub(super) fn of(people: &[Trail]) -> Self {
        let ids = people.iter().enumerate();
        Self {
            read_to: 0,
            by_id: ids
                .filter_map(|(index, person)| Some((person.id.as_ref()?.to_string(), index)))
                .collect(),
            seen: HashMap::new(),
            last: HashMap::new(),
        }
    }

    /// Reads on to the log's end, for the same people in the same order.
    pub(super) async fn go_on(&mut self, store: &Store, people: &mut [Trail]) -> Result<(), HandleError> {
        loop {
            let page = store.entries(self.read_to + 1, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            self.read_to = last.position;
            for sealed in &page {
                self.note(sealed, people);
            }
        }
    }

    fn note(&mut self, sealed: &Sealed, people: &mut [Trail]) {
        let entry: Value = serde_json::from_str(&sealed.bytes).unwrap_or_default();
        let mut commitments = Vec::new();
        gather(&entry["event"], &mut commitments);
        if !commitments.is_empty() {
            self.last.insert(sealed.stream.clone(), sealed.position);
            let actor = entry["actor"].as_str().unwrap_or_default();
            if let Some(person) = self.by_id.get(actor).and_then(|&index| people.get_mut(index)) {
                let written = commitments.iter().map(|(_, digest)| digest.clone());
                person.written.entry(sealed.stream.clone()).or_default().extend(written);
            }
        }
        for (_, shown) in commitments.into_iter().filter(|(key, _)| *key == "seen") {
            self.seen.entry(sealed.stream.clone()).or_default().insert(shown);
        }
        if let Some(Ok(release)) = sealed.stream.strip_prefix("release/").map(ReleaseKey::new) {
            for id in person_ids(&sealed.bytes) {
                if let Some(person) = self.by_id.get(id).and_then(|&index| people.get_mut(index)) {
                    person.releases.insert(release.clone());
                }
            }
        }
    }

    /// Whether texts came in, since theirs were looked for, where they have written something.
    pub(super) fn has_more_of(&self, person: &Trail) -> bool {
        let mut streams = person.written.keys();
        streams.any(|stream| self.last.get(stream).is_some_and(|&position| position > person.read_to))
    }
}

/// Members that only repeat what somebody else wrote: what was signed, and what a word is about.
const REPEATED: [&str; 2] = ["fingerprint", "on"];

/// Commitments to texts, with the member that holds them.
fn gather<'a>(event: &'a Value, found: &mut Vec<(&'a str, Digest)>) {
    match event {
        Value::Object(members) => {
            for (key, value) in members.iter().filter(|(key, _)| !REPEATED.contains(&key.as_str())) {
                let digest = value.as_str().filter(|_| TEXTS.contains(&key.as_str()));
                match digest.map(|text| Digest::try_from(text.to_owned())) {
                    Some(Ok(digest)) => found.push((key, digest)),
                    _ => gather(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
        _ => {}
    }
}

/// The ids of people in an entry's bytes.
fn person_ids(bytes: &str) -> impl Iterator<Item = &str> {
    bytes.split('"').filter(|piece| piece.starts_with("p-"))
}

/// Everything in a text that has the form of a Slack id, however it is wrapped.
pub(super) fn slack_ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit())
        .filter(|word| word.len() >= 2 && word.starts_with(['U', 'W']))
}

/// Names, to be found as whole words in any case.
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn of(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.trim().to_lowercase()).collect())
    }

    pub(super) fn are_in(&self, text: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let text = text.to_lowercase();
        self.0.iter().any(|name| {
            text.match_indices(name.as_str()).any(|(at, found)| {
                let before = text[..at].chars().next_back();
                let after = text[at + found.len()..].chars().next();
                ![before, after].into_iter().flatten().any(char::is_alphanumeric)
            })
        })
    }
}

/// Which texts have to go.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    /// What they wrote, copies of it and what signers saw, in the same releases; and whatever names them anywhere.
    All(&'a Words),
    /// All but what only names them.
    Written,
}

/// Finds the texts that have to go.
pub(super) async fn read_texts(
    store: &Store,
    people: &mut [Trail],
    reading: &Reading,
    which: Which<'_>,
) -> Result<(), HandleError> {
    for person in &mut *people {
        person.texts.clear();
        person.text_releases.clear();
        (person.only_named, person.read_to) = (0, reading.read_to);
    }
    let by_user: HashMap<String, usize> = people
        .iter()
        .enumerate()
        .map(|(n, one)| (one.user.clone(), n))
        .collect();
    let mut writers: HashMap<String, Vec<(usize, Vec<String>)>> = HashMap::new();
    for (index, person) in people.iter().enumerate() {
        for (stream, commitments) in &person.written {
            let commitments: Vec<Digest> = commitments.iter().cloned().collect();
            let values = store.texts(&commitments).await?.into_values();
            let values = values.map(|value| value.trim().to_owned()).collect();
            writers.entry(stream.clone()).or_default().push((index, values));
        }
    }
    let mut after = String::new();
    loop {
        let page = store.kept_texts(&after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.commitment.to_string();
        for text in &page {
            let mut whose = BTreeSet::new();
            if let Which::All(_) = which {
                whose.extend(slack_ids(&text.value).filter_map(|id| by_user.get(id).copied()));
            }
            for (index, values) in writers.get(&text.stream).into_iter().flatten() {
                if is_theirs(text, &people[*index], reading, values) {
                    whose.insert(*index);
                }
            }
            if let Which::All(names) = which
                && names.are_in(&text.value)
            {
                for (index, person) in people.iter_mut().enumerate() {
                    person.only_named += u64::from(whose.insert(index));
                }
            }
            for index in whose {
                let person = &mut people[index];
                person.texts.insert(text.commitment.clone());
                let release = text.stream.strip_prefix("release/").map(ReleaseKey::new);
                person.text_releases.extend(release.and_then(Result::ok));
            }
        }
    }
}

fn is_theirs(text: &KeptText, person: &Trail, reading: &Reading, values: &[String]) -> bool {
    let is_written = person
        .written
        .get(&text.stream)
        .is_some_and(|written| written.contains(&text.commitment));
    let was_seen = reading
        .seen
        .get(&text.stream)
        .is_some_and(|seen| seen.contains(&text.commitment));
    let is_copy = |value: &String| {
        text.value.trim() == value
            || (value.chars().count() >= COPY_CHARACTERS_MIN && text.value.contains(value.as_str()))
    };
    is_written || was_seen || values.iter().any(is_copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_found_as_whole_words_in_any_case() {
        let words = Words::of(&["Olga Petrova".to_owned(), "olga@acme.test".to_owned(), "Ola".to_owned()]);
        for text in ["so says OLGA PETROVA.", "mail <olga@acme.test>", "Ola", "(ola)"] {
            assert!(words.are_in(text), "{text}");
        }
        for text in ["cola", "Olga", "Petrova Olga", "olga@acme.testing", ""] {
            assert!(!words.are_in(text), "{text}");
        }
        assert!(!Words::of(&[]).are_in("anything"));
    }

    #[test]
    fn slack_ids_are_found_however_they_are_wrapped() {
        let text = r#"<@U0OLGA> and "W01AB", <@U0OLGA|olga>, not U or fU0OLGAx"#;
        assert_eq!(
            slack_ids(text).collect::<Vec<_>>(),
            ["U0OLGA", "W01AB", "U0OLGA", "U0OLGA"]
        );
    }

    #[test]
    fn what_an_event_commits_to_is_found_also_in_one_that_is_not_known() {
        let digest = |word: &str| Digest::of(word.as_bytes()).to_string();
        let event = json!({ "name": "Unheard.v7", "data": {
            "sign_off": { "fingerprint": { "justification": digest("theirs") }, "seen": digest("seen") },
            "plan": { "scope": digest("scope") }, "reason": null, "script": digest("script"),
        }});
        let mut found = Vec::new();
        gather(&event, &mut found);
        let keys: Vec<&str> = found.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["scope", "seen"]);
    }
}
