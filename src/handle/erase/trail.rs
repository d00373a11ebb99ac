//! What somebody has left behind: read from the log by the random id, and from the texts beside it by what names them. Reads
//! entries as plain JSON, so that an event of a newer version hides nothing.

use super::super::HandleError;
use crate::store::{KeptText, Store};
use domain::digest::Digest;
use domain::ids::{PersonId, ReleaseKey};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const PAGE: u32 = 1_000;
/// Members of events that commit to a text.
const TEXTS: [&str; 8] = [
    "scope",
    "dependencies",
    "outcome",
    "abort_criteria",
    "justification",
    "reason",
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
    /// Whether this is what came in while the person was being erased.
    pub(super) is_late: bool,
    /// Releases whose log holds the id.
    pub(super) releases: BTreeSet<ReleaseKey>,
    /// Releases that the texts belong to.
    pub(super) text_releases: BTreeSet<ReleaseKey>,
    /// The texts that have to go, of those that are there.
    pub(super) texts: BTreeSet<Digest>,
    /// Commitments to texts that they wrote, by stream.
    written: BTreeMap<String, BTreeSet<Digest>>,
    /// Commitments to what signers of those streams had on the screen.
    seen: BTreeMap<String, BTreeSet<Digest>>,
}

impl Trail {
    pub(super) fn new(user: String, id: Option<PersonId>) -> Self {
        Self {
            user,
            id,
            is_late: false,
            releases: BTreeSet::new(),
            text_releases: BTreeSet::new(),
            texts: BTreeSet::new(),
            written: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The same person, for what has come in since.
    pub(super) fn again(&self) -> Self {
        Self {
            is_late: true,
            ..Self::new(self.user.clone(), self.id.clone())
        }
    }

    pub(super) fn has_written(&self) -> bool {
        !self.written.is_empty()
    }
}

/// Reads the log from a position on, and says how far it goes.
pub(super) async fn read_log(store: &Store, from: u64, people: &mut [Trail]) -> Result<u64, HandleError> {
    let by_id: HashMap<String, usize> = people
        .iter()
        .enumerate()
        .filter_map(|(index, person)| Some((person.id.as_ref()?.to_string(), index)))
        .collect();
    let mut seen: BTreeMap<String, BTreeSet<Digest>> = BTreeMap::new();
    let mut next = from;
    loop {
        let page = store.entries(next, PAGE).await?;
        let Some(last) = page.last() else { break };
        next = last.position + 1;
        for sealed in &page {
            let entry: Value = serde_json::from_str(&sealed.bytes).unwrap_or_default();
            let actor = entry["actor"].as_str().unwrap_or_default();
            let mut commitments = Vec::new();
            gather(&entry["event"], &mut commitments);
            if let Some(person) = by_id.get(actor).and_then(|&index| people.get_mut(index)) {
                let written = commitments.iter().map(|(_, digest)| digest.clone());
                if !commitments.is_empty() {
                    person.written.entry(sealed.stream.clone()).or_default().extend(written);
                }
            }
            let shown = commitments.into_iter().filter(|(key, _)| *key == "seen");
            let shown: Vec<Digest> = shown.map(|(_, digest)| digest).collect();
            if !shown.is_empty() {
                seen.entry(sealed.stream.clone()).or_default().extend(shown);
            }
            if let Some(Ok(release)) = sealed.stream.strip_prefix("release/").map(ReleaseKey::new) {
                for id in person_ids(&sealed.bytes) {
                    if let Some(person) = by_id.get(id).and_then(|&index| people.get_mut(index)) {
                        person.releases.insert(release.clone());
                    }
                }
            }
        }
    }
    for person in people {
        let own = person.written.keys();
        person.seen = own
            .filter_map(|stream| Some((stream.clone(), seen.get(stream)?.clone())))
            .collect();
    }
    Ok(next - 1)
}

/// Commitments to texts, with the member that holds them. A fingerprint only repeats what somebody else wrote.
fn gather<'a>(event: &'a Value, found: &mut Vec<(&'a str, Digest)>) {
    match event {
        Value::Object(members) => {
            for (key, value) in members.iter().filter(|(key, _)| *key != "fingerprint") {
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

/// Finds the texts that have to go: what they wrote; copies of it and what signers saw, in the same releases; and whatever
/// names them anywhere.
pub(super) async fn read_texts(store: &Store, people: &mut [Trail], names: &[String]) -> Result<(), HandleError> {
    let words = Words::of(names);
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
            let mut whose: BTreeSet<usize> = slack_ids(&text.value)
                .filter_map(|id| by_user.get(id).copied())
                .collect();
            if words.are_in(&text.value) {
                whose.extend(0..people.len());
            }
            for (index, values) in writers.get(&text.stream).into_iter().flatten() {
                if is_theirs(text, &people[*index], values) {
                    whose.insert(*index);
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

fn is_theirs(text: &KeptText, person: &Trail, values: &[String]) -> bool {
    let of = |kept: &BTreeMap<String, BTreeSet<Digest>>| {
        kept.get(&text.stream)
            .is_some_and(|commitments| commitments.contains(&text.commitment))
    };
    let is_copy = |value: &String| {
        text.value.trim() == value
            || (value.chars().count() >= COPY_CHARACTERS_MIN && text.value.contains(value.as_str()))
    };
    of(&person.written) || of(&person.seen) || values.iter().any(is_copy)
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
