//! `chat.*`: posting, updating and deleting, with everything Slack refuses.
//! Must not know how faults or tokens work.

use std::time::Instant;

use serde_json::{Value, json};

use super::args::Args;
use super::{ApiError, Outcome};
use crate::messages::{Draft, Message};
use crate::state::{Shared, State};
use crate::validate;

const TEXT_CHARS_MAX: usize = 40_000;
const UPDATE_TEXT_CHARS_MAX: usize = 4_000;

pub(super) fn post_message(shared: &Shared, args: &Args) -> Outcome {
    let mut state = shared.state();
    let channel = destination(&mut state, args)?;
    may_post(&state, &channel)?;
    let draft = draft(&state, args, &channel)?;
    if shared.is_limited() {
        let taken = state.limits.take_post(&channel, Instant::now());
        taken.map_err(|retry_after_s| ApiError::RateLimited { retry_after_s })?;
    }
    let bot = state.seed.bot_user_id.clone();
    let message = state.post(&channel, &bot, shared.clock.next_ts(), draft);
    let json = state.message_json(&message, true);
    Ok(json!({"ok": true, "channel": channel, "ts": message.ts, "message": json}))
}

pub(super) fn post_ephemeral(shared: &Shared, args: &Args) -> Outcome {
    let mut state = shared.state();
    let user = args.required("user")?;
    let channel = destination(&mut state, args)?;
    may_post(&state, &channel)?;
    if !state.users.contains_key(user) {
        return Err(ApiError::code("user_not_found"));
    }
    if !state.channels[&channel].members.contains(user) {
        return Err(ApiError::code("user_not_in_channel"));
    }
    let draft = draft(&state, args, &channel)?;
    let ts = state.whisper(&channel, user, shared.clock.next_ts(), draft);
    Ok(json!({"ok": true, "message_ts": ts}))
}

pub(super) fn update(shared: &Shared, args: &Args) -> Outcome {
    let mut state = shared.state();
    let channel = known_channel(&state, args)?;
    let ts = args.required("ts")?.to_owned();
    own_message(&state, &channel, &ts, "cant_update_message")?;
    if state.channels[&channel].is_archived {
        return Err(ApiError::code("is_archived"));
    }
    let text = args.text("text").map(str::to_owned);
    if text
        .as_ref()
        .is_some_and(|text| text.chars().count() > UPDATE_TEXT_CHARS_MAX)
    {
        return Err(ApiError::code("msg_too_long"));
    }
    let blocks = blocks(args)?;
    let metadata = metadata(args)?;
    if text.is_none() && blocks.is_none() && metadata.is_none() {
        return Err(ApiError::code("no_text"));
    }
    let now_ts = shared.clock.next_ts();
    apply_update(&mut state, &channel, &ts, text, blocks, metadata, now_ts);
    let message = state.message(&channel, &ts).cloned().ok_or("message_not_found")?;
    let json = state.message_json(&message, true);
    Ok(json!({"ok": true, "channel": channel, "ts": ts, "text": message.text, "message": json}))
}

fn apply_update(
    state: &mut State,
    channel: &str,
    ts: &str,
    text: Option<String>,
    blocks: Option<Vec<Value>>,
    metadata: Option<Value>,
    now_ts: String,
) {
    state
        .selections
        .retain(|(_, in_channel, at), _| in_channel != channel || at != ts);
    let Some(message) = state.message_mut(channel, ts) else {
        return;
    };
    match (text, blocks) {
        (text, Some(mut blocks)) => {
            crate::choices::fill_in_ids(&mut blocks);
            message.text = text.unwrap_or_default();
            message.blocks = blocks;
        }
        (Some(text), None) => {
            // Text alone takes the blocks away, and only then Slack shows "(edited)".
            message.blocks.clear();
            message.text = text;
            message.edited_ts = Some(now_ts);
        }
        (None, None) => {}
    }
    if let Some(metadata) = metadata {
        message.metadata = Some(metadata).filter(|metadata| metadata != &json!({}));
    }
}

pub(super) fn delete(shared: &Shared, args: &Args) -> Outcome {
    let mut state = shared.state();
    let channel = known_channel(&state, args)?;
    let ts = args.required("ts")?;
    own_message(&state, &channel, ts, "cant_delete_message")?;
    state
        .messages
        .retain(|message| message.channel != channel || message.ts != ts);
    Ok(json!({"ok": true, "channel": channel, "ts": ts}))
}

pub(super) fn get_permalink(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let channel = known_channel(&state, args)?;
    let ts = args.required("message_ts")?;
    let message = state.message(&channel, ts).ok_or("message_not_found")?;
    let thread = match &message.thread_ts {
        Some(thread_ts) if message.is_reply() => format!("?thread_ts={thread_ts}&cid={channel}"),
        _ => String::new(),
    };
    let domain = &state.seed.domain;
    let link = format!(
        "https://{domain}.slack.com/archives/{channel}/p{}{thread}",
        ts.replace('.', "")
    );
    Ok(json!({"ok": true, "channel": channel, "permalink": link}))
}

