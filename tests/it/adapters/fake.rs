//! A small HTTP server that answers as a test says and remembers what it was asked.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use countersign::slack::client::{Limits, SlackClient};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The secret that no error may show.
pub const CANARY: &str = "xoxb-canary-1234567890-secret";

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: HashMap<String, String>,
    pub headers: HashMap<String, String>,
    pub body: Value,
    pub at: Instant,
}

/// What the server does with a request.
#[derive(Clone)]
pub enum Answer {
    Json(Value),
    Http(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Takes the request, and answers only after this time.
    Slow(Duration, Value),
}

impl Answer {
    pub fn status(status: u16, body: &str) -> Self {
        Self::Http(status, Vec::new(), body.as_bytes().to_vec())
    }

    pub fn limited(secs: &str) -> Self {
        let body = br#"{"ok":false,"error":"ratelimited"}"#.to_vec();
        Self::Http(429, vec![("retry-after", secs.to_owned())], body)
    }
}

type Rule = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// A running server; it ends with the test.
pub struct Fake {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub async fn start(rule: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (rule, seen): (Rule, _) = (Arc::new(rule), Arc::clone(&asked));
        let app =
            axum::Router::new().fallback(move |request: Request| answer(request, rule.clone(), Arc::clone(&seen)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path == path).count()
    }

    /// A client of this server with limits that suit a test.
    pub fn slack(&self) -> SlackClient {
        self.slack_with(Limits {
            call: Duration::from_secs(1),
            answer_bytes_max: 100_000,
            gap: Duration::ZERO,
        })
    }

    pub fn slack_with(&self, limits: Limits) -> SlackClient {
        SlackClient::with_limits(&format!("{}/api", self.url), CANARY, limits).unwrap()
    }
}

async fn answer(request: Request, rule: Rule, seen: Arc<Mutex<Vec<Asked>>>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, 10_000_000).await.unwrap();
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: query.into_owned().collect(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        at: Instant::now(),
    };
    seen.lock().unwrap().push(asked.clone());
    let (status, headers, body) = match rule(&asked) {
        Answer::Json(value) => (200, Vec::new(), value.to_string().into_bytes()),
        Answer::Slow(wait, value) => {
            tokio::time::sleep(wait).await;
            (200, Vec::new(), value.to_string().into_bytes())
        }
        Answer::Http(status, headers, body) => (status, headers, body),
    };
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        response = response.header("content-type", "application/json; charset=utf-8");
    }
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}
