//! Carries a signed checkpoint of the log to a place that the owner of the database can't rewrite. The same checkpoint is
//! the same text every time, so whoever gets it twice has it once.

use super::retry::Ran;
use super::run::{Desk, Trouble};
use crate::checkpoints::due::was_made;
use crate::checkpoints::file;
use crate::checkpoints::fit::{Fit, Kept};
use crate::checkpoints::key::SigningKey;
use crate::failure::Failure;
use crate::handle::restore;
use crate::records::mail::Mail;
use crate::slack::checkpoint as words;
use crate::slack::client::Post;
use anyhow::Context as _;
use domain::checkpoint::Checkpoint;
use domain::job::CheckpointPlace;
use std::path::PathBuf;
use std::sync::Arc;

/// Where checkpoints go, and what signs them.
#[derive(Debug, Clone)]
pub struct Witnesses {
    /// Without it no checkpoint is made.
    pub key: Arc<SigningKey>,
    /// What they are appended to.
    pub file: Option<PathBuf>,
    /// Where they are posted.
    pub channel: Option<String>,
    /// Who is mailed.
    pub addresses: Vec<String>,
}

impl Witnesses {
    /// The places that are configured.
    pub fn places(&self) -> Vec<CheckpointPlace> {
        let file = self.file.as_ref().map(|_| CheckpointPlace::File);
        let channel = self.channel.as_ref().map(|_| CheckpointPlace::Channel);
        let mail = (!self.addresses.is_empty()).then_some(CheckpointPlace::Witnesses);
        [file, channel, mail].into_iter().flatten().collect()
    }
}

/// Brings the checkpoint at `position` to `place`.
pub(super) async fn carry(desk: &Desk<'_>, place: CheckpointPlace, position: u64) -> Result<Ran, Trouble> {
    let no_place = || Ran::Dead {
        reason: format!(
            "[audit] or COUNTERSIGN_CHECKPOINT_KEY was changed: nothing says where checkpoints for {} go",
            place.key()
        ),
    };
    let Some(witnesses) = &desk.outside.witnesses else {
        return Ok(no_place());
    };
    let entry = desk.handler.store.entries(position, 1).await?.pop();
    let Some(entry) = entry.filter(|entry| entry.position == position) else {
        return Ok(Ran::Dead {
            reason: format!("the log has no entry {position}: run `countersign audit verify`"),
        });
    };
    let checkpoint = Checkpoint {
        position,
        log: desk.handler.store.log_id().to_owned(),
        hash: entry.hash,
    };
    if let Some(why) = contradicts(desk, witnesses).await? {
        return Ok(Ran::Dead { reason: why });
    }
    let note = witnesses.key.sign(&checkpoint);
    match place {
        CheckpointPlace::File => match witnesses.file.clone() {
            Some(path) => append(path, note).await,
            None => Ok(no_place()),
        },
        CheckpointPlace::Channel => match &witnesses.channel {
            Some(channel) => post(desk, channel, &checkpoint, &note).await,
            None => Ok(no_place()),
        },
        CheckpointPlace::Witnesses if witnesses.addresses.is_empty() => Ok(no_place()),
        CheckpointPlace::Witnesses => mail(desk, &witnesses.addresses, &checkpoint, &note).await,
    }
}

/// Why nothing may be signed: the file holds a checkpoint that the log doesn't go through, so the database was put back or
/// rewritten under this process.
async fn contradicts(desk: &Desk<'_>, witnesses: &Witnesses) -> Result<Option<String>, Trouble> {
    let Some(path) = witnesses.file.clone() else {
        return Ok(None);
    };
    let store = &desk.handler.store;
    let (log, key) = (store.log_id().to_owned(), witnesses.key.public(store.log_id()));
    let read = tokio::task::spawn_blocking(move || Kept::read(&path, &log, Some(&key))).await;
    let fit = async {
        let kept = read.context("the file")??;
        let was_written = was_made(store, CheckpointPlace::File).await?;
        if let Some(why) = kept.suspicion(&store.head().await?, was_written) {
            anyhow::bail!(why);
        }
        kept.fit(store, &restore::acknowledged(store).await?).await
    };
    match fit.await {
        Ok(Fit::Not(misfit)) => Ok(Some(format!("no checkpoint is made: {misfit}"))),
        Ok(Fit::Nothing | Fit::Fits(_)) => Ok(None),
        // A mount that isn't there, a database that doesn't answer: may pass, and a person sees it in the list of jobs.
        Err(error) => Err(Failure::transient(format!("{error:#}")).into()),
    }
}

