//! The durable steps of both scenarios, and which of them the kills fell into. A step lies between two transactions of a
//! release's stream; what one transaction writes is there at once or not at all.

use crate::support::process::Told;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How often each step is hit in a run that aims at all of them.
pub const HITS_WANTED: usize = 3;
pub const NOTHING_YET: &str = "nothing yet";
const MESSAGES: &str = "(released: messages)";

/// From the last event of one transaction to the first of the next, in a release that nothing disturbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub service: &'static str,
    pub last: String,
    next: String,
    /// How many of `next` there are once it is done.
    nth: usize,
}

impl Step {
    /// Whether a release with these events is in this step: the one is durable and the other is not.
    pub fn is_under_way(&self, events: &[String]) -> bool {
        let done = events.iter().filter(|event| **event == self.next).count();
        last_of(events) == self.last && done < self.nth
    }

    /// How many kills fell into it. What came next instead, because of the kill, makes no difference.
    pub fn hits<'a>(&self, stood: impl IntoIterator<Item = &'a Stood>) -> usize {
        let is_hit = |stood: &&Stood| stood.service == self.service && self.is_under_way(&stood.events);
        stood.into_iter().filter(is_hit).count()
    }
}

/// Where a release stood when a kill fell.
#[derive(Debug, Clone)]
pub struct Stood {
    pub key: String,
    pub service: &'static str,
    /// Every event that was durable.
    pub events: Vec<String>,
}

/// The names of events; an attempt that ended otherwise than well is another one.
pub fn names(told: &[Told]) -> Vec<String> {
    told.iter().map(name).collect()
}

fn name(told: &Told) -> String {
    let ended_badly = told.name == "AttemptEnded.v1" && !told.data["result"].to_string().contains("succeeded");
    let how = if ended_badly { " (not well)" } else { "" };
    format!("{}{how}", told.name)
}

fn last_of(events: &[String]) -> &str {
    events.last().map_or(NOTHING_YET, String::as_str)
}

/// Every step of a release that nothing disturbed.
pub fn steps_of(service: &'static str, told: &[Told]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut so_far: Vec<String> = Vec::new();
    let step = |so_far: &[String], next: &str| Step {
        service,
        last: last_of(so_far).to_owned(),
        next: next.to_owned(),
        nth: 1 + so_far.iter().filter(|event| *event == next).count(),
    };
    for transaction in told.chunk_by(|one, next| one.logged_ms == next.logged_ms) {
        steps.push(step(&so_far, &name(&transaction[0])));
        so_far.extend(names(transaction));
    }
    steps.push(step(&so_far, MESSAGES));
    steps
}

/// Between which events the kills fell, as it went on after them.
pub fn table(stood: &[Stood], log: &[Told]) -> String {
    let mut streams: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for told in log {
        streams.entry(&told.stream).or_default().push(told);
    }
    let mut counts: BTreeMap<(&str, &str, String), usize> = BTreeMap::new();
    for stood in stood {
        let stream = format!("release/{}", stood.key);
        let told = streams.get(stream.as_str());
        let next = told.and_then(|told| told.get(stood.events.len()));
        let next = next.map_or(MESSAGES.to_owned(), |told| name(told));
        *counts.entry((stood.service, last_of(&stood.events), next)).or_default() += 1;
    }
    let mut table = String::from("kills  the release's last durable step -> what came next");
    for ((service, last, next), count) in counts {
        let _ = write!(table, "\n{count:5}  {service:8}  {last} -> {next}");
    }
    table
}

/// How often each step was hit.
pub fn table_of_steps(steps: &[Step], stood: &[Stood]) -> String {
    let mut table = String::from(" hits  a durable step of an undisturbed release");
    for step in steps {
        let Step {
            service, last, next, ..
        } = step;
        let _ = write!(table, "\n{:5}  {service:8}  {last} -> {next}", step.hits(stood));
    }
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
    let log = [told(1, "A", 10), told(2, "B", 10), told(3, "B", 25), told(4, "C", 40)];
    let step = |last: &str, next: &str, nth| Step {
        service: "payments",
        last: last.to_owned(),
        next: next.to_owned(),
        nth,
    };
    let steps = [
        step(NOTHING_YET, "A", 1),
        step("B", "B", 2),
        step("B", "C", 1),
        step("C", MESSAGES, 1),
    ];
    assert_eq!(steps_of("payments", &log), steps);
    let hits = |events: &[&str]| {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        let stood = [Stood {
            key: "REL-1".to_owned(),
            service: "payments",
            events,
        }];
        steps.each_ref().map(|step| step.hits(&stood))
    };
    assert_eq!(hits(&[]), [1, 0, 0, 0]);
    assert_eq!(hits(&["A", "B"]), [0, 1, 1, 0]);
    assert_eq!(hits(&["A", "B", "B"]), [0, 0, 1, 0]);
    assert_eq!(hits(&["A", "B", "B", "C"]), [0, 0, 0, 1]);
    // Interrupted: it never comes to C, and is no step of an undisturbed one.
    assert_eq!(hits(&["A", "B", "X"]), [0, 0, 0, 0]);
}
