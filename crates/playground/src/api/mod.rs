//! The Web API's front door: token, faults, rate limits, journal, then the method itself.
//! Must not hold a method's rules; those live in the files beside this one.

mod args;
mod chat;
mod conversations;
mod people;
mod scopes;
mod views;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::journal::ApiCall;
use crate::state::Shared;
use crate::validate::Refusal;
use args::Args;

/// An answer other than success.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// `ok: false` with HTTP 200.
    Refused(Value),
    /// HTTP 429.
    RateLimited { retry_after_s: u64 },
}

impl ApiError {
    pub fn code(code: &str) -> Self {
        Self::Refused(json!({"ok": false, "error": code}))
    }

    pub fn missing(key: &str) -> Self {
        let message = format!("[ERROR] missing required field: {key}");
        Self::Refused(json!({"ok": false, "error": "invalid_arguments", "response_metadata": {"messages": [message]}}))
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.to_json())
    }
}

impl From<&'static str> for ApiError {
    fn from(code: &'static str) -> Self {
        Self::code(code)
    }
}

type Outcome = Result<Value, ApiError>;

/// Reads that Slack accepts as query or form only.
const FORM_ONLY: &[&str] = &[
    "bots.info",
    "chat.getPermalink",
    "conversations.history",
    "conversations.info",
    "conversations.list",
    "conversations.members",
    "conversations.replies",
    "team.info",
    "usergroups.list",
    "usergroups.users.list",
    "users.info",
    "users.list",
    "users.lookupByEmail",
];

/// Handles `GET|POST /api/{method}`.
pub(crate) async fn handle(
    Extract(shared): Extract<Arc<Shared>>,
    Path(method): Path<String>,
    http_method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if http_method != Method::GET && http_method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let header = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let takes_json = !FORM_ONLY.contains(&method.as_str());
    let args = Args::read(
        query.as_deref().unwrap_or_default(),
        header(header::CONTENT_TYPE),
        &body,
        takes_json,
    );
    let bearer = header(header::AUTHORIZATION)
        .strip_prefix("Bearer ")
        .map(|token| token.trim().to_owned());
    let (journal_args, work) = match args {
        Ok(mut args) => {
            let token = bearer.or_else(|| args.take_token());
            (args.to_json(), Ok((args, token)))
        }
        Err(error) => (Value::Null, Err(error)),
    };
    let work_shared = Arc::clone(&shared);
    let work_method = method.clone();
    serve(&shared, &method, journal_args, move || {
        let (args, token) = work?;
        run(&work_shared, &work_method, &args, token.as_deref())
    })
    .await
}

/// Runs one piece of work under the faults in force, and notes it in the journal.
pub(crate) async fn serve(shared: &Arc<Shared>, method: &str, args: Value, work: impl FnOnce() -> Outcome) -> Response {
    let fault = shared.state().faults.take(method, &args);
    let note = |status: Option<u16>, answer: &Value| {
        shared.state().journal.add_call(ApiCall {
            id: 0,
            at_ms: shared.clock.now_ms(),
            method: method.to_owned(),
            args: args.clone(),
            status,
            answer: answer.clone(),
        });
    };
    if let Some(Fault::Slow { delay_ms }) = fault {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    let prevented = match &fault {
        Some(Fault::Unavailable) => Some((503, json!("service unavailable"))),
        Some(Fault::FatalError) => Some((200, json!({"ok": false, "error": "fatal_error"}))),
        Some(Fault::Error(code)) => Some((200, json!({"ok": false, "error": code}))),
        Some(Fault::RateLimited { .. }) => Some((429, json!({"ok": false, "error": "ratelimited"}))),
        Some(Fault::Hang) => {
            note(None, &Value::Null);
            return never().await;
        }
        _ => None,
    };
    if let Some((status, answer)) = prevented {
        note(Some(status), &answer);
        let retry_after_s = match fault {
            Some(Fault::RateLimited { retry_after_s }) => Some(retry_after_s),
            _ => None,
        };
        return respond(status, &answer, retry_after_s);
    }
    let (status, answer, retry_after_s) = match work() {
        Ok(answer) | Err(ApiError::Refused(answer)) => (200, answer, None),
        Err(ApiError::RateLimited { retry_after_s }) => {
            (429, json!({"ok": false, "error": "ratelimited"}), Some(retry_after_s))
        }
    };
    if method == "respond" || method.starts_with("chat.") || method.starts_with("views.") {
        shared.changed();
    }
    match fault {
        Some(Fault::LostAnswer) => {
            note(Some(503), &answer);
            respond(503, &json!("service unavailable"), None)
        }
        Some(Fault::LostAnswerHang) => {
            note(None, &answer);
            never().await
        }
        _ => {
            note(Some(status), &answer);
            respond(status, &answer, retry_after_s)
        }
    }
}

/// Keeps the caller waiting until it gives up.
async fn never() -> Response {
    std::future::pending().await
}

fn respond(status: u16, answer: &Value, retry_after_s: Option<u64>) -> Response {
    let (kind, body) = match answer {
        Value::String(text) => ("text/plain; charset=utf-8", text.clone()),
        _ => ("application/json; charset=utf-8", answer.to_string()),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn run(shared: &Shared, method: &str, args: &Args, token: Option<&str>) -> Outcome {
    let Some(method_fn) = find(method) else {
        return Err(ApiError::Refused(
            json!({"ok": false, "error": "unknown_method", "req_method": method}),
        ));
    };
    // `api.test` is the one method that needs no token.
    if method != "api.test" {
        let token = token.filter(|token| !token.is_empty()).ok_or("not_authed")?;
        if token != shared.state().seed.bot_token {
            return Err(ApiError::code("invalid_auth"));
        }
        if let Some(granted) = &shared.state().seed.scopes {
            scopes::check(method, args, granted)?;
        }
    }
    if shared.is_limited() {
        let permitted = shared.state().limits.take_call(method, Instant::now());
        permitted.map_err(|retry_after_s| ApiError::RateLimited { retry_after_s })?;
    }
    method_fn(shared, args)
}

type MethodFn = fn(&Shared, &Args) -> Outcome;

fn find(method: &str) -> Option<MethodFn> {
    Some(match method {
        "api.test" => people::api_test,
        "auth.test" => people::auth_test,
        "bots.info" => people::bots_info,
        "team.info" => people::team_info,
        "users.info" => people::users_info,
        "users.list" => people::users_list,
        "users.lookupByEmail" => people::users_lookup_by_email,
        "usergroups.list" => people::usergroups_list,
        "usergroups.users.list" => people::usergroups_users_list,
        "chat.postMessage" => chat::post_message,
        "chat.postEphemeral" => chat::post_ephemeral,
        "chat.update" => chat::update,
        "chat.delete" => chat::delete,
        "chat.getPermalink" => chat::get_permalink,
        "conversations.info" => conversations::info,
        "conversations.list" => conversations::list,
        "conversations.members" => conversations::members,
        "conversations.open" => conversations::open,
        "conversations.history" => conversations::history,
        "conversations.replies" => conversations::replies,
        "views.open" => views::open,
        "views.push" => views::push,
        "views.update" => views::update,
        _ => return None,
    })
}
