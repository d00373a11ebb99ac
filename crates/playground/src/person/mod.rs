//! What a person can do in Slack: type, run commands, click, and fill in modals.
//! Builds Slack's payloads and shows what Slack shows; the wire itself is in `deliver`.

mod commands;
mod modals;
mod payloads;
mod presses;
mod repeats;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub(crate) use commands::command;
pub(crate) use modals::{act_in_view, close, submit};
pub(crate) use presses::act_in_message;
pub(crate) use repeats::repeat_afresh;

use crate::deliver::Outcome;
use crate::escape::{self, Style};
use crate::messages::{Draft, Message};
use crate::state::{Shared, State};

/// How the bot acknowledged, and what Slack told the person if it did not.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ack {
    /// The bot's HTTP status; `None` if nothing was sent or nothing came back.
    pub status: Option<u16>,
    /// The bot's body: JSON, or a string if it wasn't JSON; `null` if empty.
    pub body: Value,
    /// What Slack showed because the acknowledgement failed.
    pub failure: Option<String>,
    /// Complaints under inputs, by block id: the bot's or, before anything is sent, Slack's own.
    pub errors: Map<String, Value>,
}

impl Ack {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Answered { status, body } => {
                let parsed = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
                let body = if body.is_empty() { Value::Null } else { parsed };
                Self {
                    status: Some(*status),
                    body,
                    ..Self::default()
                }
            }
            _ => Self::default(),
        }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self {
            failure: Some(why.into()),
            ..Self::default()
        }
    }

    /// True if the bot acknowledged in time with a 2xx.
    pub fn ok(&self) -> bool {
        self.failure.is_none() && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// What was clicked or changed: where, which element, and the new value.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub user: String,
    /// Channel of the message, or empty inside a view.
    pub channel: String,
    /// `ts` of the message, or the id of the view.
    pub place: String,
    /// The element: its action id, `block_id/action_id`, or the words on it.
    pub target: String,
    /// What was chosen; `null` for buttons.
    pub value: Value,
}

/// Posts what a person typed.
pub(crate) fn say(
    shared: &Shared,
    user: &str,
    channel: &str,
    text: &str,
    thread_ts: Option<&str>,
) -> Result<Message, String> {
    let mut state = shared.state();
    open_own_dm(&mut state, user, channel);
    let place = state.channels.get(channel).ok_or("There is no such channel.")?;
    if !place.members.contains(user) {
        return Err("You are not in this channel.".into());
    }
    if place.is_archived {
        return Err("This channel is archived.".into());
    }
    let draft = Draft {
        text: escape::typed(&state, text, Style::IdsOnly),
        thread_ts: thread_ts.map(str::to_owned),
        ..Draft::default()
    };
    let message = state.post(channel, user, shared.clock.next_ts(), draft);
    drop(state);
    shared.changed();
    Ok(message)
}

/// A person may write to the bot before the bot ever wrote to them.
fn open_own_dm(state: &mut State, user: &str, channel: &str) {
    if channel == crate::state::dm_id(user) && state.users.contains_key(user) {
        state.open_dm(user);
    }
}

fn channel_name(channel: &crate::seed::Channel) -> &str {
    if channel.im_user.is_none() && channel.is_private {
        "privategroup"
    } else {
        &channel.name
    }
}
