//! Questions: they change nothing and are answered from what is stored.

use super::{Asked, Inbound, Reply};
use crate::handle::HandleError;
use crate::slack::story::reason;
use crate::slack::texts::lists::{self, AuditLine, Head};
use crate::slack::view::Names;
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
        Ok(Reply::private(&lists::list(&releases, service, &services, dead_jobs)))
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
        for sealed in entries.iter().rev().take(AUDIT_MAX).rev() {
            let Ok(entry) = sealed.open() else { continue };
            let Ok(event) = serde_json::from_value::<Event>(entry.event) else {
                continue;
            };
            let actor = PersonId::new(entry.actor).map_or(Actor::Countersign, Actor::Person);
            if let Actor::Person(person) = &actor {
                people.insert(person.clone());
            }
            shown.push((sealed.position, entry.decided_ms, actor, event));
        }
        let reasons: Vec<Digest> = shown.iter().filter_map(|(.., event)| reason(event).cloned()).collect();
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
            .map(|(position, at_ms, actor, event)| AuditLine {
                position: *position,
                at_ms: *at_ms,
                actor,
                event,
                reason: reason(event).and_then(|digest| reasons.get(digest)).map(String::as_str),
            })
            .collect();
        let head = entries.last().map(|entry| Head {
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

    pub(super) async fn no_such(&self, asked: &Asked, key: &ReleaseKey) -> Result<Reply, HandleError> {
        let refusal = Refusal::new(Rule::RolesCommands, Cause::NoSuchRelease);
        let person = self.person(&asked.user).await?;
        let case = self.surroundings(&person, None).await?;
        Ok(Reply::private(
            &self.refusal(Ask::Read, &case, &refusal, Some(key)).await?,
        ))
    }
}
