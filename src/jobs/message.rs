//! Posting: once, found again after an unknown outcome, and kept true. Slack has no idempotency key, so a message's
//! outbox id travels in its metadata; #releases is searched for it before a repeat, elsewhere a second copy is
//! possible once and retired when somebody touches it.

use super::retry::Ran;
use super::run::{Desk, Trouble};
use super::view::{Scene, commitments_of};
use crate::failure::Failure;
use crate::handle::{HandleError, Handled, held};
use crate::records::mail::Mail;
use crate::slack::blocks::Rendered;
use crate::slack::client::Post;
use crate::slack::story as stories;
use crate::slack::view::Names;
use crate::slack::{cards, mail, question, rejection, releases};
use crate::store::{MessageRow, MessageState};
use anyhow::Context as _;
use domain::command::{Actor, Intent};
use domain::digest::Digest;
use domain::event::{Event, NoticeStep};
use domain::ids::{PersonId, ReleaseKey};
use domain::job::MessageId;
use domain::release::{AttemptNumber, Rejection};
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

/// Where a message goes.
struct Place {
    channel: String,
    thread_ts: Option<String>,
}

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

/// Where the message goes; nothing while the card whose thread it belongs to isn't there.
async fn place(desk: &Desk<'_>, id: &MessageId, scene: &Scene) -> Result<Option<Place>, Trouble> {
    let channel_of = || {
        scene
            .release()
            .and_then(|release| desk.outside.channels.get(&release.service))
            .cloned()
    };
    let place = |channel| {
        Some(Place {
            channel,
            thread_ts: None,
        })
    };
    Ok(match id {
        MessageId::Card { .. } => channel_of().and_then(place),
        MessageId::Story { release, .. } => {
            let card = MessageId::Card {
                release: release.clone(),
            }
            .to_string();
            let card = desk
                .handler
                .store
                .message(&card)
                .await?
                .filter(|card| !card.ts.is_empty());
            card.map(|card| Place {
                channel: card.channel,
                thread_ts: Some(card.ts),
            })
        }
        MessageId::Question { person, .. } | MessageId::Rejection { person, .. } => match scene.mentions.get(person) {
            Some(user) => place(desk.outside.slack.open_dm(user).await?),
            None => None,
        },
        MessageId::Notice { .. } | MessageId::Outcome { .. } | MessageId::Breach { .. } => {
            place(desk.outside.releases_channel.clone())
        }
    })
}

async fn render(desk: &Desk<'_>, id: &MessageId, scene: &Scene, channel: &str) -> Result<Option<Rendered>, Trouble> {
    // A channel that people of other organisations read gets no buttons.
    let shared = match id {
        MessageId::Card { .. } => desk.outside.is_shared(channel).await?,
        _ => false,
    };
    let Some(view) = scene.view(desk.handler, !shared) else {
        return Ok(None);
    };
    Ok(match id {
        MessageId::Card { .. } => Some(cards::card(&view)),
        MessageId::Question {
            role, person, revision, ..
        } => Some(question::question(&view, *role, person, *revision)),
        MessageId::Story { release, version } => story(desk, scene, release, *version).await?,
        MessageId::Rejection {
            release,
            version,
            person,
        } => no(desk, scene, release, *version, person).await?,
        MessageId::Notice { attempt, .. } => Some(releases::notice(&view, *attempt)),
        MessageId::Outcome { attempt, .. } => Some(releases::outcome(&view, *attempt)),
        MessageId::Breach { attempt, .. } => Some(releases::breach(&view, *attempt)),
    })
}

/// One event of the log, as it is told.
struct Told {
    event: Event,
    actor: Actor,
    at_ms: i64,
    /// Whether it is a sign-off that lifted a rejection.
    lifts: bool,
}

/// The event of one entry of the release's stream, and whether it lifted a no that stood before it.
async fn told(desk: &Desk<'_>, key: &ReleaseKey, version: u64) -> Result<Option<Told>, Trouble> {
    let entries = desk.handler.store.entries_of(&key.stream()).await?;
    let mut standing = stories::Standing::default();
    for sealed in entries.iter().take_while(|entry| entry.version <= version) {
        let opened = sealed.open().map_err(|kind| Failure::Permanent {
            message: format!("entry {} is {kind}", sealed.position),
        })?;
        let event: Event = serde_json::from_value(opened.event)
            .with_context(|| format!("entry {}: an event that this version doesn't know", sealed.position))
            .map_err(HandleError::of_reading)?;
        let lifts = standing.lifted_by(&event);
        if sealed.version == version {
            let actor = PersonId::new(opened.actor).map_or(Actor::Countersign, Actor::Person);
            return Ok(Some(Told {
                event,
                actor,
                at_ms: opened.decided_ms,
                lifts,
            }));
        }
    }
    Ok(None)
}

/// A no, to somebody who asked for the release.
async fn no(
    desk: &Desk<'_>,
    scene: &Scene,
    key: &ReleaseKey,
    version: u64,
    to: &PersonId,
) -> Result<Option<Rendered>, Trouble> {
    let Some(told) = told(desk, key, version).await? else {
        return Ok(None);
    };
    let Event::ReleaseRejected { role, person, reason } = &told.event else {
        return Ok(None);
    };
    let mut texts = scene.texts.clone();
    texts.extend(desk.handler.store.texts(&commitments_of(&told.event)).await?);
    let mut mentions = scene.mentions.clone();
    mentions.extend(desk.handler.mentions(&BTreeSet::from([person.clone()])).await?);
    let plain = desk.handler.plain(&mentions);
    let Some(mut view) = scene.view(desk.handler, false) else {
        return Ok(None);
    };
    view.texts = &texts;
    view.names = Names {
        mentions: &mentions,
        plain: &plain,
    };
    let no = Rejection {
        person: person.clone(),
        reason: reason.clone(),
        at_ms: told.at_ms,
    };
    Ok(Some(rejection::rejection(&view, *role, &no, to)))
}

