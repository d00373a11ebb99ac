//! `auth.*`, `team.*`, `bots.*`, `users.*`, `usergroups.*` and `api.test`.
//! Reads only; people are changed through the control API and the test handle.
#![allow(clippy::unnecessary_wraps)] // All methods share one signature.

use serde_json::{Value, json};

use super::args::Args;
use super::{ApiError, Outcome};
use crate::state::Shared;

pub(super) fn api_test(_: &Shared, args: &Args) -> Outcome {
    let given = args.to_json();
    match args.text("error") {
        Some(error) => Err(ApiError::Refused(json!({"ok": false, "error": error, "args": given}))),
        None => Ok(json!({"ok": true, "args": given})),
    }
}

pub(super) fn auth_test(shared: &Shared, _: &Args) -> Outcome {
    let state = shared.state();
    let seed = &state.seed;
    Ok(json!({
        "ok": true, "url": format!("https://{}.slack.com/", seed.domain), "team": seed.team_name,
        "user": state.name_of(&seed.bot_user_id), "team_id": seed.team_id, "user_id": seed.bot_user_id,
        "bot_id": seed.bot_id, "is_enterprise_install": false,
    }))
}

pub(super) fn team_info(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let seed = &state.seed;
    if args.text("team").is_some_and(|team| team != seed.team_id) {
        return Err(ApiError::code("team_not_found"));
    }
    Ok(json!({"ok": true, "team": {
        "id": seed.team_id, "name": seed.team_name, "domain": seed.domain,
        "url": format!("https://{}.slack.com/", seed.domain), "email_domain": "",
    }}))
}

pub(super) fn bots_info(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    if args.text("bot").is_some_and(|bot| bot != state.seed.bot_id) {
        return Err(ApiError::code("bot_not_found"));
    }
    Ok(json!({"ok": true, "bot": state.bot_profile()}))
}

pub(super) fn users_info(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    // A call without a user gets the same answer from Slack as one with an unknown user.
    let user = args
        .text("user")
        .and_then(|id| state.users.get(id))
        .ok_or("user_not_found")?;
    let mut user = user.to_json();
    if args.flag("include_locale") {
        user["locale"] = json!("en-GB");
    }
    Ok(json!({"ok": true, "user": user}))
}

pub(super) fn users_list(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let users: Vec<Value> = state.users.values().map(crate::seed::User::to_json).collect();
    let (page, cursor) = super::conversations::page(&users, args)?;
    Ok(json!({
        "ok": true, "members": page, "cache_ts": shared.clock.now_ms() / 1_000,
        "response_metadata": {"next_cursor": cursor},
    }))
}

pub(super) fn users_lookup_by_email(shared: &Shared, args: &Args) -> Outcome {
    let email = args.required("email")?;
    let state = shared.state();
    let found = state.users.values().find(|user| {
        !user.deleted
            && user
                .email
                .as_deref()
                .is_some_and(|known| known.eq_ignore_ascii_case(email))
    });
    let user = found.ok_or("users_not_found")?;
    Ok(json!({"ok": true, "user": user.to_json()}))
}

pub(super) fn usergroups_list(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let groups: Vec<Value> = state
        .groups
        .values()
        .filter(|group| !group.disabled || args.flag("include_disabled"))
        .map(|group| {
            group.to_json(
                &state.seed.team_id,
                args.flag("include_users"),
                args.flag("include_count"),
            )
        })
        .collect();
    Ok(json!({"ok": true, "usergroups": groups}))
}

pub(super) fn usergroups_users_list(shared: &Shared, args: &Args) -> Outcome {
    let state = shared.state();
    let group = args
        .text("usergroup")
        .and_then(|id| state.groups.get(id))
        .ok_or("no_such_subteam")?;
    if group.disabled && !args.flag("include_disabled") {
        return Err(ApiError::code("no_such_subteam"));
    }
    // Slack takes deactivated accounts out of their groups.
    let alive = |id: &&String| state.users.get(*id).is_none_or(|user| !user.deleted);
    let users: Vec<&String> = group.users.iter().filter(alive).collect();
    Ok(json!({"ok": true, "users": users}))
}
