//! Which members of a group win, and what then has to be written. Pure: both engines read a [`Snapshot`]
//! under their locks, resolve it here, and write the [`Plan`].

use super::error::Failure;
use super::{Commit, Fate, Outcome, RepeatGuard, StateRow};
use domain::log_entry::{self, Draft, Head};
use domain::sabotage::{Guard, is_out};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Refuses what can never be written, before it shares a transaction with others.
pub(super) fn validate(commit: &Commit) -> Result<(), Failure> {
    // PostgreSQL's texts can't hold it; the log's bytes can, since JSON escapes it.
    if texts_of(commit).any(|text| text.contains('\0')) {
        return Err(Failure::broken("a text contains a NUL character"));
    }
    log_entry::seal(&Head::genesis(""), &commit.entries, commit.decided_ms)
        .map_err(|why| Failure::broken(format!("an entry has no canonical form: {why}")))?;
    let mut versions = BTreeMap::new();
    for read in &commit.reads {
        super::sql::signed(read.version)?;
        if versions
            .insert(read.stream.as_str(), read.version)
            .is_some_and(|v| v != read.version)
        {
            return Err(Failure::broken(format!("{} was read at two versions", read.stream)));
        }
    }
    for draft in commit.entries.iter().filter(|draft| draft.version > 0) {
        let Some(version) = versions.get_mut(draft.stream.as_str()) else {
            return Err(Failure::broken(format!("{} is written but was not read", draft.stream)));
        };
        *version += 1;
        if *version != draft.version {
            return Err(Failure::broken(format!(
                "the next entry of {} has version {version}, not {}",
                draft.stream, draft.version
            )));
        }
    }
    if commit.jobs.iter().any(|job| job.attempts_max == 0) {
        return Err(Failure::broken("a job without attempts would be dead at once"));
    }
    for state in &commit.states {
        let last = versions.get(state.stream.as_str());
        if state.version == 0 || last != Some(&state.version) {
            return Err(Failure::broken(format!(
                "the state of {} is not that of its last entry",
                state.stream
            )));
        }
    }
    Ok(())
}

fn texts_of(commit: &Commit) -> impl Iterator<Item = &str> {
    let request = commit.request.iter().flat_map(|r| [r.id.as_str(), &r.reply]);
    let reads = commit.reads.iter().map(|r| r.stream.as_str());
    let states = commit
        .states
        .iter()
        .flat_map(|s| [s.service.as_str(), &s.status, &s.state]);
    let entries = commit.entries.iter().map(|e| e.stream.as_str());
    let unique = commit.unique.iter().map(String::as_str);
    let texts = commit
        .texts
        .iter()
        .flat_map(|t| [t.stream.as_str(), &t.text.salt, &t.text.value]);
    let jobs = commit.jobs.iter().flat_map(|j| {
        let keys = [j.order_key.as_deref(), j.coalesce_key.as_deref()];
        [j.id.as_str(), &j.kind, &j.payload, &j.lane, &j.subject]
            .into_iter()
            .chain(keys.into_iter().flatten())
    });
    let settled = commit
        .settles
        .iter()
        .flat_map(|s| [s.job.as_str(), &s.owner, reason_of(&s.fate)]);
    let held = commit
        .holds
        .iter()
        .flat_map(|hold| [hold.job.as_str(), reason_of(&hold.fate)]);
    let people = commit.people.iter().map(String::as_str);
    let erased = commit.erases.iter().flat_map(|e| {
        let lists = [&e.subjects, &e.messages, &e.marks].into_iter().flatten();
        lists.chain(&e.person).map(String::as_str)
    });
    let repeats = commit.repeat.iter().map(|r| r.key.as_str());
    let closed = commit.closes_repeat.iter().map(|c| c.key.as_str());
    request
        .chain(reads)
        .chain(states)
        .chain(entries)
        .chain(unique)
        .chain(texts)
        .chain(jobs)
        .chain(settled)
        .chain(held)
        .chain(people)
        .chain(erased)
        .chain(repeats)
        .chain(closed)
}

fn reason_of(fate: &Fate) -> &str {
    match fate {
        Fate::Done => "",
        Fate::Again { reason, .. } | Fate::Dead { reason } => reason,
    }
}

