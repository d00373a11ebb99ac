//! The page's own API under `/playground`: what to show, and what a person or the operator does.
//! Must refuse whatever a foreign web page could send here.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Query, Request, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::person::{self, Action};
use crate::snapshot;
use crate::state::Shared;

/// Who looks at what.
#[derive(Debug, Deserialize)]
pub(crate) struct Viewer {
    pub user: String,
    #[serde(default)]
    pub channel: String,
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/playground/state", get(state))
        .route("/playground/events", get(events))
        .route("/playground/journal", get(journal))
        .route("/playground/command", post(command))
        .route("/playground/message", post(message))
        .route("/playground/action", post(action))
        .route("/playground/submit", post(submit))
        .route("/playground/close", post(close))
        .route("/playground/clock", post(clock))
        .route("/playground/slack", post(slack))
        .route("/playground/fault", post(fault))
        .route("/playground/redeliver", post(redeliver))
        .route("/playground/user", post(change_user))
        .route("/playground/group", post(change_group))
        .route("/playground/channel", post(change_channel))
}

/// Refuses requests that reach loopback under a foreign name or from a foreign page.
pub(crate) async fn only_from_this_machine(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host_ok = text(headers, &header::HOST).is_some_and(is_loopback_authority);
    let origin_ok = text(headers, &header::ORIGIN)
        .is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_loopback_authority));
    if host_ok && origin_ok {
        return next.run(request).await;
    }
    (
        StatusCode::FORBIDDEN,
        "The playground only answers pages of this machine.",
    )
        .into_response()
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_loopback_authority(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

fn answer(value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn bad(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, why.to_owned()).into_response()
}

type Shares = Extract<Arc<Shared>>;

async fn state(Extract(shared): Shares, Query(viewer): Query<Viewer>) -> Response {
    answer(&snapshot::of(&shared, &viewer))
}

async fn journal(Extract(shared): Shares) -> Response {
    let state = shared.state();
    answer(&json!({"calls": state.journal.calls(), "deliveries": state.journal.deliveries()}))
}

async fn events(Extract(shared): Shares) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = shared.changes.subscribe();
    let versions = stream::unfold((changes, true), |(mut changes, first)| async move {
        // The first event goes out at once, so that a page that reconnects catches up.
        if !first {
            changes.changed().await.ok()?;
        }
        let version = *changes.borrow_and_update();
        Some((
            Ok(Event::default().event("change").data(version.to_string())),
            (changes, false),
        ))
    });
    Sse::new(versions).keep_alive(KeepAlive::default())
}

/// A JSON body. The content type is required because it keeps simple cross-site forms out.
struct Asked(Value);

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = (StatusCode, String);

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let kind = text(request.headers(), &header::CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json".to_owned()));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| (rejection.status(), rejection.body_text()))?;
        let read = serde_json::from_slice(&body).map(Self);
        read.map_err(|error| (StatusCode::BAD_REQUEST, format!("this is no JSON: {error}")))
    }
}

fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

async fn command(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    let (user, channel) = (field(&asked, "user"), field(&asked, "channel"));
    let typed = field(&asked, "text").trim();
    let (command, text) = typed.split_once(char::is_whitespace).unwrap_or((typed, ""));
    let known = shared
        .commands
        .iter()
        .any(|hint| hint.command.split(' ').next() == Some(command));
    if !known {
        let ts = shared.clock.next_ts();
        let said = format!("{command} is not a valid command.");
        shared.state().slack_says(channel, user, ts, said.clone());
        shared.changed();
        return answer(&json!({"failure": said}));
    }
    answer(&json!(person::command(&shared, user, channel, command, text).await))
}

async fn message(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    if shared.state().faults.outage.is_some() {
        return bad("Slack is switched off.");
    }
    let (user, channel, text) = (field(&asked, "user"), field(&asked, "channel"), field(&asked, "text"));
    match person::say(&shared, user, channel, text, asked["thread_ts"].as_str()) {
        Ok(message) => answer(&json!(message)),
        Err(why) => bad(&why),
    }
}

async fn action(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    let in_view = asked["view_id"].is_string();
    let action = Action {
        user: field(&asked, "user").to_owned(),
        channel: field(&asked, "channel").to_owned(),
        place: field(&asked, if in_view { "view_id" } else { "ts" }).to_owned(),
        target: format!("{}/{}", field(&asked, "block_id"), field(&asked, "action_id")),
        value: asked["value"].clone(),
    };
    let ack = if in_view {
        person::act_in_view(&shared, &action).await
    } else {
        person::act_in_message(&shared, &action).await
    };
    answer(&json!(ack))
}

async fn submit(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    let (user, view_id) = (field(&asked, "user"), field(&asked, "view_id"));
    answer(&json!(person::submit(&shared, user, view_id, &asked["values"]).await))
}

async fn close(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    let (user, view_id) = (field(&asked, "user"), field(&asked, "view_id"));
    answer(&json!(
        person::close(&shared, user, view_id, asked["all"] == true).await
    ))
}

