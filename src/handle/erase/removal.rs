//! The one commit that removes somebody, with the entry that says so.

use super::super::{HandleError, build};
use super::trail::Trail;
use super::{STREAM, Wish};
use crate::fresh;
use crate::store::{AnsweredRequest, Commit, Erasure, NewJob, Store, StoredText, StreamVersion};
use anyhow::Context as _;
use domain::effects::Due;
use domain::event::Event;
use domain::ids::ReleaseKey;
use domain::job::{Job, MessageId};
use domain::log_entry::Draft;
use std::collections::BTreeSet;

/// Removes what was found of a person, if the releases are still at the versions at which they were judged.
pub(super) async fn of(
    store: &Store,
    wish: &Wish,
    by: &str,
    person: &Trail,
    judged: Vec<StreamVersion>,
    now_ms: i64,
) -> Result<Commit, HandleError> {
    let subjects: BTreeSet<String> = person.involved().iter().map(ReleaseKey::to_string).collect();
    let (messages, jobs) = messages_of(store, &subjects, person, now_ms).await?;
    let reason = fresh::private_text(wish.reason.trim());
    let event = Event::PersonErased {
        person: person.id.clone().filter(|_| !person.is_gone),
        texts: person.texts.len() as u64,
        reason: reason.commitment(),
    };
    Ok(Commit {
        // A row that is never purged away before the next one: the planner's samples of this table are replaced only while it
        // has rows.
        request: Some(AnsweredRequest {
            id: format!("erasure/{}", fresh::random_hex(16)),
            reply: String::new(),
        }),
        reads: judged,
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
    })
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

/// Whether a message is ever rendered anew; the others say what was true when they were posted.
fn is_kept_true(message: &MessageId) -> bool {
    message.is_live() || matches!(message, MessageId::Outcome { .. })
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
