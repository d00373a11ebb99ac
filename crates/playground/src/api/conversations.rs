//! `conversations.*`: what the bot may read about channels and their messages.
//! Reads and opens only; must not change messages.

use serde_json::{Value, json};

use super::args::Args;
use super::{ApiError, Outcome};
use crate::messages::Message;
use crate::seed::Channel;
use crate::state::{Shared, State};

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1_000;

pub(super) fn info(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let channel = visible(&state, args)?;
    let mut json = channel.to_json(&state.seed.bot_user_id, &state.seed.team_id);
    if !args.flag("include_num_members")
        && let Some(object) = json.as_object_mut()
    {
        object.remove("num_members");
    }
    Ok(json!({"ok": true, "channel": json}))
}

pub(super) fn list(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let kinds = args.text("types").unwrap_or("public_channel");
    let channels: Vec<Value> = state
        .channels
        .values()
        .filter(|channel| kinds.split(',').any(|kind| kind.trim() == kind_of(channel)))
        .filter(|channel| is_visible(&state, channel))
        .filter(|channel| !channel.is_archived || !args.flag("exclude_archived"))
        .map(|channel| channel.to_json(&state.seed.bot_user_id, &state.seed.team_id))
        .collect();
    let (page, cursor) = page(&channels, args)?;
    Ok(json!({"ok": true, "channels": page, "response_metadata": {"next_cursor": cursor}}))
}

fn kind_of(channel: &Channel) -> &'static str {
    match (&channel.im_user, channel.is_private) {
        (Some(_), _) => "im",
        (None, true) => "private_channel",
        (None, false) => "public_channel",
    }
}

pub(super) fn members(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let members: Vec<Value> = visible(&state, args)?.members.iter().map(|id| json!(id)).collect();
    let (page, cursor) = page(&members, args)?;
    Ok(json!({"ok": true, "members": page, "response_metadata": {"next_cursor": cursor}}))
}

pub(super) fn open(shared: &Shared, args: &Args) -> Outcome {
    let mut state = shared.state();
    let user = match (args.text("users"), args.text("channel")) {
        (Some(users), _) if users.contains(',') => return Err(ApiError::code("not_enough_users")),
        (Some(user), _) => user.to_owned(),
        (None, Some(channel)) => {
            let known = state.channels.get(channel).and_then(|channel| channel.im_user.clone());
            known.ok_or("channel_not_found")?
        }
        (None, None) => return Err(ApiError::code("users_list_not_supplied")),
    };
    let known = state.users.get(&user).ok_or("user_not_found")?;
    if known.deleted {
        return Err(ApiError::code("user_disabled"));
    }
    if known.is_bot {
        return Err(ApiError::code("cannot_dm_bot"));
    }
    let already_open = state.channels.contains_key(&crate::state::dm_id(&user));
    let id = state.open_dm(&user);
    let channel = if args.flag("return_im") {
        state.channels[&id].to_json(&state.seed.bot_user_id, &state.seed.team_id)
    } else {
        json!({"id": id})
    };
    let mut answer = json!({"ok": true, "channel": channel});
    if already_open {
        answer["no_op"] = json!(true);
        answer["already_open"] = json!(true);
    }
    Ok(answer)
}

pub(super) fn history(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let channel = joined(&state, args)?;
    let mut messages: Vec<&Message> = state
        .messages
        .iter()
        .filter(|message| message.channel == channel && (!message.is_reply() || message.broadcast))
        .filter(|message| in_range(message, args))
        .collect();
    messages.reverse();
    answer_messages(&state, &messages, args)
}

pub(super) fn replies(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let channel = joined(&state, args)?;
    let parent = state
        .message(&channel, args.required("ts")?)
        .ok_or("thread_not_found")?;
    let root = parent.thread_ts.clone().unwrap_or_else(|| parent.ts.clone());
    let mut messages: Vec<&Message> = state.message(&channel, &root).into_iter().collect();
    messages.extend(
        state
            .replies(&channel, &root)
            .into_iter()
            .filter(|reply| in_range(reply, args)),
    );
    answer_messages(&state, &messages, args)
}

fn answer_messages(state: &State, messages: &[&Message], args: &Args) -> Outcome {
    let with_metadata = args.flag("include_all_metadata");
    let all: Vec<Value> = messages
        .iter()
        .map(|message| state.message_json(message, with_metadata))
        .collect();
    let (page, cursor) = page(&all, args)?;
    let mut answer = json!({"ok": true, "messages": page, "has_more": !cursor.is_empty(), "pin_count": 0});
    if !cursor.is_empty() {
        answer["response_metadata"] = json!({"next_cursor": cursor});
    }
    Ok(answer)
}

fn in_range(message: &Message, args: &Args) -> bool {
    let inclusive = args.flag("inclusive");
    // Slack's timestamps have a fixed width until the year 2286, so they compare as texts.
    let after = args
        .text("oldest")
        .is_none_or(|oldest| oldest == "0" || message.ts.as_str() > oldest || (inclusive && message.ts == oldest));
    let before = args
        .text("latest")
        .is_none_or(|latest| latest == "now" || message.ts.as_str() < latest || (inclusive && message.ts == latest));
    after && before
}

/// One page of a list and the cursor of the next, empty at the end.
pub(super) fn page(items: &[Value], args: &Args) -> Result<(Vec<Value>, String), ApiError> {
    let start = match args.text("cursor") {
        Some(cursor) => {
            let start = cursor.strip_prefix("next:").and_then(|start| start.parse().ok());
            start.filter(|start| *start <= items.len()).ok_or("invalid_cursor")?
        }
        None => 0,
    };
    let limit = args
        .number("limit")
        .filter(|limit| *limit > 0)
        .unwrap_or(PAGE_DEFAULT)
        .min(PAGE_MAX);
    let end = (start + limit).min(items.len());
    let cursor = if end < items.len() {
        format!("next:{end}")
    } else {
        String::new()
    };
    Ok((items[start..end].to_vec(), cursor))
}

fn is_visible(state: &State, channel: &Channel) -> bool {
    !channel.is_private || channel.members.contains(&state.seed.bot_user_id)
}

fn visible<'a>(state: &'a State, args: &Args) -> Result<&'a Channel, ApiError> {
    let channel = args.text("channel").and_then(|id| state.channels.get(id));
    Ok(channel
        .filter(|channel| is_visible(state, channel))
        .ok_or("channel_not_found")?)
}

fn joined(state: &State, args: &Args) -> Result<String, ApiError> {
    let channel = visible(state, args)?;
    if channel.members.contains(&state.seed.bot_user_id) {
        Ok(channel.id.clone())
    } else {
        Err(ApiError::code("not_in_channel"))
    }
}
