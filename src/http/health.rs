//! `/livez`, `/readyz` and `/metrics`. Readiness names what is wrong, for the person who looks at 03:00.

use super::Surface;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Beyond this a replica's commits are refused.
const SKEW_MAX_MS: i64 = 2_000;
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// The process answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// The process can do its work: the database answers and may keep decisions, the clock agrees with it.
pub(super) async fn readyz(State(surface): State<Arc<Surface>>) -> Response {
    let store = &surface.inbound.handler.store;
    let looking = async {
        let (head, skew) = (store.head().await, store.clock_skew_ms().await);
        (head, skew, store.unsafe_because().await)
    };
    let looked = timeout(LOOK_WITHIN, looking).await;
    let mut problems = Vec::new();
    match looked {
        Err(_) => problems.push("the database did not answer within 2 s".to_owned()),
        Ok((head, skew, unfit)) => {
            if let Ok(Some(problem)) = unfit {
                problems.push(format!("no decision is recorded: {problem}"));
            }
            if let Err(error) = head {
                problems.push(format!("the database can't be read: {error}"));
            }
            match skew {
                Ok(ms) if ms.abs() > SKEW_MAX_MS => {
                    problems.push(format!(
                        "this clock is {ms} ms off the database's; commits are refused beyond 2 s"
                    ));
                }
                Ok(_) => {}
                Err(error) => problems.push(format!("the database's clock can't be read: {error}")),
            }
        }
    }
    let warnings = surface.inbound.channel_warnings();
    let code = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        code,
        Json(json!({ "ready": problems.is_empty(), "problems": problems, "warnings": warnings })),
    )
        .into_response()
}

/// Prometheus' text format.
pub(super) async fn metrics(State(surface): State<Arc<Surface>>) -> Response {
    match surface.metrics.render(&surface.inbound.handler).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be collected");
            (StatusCode::SERVICE_UNAVAILABLE, "the database can't be read\n").into_response()
        }
    }
}
