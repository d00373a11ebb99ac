//! The tables of `migrations/`, as maps, with their unique indexes; and what a group commit reads and writes in them.

use crate::store::erasing;
use crate::store::error::Failure;
use crate::store::plan::{self, Held, Plan, Snapshot, Wanted, Window};
use crate::store::{Commit, NewJob};
use domain::log_entry::{Head, Sealed};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::struct_field_names)] // The columns' own names.
pub(super) struct Stream {
    pub stream: String,
    pub version: u64,
    pub service: String,
    pub status: String,
    pub state: String,
    pub updated_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub id: String,
    pub kind: String,
    pub payload: String,
    pub lane: String,
    pub subject: String,
    pub order_key: Option<String>,
    pub order_position: i64,
    pub coalesce_key: Option<String>,
    pub state: String,
    pub due_ms: i64,
    pub attempt: i64,
    pub forgiven: i64,
    pub attempts_max: i64,
    pub lease_until_ms: i64,
    pub owner: String,
    pub created_ms: i64,
    pub finished_ms: i64,
    pub reason: String,
}

impl Job {
    pub fn is_used_up(&self) -> bool {
        self.attempt - self.forgiven >= self.attempts_max
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Message {
    pub id: String,
    pub subject: String,
    pub channel: String,
    pub ts: String,
    pub state: String,
    pub rendered_version: i64,
    pub rendered: String,
    pub attempted_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    pub id: String,
    pub reply: String,
    pub answered_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Text {
    pub commitment: String,
    pub stream: String,
    pub salt: String,
    pub value: String,
    pub erased_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Person {
    pub id: String,
    pub team: String,
    pub slack_user: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::struct_field_names)] // The columns' own names.
pub(super) struct Beat {
    pub owner: String,
    pub host: String,
    pub beat_ms: i64,
    pub got_on_ms: i64,
}

/// Everything that the database holds.
pub(super) struct Tables {
    pub head: Head,
    pub log: Vec<Sealed>,
    /// Positions by stream and version.
    pub log_stream: BTreeMap<(String, u64), u64>,
    pub streams: BTreeMap<String, Stream>,
    pub requests: BTreeMap<String, Request>,
    pub business_keys: BTreeMap<String, i64>,
    pub texts: BTreeMap<String, Text>,
    pub windows: BTreeMap<String, Window>,
    pub jobs: BTreeMap<String, Job>,
    /// Ids of jobs that are queued or running.
    pub open_jobs: BTreeSet<String>,
    pub messages: BTreeMap<String, Message>,
    pub channel_turns: BTreeMap<String, i64>,
    pub persons: BTreeMap<String, Person>,
    pub person_ids: BTreeMap<(String, String), String>,
    pub beats: BTreeMap<String, Beat>,
    /// Results that a group took from a worker that did not hold the job: there must never be one.
    pub stale_results: u64,
}

impl Tables {
    pub fn new(log: &str) -> Self {
        Self {
            head: Head::genesis(log),
            log: Vec::new(),
            log_stream: BTreeMap::new(),
            streams: BTreeMap::new(),
            requests: BTreeMap::new(),
            business_keys: BTreeMap::new(),
            texts: BTreeMap::new(),
            windows: BTreeMap::new(),
            jobs: BTreeMap::new(),
            open_jobs: BTreeSet::new(),
            messages: BTreeMap::new(),
            channel_turns: BTreeMap::new(),
            persons: BTreeMap::new(),
            person_ids: BTreeMap::new(),
            beats: BTreeMap::new(),
            stale_results: 0,
        }
    }

    /// What a group wants to know.
    pub fn snapshot(&self, wanted: &Wanted<'_>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for &id in &wanted.requests {
            if let Some(request) = self.requests.get(id) {
                snapshot.replies.insert(id.to_owned(), request.reply.clone());
            }
        }
        for &stream in &wanted.streams {
            if let Some(row) = self.streams.get(stream) {
                snapshot.versions.insert(stream.to_owned(), row.version);
            }
        }
        for &key in &wanted.unique {
            if self.business_keys.contains_key(key) {
                snapshot.unique.insert(key.to_owned());
            }
        }
        for &key in &wanted.windows {
            if let Some(window) = self.windows.get(key) {
                snapshot.windows.insert(key.to_owned(), *window);
            }
        }
        for &id in &wanted.people {
            if self.persons.contains_key(id) {
                snapshot.people.insert(id.to_owned());
            }
        }
        for &id in &wanted.jobs {
            if let Some(job) = self.jobs.get(id).filter(|job| job.state == "running") {
                let held = Held {
                    owner: job.owner.clone(),
                    attempt: u32::try_from(job.attempt).unwrap_or_default(),
                    ordered: job.order_key.is_some(),
                };
                snapshot.held.insert(id.to_owned(), held);
            }
        }
        snapshot
    }

    /// Writes a plan, whole or not at all.
    pub fn apply(
        &mut self,
        commits: &[&Commit],
        plan: &Plan<'_>,
        sealed: Vec<Sealed>,
        head: Head,
    ) -> Result<(), Failure> {
        let twice = |entry: &Sealed| self.log_stream.contains_key(&(entry.stream.clone(), entry.version));
        if let Some(entry) = sealed.iter().find(|entry| twice(entry)) {
            let (stream, version) = (&entry.stream, entry.version);
            return Err(Failure::broken(format!("{stream} has an entry {version} already")));
        }
        for &index in &plan.answered {
            if let Some(request) = &commits[index].request {
                let row = Request {
                    id: request.id.clone(),
                    reply: request.reply.clone(),
                    answered_ms: commits[index].decided_ms,
                };
                self.requests.insert(row.id.clone(), row);
            }
        }
        self.apply_streams(plan);
        for &index in &plan.settled {
            self.settle(commits[index]);
        }
        for &index in &plan.winners {
            self.hold(commits[index]);
            self.apply_winner(commits[index]);
        }
        for (erasure, decided_ms) in erasing::of(commits, plan) {
            for (sql, params) in erasing::statements(erasure, decided_ms) {
                self.change(sql.name, &params)?;
            }
        }
        for (key, window) in &plan.windows {
            self.windows.insert((*key).to_owned(), *window);
        }
        for key in &plan.closed {
            self.windows.remove(*key);
        }
        for entry in sealed {
            self.log_stream
                .insert((entry.stream.clone(), entry.version), entry.position);
            self.log.push(entry);
        }
        self.head = head;
        Ok(())
    }

    fn apply_streams(&mut self, plan: &Plan<'_>) {
        for (version, state) in plan.states.values() {
            let row = Stream {
                stream: state.stream.clone(),
                version: *version,
                service: state.service.clone(),
                status: state.status.clone(),
                state: state.state.clone(),
                updated_ms: state.updated_ms,
            };
            self.streams.insert(row.stream.clone(), row);
        }
        for (stream, (version, updated_ms)) in &plan.bumps {
            let row = self.streams.entry((*stream).to_owned()).or_insert_with(|| Stream {
                stream: (*stream).to_owned(),
                version: 0,
                service: String::new(),
                status: String::new(),
                state: "{}".to_owned(),
                updated_ms: 0,
            });
            (row.version, row.updated_ms) = (*version, *updated_ms);
        }
    }

    fn settle(&mut self, commit: &Commit) {
        let Some(settlement) = &commit.settles else { return };
        let held = self.jobs.get_mut(&settlement.job).filter(|job| {
            job.state == "running" && job.owner == settlement.owner && job.attempt == i64::from(settlement.attempt)
        });
        let Some(job) = held else {
            self.stale_results += 1;
            return;
        };
        let (state, due_ms, reason, forgiven, finished_ms) = plan::fate_columns(&settlement.fate, commit.decided_ms);
        state.clone_into(&mut job.state);
        job.due_ms = due_ms.unwrap_or(job.due_ms);
        if let Some(reason) = reason {
            reason.clone_into(&mut job.reason);
        }
        job.forgiven += forgiven;
        job.finished_ms = finished_ms;
        job.lease_until_ms = 0;
        job.owner.clear();
        self.index(&settlement.job);
    }

    fn hold(&mut self, commit: &Commit) {
        for hold in &commit.holds {
            let Some(job) = self.jobs.get_mut(&hold.job) else {
                continue;
            };
            if !matches!(job.state.as_str(), "queued" | "running") {
                continue;
            }
            let (state, due_ms, reason, _, finished_ms) = plan::fate_columns(&hold.fate, commit.decided_ms);
            state.clone_into(&mut job.state);
            job.due_ms = due_ms.unwrap_or(job.due_ms);
            if let Some(reason) = reason {
                reason.clone_into(&mut job.reason);
            }
            job.finished_ms = finished_ms;
            job.lease_until_ms = 0;
            job.owner.clear();
            self.index(&hold.job);
        }
    }

    fn apply_winner(&mut self, commit: &Commit) {
        for key in &commit.unique {
            self.business_keys.insert(key.clone(), commit.decided_ms);
        }
        for text in &commit.texts {
            let commitment = text.text.commitment().to_string();
            self.texts.entry(commitment.clone()).or_insert_with(|| Text {
                commitment,
                stream: text.stream.clone(),
                salt: text.text.salt.clone(),
                value: text.text.value.clone(),
                erased_ms: 0,
            });
        }
        for job in &commit.jobs {
            self.queue(job, commit.decided_ms);
        }
    }

    fn queue(&mut self, job: &NewJob, created_ms: i64) {
        let waits = |other: &Job| {
            job.coalesce_key.is_some()
                && other.coalesce_key == job.coalesce_key
                && other.state == "queued"
                && other.attempt == 0
        };
        if self.jobs.contains_key(&job.id) || self.open().any(waits) {
            return;
        }
        let row = Job {
            id: job.id.clone(),
            kind: job.kind.clone(),
            payload: job.payload.clone(),
            lane: job.lane.clone(),
            subject: job.subject.clone(),
            order_key: job.order_key.clone(),
            order_position: job.order,
            coalesce_key: job.coalesce_key.clone(),
            state: "queued".to_owned(),
            due_ms: job.due_ms,
            attempt: 0,
            forgiven: 0,
            attempts_max: i64::from(job.attempts_max),
            lease_until_ms: 0,
            owner: String::new(),
            created_ms,
            finished_ms: 0,
            reason: String::new(),
        };
        self.jobs.insert(job.id.clone(), row);
        self.index(&job.id);
    }

    /// Jobs that are queued or running.
    pub fn open(&self) -> impl Iterator<Item = &Job> {
        self.open_jobs.iter().filter_map(|id| self.jobs.get(id))
    }

    /// Keeps `open_jobs` true after a job has changed.
    pub fn index(&mut self, id: &str) {
        let state = self.jobs.get(id).map(|job| job.state.as_str());
        if matches!(state, Some("queued" | "running")) {
            self.open_jobs.insert(id.to_owned());
        } else {
            self.open_jobs.remove(id);
        }
    }

    /// A table as rows of columns.
    pub fn rows(&self, table: &str) -> Vec<Map<String, Value>> {
        match table {
            "stream" => columns(self.streams.values()),
            "request" => columns(self.requests.values()),
            "private_text" => columns(self.texts.values()),
            "job" => columns(self.jobs.values()),
            "message" => columns(self.messages.values()),
            "person" => columns(self.persons.values()),
            "heartbeat" => columns(self.beats.values()),
            "business_key" => self
                .business_keys
                .keys()
                .map(|key| Map::from_iter([("key".to_owned(), Value::from(key.as_str()))]))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Replaces rows of a table by their keys.
    pub fn put(&mut self, table: &str, rows: Vec<Map<String, Value>>) {
        for row in rows.into_iter().map(Value::Object) {
            match table {
                "stream" => keep(&mut self.streams, row, |row: &Stream| &row.stream),
                "private_text" => keep(&mut self.texts, row, |row: &Text| &row.commitment),
                "job" => {
                    let id = row["id"].as_str().unwrap_or_default().to_owned();
                    keep(&mut self.jobs, row, |row: &Job| &row.id);
                    self.index(&id);
                }
                _ => {}
            }
        }
    }
}

fn columns<'a, T: Serialize + 'a>(rows: impl Iterator<Item = &'a T>) -> Vec<Map<String, Value>> {
    rows.filter_map(|row| match serde_json::to_value(row) {
        Ok(Value::Object(columns)) => Some(columns),
        _ => None,
    })
    .collect()
}

fn keep<T: for<'de> Deserialize<'de>>(rows: &mut BTreeMap<String, T>, row: Value, key: fn(&T) -> &String) {
    if let Ok(row) = serde_json::from_value::<T>(row) {
        rows.insert(key(&row).clone(), row);
    }
}