/// A key that two members of one group must not share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Exclusive<'a> {
    Request(&'a str),
    Stream(&'a str),
    Unique(&'a str),
    Repeat(&'a str),
    Job(&'a str),
}

/// What `commit` needs for itself within its group. Streams without compared versions are not among them.
pub(super) fn exclusive_keys(commit: &Commit) -> impl Iterator<Item = Exclusive<'_>> {
    let request = commit.request.iter().map(|r| Exclusive::Request(&r.id));
    let entries = commit
        .entries
        .iter()
        .filter(|e| e.version > 0)
        .map(|e| Exclusive::Stream(&e.stream));
    let states = commit.states.iter().map(|s| Exclusive::Stream(&s.stream));
    let unique = commit.unique.iter().map(|key| Exclusive::Unique(key));
    let repeat = commit.repeat.iter().map(|r| Exclusive::Repeat(&r.key));
    let closed = commit.closes_repeat.iter().map(|c| Exclusive::Repeat(&c.key));
    let job = commit.settles.iter().map(|s| Exclusive::Job(&s.job));
    let held = commit.holds.iter().map(|hold| Exclusive::Job(&hold.job));
    request
        .chain(entries)
        .chain(states)
        .chain(unique)
        .chain(repeat)
        .chain(closed)
        .chain(job)
        .chain(held)
}

/// A window of repeats as it stands in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) opened_ms: i64,
    pub(super) count: u64,
}

/// A job in somebody's hands.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) owner: String,
    pub(super) attempt: u32,
    /// Whether others wait for its end.
    pub(super) ordered: bool,
}

/// What the database holds of everything that the group asks for, read under its locks.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Saved replies by request id.
    pub(super) replies: HashMap<String, String>,
    /// Versions by stream; a stream that is absent has version 0.
    pub(super) versions: HashMap<String, u64>,
    /// Business keys that exist.
    pub(super) unique: HashSet<String>,
    /// Open windows by key.
    pub(super) windows: HashMap<String, Window>,
    /// Running jobs by id.
    pub(super) held: HashMap<String, Held>,
    /// People who are on record.
    pub(super) people: HashSet<String>,
}

/// What a group writes: that of its winners, in key order where rows are locked by writing them.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    /// Indexes of the members whose request is answered by this group.
    pub(super) answered: Vec<usize>,
    /// With the version after this group, which may be later than the state's.
    pub(super) states: BTreeMap<&'a str, (u64, &'a StateRow)>,
    /// Streams that move without a state of their own, with version and time.
    pub(super) bumps: BTreeMap<&'a str, (u64, i64)>,
    /// Indexes of the members whose business keys, texts and jobs are written.
    pub(super) winners: Vec<usize>,
    /// Indexes of the members whose job ends with this group.
    pub(super) settled: Vec<usize>,
    pub(super) windows: BTreeMap<&'a str, Window>,
    pub(super) closed: BTreeSet<&'a str>,
    pub(super) drafts: Vec<Draft>,
    /// Whether a worker may find something to do now.
    pub(super) wakes: bool,
}

/// How one member ends.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Its entries are `drafts[first..first + count]` of the plan.
    Wins { first: usize, count: usize },
    /// Lost or counted: the outcome as it stands.
    Ends(Outcome),
}

/// Judges `members` one after another, each seeing what those before it have changed.
pub(super) fn resolve<'a>(members: &[&'a Commit], snapshot: &mut Snapshot) -> (Vec<Verdict>, Plan<'a>) {
    let mut plan = Plan::default();
    let verdicts = members
        .iter()
        .enumerate()
        .map(|(index, commit)| judge(index, commit, snapshot, &mut plan))
        .collect();
    (verdicts, plan)
}

fn judge<'a>(index: usize, commit: &'a Commit, now: &mut Snapshot, plan: &mut Plan<'a>) -> Verdict {
    if let Some(reply) = commit.request.as_ref().and_then(|r| now.replies.get(&r.id))
        && !is_out(Guard::UniqueRequest)
    {
        return Verdict::Ends(Outcome::Duplicate { reply: reply.clone() });
    }
    if let Some(settled) = &commit.settles {
        let held = now.held.get(&settled.job);
        let is_holder = |held: &&Held| held.owner == settled.owner && held.attempt == settled.attempt;
        match held.filter(|held| is_holder(held) || is_out(Guard::JobFence)) {
            // Its end may be what another job waits for.
            Some(held) => plan.wakes |= held.ordered,
            None => return Verdict::Ends(Outcome::LostJob),
        }
    }
    if conflicts(commit, now) {
        return Verdict::Ends(Outcome::Conflict);
    }
    if commit.request.is_some() {
        plan.answered.push(index);
    }
    if commit.settles.is_some() {
        plan.settled.push(index);
    }
    if let Some(guard) = &commit.repeat
        && let Some(window) = repeats(guard, commit.decided_ms, now)
    {
        plan.windows.insert(&guard.key, window);
        return Verdict::Ends(Outcome::Counted);
    }
    win(index, commit, now, plan)
}

fn conflicts(commit: &Commit, now: &Snapshot) -> bool {
    let moved = |stream: &str, seen| now.versions.get(stream).copied().unwrap_or(0) != seen;
    commit.reads.iter().any(|read| moved(&read.stream, read.version)) && !is_out(Guard::VersionCheck)
        || commit.unique.iter().any(|key| now.unique.contains(key)) && !is_out(Guard::BusinessKey)
        || commit.people.iter().any(|person| !now.people.contains(person))
        || commit.closes_repeat.as_ref().is_some_and(|closed| {
            now.windows
                .get(&closed.key)
                .is_none_or(|window| window.count != closed.count)
        })
}

/// The window with one more repeat, if it is open.
fn repeats(guard: &RepeatGuard, decided_ms: i64, now: &Snapshot) -> Option<Window> {
    let window = now.windows.get(&guard.key)?;
    let open = decided_ms < window.opened_ms.saturating_add(guard.window_ms);
    open.then_some(Window {
        count: window.count + 1,
        ..*window
    })
}

