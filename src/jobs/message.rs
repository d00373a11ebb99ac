//! Posting: once, found again after an unknown outcome, and kept true. Slack has no idempotency key, so a message's
//! outbox id travels in its metadata; #releases is searched for it before a repeat, elsewhere a second copy is
//! possible once and retired when somebody touches it.

mod content;

use super::retry::Ran;
use super::run::{Desk, Trouble};
use super::view::Scene;
use crate::failure::Failure;
use crate::handle::{Handled, held};
use crate::slack::blocks::Rendered;
use crate::slack::client::Post;
use crate::store::{MessageRow, MessageState};
use content::{place, render};
use domain::command::Intent;
use domain::digest::Digest;
use domain::job::MessageId;
use domain::restore::Restores;
use std::collections::BTreeSet;
use std::time::Duration;

/// A message that Slack took but doesn't have is posted again after this time.
const LOST_AFTER_MS: i64 = 30_000;
/// A try to post that began so lately may still be under way in another worker.
const IN_FLIGHT_MS: i64 = 2_000;
/// Two workers that update one message at once: how often the slower one makes sure of what stands there.
const REFRESH_ROUNDS_MAX: usize = 3;
/// Slack's history is searched from this long before the attempt whose outcome is unknown.
const SEARCH_BEFORE_MS: i64 = 120_000;
const SEARCH_PAGES_MAX: usize = 10;

/// Makes a message that changes show what is true now; posts it if it doesn't stand anywhere yet.
pub(super) async fn refresh(desk: &Desk<'_>, id: &MessageId) -> Result<Ran, Trouble> {
    for _ in 0..REFRESH_ROUNDS_MAX {
        if let Some(ran) = refresh_once(desk, id).await? {
            return Ok(ran);
        }
    }
    Ok(Ran::NotYet {
        after_ms: 1_000,
        reason: "other workers update it".to_owned(),
    })
}

/// One round; nothing if another worker's update came in between, so that nobody knows whose stands in Slack.
async fn refresh_once(desk: &Desk<'_>, id: &MessageId) -> Result<Option<Ran>, Trouble> {
    let Some(scene) = desk.handler.scene(id.release()).await? else {
        return Ok(Some(Ran::Done));
    };
    let row = desk.handler.store.message(&id.to_string()).await?;
    let Some(row) = row.filter(|row| !row.ts.is_empty()) else {
        if is_over(id, &scene) || is_held(desk, id).await? {
            return Ok(Some(Ran::Done));
        }
        return deliver(desk, id, &scene).await.map(Some);
    };
    let Some(rendered) = render(desk, id, &scene, &row.channel).await? else {
        return Ok(Some(Ran::Done));
    };
    let digest = digest(&rendered);
    if row.rendered == digest.as_str() {
        return still_shows(desk, id, &scene).await.map(Some);
    }
    let store = &desk.handler.store;
    match desk
        .outside
        .slack
        .update(&row.channel, &row.ts, &rendered.text, &rendered.blocks)
        .await
    {
        Ok(()) => {}
        // Somebody deleted it in Slack: there is nothing left to keep true.
        Err(Failure::Permanent { message }) if message.contains("message_not_found") => {
            return Ok(Some(Ran::Done));
        }
        Err(failure) => {
            // It may have arrived all the same, and later than another worker's.
            store.forget_rendered(&row.id).await?;
            return Err(failure.into());
        }
    }
    let recorded = store.record_rendered(&row, scene.version, digest.as_str()).await?;
    if !recorded {
        store.forget_rendered(&row.id).await?;
        return Ok(None);
    }
    still_shows(desk, id, &scene).await.map(Some)
}

/// What was rendered is true only if the release has not moved meanwhile.
async fn still_shows(desk: &Desk<'_>, id: &MessageId, scene: &Scene) -> Result<Ran, Trouble> {
    let (_, now_at) = desk.handler.release(id.release()).await?;
    if now_at != scene.version {
        return Ok(Ran::NotYet {
            after_ms: 0,
            reason: "the release has moved".to_owned(),
        });
    }
    Ok(Ran::Done)
}

