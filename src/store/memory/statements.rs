//! What each statement of the store does to the tables: the same as its SQL, row by row and column by column.

use super::tables::{Beat, Job, Message, Person, Stream, Tables};
use crate::store::error::Failure;
use crate::store::sql::Param;
use domain::log_entry::Sealed;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

type Rows = Result<Vec<Vec<Param>>, Failure>;

/// The parameters of a statement, by their numbers in its text.
#[derive(Clone, Copy)]
struct Given<'a>(&'a [Param]);

impl Given<'_> {
    fn text(&self, number: usize) -> Result<&str, Failure> {
        match self.0.get(number - 1) {
            Some(Param::Text(text)) => Ok(text),
            other => Err(Failure::broken(format!("${number} is no text: {other:?}"))),
        }
    }

    fn int(&self, number: usize) -> Result<i64, Failure> {
        super::int(self.0, number - 1)
    }

    fn limit(&self, number: usize) -> Result<usize, Failure> {
        Ok(usize::try_from(self.int(number)?).unwrap_or_default())
    }

    fn list<T: DeserializeOwned>(&self, number: usize) -> Result<Vec<T>, Failure> {
        serde_json::from_str(self.text(number)?).map_err(|why| Failure::broken(format!("${number}: {why}")))
    }
}

fn unknown(name: &str) -> Failure {
    Failure::broken(format!(
        "the store in memory doesn't know the statement `{name}`: add it"
    ))
}

