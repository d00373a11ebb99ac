//! Clicks: a button carries ids and the view that it stood in; everything else is looked up.

use super::{Asked, Inbound, Reply, private_message};
use crate::fresh;
use crate::handle::{HandleError, Handled};
use crate::slack::buttons::{ActionId, ButtonValue};
use crate::slack::modals::Form;
use crate::slack::payload::Click;
use crate::slack::texts::replies;
use domain::command::Intent;
use domain::digest::PrivateText;
use serde_json::Value;
use std::time::Duration;

/// How much of a clicked message is kept as what the signer saw, in characters.
const SEEN_MAX_CHARS: usize = 12_000;
/// A message is recorded as ours within this time after Slack shows it.
const KNOWN_WITHIN: Duration = Duration::from_secs(3);

impl Inbound {
    /// Decides what a click asks for; the answer goes to the clicker alone, after the acknowledgement.
    pub async fn click(&self, asked: &Asked, click: &Click) -> Reply {
        let Some(action) = click.actions.first() else {
            return Reply::Empty;
        };
        let value = action.value.as_deref().map(ButtonValue::parse);
        let (Some(id), Some(Ok(value))) = (ActionId::parse(&action.action_id), value) else {
            self.answer_later(asked, private_message(&replies::unreadable()), false);
            return Reply::Empty;
        };
        let key = value.release.clone();
        match self.clicked(asked, click, id, value).await {
            Ok(Some(body)) => self.answer_later(asked, body, click.is_ephemeral),
            Ok(None) => {}
            Err(error) => self.answer_later(asked, private_message(&Self::trouble(asked, Some(&key), &error)), false),
        }
        Reply::Empty
    }

    async fn clicked(
        &self,
        asked: &Asked,
        click: &Click,
        id: ActionId,
        value: ButtonValue,
    ) -> Result<Option<Value>, HandleError> {
        let ButtonValue {
            release: key,
            role,
            view,
            attempt,
        } = value.clone();
        if id != ActionId::Why && self.is_of_lost_history(click).await? {
            self.retire_stray_copy(click);
            return Ok(Some(private_message(&replies::of_lost_history(&key))));
        }
        let intent = match id {
            ActionId::Approve => Intent::SignOff {
                role,
                view,
                seen: seen(click),
            },
            ActionId::ChooseRole(role) => Intent::SignOff {
                role: Some(role),
                view,
                seen: seen(click),
            },
            ActionId::Deploy => Intent::Deploy,
            ActionId::Stop => Intent::StopDeployment,
            ActionId::Settle(choice) => {
                let Some(attempt) = attempt else {
                    return Ok(Some(private_message(&replies::unreadable())));
                };
                Intent::Settle { attempt, choice }
            }
            ActionId::Why => return Ok(body(self.why(asked, &key).await?)),
            ActionId::Reject => return Ok(body(self.open_reason(asked, Form::Reject, value).await?)),
            ActionId::ChooseRoleToReject(role) => {
                return Ok(body(self.open_reason(asked, Form::Reject, value.as_role(role)).await?));
            }
            ActionId::Withdraw => return Ok(body(self.open_reason(asked, Form::Withdraw, value).await?)),
            ActionId::Cancel => return Ok(body(self.open_reason(asked, Form::Cancel, value).await?)),
            ActionId::Checklist => return Ok(body(self.open_checklist(asked, &key, role).await?)),
            ActionId::ChecklistAs(role) => return Ok(body(self.open_checklist(asked, &key, Some(role)).await?)),
            ActionId::EditPlan => return Ok(body(self.open_plan(asked, Some(key), None, None).await?)),
        };
        let handled = self.decide(asked, &key, None, intent).await?;
        self.retire_stray_copy(click);
        // A repeat of the same signed bytes was answered the first time.
        Ok(match &handled {
            Handled::Duplicate { .. } => None,
            handled => serde_json::from_str(handled.reply()).ok(),
        })
    }

    /// Whether what was clicked is of a history that a restore of the database has lost: a release of today may have the same
    /// key and revision, and another content.
    async fn is_of_lost_history(&self, click: &Click) -> Result<bool, HandleError> {
        let restores = self.handler.restores().await?;
        let Some(last) = restores.0.last() else {
            return Ok(false);
        };
        let (Some(channel), Some(ts)) = (&click.channel_id, &click.message_ts) else {
            return Ok(true);
        };
        if click.is_ephemeral {
            // On record nowhere, and gone with the next look at the channel.
            return Ok(posted_ms(ts).is_none_or(|posted_ms| posted_ms < last.at_ms));
        }
        Ok(self.handler.store.find_message(channel, ts).await?.is_none())
    }

    /// A click on a message that we don't know as the one we keep: an older copy, left by an unknown outcome. It loses
    /// its buttons; the one we keep stays true.
    fn retire_stray_copy(&self, click: &Click) {
        let (Some(channel), Some(ts), false) = (&click.channel_id, &click.message_ts, click.is_ephemeral) else {
            return;
        };
        let (channel, ts) = (channel.clone(), ts.clone());
        let (store, outside) = (self.handler.store.clone(), std::sync::Arc::clone(&self.outside));
        self.later(async move {
            // The one we keep may have been posted this moment, and not be known yet.
            tokio::time::sleep(KNOWN_WITHIN).await;
            if !matches!(store.find_message(&channel, &ts).await, Ok(None)) {
                return;
            }
            let text = replies::retired_copy();
            if let Err(failure) = outside.slack.update(&channel, &ts, &text.text, &text.blocks).await {
                tracing::warn!(%failure, "an older copy of a message could not be retired");
            }
        });
    }
}

/// The clicked message as Slack holds it: what the signer saw.
fn seen(click: &Click) -> Option<PrivateText> {
    let message = click.message.as_ref()?;
    let text = message.get("text").and_then(Value::as_str).unwrap_or_default();
    let blocks = message.get("blocks").map(Value::to_string).unwrap_or_default();
    let seen: String = format!("{text}\n{blocks}").chars().take(SEEN_MAX_CHARS).collect();
    Some(fresh::private_text(seen))
}

fn body(reply: Reply) -> Option<Value> {
    match reply {
        Reply::Body(body) => Some(body),
        Reply::Empty => None,
    }
}

/// When Slack took a message, by its time stamp: seconds, a point, and a counter.
fn posted_ms(ts: &str) -> Option<i64> {
    ts.split_once('.')?.0.parse::<i64>().ok()?.checked_mul(1_000)
}