async fn clock(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    let Some(step_ms) = asked["advance_ms"].as_u64() else {
        return bad("advance_ms must be a whole number, 0 or more: the clock only goes forward");
    };
    if let Err(error) = shared.clock.advance(step_ms) {
        return bad(&format!("{error:#}"));
    }
    shared.changed();
    answer(&json!({"now_ms": shared.clock.now_ms(), "offset_ms": shared.clock.offset_ms()}))
}

async fn slack(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    let outage = if asked["on"] == true {
        None
    } else if asked["how"].is_null() {
        Some(Fault::Unavailable)
    } else {
        match serde_json::from_value(asked["how"].clone()) {
            Ok(fault) => Some(fault),
            Err(error) => return bad(&error.to_string()),
        }
    };
    shared.state().faults.outage = outage;
    shared.changed();
    answer(&json!({"ok": true}))
}

async fn fault(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    let fault: Fault = match serde_json::from_value(asked["fault"].clone()) {
        Ok(fault) => fault,
        Err(error) => return bad(&error.to_string()),
    };
    let calls = asked["calls"]
        .as_u64()
        .and_then(|calls| u32::try_from(calls).ok())
        .unwrap_or(1);
    shared.state().faults.queue(field(&asked, "method"), "", fault, calls);
    answer(&json!({"ok": true}))
}

async fn redeliver(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    let own_urls = shared.state().bot_urls.clone();
    // Only the bot's own addresses, so that nobody can point the playground elsewhere.
    let chosen: Vec<String> = match asked["urls"].as_array() {
        Some(urls) => {
            let wanted = urls.iter().filter_map(|url| url.as_str().map(str::to_owned));
            wanted.filter(|url| own_urls.contains(url)).collect()
        }
        None => own_urls.into_iter().take(1).collect(),
    };
    let Some(id) = asked["delivery"].as_u64() else {
        return bad("delivery must be a delivery's id");
    };
    let copies = if asked["fresh"] == true {
        usize::from(person::repeat_afresh(&shared, id).await.is_some())
    } else {
        crate::deliver::redeliver(&shared, id, &chosen).await.len()
    };
    shared.changed();
    answer(&json!({"copies": copies}))
}

async fn change_user(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    {
        let mut state = shared.state();
        let Some(user) = state.users.get_mut(field(&asked, "user")) else {
            return bad("no such user");
        };
        for (key, flag) in [
            ("deleted", &mut user.deleted),
            ("is_restricted", &mut user.is_restricted),
            ("is_ultra_restricted", &mut user.is_ultra_restricted),
            ("is_stranger", &mut user.is_stranger),
            ("is_invited_user", &mut user.is_invited_user),
        ] {
            if let Some(value) = asked[key].as_bool() {
                *flag = value;
            }
        }
    }
    shared.changed();
    answer(&json!({"ok": true}))
}

async fn change_group(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    {
        let mut state = shared.state();
        let Some(group) = state.groups.get_mut(field(&asked, "group")) else {
            return bad("no such group");
        };
        if let Some(user) = asked["remove"].as_str() {
            group.users.retain(|member| member != user);
        }
        if let Some(user) = asked["add"].as_str()
            && !group.users.iter().any(|member| member == user)
        {
            group.users.push(user.to_owned());
        }
        if let Some(disabled) = asked["disabled"].as_bool() {
            group.disabled = disabled;
        }
    }
    shared.changed();
    answer(&json!({"ok": true}))
}

async fn change_channel(Extract(shared): Shares, Asked(asked): Asked) -> Response {
    {
        let mut state = shared.state();
        let Some(channel) = state.channels.get_mut(field(&asked, "channel")) else {
            return bad("no such channel");
        };
        for (key, flag) in [
            ("is_archived", &mut channel.is_archived),
            ("is_shared", &mut channel.is_shared),
            ("is_ext_shared", &mut channel.is_ext_shared),
            ("is_pending_ext_shared", &mut channel.is_pending_ext_shared),
            ("is_org_shared", &mut channel.is_org_shared),
        ] {
            if let Some(value) = asked[key].as_bool() {
                *flag = value;
            }
        }
        if let Some(user) = asked["remove"].as_str() {
            channel.members.remove(user);
        }
        if let Some(user) = asked["add"].as_str() {
            channel.members.insert(user.to_owned());
        }
    }
    shared.changed();
    answer(&json!({"ok": true}))
}

#[cfg(test)]
mod tests {
    use super::is_loopback_authority;

    #[test]
    fn only_names_of_this_machine() {
        for good in [
            "localhost",
            "localhost:4003",
            "127.0.0.1:4003",
            "127.8.8.8",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_loopback_authority(good), "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example:80",
            "localhost.evil.example",
            "10.0.0.1:80",
            "",
            "null",
        ] {
            assert!(!is_loopback_authority(bad), "{bad}");
        }
    }
}