/// A question that needs no answer any more is not posted belatedly.
fn is_over(id: &MessageId, scene: &Scene) -> bool {
    match (id, scene.release()) {
        (MessageId::Question { role, revision, .. }, Some(release)) => {
            *revision != release.revision || !release.asked.contains_key(role) || release.sign_offs.contains_key(role)
        }
        _ => false,
    }
}

/// Whether a restore holds it: then only a person's `jobs retry` posts it, whatever timer would refresh it. A card or question is
/// held until the next decision on its release, which needs it.
async fn is_held(desk: &Desk<'_>, id: &MessageId) -> Result<bool, Trouble> {
    let store = &desk.handler.store;
    let dead = store.dead_jobs(Some(id.release().as_str())).await?;
    if !dead.iter().any(|job| held::is_of(job, id)) {
        return Ok(false);
    }
    let (row, restores) = (
        store.stream(&id.release().stream()).await?,
        desk.handler.restores().await?,
    );
    let since_ms = restores.0.last().map_or(0, |restore| restore.at_ms);
    Ok(!id.is_live() || row.is_none_or(|row| row.updated_ms <= since_ms))
}

/// Posts a message that never changes.
pub(super) async fn post_once(desk: &Desk<'_>, id: &MessageId) -> Result<Ran, Trouble> {
    let row = desk.handler.store.message(&id.to_string()).await?;
    if let Some(row) = row.filter(|row| !row.ts.is_empty()) {
        return verify(desk, id, &row).await;
    }
    let Some(scene) = desk.handler.scene(id.release()).await? else {
        return Ok(Ran::Done);
    };
    deliver(desk, id, &scene).await
}

/// Whether it goes to somebody who was erased.
async fn is_to_nobody(desk: &Desk<'_>, id: &MessageId) -> Result<bool, Trouble> {
    let (MessageId::Question { person, .. } | MessageId::Rejection { person, .. }) = id else {
        return Ok(false);
    };
    let mentions = desk.handler.mentions(&BTreeSet::from([person.clone()])).await?;
    Ok(mentions.is_empty())
}

/// Posts what has to stand before it, and then itself.
async fn deliver(desk: &Desk<'_>, id: &MessageId, scene: &Scene) -> Result<Ran, Trouble> {
    if is_to_nobody(desk, id).await? {
        return Ok(Ran::Done);
    }
    if let Some(ran) = first_things_first(desk, id, scene).await? {
        return Ok(ran);
    }
    match put(desk, id, scene).await? {
        Put::Stands => posted(desk, id).await,
        Put::Not(ran) => Ok(ran),
    }
}

/// What came of one try to post.
enum Put {
    /// It was posted, by us or before us.
    Stands,
    /// Nothing was posted; what becomes of the job.
    Not(Ran),
}

/// #releases tells things in their order: the emergency notice, a breach of its clock, the result. Which of the jobs comes
/// first is chance, so a later message posts what is missing before it. Nothing here holds up a notice: it waits for nobody,
/// and whoever is early brings it along.
async fn first_things_first(desk: &Desk<'_>, id: &MessageId, scene: &Scene) -> Result<Option<Ran>, Trouble> {
    let (MessageId::Outcome { release, attempt } | MessageId::Breach { release, attempt }) = id else {
        return Ok(None);
    };
    let known = scene.release().and_then(|release| release.attempt(*attempt));
    let Some(notice) = known.and_then(|attempt| attempt.notice.as_ref()) else {
        return Ok(None);
    };
    let mut before = vec![MessageId::Notice {
        release: release.clone(),
        attempt: *attempt,
    }];
    if matches!(id, MessageId::Outcome { .. }) && notice.breached.is_some() {
        before.push(MessageId::Breach {
            release: release.clone(),
            attempt: *attempt,
        });
    }
    for earlier in &before {
        match desk.handler.store.message(&earlier.to_string()).await? {
            Some(row) if !row.ts.is_empty() => {
                if matches!(earlier, MessageId::Notice { .. })
                    && notice.posted_ms.is_none()
                    && let Some(intent) = read_back(desk, earlier, &row).await?
                    && !matches!(desk.order(release, intent, None).await?, Handled::Refused { .. })
                {
                    return Ok(Some(again("the notice goes first")));
                }
            }
            _ if is_held(desk, earlier).await? => {}
            Some(row) if desk.now_ms() - row.attempted_ms < IN_FLIGHT_MS => {
                return Ok(Some(Ran::NotYet {
                    after_ms: IN_FLIGHT_MS / 4,
                    reason: format!("{earlier} goes first and is on its way"),
                }));
            }
            _ => match put(desk, earlier, scene).await {
                Ok(Put::Stands) => return Ok(Some(again("what goes first was posted"))),
                Ok(Put::Not(ran)) => return Ok(Some(ran)),
                // What Slack won't take at all must not take the rest with it.
                Err(Trouble::Failure(Failure::Permanent { .. })) => {}
                Err(trouble) => return Err(trouble),
            },
        }
    }
    Ok(None)
}