/// The channel to post to; a person's id stands for the direct message with them.
fn destination(state: &mut State, args: &Args) -> Result<String, ApiError> {
    let channel = args.text("channel").ok_or("channel_not_found")?;
    if let Some(user) = state.users.get(channel) {
        if user.id == state.seed.bot_user_id || user.is_bot {
            return Err(ApiError::code("cannot_dm_bot"));
        }
        if user.deleted {
            return Err(ApiError::code("user_disabled"));
        }
        let user = user.id.clone();
        return Ok(state.open_dm(&user));
    }
    known_channel(state, args)
}

/// A channel by id, or by `#name` as `chat.postMessage` still takes it.
fn known_channel(state: &State, args: &Args) -> Result<String, ApiError> {
    let wanted = args.text("channel").ok_or("channel_not_found")?;
    let name = wanted.strip_prefix('#');
    let channel = state
        .channels
        .values()
        .find(|channel| channel.id == wanted || name.is_some_and(|name| channel.name == name));
    let channel = channel.ok_or("channel_not_found")?;
    // A private channel the bot is not in does not exist for it.
    if channel.is_private && !channel.members.contains(&state.seed.bot_user_id) {
        return Err(ApiError::code("channel_not_found"));
    }
    Ok(channel.id.clone())
}

fn may_post(state: &State, channel: &str) -> Result<(), ApiError> {
    let channel = &state.channels[channel];
    if channel.is_archived {
        return Err(ApiError::code("is_archived"));
    }
    if !channel.members.contains(&state.seed.bot_user_id) {
        return Err(ApiError::code("not_in_channel"));
    }
    Ok(())
}

fn own_message<'a>(state: &'a State, channel: &str, ts: &str, not_ours: &'static str) -> Result<&'a Message, ApiError> {
    // Ephemeral messages are not in the channel's history, so they can't be found here.
    let message = state.message(channel, ts).ok_or("message_not_found")?;
    if message.by_bot {
        Ok(message)
    } else {
        Err(ApiError::code(not_ours))
    }
}

fn draft(state: &State, args: &Args, channel: &str) -> Result<Draft, ApiError> {
    let blocks = blocks(args)?.unwrap_or_default();
    let text = args.text("text").unwrap_or_default();
    if text.trim().is_empty() && blocks.is_empty() && !args.has("attachments") {
        return Err(ApiError::code("no_text"));
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(ApiError::code("msg_too_long"));
    }
    let thread_ts = match args.text("thread_ts") {
        Some(thread_ts) => Some(thread_root(state, channel, thread_ts)?),
        None => None,
    };
    Ok(Draft {
        text: text.to_owned(),
        blocks,
        metadata: metadata(args)?,
        thread_ts,
        broadcast: args.flag("reply_broadcast"),
    })
}

/// A reply to a reply joins the same thread.
fn thread_root(state: &State, channel: &str, thread_ts: &str) -> Result<String, ApiError> {
    let is_ts = thread_ts.split_once('.').is_some_and(|(seconds, micros)| {
        micros.len() == 6
            && [seconds, micros]
                .iter()
                .all(|part| part.bytes().all(|b| b.is_ascii_digit()))
    });
    if !is_ts {
        return Err(ApiError::code("invalid_thread_ts"));
    }
    let parent = state.message(channel, thread_ts).ok_or("thread_not_found")?;
    Ok(parent.thread_ts.clone().unwrap_or_else(|| parent.ts.clone()))
}

/// The `blocks` argument, checked; `None` if it was not given.
fn blocks(args: &Args) -> Result<Option<Vec<Value>>, ApiError> {
    match args.nested("blocks") {
        Ok(None) => Ok(None),
        Ok(Some(Value::Array(blocks))) => {
            validate::message_blocks(&blocks)?;
            Ok(Some(blocks))
        }
        _ => Err(ApiError::code("invalid_blocks_format")),
    }
}

fn metadata(args: &Args) -> Result<Option<Value>, ApiError> {
    let metadata = match args.nested("metadata") {
        Ok(None) => return Ok(None),
        Ok(Some(metadata)) => metadata,
        Err(()) => return Err(ApiError::code("invalid_metadata_format")),
    };
    // An empty object takes the metadata away.
    if metadata == json!({}) {
        return Ok(Some(metadata));
    }
    let has_type = metadata["event_type"].as_str().is_some_and(|name| !name.is_empty());
    let Some(payload) = metadata["event_payload"].as_object().filter(|_| has_type) else {
        return Err(ApiError::code("invalid_metadata_format"));
    };
    let flat = payload
        .values()
        .all(|value| value.is_string() || value.is_number() || value.is_boolean());
    if flat {
        Ok(Some(metadata))
    } else {
        Err(ApiError::code("invalid_metadata_format"))
    }
}
