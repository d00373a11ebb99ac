//! The page's files, built into the program.
//! Only hands them out; everything live comes from `control`.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::state::Shared;

/// Foreign text is never made into markup, and this keeps it so if the page has a hole.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: http: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let script = |text: &'static str| get(move || async move { file("text/javascript; charset=utf-8", text) });
    Router::new()
        .route(
            "/",
            get(|| async { file("text/html; charset=utf-8", include_str!("page/index.html")) }),
        )
        .route(
            "/page/style.css",
            get(|| async { file("text/css; charset=utf-8", include_str!("page/style.css")) }),
        )
        .route("/page/app.js", script(include_str!("page/app.js")))
        .route("/page/mrkdwn.js", script(include_str!("page/mrkdwn.js")))
        .route("/page/blocks.js", script(include_str!("page/blocks.js")))
        .route("/page/modal.js", script(include_str!("page/modal.js")))
        .route("/page/dom.js", script(include_str!("page/dom.js")))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}