fn number(value: u64) -> Param {
    Param::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

impl Tables {
    pub(super) fn read(&self, name: &str, params: &[Param]) -> Rows {
        let given = Given(params);
        match name {
            "jobs" | "dead_jobs" | "job_counts" => self.read_jobs(name, given),
            "message" | "messages_of" | "find_message" => {
                let is_meant = |row: &&Message| -> Result<bool, Failure> {
                    Ok(match name {
                        "message" => row.id == given.text(1)?,
                        "messages_of" => row.subject == given.text(1)?,
                        _ => row.channel == given.text(1)? && row.ts == given.text(2)? && !row.ts.is_empty(),
                    })
                };
                let mut rows = Vec::new();
                for row in self.messages.values() {
                    if is_meant(&row)? {
                        rows.push(message_row(row));
                    }
                }
                Ok(rows)
            }
            "people" | "known_people" | "host_seen" | "beats" => self.read_people(name, given),
            _ => self.read_log(name, given),
        }
    }

    fn read_jobs(&self, name: &str, given: Given<'_>) -> Rows {
        let mut jobs: Vec<&Job> = Vec::new();
        match name {
            "jobs" => {
                let states: Vec<String> = given.list(1)?;
                let (lane, subject) = (given.text(2)?, given.text(3)?);
                jobs.extend(self.jobs.values().filter(|job| {
                    states.contains(&job.state)
                        && (lane.is_empty() || job.lane == lane)
                        && (subject.is_empty() || job.subject == subject)
                }));
            }
            "dead_jobs" => {
                let subject = given.text(1)?;
                let is_meant = |job: &&Job| job.state == "dead" && (subject.is_empty() || job.subject == subject);
                jobs.extend(self.jobs.values().filter(is_meant));
            }
            _ => return Ok(self.job_counts()),
        }
        jobs.sort_by(|a, b| (a.due_ms, &a.id).cmp(&(b.due_ms, &b.id)));
        let limit = if name == "jobs" { given.limit(4)? } else { 1_000 };
        Ok(jobs.into_iter().take(limit).map(|job| job_row(job, false)).collect())
    }

    fn job_counts(&self) -> Vec<Vec<Param>> {
        let mut counts: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
        for job in self.jobs.values() {
            if matches!(job.state.as_str(), "queued" | "running" | "dead") {
                let count = counts.entry((&job.lane, &job.state)).or_insert((0, i64::MAX));
                *count = (count.0 + 1, count.1.min(job.due_ms));
            }
        }
        let row =
            |((lane, state), (count, due_ms))| vec![text(lane), text(state), Param::Int(count), Param::Int(due_ms)];
        counts.into_iter().map(row).collect()
    }

    fn read_people(&self, name: &str, given: Given<'_>) -> Rows {
        let row = |person: &Person| vec![text(&person.id), text(&person.team), text(&person.slack_user)];
        match name {
            "people" => {
                let mut ids: Vec<String> = given.list(1)?;
                ids.sort();
                ids.dedup();
                Ok(ids.iter().filter_map(|id| self.persons.get(id)).map(row).collect())
            }
            "known_people" => {
                let people: Vec<(String, String)> = given.list(1)?;
                let known = people.iter().filter_map(|person| self.person_ids.get(person));
                Ok(known.filter_map(|id| self.persons.get(id)).map(row).collect())
            }
            "host_seen" => {
                let host = given.text(1)?;
                let seen = self.beats.values().filter(|beat| beat.host == host);
                let latest = seen.map(|beat| beat.beat_ms).max();
                Ok(latest.into_iter().map(|beat_ms| vec![Param::Int(beat_ms)]).collect())
            }
            _ => {
                let mut beats: Vec<&Beat> = self.beats.values().collect();
                beats.sort_by(|a, b| (-a.beat_ms, &a.owner).cmp(&(-b.beat_ms, &b.owner)));
                let row = |beat: &Beat| {
                    let times = [beat.beat_ms, beat.got_on_ms].map(Param::Int);
                    [text(&beat.owner), text(&beat.host)].into_iter().chain(times).collect()
                };
                Ok(beats.into_iter().map(row).collect())
            }
        }
    }

    fn read_log(&self, name: &str, given: Given<'_>) -> Rows {
        match name {
            "head" => Ok(vec![vec![
                number(self.head.position),
                text(self.head.hash.as_str()),
                Param::Int(self.head.logged_ms),
            ]]),
            "last_position" => Ok(vec![vec![number(self.log.last().map_or(0, |entry| entry.position))]]),
            "streams" => {
                let names: Vec<String> = given.list(1)?;
                let rows = names.iter().filter_map(|name| self.streams.get(name));
                Ok(rows.filter(|row| row.version > 0).map(stream_row).collect())
            }
            "list" => {
                let (service, statuses): (_, Vec<String>) = (given.text(3)?, given.list(4)?);
                let mut rows: Vec<&Stream> = self
                    .below(given)?
                    .filter(|row| {
                        (service.is_empty() || row.service == service)
                            && (statuses.is_empty() || statuses.contains(&row.status))
                    })
                    .collect();
                rows.sort_by(|a, b| (b.updated_ms, &b.stream).cmp(&(a.updated_ms, &a.stream)));
                Ok(rows.into_iter().take(given.limit(5)?).map(stream_row).collect())
            }
            "count" => Ok(vec![vec![number(self.below(given)?.count() as u64)]]),
            "highest_key_number" => {
                let digits_from = given.limit(3)?;
                let number_of = |row: &Stream| {
                    let digits: String = row.stream.chars().skip(digits_from - 1).collect();
                    let is_number = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
                    is_number.then(|| digits.parse::<i64>().ok()).flatten()
                };
                let highest = self.below(given)?.filter_map(number_of).max();
                Ok(vec![vec![Param::Int(highest.unwrap_or_default())]])
            }
            "logged_streams" => {
                let (from, to) = (given.text(1)?, given.text(2)?);
                let mut last: BTreeMap<&str, u64> = BTreeMap::new();
                for (stream, version) in self.log_stream.keys() {
                    if stream.as_str() >= from && stream.as_str() < to && *version > 0 {
                        last.insert(stream, *version);
                    }
                }
                Ok(last
                    .into_iter()
                    .map(|(stream, version)| vec![text(stream), number(version)])
                    .collect())
            }
            "entries" => {
                let from = usize::try_from(given.int(1)?.max(1) - 1).unwrap_or(usize::MAX);
                Ok(self
                    .log
                    .iter()
                    .skip(from)
                    .take(given.limit(2)?)
                    .map(entry_row)
                    .collect())
            }
            "entries_of" => {
                let stream = given.text(1)?.to_owned();
                let all = (stream.clone(), 0)..=(stream, u64::MAX);
                let index = |position: &u64| usize::try_from(*position - 1).unwrap_or(usize::MAX);
                let entries = self.log_stream.range(all).filter_map(|(_, at)| self.log.get(index(at)));
                Ok(entries.map(entry_row).collect())
            }
            "kept_texts" => {
                let (after, limit) = (given.text(1)?, given.limit(2)?);
                let there = self
                    .texts
                    .values()
                    .filter(|row| row.commitment.as_str() > after && row.erased_ms == 0);
                let row = |row: &super::tables::Text| vec![text(&row.commitment), text(&row.stream), text(&row.value)];
                Ok(there.take(limit).map(row).collect())
            }
            "texts" | "private_texts" => {
                let commitments: Vec<String> = given.list(1)?;
                let there = commitments.iter().filter_map(|commitment| self.texts.get(commitment));
                let there = there.filter(|row| row.erased_ms == 0);
                Ok(there
                    .map(|row| match name {
                        "texts" => vec![text(&row.commitment), text(&row.value)],
                        _ => vec![text(&row.salt), text(&row.value)],
                    })
                    .collect())
            }
            "reply" => {
                let request = self.requests.get(given.text(1)?);
                Ok(request.into_iter().map(|request| vec![text(&request.reply)]).collect())
            }
            "repeats" => {
                let window = self.windows.get(given.text(1)?);
                Ok(window.into_iter().map(|window| vec![number(window.count)]).collect())
            }
            _ => Err(unknown(name)),
        }
    }

    /// State rows from `$1` to before `$2`.
    fn below(&self, given: Given<'_>) -> Result<impl Iterator<Item = &Stream>, Failure> {
        let (from, to) = (given.text(1)?.to_owned(), given.text(2)?.to_owned());
        Ok(self
            .streams
            .range(from..to)
            .map(|(_, row)| row)
            .filter(|row| row.version > 0))
    }

    pub(super) fn change(&mut self, name: &str, params: &[Param]) -> Rows {
        let given = Given(params);
        match name {
            "claim" => self.claim(given),
            "begin_post" | "record_posted" | "forget_posted" | "forget_rendered" | "record_verified"
            | "record_rendered" => self.change_message(name, given),
            "take_turn" => self.take_turn(given),
            "erase_person" | "erase_texts" | "erase_replies" | "erase_rendered" | "erase_turns" | "erase_messages"
            | "erase_reasons" => self.erase(name, given),
            "add_people" => {
                let people: Vec<(String, String, String)> = given.list(1)?;
                let mut added = Vec::new();
                for (id, team, slack_user) in people {
                    let key = (team.clone(), slack_user.clone());
                    if self.person_ids.contains_key(&key) {
                        continue;
                    }
                    added.push(vec![text(&id)]);
                    self.person_ids.insert(key, id.clone());
                    self.persons.insert(id.clone(), Person { id, team, slack_user });
                }
                Ok(added)
            }
            "beat" => {
                let (owner, host) = (given.text(1)?.to_owned(), given.text(2)?.to_owned());
                let (beat_ms, got_on_ms) = (given.int(3)?, given.int(4)?);
                let before = self.beats.get(&owner).map_or(0, |beat| beat.got_on_ms);
                let beat = Beat {
                    owner: owner.clone(),
                    host,
                    beat_ms,
                    got_on_ms: if got_on_ms == 0 { before } else { got_on_ms },
                };
                let row = vec![vec![text(&owner)]];
                self.beats.insert(owner, beat);
                Ok(row)
            }
            "purge_jobs" | "purge_requests" | "purge_beats" | "purge_windows" => self.purge(name, given),
            _ => self.change_jobs(name, given),
        }
    }

    fn erase(&mut self, name: &str, given: Given<'_>) -> Rows {
        match name {
            "erase_person" => {
                if let Some(person) = self.persons.remove(given.text(1)?) {
                    self.person_ids.remove(&(person.team, person.slack_user));
                }
            }
            "erase_texts" => {
                let commitments: Vec<String> = given.list(1)?;
                let now_ms = given.int(2)?;
                for commitment in commitments {
                    if let Some(row) = self.texts.get_mut(&commitment).filter(|row| row.erased_ms == 0) {
                        row.salt.clear();
                        row.value.clear();
                        row.erased_ms = now_ms;
                    }
                }
            }
            "erase_replies" => self.requests.values_mut().for_each(|request| request.reply.clear()),
            "erase_rendered" => {
                let subjects: Vec<String> = given.list(1)?;
                let about = self.messages.values_mut().filter(|row| subjects.contains(&row.subject));
                about.for_each(|row| row.rendered.clear());
            }
            "erase_turns" | "erase_messages" => {
                let ids: Vec<String> = given.list(1)?;
                for id in ids {
                    if name == "erase_messages" {
                        self.messages.remove(&id);
                    } else if let Some(row) = self.messages.get(&id) {
                        self.channel_turns.remove(&row.channel);
                    }
                }
            }
            _ => {
                let marks: Vec<(String,)> = given.list(1)?;
                for job in self.jobs.values_mut() {
                    if marks
                        .iter()
                        .any(|(mark,)| !mark.is_empty() && job.reason.contains(mark))
                    {
                        job.reason.clear();
                    }
                }
            }
        }
        Ok(Vec::new())
    }

    fn claim(&mut self, given: Given<'_>) -> Rows {
        let (lane, owner, limit) = (given.text(1)?, given.text(2)?, given.limit(3)?);
        let (now_ms, lease_until_ms) = (given.int(4)?, given.int(5)?);
        let in_lane = || self.open().filter(|job| job.lane == lane);
        let mut lost: Vec<&Job> = in_lane()
            .filter(|job| job.state == "running" && job.lease_until_ms <= now_ms)
            .collect();
        lost.sort_by_key(|job| job.lease_until_ms);
        let mut due: Vec<&Job> = in_lane()
            .filter(|job| job.state == "queued" && job.due_ms <= now_ms && !self.must_wait(job))
            .collect();
        due.sort_by(|a, b| (a.due_ms, &a.id).cmp(&(b.due_ms, &b.id)));
        let ready: Vec<String> = lost
            .into_iter()
            .take(limit)
            .chain(due.into_iter().take(limit))
            .take(limit)
            .map(|job| job.id.clone())
            .collect();
        let mut rows = Vec::new();
        for id in ready {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if job.is_used_up() {
                if job.state == "running" {
                    "lost too often".clone_into(&mut job.reason);
                }
                "dead".clone_into(&mut job.state);
                (job.finished_ms, job.lease_until_ms) = (now_ms, 0);
            } else {
                "running".clone_into(&mut job.state);
                (job.finished_ms, job.lease_until_ms) = (0, lease_until_ms);
                job.attempt += 1;
            }
            owner.clone_into(&mut job.owner);
            rows.push(job_row(job, true));
            self.index(&id);
        }
        Ok(rows)
    }

    /// Whether an older job of the same key is unfinished.
    fn must_wait(&self, job: &Job) -> bool {
        job.order_key.is_some()
            && self.open().any(|older| {
                older.order_key == job.order_key
                    && older.id != job.id
                    && (older.state == "running" || (older.order_position, &older.id) < (job.order_position, &job.id))
            })
    }

    fn change_jobs(&mut self, name: &str, given: Given<'_>) -> Rows {
        let held: Vec<(String, i64)> = if name == "renew" { given.list(2)? } else { Vec::new() };
        let hurried: Vec<(String, i64, i64)> = if name == "hurry" { given.list(1)? } else { Vec::new() };
        let mut changed = Vec::new();
        for job in self.jobs.values_mut() {
            let runs = job.state == "running";
            match name {
                "renew" => {
                    let is_held = || {
                        held.iter()
                            .any(|(id, attempt)| *id == job.id && *attempt == job.attempt)
                    };
                    if !(runs && job.owner == given.text(1)? && is_held()) {
                        continue;
                    }
                    job.lease_until_ms = given.int(3)?;
                }
                "hurry" => {
                    let mut meant = hurried.iter().filter(|(id, attempt, due_ms)| {
                        *id == job.id && *attempt == job.attempt && job.state == "queued" && job.due_ms > *due_ms
                    });
                    let Some((_, _, due_ms)) = meant.next() else { continue };
                    job.due_ms = *due_ms;
                    job.forgiven += 1;
                }
                "requeue_owner" if runs && job.owner == given.text(1)? => {
                    "queued".clone_into(&mut job.state);
                    job.forgiven += 1;
                    job.lease_until_ms = 0;
                    job.owner.clear();
                }
                "end_leases" if runs => job.lease_until_ms = 0,
                "retry_job" if job.state == "dead" && job.id == given.text(1)? => {
                    "queued".clone_into(&mut job.state);
                    (job.forgiven, job.due_ms, job.finished_ms) = (job.attempt, given.int(2)?, 0);
                }
                "drop_job" if job.state == "dead" && job.id == given.text(1)? => {
                    "dropped".clone_into(&mut job.state);
                    job.finished_ms = given.int(2)?;
                }
                "requeue_owner" | "end_leases" | "retry_job" | "drop_job" => continue,
                _ => return Err(unknown(name)),
            }
            changed.push(job.id.clone());
        }
        for id in &changed {
            self.index(id);
        }
        Ok(changed.iter().map(|id| vec![text(id)]).collect())
    }

    fn change_message(&mut self, name: &str, given: Given<'_>) -> Rows {
        let id = given.text(1)?;
        if name == "begin_post" && !self.messages.contains_key(id) {
            let row = Message {
                id: id.to_owned(),
                subject: given.text(2)?.to_owned(),
                channel: given.text(3)?.to_owned(),
                ts: String::new(),
                state: "posting".to_owned(),
                rendered_version: 0,
                rendered: String::new(),
                attempted_ms: given.int(5)?,
            };
            let answer = vec![message_row(&row)];
            self.messages.insert(id.to_owned(), row);
            return Ok(answer);
        }
        if name == "record_posted" {
            let (channel, ts) = (given.text(2)?, given.text(3)?);
            let others = self.messages.values().filter(|row| row.id != id);
            if others
                .into_iter()
                .any(|row| row.channel == channel && row.ts == ts && !ts.is_empty())
            {
                return Err(Failure::broken(format!("another message stands at {channel} {ts}")));
            }
        }
        let Some(row) = self.messages.get_mut(id) else {
            return Ok(Vec::new());
        };
        match name {
            "begin_post" if row.state == "posting" && row.attempted_ms == given.int(4)? => {
                row.attempted_ms = given.int(5)?;
                given.text(3)?.clone_into(&mut row.channel);
                return Ok(vec![message_row(row)]);
            }
            "record_posted" => {
                let (channel, ts) = (given.text(2)?, given.text(3)?);
                if !(row.ts.is_empty() || (row.ts == ts && row.channel == channel)) {
                    return Ok(Vec::new());
                }
                if row.ts.is_empty() {
                    row.rendered_version = given.int(4)?;
                    given.text(5)?.clone_into(&mut row.rendered);
                }
                if row.state != "verified" {
                    "posted".clone_into(&mut row.state);
                }
                channel.clone_into(&mut row.channel);
                ts.clone_into(&mut row.ts);
            }
            "forget_posted" if row.ts == given.text(2)? && row.state == "posted" => {
                row.ts.clear();
                "posting".clone_into(&mut row.state);
                row.rendered_version = 0;
                row.rendered.clear();
            }
            "forget_rendered" => row.rendered.clear(),
            "record_verified" if !row.ts.is_empty() => "verified".clone_into(&mut row.state),
            "record_rendered" if row.rendered_version == given.int(2)? && row.rendered == given.text(5)? => {
                row.rendered_version = given.int(3)?;
                given.text(4)?.clone_into(&mut row.rendered);
            }
            _ => return Ok(Vec::new()),
        }
        Ok(vec![vec![text(&row.id)]])
    }

    fn take_turn(&mut self, given: Given<'_>) -> Rows {
        let (channel, now_ms, gap_ms) = (given.text(1)?, given.int(2)?, given.int(3)?);
        let (wait_max_ms, ahead_max_ms) = (given.int(4)?, given.int(5)?);
        let next_ms = match self.channel_turns.get(channel) {
            None => now_ms + gap_ms,
            Some(&next_ms) if next_ms <= now_ms + wait_max_ms || next_ms > now_ms + ahead_max_ms => {
                let is_ahead = (now_ms..=now_ms + wait_max_ms).contains(&next_ms);
                gap_ms + if is_ahead { next_ms } else { now_ms }
            }
            Some(_) => return Ok(Vec::new()),
        };
        self.channel_turns.insert(channel.to_owned(), next_ms);
        Ok(vec![vec![Param::Int(next_ms - gap_ms - now_ms)]])
    }

    fn purge(&mut self, name: &str, given: Given<'_>) -> Rows {
        let before_ms = given.int(1)?;
        let limit = if name == "purge_beats" {
            usize::MAX
        } else {
            given.limit(2)?
        };
        let mut old: Vec<(i64, String)> = match name {
            "purge_jobs" => {
                let is_old =
                    |job: &&Job| matches!(job.state.as_str(), "done" | "dropped") && job.finished_ms < before_ms;
                let old = self.jobs.values().filter(is_old);
                old.map(|job| (job.finished_ms, job.id.clone())).collect()
            }
            "purge_requests" => {
                let old = self.requests.values().filter(|request| request.answered_ms < before_ms);
                old.map(|request| (request.answered_ms, request.id.clone())).collect()
            }
            "purge_beats" => {
                let old = self.beats.values().filter(|beat| beat.beat_ms < before_ms);
                old.map(|beat| (beat.beat_ms, beat.owner.clone())).collect()
            }
            _ => {
                let old = self
                    .windows
                    .iter()
                    .filter(|(_, w)| w.opened_ms < before_ms && w.count == 0);
                old.map(|(key, window)| (window.opened_ms, key.clone())).collect()
            }
        };
        old.sort();
        old.truncate(limit);
        for (_, id) in &old {
            match name {
                "purge_jobs" => drop(self.jobs.remove(id)),
                "purge_requests" => drop(self.requests.remove(id)),
                "purge_beats" => drop(self.beats.remove(id)),
                _ => drop(self.windows.remove(id)),
            }
        }
        Ok(old.iter().map(|(_, id)| vec![text(id)]).collect())
    }
}

fn text(value: &str) -> Param {
    Param::Text(value.to_owned())
}

fn job_row(job: &Job, with_owner: bool) -> Vec<Param> {
    let mut row = vec![
        text(&job.id),
        text(&job.kind),
        text(&job.payload),
        text(&job.lane),
        text(&job.subject),
        text(&job.state),
        Param::Int(job.attempt),
        Param::Int(job.forgiven),
        Param::Int(job.attempts_max),
        Param::Int(job.due_ms),
        Param::Int(job.created_ms),
        text(&job.reason),
    ];
    if with_owner {
        row.push(text(&job.owner));
    }
    row
}

fn message_row(row: &Message) -> Vec<Param> {
    vec![
        text(&row.id),
        text(&row.subject),
        text(&row.channel),
        text(&row.ts),
        text(&row.state),
        Param::Int(row.rendered_version),
        text(&row.rendered),
        Param::Int(row.attempted_ms),
    ]
}

fn stream_row(row: &Stream) -> Vec<Param> {
    vec![
        text(&row.stream),
        number(row.version),
        text(&row.service),
        text(&row.status),
        text(&row.state),
        Param::Int(row.updated_ms),
    ]
}

fn entry_row(entry: &Sealed) -> Vec<Param> {
    vec![
        number(entry.position),
        text(&entry.stream),
        number(entry.version),
        Param::Int(entry.logged_ms),
        text(&entry.bytes),
        text(entry.previous.as_str()),
        text(entry.hash.as_str()),
    ]
}