fn win<'a>(index: usize, commit: &'a Commit, now: &mut Snapshot, plan: &mut Plan<'a>) -> Verdict {
    plan.winners.push(index);
    plan.wakes |= !commit.jobs.is_empty();
    if let Some(guard) = &commit.repeat {
        // A window that is over but not closed keeps its count: whoever closes it must still name it.
        let count = now.windows.get(&guard.key).map_or(0, |window| window.count);
        plan.windows.insert(
            &guard.key,
            Window {
                opened_ms: commit.decided_ms,
                count,
            },
        );
    }
    if let Some(person) = commit.erases.as_ref().and_then(|erases| erases.person.as_ref()) {
        now.people.remove(person);
    }
    plan.closed
        .extend(commit.closes_repeat.iter().map(|closed| closed.key.as_str()));
    let first = plan.drafts.len();
    for entry in &commit.entries {
        let version = now.versions.entry(entry.stream.clone()).or_default();
        *version += 1;
        match plan.states.get_mut(entry.stream.as_str()) {
            Some((after, _)) => *after = *version,
            None => drop(plan.bumps.insert(&entry.stream, (*version, commit.decided_ms))),
        }
        plan.drafts.push(Draft {
            version: *version,
            ..entry.clone()
        });
    }
    for state in &commit.states {
        let version = now.versions.get(&state.stream).copied().unwrap_or(state.version);
        plan.bumps.remove(state.stream.as_str());
        plan.states.insert(&state.stream, (version, state));
    }
    Verdict::Wins {
        first,
        count: commit.entries.len(),
    }
}

/// The outcomes, once the plan's drafts stand in the log from position `head_position + 1` on.
pub(super) fn outcomes(verdicts: Vec<Verdict>, head_position: u64) -> Vec<Outcome> {
    verdicts
        .into_iter()
        .map(|verdict| match verdict {
            Verdict::Ends(outcome) => outcome,
            Verdict::Wins { first, count } => Outcome::Committed {
                positions: (0..count).map(|n| head_position + 1 + (first + n) as u64).collect(),
            },
        })
        .collect()
}

/// Every key that a group asks for, sorted, each once.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) requests: Vec<&'a str>,
    pub(super) streams: Vec<&'a str>,
    pub(super) unique: Vec<&'a str>,
    pub(super) windows: Vec<&'a str>,
    pub(super) jobs: Vec<&'a str>,
    pub(super) people: Vec<&'a str>,
}

pub(super) fn wanted<'a>(commits: &[&'a Commit]) -> Wanted<'a> {
    let keys = |of: fn(&'a Commit, &mut BTreeSet<&'a str>)| {
        let mut keys = BTreeSet::new();
        for commit in commits {
            of(commit, &mut keys);
        }
        keys.into_iter().collect()
    };
    Wanted {
        requests: keys(|c, keys| keys.extend(c.request.iter().map(|r| r.id.as_str()))),
        streams: keys(|c, keys| {
            keys.extend(c.reads.iter().map(|r| r.stream.as_str()));
            keys.extend(c.entries.iter().map(|e| e.stream.as_str()));
        }),
        unique: keys(|c, keys| keys.extend(c.unique.iter().map(String::as_str))),
        windows: keys(|c, keys| {
            keys.extend(c.repeat.iter().map(|r| r.key.as_str()));
            keys.extend(c.closes_repeat.iter().map(|r| r.key.as_str()));
        }),
        jobs: keys(|c, keys| keys.extend(c.settles.iter().map(|s| s.job.as_str()))),
        people: keys(|c, keys| keys.extend(c.people.iter().map(String::as_str))),
    }
}

/// A fate as the job's columns: state, due time and reason if they change, attempts given back, end.
pub(super) fn fate_columns(fate: &Fate, now_ms: i64) -> (&'static str, Option<i64>, Option<&str>, i64, i64) {
    match fate {
        Fate::Done => ("done", None, None, 0, now_ms),
        Fate::Again {
            due_ms,
            reason,
            forgive,
        } => ("queued", Some(*due_ms), Some(reason), i64::from(*forgive), 0),
        Fate::Dead { reason } => ("dead", None, Some(reason), 0, now_ms),
    }
}

/// Streams that some member found or may find absent, sorted.
pub(super) fn absent<'a>(commits: &[&'a Commit]) -> Vec<&'a str> {
    let streams: BTreeSet<&str> = commits
        .iter()
        .flat_map(|c| {
            let read = c
                .reads
                .iter()
                .filter(|read| read.version == 0)
                .map(|read| read.stream.as_str());
            let unread = c
                .entries
                .iter()
                .filter(|entry| entry.version == 0)
                .map(|entry| entry.stream.as_str());
            read.chain(unread)
        })
        .collect();
    streams.into_iter().collect()
}

/// Streams that some member writes.
pub(super) fn written_streams<'a>(commits: &[&'a Commit]) -> HashSet<&'a str> {
    commits
        .iter()
        .flat_map(|c| {
            let entries = c.entries.iter().map(|entry| entry.stream.as_str());
            entries.chain(c.states.iter().map(|state| state.stream.as_str()))
        })
        .collect()
}
