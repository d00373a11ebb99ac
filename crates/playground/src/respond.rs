//! `response_url`s: five uses within thirty minutes to answer, replace or delete.
//! Must not be usable for anything the person could not see.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::api::{ApiError, serve};
use crate::messages::Draft;
use crate::state::{Shared, State};
use crate::tickets::{Original, ResponseUrl};
use crate::validate;

/// Handles `POST /respond/{id}`.
pub(crate) async fn handle(Extract(shared): Extract<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    let args: Value = serde_json::from_slice(&body).unwrap_or_default();
    let work_shared = Arc::clone(&shared);
    let work_args = args.clone();
    let mut spent = false;
    let response = serve(&shared, "respond", args, || {
        let answered = answer(&work_shared, &id, &work_args);
        if let Err(ApiError::Refused(refusal)) = &answered {
            spent = matches!(
                refusal["error"].as_str(),
                Some("used_url" | "expired_url" | "invalid_url")
            );
        }
        answered
    })
    .await;
    if spent {
        let (parts, body) = response.into_parts();
        return (StatusCode::NOT_FOUND, parts.headers, body).into_response();
    }
    response
}

fn answer(shared: &Shared, id: &str, args: &Value) -> Result<Value, ApiError> {
    if !args.is_object() {
        return Err(ApiError::code("invalid_payload"));
    }
    let mut state = shared.state();
    let permission = state.use_response_url(id, shared.clock.now_ms())?;
    if args["delete_original"] == true {
        delete(&mut state, &permission);
        return Ok(json!({"ok": true}));
    }
    let draft = draft(args)?;
    let ts = shared.clock.next_ts();
    if args["replace_original"] == true
        && let Some(original) = &permission.original
    {
        replace(&mut state, &permission, original, draft, ts);
    } else {
        let created = say(
            &mut state,
            &permission,
            args["response_type"] == "in_channel",
            draft,
            ts,
        );
        state.set_original(id, created);
    }
    Ok(json!({"ok": true}))
}

/// What an ack body or a `response_url` call wants to say, checked like any message.
pub(crate) fn draft(args: &Value) -> Result<Draft, ApiError> {
    let blocks = match &args["blocks"] {
        Value::Null => Vec::new(),
        Value::Array(blocks) => blocks.clone(),
        Value::String(text) => serde_json::from_str(text).map_err(|_| ApiError::code("invalid_blocks_format"))?,
        _ => return Err(ApiError::code("invalid_blocks_format")),
    };
    validate::message_blocks(&blocks)?;
    let text = args["text"].as_str().unwrap_or_default();
    if text.trim().is_empty() && blocks.is_empty() {
        return Err(ApiError::code("no_text"));
    }
    Ok(Draft {
        text: text.to_owned(),
        blocks,
        thread_ts: args["thread_ts"].as_str().map(str::to_owned),
        ..Draft::default()
    })
}

/// Posts to the channel or whispers to the person; returns what a later call may replace.
pub(crate) fn say(
    state: &mut State,
    permission: &ResponseUrl,
    in_channel: bool,
    mut draft: Draft,
    ts: String,
) -> Original {
    draft.thread_ts = draft.thread_ts.or_else(|| permission.thread_ts.clone());
    if in_channel {
        let bot = state.seed.bot_user_id.clone();
        return Original::Message(state.post(&permission.channel, &bot, ts, draft).ts);
    }
    Original::Ephemeral(state.whisper(&permission.channel, &permission.user, ts, draft))
}

fn replace(state: &mut State, permission: &ResponseUrl, original: &Original, mut draft: Draft, now_ts: String) {
    crate::choices::fill_in_ids(&mut draft.blocks);
    match original {
        Original::Message(ts) => {
            if let Some(message) = state.message_mut(&permission.channel, ts) {
                message.edited_ts = draft.blocks.is_empty().then_some(now_ts);
                message.text = draft.text;
                message.blocks = draft.blocks;
            }
        }
        Original::Ephemeral(ts) => {
            if let Some(message) = state.ephemeral_mut(&permission.channel, ts) {
                message.text = draft.text;
                message.blocks = draft.blocks;
            }
        }
    }
}

fn delete(state: &mut State, permission: &ResponseUrl) {
    match &permission.original {
        Some(Original::Message(ts)) => {
            state
                .messages
                .retain(|message| message.channel != permission.channel || message.ts != *ts);
        }
        Some(Original::Ephemeral(ts)) => {
            state
                .ephemerals
                .retain(|message| message.channel != permission.channel || message.ts != *ts);
        }
        None => {}
    }
}
