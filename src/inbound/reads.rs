//! Questions: they change nothing and are answered from what is stored.

use super::{Asked, Inbound, Reply};
use crate::handle::{HandleError, repeat_key};
use crate::slack::story::{Standing, reason};
use crate::slack::texts::lists::{self, AuditLine, Head};
use crate::slack::view::Names;
use anyhow::Context as _;
use domain::command::Actor;
use domain::digest::Digest;
use domain::event::Event;
use domain::ids::{PersonId, ReleaseKey, ServiceName};
use domain::intents::authority::Ask;
use domain::refusal::{Cause, Refusal};
use domain::release::Release;
use domain::rule::Rule;
use std::collections::BTreeSet;

/// Releases that are read for a list: more than it shows, so that the rest is counted and the next ones come first.
const LIST_MAX: u32 = 1_000;
/// Entries that `/release audit` shows, the newest.
const AUDIT_MAX: usize = 30;

/// An entry that is shown: its number, when, who, what, and whether it lifted a rejection.
type Shown = (usize, i64, Actor, Event, bool);

impl Inbound {
    pub(super) async fn status(&self, asked: &Asked, key: &ReleaseKey) -> Result<Reply, HandleError> {
        self.about(asked, key, lists::status).await
    }

    pub(super) async fn why(&self, asked: &Asked, key: &ReleaseKey) -> Result<Reply, HandleError> {
        self.about(asked, key, lists::why).await
    }

    async fn about(
        &self,
        asked: &Asked,
        key: &ReleaseKey,
        render: impl Fn(&crate::slack::view::View<'_>) -> crate::slack::blocks::Rendered,
    ) -> Result<Reply, HandleError> {
        if let Err(refusal) = self.permit(asked, Ask::Read, Some(key)).await? {
            return Ok(Reply::private(&refusal));
        }
        let Some(scene) = self.handler.scene(key).await? else {
            return self.no_such(asked, key).await;
        };
        let view = scene.view(&self.handler, true);
        Ok(view.map_or(Reply::Empty, |view| Reply::private(&render(&view))))
    }

    pub(super) async fn list(&self, asked: &Asked, service: Option<&ServiceName>) -> Result<Reply, HandleError> {
        if let Err(refusal) = self.permit(asked, Ask::Read, None).await? {
            return Ok(Reply::private(&refusal));
        }
        let open = [
            "drafted",
            "asking",
            "approved",
            "queued",
            "deploying",
            "interrupted",
            "rejected",
        ];
        let rows = self
            .handler
            .store
            .list("release/", service.map(ServiceName::as_str), &open, LIST_MAX)
            .await?;
        let releases: Vec<Release> = rows
            .iter()
            .filter_map(|row| serde_json::from_str(&row.state).ok())
            .collect();
        let releases: Vec<&Release> = releases.iter().collect();
        let services: Vec<ServiceName> = self.handler.targets.keys().cloned().collect();
        let dead_jobs = self.handler.store.dead_jobs(None).await?.len();
        Ok(Reply::private(&lists::list(
            &releases,
            service,
            &services,
            dead_jobs,
            rows.len() - releases.len(),
        )))
    }

    pub(super) async fn audit(&self, asked: &Asked, key: &ReleaseKey) -> Result<Reply, HandleError> {
        if let Err(refusal) = self.permit(asked, Ask::Read, Some(key)).await? {
            return Ok(Reply::private(&refusal));
        }
        let mut entries = self.handler.store.entries_of(&key.stream()).await?;
        entries.extend(self.handler.store.entries_of(&format!("refused/{key}")).await?);
        entries.sort_by_key(|entry| entry.position);
        let (Some(release), _) = self.handler.release(key).await? else {
            return self.no_such(asked, key).await;
        };
        let mut shown = Vec::new();
        let mut people = BTreeSet::new();
        let mut standing = Standing::default();
        let first = entries.len().saturating_sub(AUDIT_MAX);
        for (index, sealed) in entries.iter().enumerate() {
            let Ok(entry) = sealed.open() else { continue };
            let event: Event = serde_json::from_value(entry.event)
                .with_context(|| format!("entry {}: an event that this version doesn't know", sealed.position))
                .map_err(HandleError::of_reading)?;
            let lifts = standing.lifted_by(&event);
            if index < first {
                continue;
            }
            let actor = PersonId::new(entry.actor).map_or(Actor::Countersign, Actor::Person);
            if let Event::RefusalsRepeated { key, .. } = &event {
                people.extend(key.split('/').nth(1).and_then(|person| PersonId::new(person).ok()));
            }
            if let Actor::Person(person) = &actor {
                people.insert(person.clone());
            }
            shown.push((index + 1, entry.decided_ms, actor, event, lifts));
        }
        let repeats = self.repeats_of(key, &shown).await?;
        let reasons: Vec<Digest> = shown
            .iter()
            .filter_map(|(.., event, _)| reason(event).cloned())
            .collect();
        let reasons = self.handler.store.texts(&reasons).await?;
        let mut mentions = self.handler.mentions(&people).await?;
        if let Some(scene) = self.handler.scene(key).await? {
            mentions.extend(scene.mentions);
        }
        let plain = self.handler.plain(&mentions);
        let names = Names {
            mentions: &mentions,
            plain: &plain,
        };
        let lines: Vec<AuditLine<'_>> = shown
            .iter()
            .zip(repeats)
            .map(|((number, at_ms, actor, event, lifts), repeats)| AuditLine {
                number: *number,
                at_ms: *at_ms,
                actor,
                event,
                reason: reason(event).and_then(|digest| reasons.get(digest)).map(String::as_str),
                lifts: *lifts,
                repeats,
            })
            .collect();
        let head = entries.last().map(|entry| Head {
            number: entries.len(),
            position: entry.position,
            hash: entry.hash.as_str(),
        });
        Ok(Reply::private(&lists::audit(
            &release,
            names,
            &lines,
            entries.len(),
            head,
        )))
    }

    /// How often each shown refusal came again in a window that is still open; a closed one has an entry of its own. Only the
    /// last refusal of a kind has an open window.
    async fn repeats_of(&self, key: &ReleaseKey, shown: &[Shown]) -> Result<Vec<u64>, HandleError> {
        let mut seen = BTreeSet::new();
        let mut repeats = Vec::new();
        for (_, _, actor, event, _) in shown.iter().rev() {
            let counted_as = match event {
                Event::CommandRefused { intent, rule, .. } => repeat_key(key, actor, intent, *rule),
                Event::RefusalsRepeated { key, .. } => key.clone(),
                _ => String::new(),
            };
            let is_last = !counted_as.is_empty() && seen.insert(counted_as.clone());
            let is_refusal = matches!(event, Event::CommandRefused { .. });
            repeats.push(if is_last && is_refusal {
                self.handler.store.repeats(&counted_as).await?.unwrap_or_default()
            } else {
                0
            });
        }
        repeats.reverse();
        Ok(repeats)
    }

    pub(super) async fn no_such(&self, asked: &Asked, key: &ReleaseKey) -> Result<Reply, HandleError> {
        let refusal = Refusal::new(Rule::RolesCommands, Cause::NoSuchRelease);
        let person = self.person(&asked.user).await?;
        let case = self.surroundings(&person, None).await?;
        Ok(Reply::private(
            &self.refusal(Ask::Read, &case, &refusal, Some(key)).await?,
        ))
    }
}
