//! `/release …`: what was typed becomes a question, a form or a command.

use super::{Asked, Inbound, Reply};
use crate::fresh;
use crate::handle::HandleError;
use crate::slack::buttons::ButtonValue;
use crate::slack::modals::Form;
use crate::slack::parse::{Known, Typed, parse};
use crate::slack::payload::SlashCommand;
use crate::slack::texts::help;
use domain::command::Intent;
use domain::ids::{ReleaseKey, ServiceName};
use domain::intents::authority::Ask;

impl Inbound {
    /// Answers a slash command.
    pub async fn command(&self, asked: &Asked, command: &SlashCommand) -> Reply {
        let services: Vec<ServiceName> = self.handler.targets.keys().cloned().collect();
        let typed = parse(
            &command.text,
            &Known {
                keys: &[],
                services: &services,
            },
        );
        match self.typed(asked, typed).await {
            Ok(reply) => reply,
            Err(error) => Reply::private(&Self::trouble(asked, None, &error)),
        }
    }

    async fn typed(&self, asked: &Asked, typed: Typed) -> Result<Reply, HandleError> {
        match typed {
            Typed::Help { topic } => self.if_member(asked, help::help(topic)).await,
            Typed::NotYet { verb } => self.if_member(asked, help::not_yet(verb)).await,
            Typed::Mistyped(mistyped) => self.if_member(asked, help::mistyped(&mistyped)).await,
            Typed::Status { key: Some(key) } => self.status(asked, &key).await,
            Typed::Status { key: None } => self.list(asked, None).await,
            Typed::List { service } => self.list(asked, service.as_ref()).await,
            Typed::Why { key } => self.why(asked, &key).await,
            Typed::Audit { key } => self.audit(asked, &key).await,
            Typed::Plan { key, service, version } => self.open_plan(asked, key, service, version).await,
            Typed::Hotfix { service, version } => self.open_hotfix(asked, service, version).await,
            Typed::Approve { key, role } => {
                let seen = self.seen_when_typed(&key).await?;
                self.order(asked, &key, Intent::SignOff { role, view: None, seen })
                    .await
            }
            Typed::Reject {
                key,
                reason: Some(reason),
            } => {
                let reason = fresh::private_text(reason);
                self.order(
                    asked,
                    &key,
                    Intent::Reject {
                        role: None,
                        view: None,
                        reason,
                    },
                )
                .await
            }
            Typed::Reject { key, reason: None } => {
                let value = ButtonValue {
                    release: key,
                    role: None,
                    view: None,
                    attempt: None,
                };
                self.open_reason(asked, Form::Reject, value).await
            }
            Typed::Withdraw { key, reason } => {
                let reason = reason.map(fresh::private_text);
                self.order(asked, &key, Intent::Withdraw { reason }).await
            }
            Typed::Cancel { key, reason } => {
                let reason = reason.map(fresh::private_text);
                self.order(asked, &key, Intent::Cancel { reason }).await
            }
            Typed::Attest { key, role } => self.open_checklist(asked, &key, role).await,
            Typed::Waive { key, rule } => self.open_waiver(asked, &key, rule).await,
            Typed::TakeBack { key, rule } => self.order(asked, &key, Intent::TakeBack { rule }).await,
            Typed::Deploy { key } => self.order(asked, &key, Intent::Deploy).await,
            Typed::Stop { key } => self.order(asked, &key, Intent::StopDeployment).await,
            Typed::Commit { key, sha } => self.order(asked, &key, Intent::TypeCommit { commit: sha }).await,
        }
    }

    async fn if_member(&self, asked: &Asked, text: crate::slack::blocks::Rendered) -> Result<Reply, HandleError> {
        Ok(Reply::private(&match self.permit(asked, Ask::Read, None).await? {
            Ok(_) => text,
            Err(refusal) => refusal,
        }))
    }

    /// Decides, and answers privately in the acknowledgement itself.
    async fn order(&self, asked: &Asked, key: &ReleaseKey, intent: Intent) -> Result<Reply, HandleError> {
        if self.handler.release(key).await?.0.is_none() {
            return match self.permit(asked, Ask::Read, None).await? {
                Ok(_) => self.no_such(asked, key).await,
                Err(refusal) => Ok(Reply::private(&refusal)),
            };
        }
        Ok(Reply::saved(self.decide(asked, key, None, intent).await?.reply()))
    }

    /// Whoever types a sign-off goes by the card: its text as it is now is kept as what they saw.
    pub(super) async fn seen_when_typed(
        &self,
        key: &ReleaseKey,
    ) -> Result<Option<domain::digest::PrivateText>, HandleError> {
        let Some(scene) = self.handler.scene(key).await? else {
            return Ok(None);
        };
        let view = scene.view(&self.handler, true);
        Ok(view.map(|view| fresh::private_text(crate::slack::cards::card(&view).text)))
    }
}
