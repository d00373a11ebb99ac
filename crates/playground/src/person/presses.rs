//! Clicks and choices in messages.
//! Must not be possible on anything the person can't see.

use serde_json::{Value, json};

use super::payloads::{action_json, base_payload, find, send_action};
use super::{Ack, Action, channel_name};
use crate::choices;
use crate::state::Shared;
use crate::tickets::Original;

/// Clicks a button or chooses something in a message.
pub(crate) async fn act_in_message(shared: &Shared, action: &Action) -> Ack {
    let payload = match message_payload(shared, action) {
        Ok(Some(payload)) => payload,
        Ok(None) => {
            return Ack {
                status: Some(200),
                ..Ack::default()
            };
        }
        Err(why) => return Ack::refused(why),
    };
    send_action(shared, &action.user, &payload).await
}

fn message_payload(shared: &Shared, action: &Action) -> Result<Option<Value>, String> {
    let mut state = shared.state();
    let (user, channel, ts) = (action.user.as_str(), action.channel.as_str(), action.place.as_str());
    let place = state.channels.get(channel).ok_or("There is no such channel.")?;
    if !place.members.contains(user) {
        return Err("You are not in this channel.".into());
    }
    let place_name = channel_name(place).to_owned();
    let message = state.message(channel, ts).cloned();
    let whisper = state
        .ephemeral(channel, ts)
        .filter(|whisper| whisper.user == user)
        .cloned();
    let (blocks, thread_ts, original) = match (&message, &whisper) {
        (Some(message), _) => (
            &message.blocks,
            message.thread_ts.clone(),
            Original::Message(ts.to_owned()),
        ),
        (None, Some(whisper)) => (
            &whisper.blocks,
            whisper.thread_ts.clone(),
            Original::Ephemeral(ts.to_owned()),
        ),
        (None, None) => return Err("There is no such message.".into()),
    };
    let (block, element) = find(blocks, &action.target)?;
    let key = (user.to_owned(), channel.to_owned(), ts.to_owned());
    let before = state.selections.get(&key).cloned().unwrap_or_else(|| json!({}));
    let mut values = choices::initial_values(blocks, &before);
    let Some(action_json) = action_json(shared, block, element, &action.value, &mut values)? else {
        state.selections.insert(key, values);
        return Ok(None);
    };
    state.selections.insert(key, values.clone());
    let mut container =
        json!({"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": message.is_none()});
    if let Some(thread_ts) = &thread_ts {
        container["thread_ts"] = json!(thread_ts);
    }
    let mut payload = base_payload(&mut state, "block_actions", user);
    let url_thread = message.as_ref().filter(|m| m.is_reply()).and(thread_ts);
    let url_id = state.issue_response_url(user, channel, Some(original), url_thread, shared.clock.now_ms());
    payload["container"] = container;
    payload["channel"] = json!({"id": channel, "name": place_name});
    payload["response_url"] = json!(format!("{}/respond/{url_id}", shared.base_url));
    payload["state"] = json!({"values": values});
    payload["actions"] = json!([action_json]);
    if let Some(message) = &message {
        payload["message"] = state.message_json(message, true);
    }
    Ok(Some(payload))
}
