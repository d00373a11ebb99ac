//! Erasing people: finds what of them stands beside the log, and removes it in one transaction with the entry that says so.
//! The log itself holds random ids and salted commitments, and is not touched.

mod trail;

use super::{HandleError, build};
use crate::fresh;
use crate::people::SlackUser;
use crate::store::{AnsweredRequest, Commit, Erasure, NewJob, Outcome, Store, StoredText};
use anyhow::Context as _;
use domain::effects::Due;
use domain::event::Event;
use domain::ids::{PersonId, ReleaseKey};
use domain::job::{Job, MessageId};
use domain::log_entry::Draft;
use domain::release::{Release, Status};
use domain::rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;
use trail::{Trail, Words};

/// Where erasures are logged.
pub const STREAM: &str = "workspace/people";
/// People that are erased in one go.
pub const PEOPLE_MAX: usize = 2_000;
const REASON_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=1_000;
/// A name that is shorter would be found everywhere.
const NAME_CHARACTERS_MIN: usize = 3;
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
const RELEASES_AT_ONCE: usize = 500;

/// Who is to be erased, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The workspace, `T…`.
    pub team: String,
    /// Whom, `U…` or `W…`.
    pub users: Vec<String>,
    /// What else they are called, such as a name or an e-mail address: texts that hold it go too.
    pub names: Vec<String>,
    /// Who decides it, a member of the same workspace.
    pub by: String,
    /// Why; kept beside the log, so it must not name them.
    pub reason: String,
}

/// What became of one person of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Gone.
    Erased {
        /// The id in the log that stands for nobody now, if there was one.
        person: Option<String>,
        /// Texts that went.
        texts: u64,
        /// Releases whose log holds the id.
        releases: u64,
    },
    /// They have a part in releases that are not over.
    Unfinished {
        /// Which.
        releases: Vec<String>,
    },
    /// There was nothing of theirs.
    Nothing,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// By Slack id.
    pub fates: BTreeMap<String, Fate>,
    /// Whether the database has given up the bytes too.
    pub forgotten: bool,
}

/// Does it. Safe to repeat: what is gone is gone, and what came in since goes too.
///
/// # Errors
/// `Err` within for a wish that can't be meant; a [`HandleError`] when the database can't be asked. People that were erased
/// before it stay erased.
pub async fn erase(store: &Store, wish: &Wish, now_ms: i64) -> Result<Result<Report, String>, HandleError> {
    if let Err(why) = check(wish) {
        return Ok(Err(why));
    }
    let pairs: Vec<(&str, &str)> = wish
        .users
        .iter()
        .map(|user| (wish.team.as_str(), user.as_str()))
        .collect();
    let ids = store.ids_on_record(&pairs).await?;
    let mut people: Vec<Trail> = Vec::new();
    for user in wish.users.iter().collect::<BTreeSet<_>>() {
        let id = ids.get(&(wish.team.clone(), user.clone())).cloned();
        let id = id.map(PersonId::new).transpose().context("a person's id");
        people.push(Trail::new(user.clone(), id.map_err(HandleError::Broken)?));
    }
    let by = store
        .person_ids(&[(&wish.team, &wish.by)], &[fresh::person_id().to_string()])
        .await?;
    let by = by.into_iter().next().unwrap_or_default();
    let read_to = trail::read_log(store, 1, &mut people).await?;
    trail::read_texts(store, &mut people, &wish.names).await?;
    let mut fates = BTreeMap::new();
    for person in &people {
        fates.insert(person.user.clone(), erase_one(store, wish, &by, person, now_ms).await?);
    }
    let erased = |user: &str| matches!(fates.get(user), Some(Fate::Erased { .. }));
    // Nothing that they do is committed any more; what was, between our reading and their end, goes as well.
    let mut late: Vec<Trail> = people
        .iter()
        .filter(|one| erased(&one.user))
        .map(Trail::again)
        .collect();
    trail::read_log(store, read_to + 1, &mut late).await?;
    late.retain(Trail::has_written);
    if !late.is_empty() {
        trail::read_texts(store, &mut late, &[]).await?;
        for person in &late {
            let more = erase_one(store, wish, &by, person, now_ms).await?;
            if let (Fate::Erased { texts: more, .. }, Some(Fate::Erased { texts, .. })) =
                (more, fates.get_mut(&person.user))
            {
                *texts += more;
            }
        }
    }
    let forgotten = store.forget_bytes().await?;
    Ok(Ok(Report { fates, forgotten }))
}

fn check(wish: &Wish) -> Result<(), String> {
    let is_team = wish.team.starts_with('T') && crate::slack::view::is_slack_id(&wish.team);
    if !is_team {
        return Err("write each person as TEAM/USER, such as T0ACME/U0123456".to_owned());
    }
    for user in wish.users.iter().chain([&wish.by]) {
        SlackUser::new(user.as_str()).map_err(|why| format!("`{user}`: {why}"))?;
    }
    if wish.users.is_empty() || wish.users.len() > PEOPLE_MAX {
        return Err(format!("name 1 to {PEOPLE_MAX} people"));
    }
    if wish.users.contains(&wish.by) {
        return Err("somebody else has to decide it: who is erased can't answer for it".to_owned());
    }
    if wish.names.len() > 20 || (wish.users.len() > 1 && !wish.names.is_empty()) {
        return Err("names belong to one person; erase people with names one by one".to_owned());
    }
    if let Some(short) = wish
        .names
        .iter()
        .find(|name| name.trim().chars().count() < NAME_CHARACTERS_MIN)
    {
        return Err(format!(
            "`{short}` would be found everywhere; names here have {NAME_CHARACTERS_MIN} characters or more"
        ));
    }
    if !REASON_CHARACTERS.contains(&wish.reason.trim().chars().count()) || wish.reason.contains('\0') {
        return Err("say why, in 3 to 1,000 characters".to_owned());
    }
    let words = Words::of(&wish.names);
    if wish
        .users
        .iter()
        .any(|user| trail::slack_ids(&wish.reason).any(|id| id == user))
        || words.are_in(&wish.reason)
    {
        return Err("the reason is kept: say it without naming the person".to_owned());
    }
    Ok(())
}