/// The thread's entry for one event of the log.
async fn story(desk: &Desk<'_>, scene: &Scene, key: &ReleaseKey, version: u64) -> Result<Option<Rendered>, Trouble> {
    let Some(Told {
        event,
        actor,
        at_ms,
        lifts,
    }) = told(desk, key, version).await?
    else {
        return Ok(None);
    };
    let mut texts = scene.texts.clone();
    texts.extend(desk.handler.store.texts(&commitments_of(&event)).await?);
    let mut mentions = scene.mentions.clone();
    if let Actor::Person(person) = &actor {
        mentions.extend(desk.handler.mentions(&BTreeSet::from([person.clone()])).await?);
    }
    let plain = desk.handler.plain(&mentions);
    let Some(mut view) = scene.view(desk.handler, false) else {
        return Ok(None);
    };
    view.texts = &texts;
    view.names = Names {
        mentions: &mentions,
        plain: &plain,
    };
    Ok(Some(stories::story(&view, &event, &actor, at_ms, lifts)))
}

fn digest(rendered: &Rendered) -> Digest {
    Digest::of(format!("{}\n{}", rendered.text, rendered.blocks).as_bytes())
}

/// The scene while the notice is not in #releases: a mail or page that was held up until it stood there must not say otherwise.
async fn scene_without_notice(
    desk: &Desk<'_>,
    key: &ReleaseKey,
    attempt: AttemptNumber,
) -> Result<Option<Scene>, Trouble> {
    let is_posted = |scene: &Scene| {
        let attempt = scene.release().and_then(|release| release.attempt(attempt));
        let notice = attempt.and_then(|attempt| attempt.notice.as_ref());
        notice.is_some_and(|notice| notice.posted_ms.is_some())
    };
    Ok(desk.handler.scene(key).await?.filter(|scene| !is_posted(scene)))
}

/// Nobody can be told by a way that is not configured, and no repetition changes that: said once, and nothing is left over.
fn without_a_way(desk: &Desk<'_>, key: &ReleaseKey, step: NoticeStep) -> Ran {
    let missing = desk.handler.ways.missing(step).unwrap_or_default();
    tracing::warn!(release = %key, "{missing}, though the emergency notice of {key} is not confirmed in #releases");
    Ran::Done
}

/// Mails all teams what #releases could not say, each address by itself. At least once, with a fixed Message-ID.
pub(super) async fn mail_notice(desk: &Desk<'_>, key: &ReleaseKey, attempt: AttemptNumber) -> Result<Ran, Trouble> {
    let Some(scene) = scene_without_notice(desk, key, attempt).await? else {
        return Ok(Ran::Done);
    };
    let Some(mailer) = desk.outside.mailer.as_ref().filter(|_| desk.handler.ways.mail) else {
        return Ok(without_a_way(desk, key, NoticeStep::Mail));
    };
    let Some(view) = scene.view(desk.handler, false) else {
        return Ok(Ran::Done);
    };
    let (subject, body) = mail::mail_notice(&view, attempt);
    let message_id = format!("<notice.{key}.{attempt}@{}>", desk.outside.mail_domain);
    let mut failure: Option<Failure> = None;
    for to in desk.teams() {
        if desk.outside.is_mailed(&message_id, &to) {
            continue;
        }
        let message = Mail {
            to: to.clone(),
            subject: subject.clone(),
            body: body.clone(),
            message_id: message_id.clone(),
        };
        match desk.outside.machine.send_mail(mailer, &message).await {
            Ok(()) => desk.outside.remember_mailed(&message_id, to),
            // The others get theirs all the same; what may still pass has the last word.
            Err(error) if failure.as_ref().is_none_or(|failure| !failure.is_transient()) => failure = Some(error),
            Err(_) => {}
        }
    }
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    desk.outside.forget_mailed(&message_id);
    Ok(Ran::Done)
}

/// Rings outside Slack and mail. At least once.
pub(super) async fn page(
    desk: &Desk<'_>,
    key: &ReleaseKey,
    attempt: AttemptNumber,
    step: NoticeStep,
) -> Result<Ran, Trouble> {
    let Some(scene) = scene_without_notice(desk, key, attempt).await? else {
        return Ok(Ran::Done);
    };
    if !desk.outside.escalation.is_configured() {
        return Ok(without_a_way(desk, key, step));
    }
    let Some(view) = scene.view(desk.handler, false) else {
        return Ok(Ran::Done);
    };
    let page = crate::escalation::Page {
        summary: mail::page_summary(&view, attempt, step),
        release: key.to_string(),
        step: format!("{step:?}").to_lowercase(),
        at_ms: scene.now_ms,
        id: format!("page/{key}/{attempt}/{step:?}"),
    };
    desk.outside.machine.ring(&desk.outside.escalation, &page).await?;
    Ok(Ran::Done)
}