async fn append(path: PathBuf, note: String) -> Result<Ran, Trouble> {
    let written = tokio::task::spawn_blocking(move || file::append(&path, &note)).await;
    Ok(match written {
        Ok(Ok(())) => Ran::Done,
        // A full disk, a mount that isn't there: may pass, and a person sees it in the list of jobs.
        Ok(Err(error)) => Ran::Failed {
            retry_after_ms: None,
            reason: format!("{error:#}"),
        },
        Err(error) => Ran::Failed {
            retry_after_ms: None,
            reason: error.to_string(),
        },
    })
}

async fn post(desk: &Desk<'_>, channel: &str, checkpoint: &Checkpoint, note: &str) -> Result<Ran, Trouble> {
    let (store, outbox_id) = (&desk.handler.store, format!("checkpoint/{}", checkpoint.position));
    let seen = store.message(&outbox_id).await?;
    if seen.as_ref().is_some_and(|row| !row.ts.is_empty()) {
        return Ok(Ran::Done);
    }
    let seen_ms = seen.map_or(0, |row| row.attempted_ms);
    let attempt = store
        .begin_post(&outbox_id, "", channel, seen_ms, desk.now_ms())
        .await?;
    if !attempt.begun {
        return Ok(Ran::NotYet {
            after_ms: 1_000,
            reason: "another worker is posting it".to_owned(),
        });
    }
    let rendered = words::message(checkpoint, note);
    let post = Post {
        channel: channel.to_owned(),
        text: rendered.text,
        blocks: rendered.blocks,
        thread_ts: None,
        outbox_id: outbox_id.clone(),
    };
    let sent = desk.outside.slack.post(&post).await?;
    // A second copy says the same, and stays.
    store.record_posted(&outbox_id, &sent.channel, &sent.ts, 0, "").await?;
    Ok(Ran::Done)
}

/// One mail for each address. All of them again if one fails: the same Message-ID makes it the same mail.
async fn mail(desk: &Desk<'_>, addresses: &[String], checkpoint: &Checkpoint, note: &str) -> Result<Ran, Trouble> {
    let Some(mailer) = &desk.outside.mailer else {
        return Ok(Ran::Dead {
            reason: "no SMTP_URL is configured, so the witnesses were not mailed".to_owned(),
        });
    };
    let key = desk
        .outside
        .witnesses
        .as_ref()
        .map(|witnesses| witnesses.key.public(&checkpoint.log));
    let key = key.map(|key| key.to_string()).unwrap_or_default();
    let (subject, body) = words::mail(checkpoint, note, &key);
    let mut refused = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let Checkpoint { log, position, .. } = checkpoint;
        let mail = Mail {
            to: address.clone(),
            subject: subject.clone(),
            body: body.clone(),
            message_id: format!("<checkpoint.{log}.{position}.{index}@{}>", desk.outside.mail_domain),
        };
        match mailer.send(&mail).await {
            Ok(()) => {}
            // One bad address must not keep the others from it.
            Err(Failure::Permanent { message }) => refused.push(message),
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(if refused.is_empty() {
        Ran::Done
    } else {
        Ran::Dead {
            reason: format!(
                "{} of {} witnesses: {}",
                refused.len(),
                addresses.len(),
                refused.join("; ")
            ),
        }
    })
}