async fn erase_one(store: &Store, wish: &Wish, by: &str, person: &Trail, now_ms: i64) -> Result<Fate, HandleError> {
    let involved: Vec<&str> = person.releases.iter().map(ReleaseKey::as_str).collect();
    // Whose mapping is gone already is not spared for what came in just before.
    let unfinished = if person.is_late {
        Vec::new()
    } else {
        unfinished(store, &person.releases).await?
    };
    if !unfinished.is_empty() {
        return Ok(Fate::Unfinished { releases: unfinished });
    }
    if person.id.is_none() && person.texts.is_empty() {
        return Ok(Fate::Nothing);
    }
    let texts = person.texts.len() as u64;
    let subjects: BTreeSet<String> = involved
        .iter()
        .map(|key| (*key).to_owned())
        .chain(person.text_releases.iter().map(ReleaseKey::to_string))
        .collect();
    let (messages, jobs) = messages_of(store, &subjects, person, now_ms).await?;
    let reason = fresh::private_text(wish.reason.trim());
    let event = Event::PersonErased {
        person: person.id.clone().filter(|_| !person.is_late),
        texts,
        reason: reason.commitment(),
    };
    let commit = Commit {
        // A row that is never purged away before the next one: the planner's samples of this table are replaced only while it
        // has rows.
        request: Some(AnsweredRequest {
            id: format!("erasure/{}", fresh::random_hex(16)),
            reply: String::new(),
        }),
        entries: vec![entry(by, &event, now_ms).map_err(HandleError::Broken)?],
        texts: vec![StoredText {
            stream: STREAM.to_owned(),
            text: reason,
        }],
        jobs,
        people: vec![by.to_owned()],
        erases: Some(Erasure {
            person: person.id.as_ref().map(ToString::to_string),
            texts: person.texts.iter().cloned().collect(),
            subjects: subjects.into_iter().collect(),
            messages,
            marks: wish.names.iter().chain([&person.user]).cloned().collect(),
        }),
        decided_ms: now_ms,
        ..Commit::default()
    };
    match store.commit(commit, Instant::now() + COMMIT_WITHIN).await? {
        Outcome::Committed { .. } => Ok(Fate::Erased {
            person: person.id.as_ref().map(ToString::to_string),
            texts,
            releases: involved.len() as u64,
        }),
        outcome => Err(HandleError::Broken(anyhow::anyhow!("an erasure ended as {outcome:?}"))),
    }
}

fn entry(by: &str, event: &Event, now_ms: i64) -> anyhow::Result<Draft> {
    Ok(Draft {
        stream: STREAM.to_owned(),
        // Nobody compares this stream.
        version: 0,
        decided_ms: now_ms,
        actor: by.to_owned(),
        request: None,
        event: serde_json::to_value(event).context("an event")?,
    })
}

/// Those of the releases in which somebody may still sign or start something, so that what was erased could be shown, signed and
/// kept again; and those that can't be read.
async fn unfinished(store: &Store, releases: &BTreeSet<ReleaseKey>) -> Result<Vec<String>, HandleError> {
    let streams: Vec<String> = releases.iter().map(ReleaseKey::stream).collect();
    let streams: Vec<&str> = streams.iter().map(String::as_str).collect();
    let mut over = BTreeSet::new();
    for some in streams.chunks(RELEASES_AT_ONCE) {
        for row in store.streams(some).await? {
            if serde_json::from_str::<Release>(&row.state).is_ok_and(|release| is_over(&release)) {
                over.insert(row.stream);
            }
        }
    }
    let open = releases.iter().filter(|key| !over.contains(&key.stream()));
    Ok(open.map(ToString::to_string).collect())
}

/// Whether a message is ever rendered anew; the others say what was true when they were posted.
fn is_kept_true(message: &MessageId) -> bool {
    message.is_live() || matches!(message, MessageId::Outcome { .. })
}

fn is_over(release: &Release) -> bool {
    let owes_a_sign_off = release.open_debts().any(|(rule, _)| rule == Rule::SignoffTechLead);
    matches!(release.status, Status::Released | Status::Cancelled) && !owes_a_sign_off
}

/// The direct messages to the person, and what makes the other messages that change show that something is gone.
async fn messages_of(
    store: &Store,
    releases: &BTreeSet<String>,
    person: &Trail,
    now_ms: i64,
) -> Result<(Vec<String>, Vec<NewJob>), HandleError> {
    let (mut own, mut jobs) = (Vec::new(), Vec::new());
    for release in releases {
        for row in store.messages_of(release).await? {
            let Ok(message) = MessageId::try_from(row.id.clone()) else {
                continue;
            };
            let to = match &message {
                MessageId::Question { person, .. } | MessageId::Rejection { person, .. } => Some(person),
                _ => None,
            };
            if to.is_some() && to == person.id.as_ref() {
                own.push(row.id);
            } else if is_kept_true(&message) && !row.ts.is_empty() {
                let due = Due {
                    job: Job::RefreshMessage { message },
                    at_ms: now_ms,
                };
                let job = build::new_job(&due, 0, jobs.len(), now_ms).map_err(HandleError::Broken)?;
                let id = format!("erasure/{}", fresh::random_hex(16));
                jobs.push(NewJob { id, ..job });
            }
        }
    }
    Ok((own, jobs))
}