/// Look at once at what is there now.
fn again(reason: &str) -> Ran {
    Ran::NotYet {
        after_ms: 0,
        reason: reason.to_owned(),
    }
}

/// Posts after making sure, as far as Slack lets us, that it wasn't posted before.
async fn put(desk: &Desk<'_>, id: &MessageId, scene: &Scene) -> Result<Put, Trouble> {
    let Some(place) = place(desk, id, scene).await? else {
        // Soon at first; a card that can't be posted for an hour is not asked for twice a second, but its thread follows soon.
        let waited_ms = desk.now_ms() - desk.claimed.created_ms;
        return Ok(Put::Not(Ran::NotYet {
            after_ms: (waited_ms / 4).clamp(500, 5_000),
            reason: "waiting for the card".to_owned(),
        }));
    };
    let Some(rendered) = render(desk, id, scene, &place.channel).await? else {
        return Ok(Put::Not(Ran::Done));
    };
    let (store, outbox_id) = (&desk.handler.store, id.to_string());
    let seen = store.message(&outbox_id).await?;
    let restores = desk.handler.restores().await?;
    if let Some(row) = &seen
        && let Some(ts) = find(desk, row, &restores).await?
    {
        // What stands there was rendered earlier: nobody knows what it says.
        store
            .record_posted(&outbox_id, &row.channel, &ts, scene.version, "")
            .await?;
        return Ok(Put::Not(again("found where it was posted before")));
    }
    // One waits for a channel's turn; more would keep the workers from the questions to signers. A notice, whose workers
    // have nothing else to do, queues up.
    let queues_up = matches!(id, MessageId::Notice { .. });
    let turn_later = |after_ms| {
        Put::Not(Ran::NotYet {
            after_ms,
            reason: "waiting for the channel's turn".to_owned(),
        })
    };
    if !queues_up && let Err(after_ms) = desk.outside.slack.next_turn(&place.channel).await {
        return Ok(turn_later(after_ms));
    }
    if let Err(after_ms) = shared_turn(desk, &place.channel, queues_up).await? {
        return Ok(turn_later(after_ms));
    }
    // Its hour may have ended in the queue, and then it says so.
    let now = if queues_up {
        desk.handler.scene(id.release()).await?
    } else {
        None
    };
    let rendered = match &now {
        Some(now) => render(desk, id, now, &place.channel).await?.unwrap_or(rendered),
        None => rendered,
    };
    let seen_ms = seen.map_or(0, |row| row.attempted_ms);
    let subject = id.release().as_str();
    let attempt = store
        .begin_post(&outbox_id, subject, &place.channel, seen_ms, desk.now_ms())
        .await?;
    if !attempt.begun {
        return Ok(Put::Not(Ran::NotYet {
            after_ms: 1_000,
            reason: "another worker is posting it".to_owned(),
        }));
    }
    let post = Post {
        channel: place.channel,
        text: rendered.text.clone(),
        blocks: rendered.blocks.clone(),
        thread_ts: place.thread_ts,
        outbox_id: restores.outbox_id(&outbox_id, attempt.message.attempted_ms),
    };
    let sent = if queues_up {
        desk.outside.slack.post(&post).await?
    } else {
        desk.outside.slack.post_in_turn(&post).await?
    };
    let digest = digest(&rendered);
    let kept = store
        .record_posted(&outbox_id, &sent.channel, &sent.ts, scene.version, digest.as_str())
        .await?;
    if !kept {
        // Another worker's copy came first; ours must not stand beside it with live buttons.
        desk.outside.slack.delete(&sent.channel, &sent.ts).await?;
    }
    Ok(Put::Stands)
}

