//! Which permission each method needs (docs.slack.dev/reference/scopes). A token without one of them is refused as Slack refuses it.

use std::collections::BTreeSet;

use serde_json::json;

use super::ApiError;
use super::args::Args;

/// The scopes of which one is enough; none for a method that every token may call.
fn needed(method: &str, args: &Args) -> &'static [&'static str] {
    let channel = args.text("channel").unwrap_or_default();
    match method {
        "chat.postMessage" | "chat.postEphemeral" | "chat.update" | "chat.delete" => &["chat:write"],
        "conversations.history" | "conversations.replies" if channel.starts_with('D') => &["im:history"],
        "conversations.history" | "conversations.replies" => &["channels:history", "groups:history"],
        "conversations.info" | "conversations.members" if channel.starts_with('D') => &["im:read"],
        "conversations.info" | "conversations.members" | "conversations.list" => &["channels:read", "groups:read"],
        "conversations.open" => &["im:write"],
        "team.info" => &["team:read"],
        "bots.info" | "users.info" | "users.list" => &["users:read"],
        "users.lookupByEmail" => &["users:read.email"],
        "usergroups.list" | "usergroups.users.list" => &["usergroups:read"],
        _ => &[],
    }
}

/// Refuses a call that the token's scopes don't allow.
pub(super) fn check(method: &str, args: &Args, scopes: &BTreeSet<String>) -> Result<(), ApiError> {
    let needed = needed(method, args);
    if needed.is_empty() || needed.iter().any(|scope| scopes.contains(*scope)) {
        return Ok(());
    }
    let provided: Vec<&str> = scopes.iter().map(String::as_str).collect();
    Err(ApiError::Refused(json!({
        "ok": false, "error": "missing_scope", "needed": needed.join(","), "provided": provided.join(","),
    })))
}
