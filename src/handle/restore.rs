//! Acknowledging that the database was restored from a backup: one commit with the entry that says so, every unfinished
//! attempt put into the hands of two people, and everything held that may have been sent or started already.

use super::{build, held, replay, replay_restores};
use crate::fresh;
use crate::store::{Commit, Fate, HeldJob, JobFilter, NewJob, Outcome, StateRow, Store, StoredText, StreamVersion};
use anyhow::Context as _;
use domain::command::Actor;
use domain::effects::{Due, effects};
use domain::event::Event;
use domain::job::{Job, MessageId};
use domain::log_entry::Draft;
use domain::policy::Policy;
use domain::release::{Release, Status};
use domain::restore::{self, LostCheckpoint, Restores};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const COMMIT_WITHIN: Duration = Duration::from_secs(30);

/// What an operator says about a restore.
#[derive(Debug)]
pub struct Acknowledgement<'a> {
    /// Who, in their own words.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
    /// The checkpoints that the log does not go through any more.
    pub lost: BTreeSet<LostCheckpoint>,
}

/// What an acknowledgement has done.
#[derive(Debug)]
pub struct Acknowledged {
    /// The position of its entry.
    pub position: u64,
    /// Releases whose attempt two people have to settle.
    pub attempts: Vec<String>,
    /// How many messages, mails, pages and timers are held.
    pub held: u64,
}

/// The restores that were acknowledged, from the log itself, every hash on the way checked.
///
/// # Errors
/// When the database can't be read, or an entry is broken.
pub async fn acknowledged(store: &Store) -> anyhow::Result<Restores> {
    replay_restores(&store.entries_of(restore::STREAM).await?).context("the log's acknowledged restores")
}

/// Writes the acknowledgement and all that follows from it, at once or not at all. Only for a bot that stands still.
///
/// # Errors
/// When the database can't be read or written, or was written by somebody else meanwhile.
pub async fn acknowledge(
    store: &Store,
    policy: &Policy,
    releases_channel: &str,
    said: Acknowledgement<'_>,
    now_ms: i64,
) -> anyhow::Result<Acknowledged> {
    let head = store.head().await?;
    // After everything that is logged, whatever the clocks did.
    let at_ms = now_ms.max(head.logged_ms);
    let mut commit = Commit {
        decided_ms: at_ms,
        ..Commit::default()
    };
    let attempts = interrupt(store, policy, &mut commit, at_ms).await?;
    let kept_back = hold(store, releases_channel, &attempts, &mut commit, at_ms).await?;
    show_anew(store, &mut commit, at_ms).await?;
    let entries = attempts.len() as u64 + 1;
    acknowledgement(store, &said, (attempts.len() as u64, kept_back), &mut commit).await?;
    let outcome = store.commit(commit, Instant::now() + COMMIT_WITHIN).await?;
    let Outcome::Committed { positions } = outcome else {
        anyhow::bail!("something else writes to this database: stop every process of the bot, then try again");
    };
    Ok(Acknowledged {
        position: positions.last().copied().unwrap_or(head.position + entries),
        attempts,
        held: kept_back,
    })
}

/// Holds what may have been sent or started; how much. The cards of `unsettled` releases are not held: the buttons that settle
/// their attempts are on them.
async fn hold(
    store: &Store,
    releases_channel: &str,
    unsettled: &[String],
    commit: &mut Commit,
    now_ms: i64,
) -> anyhow::Result<u64> {
    let filter = JobFilter {
        states: ["queued", "running"].map(str::to_owned).to_vec(),
        limit: u32::MAX,
        ..JobFilter::default()
    };
    let mut held = 0;
    let mut messages = BTreeSet::new();
    for row in store.jobs(&filter).await? {
        // A job of a later version: nobody here can say what it would do.
        let Ok(job) = serde_json::from_str::<Job>(&row.payload) else {
            continue;
        };
        let message = held::message_of(&job);
        let stands = match message {
            Some(MessageId::Card { release }) if unsettled.iter().any(|key| *key == release.as_str()) => continue,
            Some(message) => stands(store, message).await?,
            None => false,
        };
        let Some(mut fate) = held::fate(&job, row.due_ms, stands, now_ms) else {
            continue;
        };
        if let Some(message) = message {
            if messages.insert(message.clone()) {
                may_be_posted(store, message, releases_channel, row.created_ms).await?;
            } else {
                // One is enough to hold the message, and to send it.
                fate = Fate::Done;
            }
        }
        held += u64::from(matches!(fate, Fate::Dead { .. }));
        commit.holds.push(HeldJob { job: row.id, fate });
    }
    Ok(held)
}

/// Has every standing card and question of a release that is not over rendered anew: the lost history may have changed it in
/// Slack. What was rendered is forgotten before the acknowledgement; without it that costs one update of the same words.
async fn show_anew(store: &Store, commit: &mut Commit, now_ms: i64) -> anyhow::Result<()> {
    let over = [Status::Released.key(), Status::Cancelled.key()];
    for release in store.list("release/", None, &[], u32::MAX).await? {
        let Some(key) = release.stream.strip_prefix("release/") else {
            continue;
        };
        if over.contains(&release.status.as_str()) {
            continue;
        }
        for row in store.messages_of(key).await? {
            let Ok(message) = MessageId::try_from(row.id.clone()) else {
                continue;
            };
            if row.ts.is_empty() || !message.is_live() {
                continue;
            }
            store.forget_rendered(&row.id).await?;
            let due = Due {
                job: Job::RefreshMessage { message },
                at_ms: now_ms,
            };
            let job = build::new_job(&due, 0, 0, now_ms)?;
            let id = format!("restore/{}", fresh::random_hex(16));
            commit.jobs.push(NewJob { id, ..job });
        }
    }
    Ok(())
}

