//! The durable steps of both scenarios, and which of them the kills fell into. A step lies between two transactions of a
//! release's stream; what one transaction writes is there at once or not at all.

use crate::support::process::Told;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How often each step is hit in a run that aims at all of them.
pub const HITS_WANTED: usize = 3;
const NOTHING_YET: &str = "nothing yet";
const MESSAGES: &str = "(released: messages)";

/// The service, the last event that was durable, and the one that came next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub service: &'static str,
    pub last: String,
    next: String,
}

/// Where a release stood when a kill fell.
#[derive(Debug, Clone)]
pub struct Stood {
    pub key: String,
    pub service: &'static str,
    version: u64,
    last: String,
}

impl Stood {
    pub fn of(key: &str, service: &'static str, told: &[Told]) -> Self {
        Self {
            key: key.to_owned(),
            service,
            version: told.last().map_or(0, |told| told.version),
            last: last_of(told).to_owned(),
        }
    }

    /// The step that it was in, once the log shows how it went on.
    fn step(&self, told: &[Told]) -> Step {
        let next = told.iter().find(|told| told.version == self.version + 1);
        Step {
            service: self.service,
            last: self.last.clone(),
            next: next.map_or(MESSAGES, |told| told.name.as_str()).to_owned(),
        }
    }
}

/// The event that a release's log ends with.
pub fn last_of(told: &[Told]) -> &str {
    told.last().map_or(NOTHING_YET, |told| told.name.as_str())
}

/// Every step of a release that nothing disturbed.
pub fn steps_of(service: &'static str, told: &[Told]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |last: &str, next: &str| {
        let (last, next) = (last.to_owned(), next.to_owned());
        steps.push(Step { service, last, next });
    };
    let mut last = NOTHING_YET;
    for transaction in told.chunk_by(|one, next| one.logged_ms == next.logged_ms) {
        step(last, &transaction[0].name);
        last = last_of(transaction);
    }
    step(last, MESSAGES);
    steps
}

/// How often the kills fell into each step.
pub fn hits<'a>(stood: impl IntoIterator<Item = &'a Stood>, log: &[Told]) -> BTreeMap<Step, usize> {
    let mut streams: BTreeMap<&str, Vec<Told>> = BTreeMap::new();
    for told in log {
        streams.entry(&told.stream).or_default().push(told.clone());
    }
    let mut hits = BTreeMap::new();
    for stood in stood {
        let stream = format!("release/{}", stood.key);
        let told = streams.get(stream.as_str()).map_or(&[][..], Vec::as_slice);
        *hits.entry(stood.step(told)).or_default() += 1;
    }
    hits
}

pub fn table(hits: &BTreeMap<Step, usize>, between: usize) -> String {
    let mut table = String::from("kills  the release's last durable step -> the next one\n");
    for (Step { service, last, next }, count) in hits {
        let _ = writeln!(table, "{count:5}  {service:8}  {last} -> {next}");
    }
    let _ = write!(table, "{between:5}  between releases");
    table
}

#[test]
fn what_one_transaction_writes_is_no_step() {
    let told = |version, name: &str, logged_ms| Told {
        stream: "release/REL-1".to_owned(),
        version,
        name: name.to_owned(),
        logged_ms,
        data: serde_json::Value::Null,
    };
    let log = [told(1, "A", 10), told(2, "B", 10), told(3, "C", 25)];
    let step = |last: &str, next: &str| Step {
        service: "payments",
        last: last.to_owned(),
        next: next.to_owned(),
    };
    let steps = [step(NOTHING_YET, "A"), step("B", "C"), step("C", MESSAGES)];
    assert_eq!(steps_of("payments", &log), steps);
    let stood = [&log[..0], &log[..2], &log[..2], &log[..]].map(|told| Stood::of("REL-1", "payments", told));
    let hits: Vec<_> = hits(&stood, &log).into_iter().collect();
    let expected = [
        (step("B", "C"), 2),
        (step("C", MESSAGES), 1),
        (step(NOTHING_YET, "A"), 1),
    ];
    assert_eq!(hits, expected);
}
