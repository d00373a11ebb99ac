//! Questions: they change nothing and are answered from what is stored.

use super::{Asked, Inbound, Reply};
use crate::handle::HandleError;
use crate::slack::texts;
use crate::slack::view::Names;
use domain::event::Event;
use domain::ids::{PersonId, ReleaseKey, ServiceName};
use domain::intents::authority::Ask;
use domain::release::Release;
use std::collections::{BTreeMap, BTreeSet};

/// Lines that a list shows in Slack; the rest is counted.
const LIST_MAX: u32 = 20;
/// Entries that `/release audit` shows, the newest.
const AUDIT_MAX: usize = 30;

impl Inbound {
    pub(super) async fn status(&self, asked: &Asked, key: &ReleaseKey) -> Result<Reply, HandleError> {
        self.about(asked, key, |view| texts::status(view)).await
    }

    pub(super) async fn why(&self, asked: &Asked, key: &ReleaseKey) -> Result<Reply, HandleError> {
        self.about(asked, key, |view| texts::why(view)).await
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
        let Some(scene) = self.handler.scene(key).await? else { return self.no_such(key).await };
        let view = scene.view(&self.handler, true);
        Ok(view.map_or(Reply::Empty, |view| Reply::private(&render(&view))))
    }

    pub(super) async fn list(&self, asked: &Asked, service: Option<&ServiceName>) -> Result<Reply, HandleError> {
        if let Err(refusal) = self.permit(asked, Ask::Read, None).await? {
            return Ok(Reply::private(&refusal));
        }
        let service = service.map(ServiceName::as_str);
        let open = ["drafted", "asking", "approved", "queued", "deploying", "interrupted", "rejected"];
        let rows = self.handler.store.list("release/", service, &open, LIST_MAX).await?;
        let releases: Vec<Release> = rows.iter().filter_map(|row| serde_json::from_str(&row.state).ok()).collect();
        Ok(Reply::private(&texts::list(&releases, service)))
    }

    pub(super) async fn audit(&self, asked: &Asked, key: &ReleaseKey) -> Result<Reply, HandleError> {
        if let Err(refusal) = self.permit(asked, Ask::Read, Some(key)).await? {
            return Ok(Reply::private(&refusal));
        }
        let mut entries = self.handler.store.entries_of(&key.stream()).await?;
        entries.extend(self.handler.store.entries_of(&format!("refused/{key}")).await?);
        entries.sort_by_key(|entry| entry.position);
        let Some((Some(release), _)) = Some(self.handler.release(key).await?) else { return self.no_such(key).await };
        let mut lines = Vec::new();
        let mut people = BTreeSet::new();
        for sealed in entries.iter().rev().take(AUDIT_MAX).rev() {
            let Ok(entry) = sealed.open() else { continue };
            let Ok(event) = serde_json::from_value::<Event>(entry.event) else { continue };
            let actor = PersonId::new(entry.actor).ok();
            people.extend(actor.clone());
            lines.push(texts::AuditLine { position: sealed.position, at_ms: entry.decided_ms, actor, event });
        }
        let mentions = self.handler.mentions(&people).await?;
        let plain = BTreeMap::new();
        let names = Names { mentions: &mentions, plain: &plain };
        Ok(Reply::private(&texts::audit(&release, &lines, entries.len(), &names)))
    }

    pub(super) async fn no_such(&self, key: &ReleaseKey) -> Result<Reply, HandleError> {
        let rows = self.handler.store.list("release/", None, &[], 200).await?;
        let known: Vec<ReleaseKey> =
            rows.iter().filter_map(|row| ReleaseKey::new(row.stream.strip_prefix("release/")?).ok()).collect();
        Ok(Reply::private(&texts::no_such_release(key, &known)))
    }
}