async fn stands(store: &Store, message: &MessageId) -> anyhow::Result<bool> {
    let row = store.message(&message.to_string()).await?;
    Ok(row.is_some_and(|row| !row.ts.is_empty()))
}

/// Makes whoever retries a held message look for it in #releases first, as after every posting of unknown outcome. Written before
/// the acknowledgement, and harmless without it: one more look, one more posting of what is true.
async fn may_be_posted(store: &Store, message: &MessageId, channel: &str, queued_ms: i64) -> anyhow::Result<()> {
    if matches!(
        message,
        MessageId::Notice { .. } | MessageId::Outcome { .. } | MessageId::Breach { .. }
    ) {
        let subject = message.release().as_str();
        store
            .begin_post(&message.to_string(), subject, channel, 0, queued_ms)
            .await?;
    }
    Ok(())
}

/// Gives every attempt that is not over to two people; the releases.
async fn interrupt(store: &Store, policy: &Policy, commit: &mut Commit, now_ms: i64) -> anyhow::Result<Vec<String>> {
    let mut keys = Vec::new();
    let with_attempts = [Status::Queued.key(), Status::Deploying.key(), Status::Interrupted.key()];
    for row in store.list("release/", None, &with_attempts, u32::MAX).await? {
        let release = replay(&store.entries_of(&row.stream).await?).with_context(|| row.stream.clone())?;
        let Some(mut release) = release else { continue };
        let Some(event) = restore::lost_attempt(&release) else {
            continue;
        };
        release.evolve(&event, now_ms);
        let version = row.version + 1;
        commit.reads.push(StreamVersion {
            stream: row.stream.clone(),
            version: row.version,
        });
        commit.entries.push(draft(row.stream.clone(), version, &event, now_ms)?);
        commit
            .jobs
            .extend(follow(store, &release, &event, version, policy, now_ms).await?);
        keys.push(release.key.to_string());
        commit.states.push(StateRow {
            stream: row.stream,
            version,
            service: release.service.to_string(),
            status: release.status.key().to_owned(),
            state: serde_json::to_string(&release).context("a release's state")?,
            updated_ms: now_ms,
        });
    }
    Ok(keys)
}

/// What is to be told of an attempt that is lost. A question that doesn't stand anywhere is not posted by this.
async fn follow(
    store: &Store,
    release: &Release,
    event: &Event,
    version: u64,
    policy: &Policy,
    now_ms: i64,
) -> anyhow::Result<Vec<NewJob>> {
    let mut jobs = Vec::new();
    let due = effects(release, std::slice::from_ref(event), version, policy, now_ms);
    for (index, due) in due.iter().enumerate() {
        if let Job::RefreshMessage {
            message: message @ MessageId::Question { .. },
        } = &due.job
            && !stands(store, message).await?
        {
            continue;
        }
        jobs.push(build::new_job(due, version, index, now_ms)?);
    }
    Ok(jobs)
}

/// The entry itself, the last one of its commit.
async fn acknowledgement(
    store: &Store,
    said: &Acknowledgement<'_>,
    (attempts, held): (u64, u64),
    commit: &mut Commit,
) -> anyhow::Result<()> {
    let now_ms = commit.decided_ms;
    let entries = store.entries_of(restore::STREAM).await?;
    let mut restores = replay_restores(&entries)?;
    let before = entries.last().map_or(0, |entry| entry.version);
    let (by, reason) = (fresh::private_text(said.by), fresh::private_text(said.reason));
    let event = Event::RestoreAcknowledged {
        by: by.commitment(),
        reason: reason.commitment(),
        fences_above: restore::fences_after(now_ms, &restores),
        checkpoints: said.lost.clone(),
        attempts,
        held,
    };
    restores.evolve(&event, now_ms);
    let stream = restore::STREAM.to_owned();
    commit.reads.push(StreamVersion {
        stream: stream.clone(),
        version: before,
    });
    commit.entries.push(draft(stream.clone(), before + 1, &event, now_ms)?);
    commit.texts.extend([by, reason].map(|text| StoredText {
        stream: stream.clone(),
        text,
    }));
    commit.states.push(StateRow {
        stream,
        version: before + 1,
        service: String::new(),
        status: String::new(),
        state: serde_json::to_string(&restores).context("the restores' state")?,
        updated_ms: now_ms,
    });
    Ok(())
}

fn draft(stream: String, version: u64, event: &Event, now_ms: i64) -> anyhow::Result<Draft> {
    Ok(Draft {
        stream,
        version,
        decided_ms: now_ms,
        actor: Actor::Countersign.id().to_owned(),
        request: None,
        event: serde_json::to_value(event).context("an event")?,
    })
}