/// Waits for the channel's turn among all replicas; else says how many milliseconds to do other things.
async fn shared_turn(desk: &Desk<'_>, channel: &str, queues_up: bool) -> Result<Result<(), i64>, Trouble> {
    let gap_ms = i64::try_from(desk.outside.slack.gap().as_millis()).unwrap_or(i64::MAX);
    let wait_max_ms = if queues_up { 20 * gap_ms } else { gap_ms };
    let store = &desk.handler.store;
    let Some(wait_ms) = store.take_turn(channel, desk.now_ms(), gap_ms, wait_max_ms).await? else {
        return Ok(Err(gap_ms));
    };
    tokio::time::sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or_default())).await;
    Ok(Ok(()))
}

/// In #releases, looks for a message whose posting ended in the unknown. We read no other channel.
async fn find(desk: &Desk<'_>, row: &MessageRow, restores: &Restores) -> Result<Option<String>, Trouble> {
    if row.state != MessageState::Posting || row.channel != desk.outside.releases_channel {
        return Ok(None);
    }
    let oldest_ts = format!("{}.000000", (row.attempted_ms - SEARCH_BEFORE_MS) / 1_000);
    let outbox_id = restores.outbox_id(&row.id, row.attempted_ms);
    Ok(desk
        .outside
        .slack
        .find_posted(&row.channel, &outbox_id, &oldest_ts, SEARCH_PAGES_MAX)
        .await?)
}

async fn posted(desk: &Desk<'_>, id: &MessageId) -> Result<Ran, Trouble> {
    match desk.handler.store.message(&id.to_string()).await? {
        Some(row) if !id.is_live() => verify(desk, id, &row).await,
        Some(_) => Ok(Ran::NotYet {
            after_ms: 0,
            reason: "posted, now compared with the release".to_owned(),
        }),
        None => Ok(Ran::Done),
    }
}

/// An accepted call is no proof of a stored message: what has a clock is read back.
async fn verify(desk: &Desk<'_>, id: &MessageId, row: &MessageRow) -> Result<Ran, Trouble> {
    if row.channel != desk.outside.releases_channel {
        return Ok(Ran::Done);
    }
    if row.state != MessageState::Verified {
        if desk.outside.slack.permalink(&row.channel, &row.ts).await?.is_none() {
            if desk.now_ms() - row.attempted_ms > LOST_AFTER_MS {
                tracing::error!(
                    message = row.id,
                    "Slack took {} and lost it: it is posted again",
                    row.id
                );
                desk.handler.store.forget_posted(&row.id, &row.ts).await?;
            }
            return Ok(Ran::Failed {
                retry_after_ms: None,
                reason: "Slack took the message and doesn't have it".to_owned(),
            });
        }
        desk.handler.store.record_verified(&row.id).await?;
    }
    match (id, noticed(id, row)) {
        (MessageId::Notice { release, .. }, Some(intent)) => desk.record(release, intent).await,
        _ => Ok(Ran::Done),
    }
}

/// That a notice stands, as a command; of another message nothing is recorded.
fn noticed(id: &MessageId, row: &MessageRow) -> Option<Intent> {
    let MessageId::Notice { attempt, .. } = id else {
        return None;
    };
    Some(Intent::RecordNotice {
        attempt: *attempt,
        channel: row.channel.clone(),
        ts: row.ts.clone(),
    })
}

/// The same for a notice that another job brought along, if Slack has it: what follows it must know of a breach.
async fn read_back(desk: &Desk<'_>, id: &MessageId, row: &MessageRow) -> Result<Option<Intent>, Trouble> {
    if row.state != MessageState::Verified {
        if desk.outside.slack.permalink(&row.channel, &row.ts).await?.is_none() {
            return Ok(None);
        }
        desk.handler.store.record_verified(&row.id).await?;
    }
    Ok(noticed(id, row))
}

fn digest(rendered: &Rendered) -> Digest {
    Digest::of(format!("{}\n{}", rendered.text, rendered.blocks).as_bytes())
}
