//! The router and its handlers: verify, check, hand over, answer. Nothing is decided here, and nothing is parsed
//! before the signature over the raw bytes has been verified.

mod health;
mod slack;

use crate::inbound::Inbound;
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use tower_http::timeout::RequestBodyDeadlineLayer;

/// Slack's largest requests are views of 250 kB.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// A body that is not all here by then is not Slack's; one byte after the other buys no time.
const BODY_WITHIN: Duration = Duration::from_secs(2);

/// What the handlers need.
pub struct Surface {
    /// Turns verified requests into commands.
    pub inbound: Arc<Inbound>,
    /// The signing secrets: current, and the previous one while it is being replaced.
    pub signing_secrets: Vec<crate::config::Secret>,
    /// The only workspace that is served.
    pub team_id: String,
    /// The only app that is served.
    pub app_id: String,
    /// Counts.
    pub metrics: Metrics,
}

/// Slack's routes.
pub fn slack_routes(surface: Arc<Surface>) -> Router {
    Router::new()
        .route("/slack/commands", post(slack::commands))
        .route("/slack/interactions", post(slack::interactions))
        .route("/slack/events", post(slack::events))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(RequestBodyDeadlineLayer::new(BODY_WITHIN))
        .with_state(surface)
}

/// Liveness and readiness, for whoever watches the process.
pub fn health_routes(surface: Arc<Surface>) -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .with_state(surface)
}

/// Metrics; on a listener of their own if one is configured.
pub fn metrics_routes(surface: Arc<Surface>) -> Router {
    Router::new()
        .route("/metrics", get(health::metrics))
        .with_state(surface)
}
