//! What a message says and where it goes, from the release as it stands and from the log. Posts nothing.

use crate::failure::Failure;
use crate::handle::HandleError;
use crate::jobs::run::{Desk, Trouble};
use crate::jobs::view::{Scene, commitments_of};
use crate::slack::blocks::Rendered;
use crate::slack::story as stories;
use crate::slack::view::Names;
use crate::slack::{cards, question, rejection, releases};
use anyhow::Context as _;
use domain::command::Actor;
use domain::event::Event;
use domain::ids::{PersonId, ReleaseKey};
use domain::job::MessageId;
use domain::release::Rejection;
use std::collections::BTreeSet;

/// Where a message goes.
pub(super) struct Place {
    pub(super) channel: String,
    pub(super) thread_ts: Option<String>,
}

/// Where the message goes; nothing while the card whose thread it belongs to isn't there.
pub(super) async fn place(desk: &Desk<'_>, id: &MessageId, scene: &Scene) -> Result<Option<Place>, Trouble> {
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

/// What it says now; nothing if there is nothing to say any more.
pub(super) async fn render(
    desk: &Desk<'_>,
    id: &MessageId,
    scene: &Scene,
    channel: &str,
) -> Result<Option<Rendered>, Trouble> {
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
    /// What else was said in the same visit.
    with_it: Vec<Event>,
}

/// The event of one entry of the release's stream, and whether it lifted a no that stood before it.
async fn told(desk: &Desk<'_>, key: &ReleaseKey, version: u64) -> Result<Option<Told>, Trouble> {
    let entries = desk.handler.store.entries_of(&key.stream()).await?;
    let mut standing = stories::Standing::default();
    let mut told: Option<Told> = None;
    for sealed in &entries {
        let opened = sealed.open().map_err(|kind| Failure::Permanent {
            message: format!("entry {} is {kind}", sealed.position),
        })?;
        let event: Event = serde_json::from_value(opened.event)
            .with_context(|| format!("entry {}: an event that this version doesn't know", sealed.position))
            .map_err(HandleError::of_reading)?;
        let lifts = standing.lifted_by(&event);
        match &mut told {
            None if sealed.version == version => {
                let actor = PersonId::new(opened.actor).map_or(Actor::Countersign, Actor::Person);
                told = Some(Told {
                    event,
                    actor,
                    at_ms: opened.decided_ms,
                    lifts,
                    with_it: Vec::new(),
                });
            }
            None => {}
            Some(told) if stories::goes_on(&told.event, &event) => told.with_it.push(event),
            Some(_) => break,
        }
    }
    Ok(told)
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
        with_it,
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
    Ok(Some(match &event {
        Event::Attested { .. } => stories::visit(&view, &event, &with_it, at_ms),
        event => stories::story(&view, event, &actor, at_ms, lifts),
    }))
}
