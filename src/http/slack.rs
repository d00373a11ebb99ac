//! Slack's three routes. The order is the law: bytes, signature, type, form, workspace; then the person.

use super::Surface;
use crate::inbound::{ANSWER_WITHIN, Asked, Reply};
use crate::people::SlackUser;
use crate::slack::payload::{Elsewhere, Interaction, InteractionKind, PayloadError, SlashCommand, Workspace};
use crate::slack::texts::refusal::outsider;
use crate::slack::verify::verify;
use crate::store::within;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

type Answered = Result<Response, (StatusCode, &'static str)>;
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// `/release …`
pub(super) async fn commands(
    State(surface): State<Arc<Surface>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let arrived = Instant::now();
    let answered = match raw(body) {
        Ok(body) => surface.command(&headers, &body, arrived).await,
        Err(refused) => Err(refused),
    };
    surface.answer("commands", answered)
}

/// Clicks and forms.
pub(super) async fn interactions(
    State(surface): State<Arc<Surface>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let arrived = Instant::now();
    let answered = match raw(body) {
        Ok(body) => surface.interaction(&headers, &body, arrived).await,
        Err(refused) => Err(refused),
    };
    surface.answer("interactions", answered)
}

/// Slack's check of the address, and events; none changes anything yet.
pub(super) async fn events(
    State(surface): State<Arc<Surface>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answered = raw(body).and_then(|body| surface.event(&headers, &body));
    surface.answer("events", answered)
}

fn raw(body: Result<Bytes, BytesRejection>) -> Result<Bytes, (StatusCode, &'static str)> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        _ => (StatusCode::BAD_REQUEST, "the body could not be read"),
    })
}

impl Surface {
    async fn command(&self, headers: &HeaderMap, body: &Bytes, arrived: Instant) -> Answered {
        let request = self.verified(headers, body)?;
        expect_type(headers, FORM)?;
        let command = SlashCommand::parse(body).map_err(|error| malformed(&error))?;
        let elsewhere = self.check(&command.workspace())?;
        let asked = Asked {
            user: user(&command.user_id)?,
            request,
            deadline: arrived + ANSWER_WITHIN,
            trigger: command.trigger_id.clone(),
            response_url: command.response_url.clone(),
            channel: command.channel_id.clone(),
        };
        if elsewhere {
            return Ok(reply(Reply::private(&outsider())));
        }
        let inbound = Arc::clone(&self.inbound);
        // In a task of its own: Slack hanging up must not cut a decision in half.
        let answering = within(asked.deadline, async move { inbound.command(&asked, &command).await });
        let replied = tokio::spawn(answering).await;
        finished(replied)
    }

    async fn interaction(&self, headers: &HeaderMap, body: &Bytes, arrived: Instant) -> Answered {
        let request = self.verified(headers, body)?;
        expect_type(headers, FORM)?;
        let interaction = Interaction::parse(body).map_err(|error| malformed(&error))?;
        let elsewhere = self.check(&interaction.workspace())?;
        let channel = match &interaction.kind {
            InteractionKind::Click(click) => click.channel_id.clone(),
            _ => None,
        };
        let asked = Asked {
            user: user(&interaction.user.id)?,
            request,
            deadline: arrived + ANSWER_WITHIN,
            trigger: interaction.trigger_id.clone(),
            response_url: interaction.response_url.clone(),
            channel,
        };
        let inbound = Arc::clone(&self.inbound);
        if elsewhere {
            inbound.turn_away(&asked);
            return Ok(reply(Reply::Empty));
        }
        let answering = within(asked.deadline, async move {
            match &interaction.kind {
                InteractionKind::Click(click) => inbound.click(&asked, click).await,
                InteractionKind::Submission(view) => inbound.submitted(&asked, view).await,
                InteractionKind::Closed(_) | InteractionKind::Ignored(_) => Reply::Empty,
            }
        });
        finished(tokio::spawn(answering).await)
    }

    fn event(&self, headers: &HeaderMap, body: &Bytes) -> Answered {
        self.verified(headers, body)?;
        expect_type(headers, JSON)?;
        let text = std::str::from_utf8(body).map_err(|_| (StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
        let event: Value = serde_json::from_str(text).map_err(|_| (StatusCode::BAD_REQUEST, "the body is no JSON"))?;
        let text = |field: &str| event[field].as_str();
        // The check of the address, before Slack knows to whom it belongs, names no workspace.
        if let (Some("url_verification"), Some(challenge)) = (text("type"), text("challenge")) {
            return Ok(axum::Json(json!({ "challenge": challenge })).into_response());
        }
        self.check(&Workspace {
            team_id: text("team_id"),
            api_app_id: text("api_app_id").unwrap_or_default(),
            user_id: "",
            user_team_id: None,
            enterprise_id: None,
            is_enterprise_install: false,
        })?;
        Ok(StatusCode::OK.into_response())
    }

    /// The id of the signed bytes.
    fn verified(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, (StatusCode, &'static str)> {
        let header = |name| headers.get(name).map(axum::http::HeaderValue::as_bytes);
        let secrets: Vec<&str> = self.signing_secrets.iter().map(crate::config::Secret::expose).collect();
        let clock = &self.inbound.handler.clock;
        clock.follow();
        let (timestamp, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
        verify(&secrets, timestamp, signature, body, clock.now_ms())
            .map(|verified| verified.request_id)
            .map_err(|why| {
                tracing::warn!(%why, "a request was not believed");
                (StatusCode::UNAUTHORIZED, "not signed by Slack")
            })
    }

    /// Whether it comes from a person of another workspace; another app or workspace is refused altogether.
    fn check(&self, workspace: &Workspace<'_>) -> Result<bool, (StatusCode, &'static str)> {
        match workspace.check(&self.team_id, &self.app_id) {
            Ok(()) => Ok(false),
            Err(Elsewhere::Person) => Ok(true),
            Err(Elsewhere::App | Elsewhere::Team) => Err((StatusCode::FORBIDDEN, "another workspace or app")),
        }
    }

    fn answer(&self, route: &str, answered: Answered) -> Response {
        let response = answered.unwrap_or_else(IntoResponse::into_response);
        self.metrics.count_request(route, response.status().as_u16());
        response
    }
}

fn expect_type(headers: &HeaderMap, expected: &str) -> Result<(), (StatusCode, &'static str)> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        Ok(())
    } else {
        Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong content type"))
    }
}

fn malformed(error: &PayloadError) -> (StatusCode, &'static str) {
    tracing::warn!(%error, "a signed request could not be read");
    (StatusCode::BAD_REQUEST, "malformed")
}

fn user(id: &str) -> Result<SlackUser, (StatusCode, &'static str)> {
    SlackUser::new(id).map_err(|_| (StatusCode::BAD_REQUEST, "malformed"))
}

fn finished(replied: Result<Reply, tokio::task::JoinError>) -> Answered {
    replied.map(reply).map_err(|error| {
        tracing::error!(%error, "a request ended in a bug");
        (StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    })
}

fn reply(reply: Reply) -> Response {
    match reply {
        Reply::Empty => StatusCode::OK.into_response(),
        Reply::Body(body) => axum::Json(body).into_response(),
    }
}
