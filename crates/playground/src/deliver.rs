//! Signed requests to the bot, with Slack's deadline of three seconds, and their redelivery.
//! Must not interpret the bot's answers; `person` does.

use std::time::Duration;

use serde_json::Value;

use crate::journal::Delivery;
use crate::signing::signature;
use crate::state::Shared;

const ACK_DEADLINE: Duration = Duration::from_secs(3);
/// Where slash commands go.
pub(crate) const COMMANDS_PATH: &str = "/slack/commands";
/// Where clicks and modals go.
pub(crate) const INTERACTIONS_PATH: &str = "/slack/interactions";

/// What became of a delivery.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The bot answered in time; the status may still be an error.
    Answered { status: u16, body: String },
    /// No answer within three seconds.
    Late,
    /// No bot there, or the connection broke.
    Unreachable,
    /// Slack itself is switched off, nothing was sent.
    SlackDown,
}

impl Outcome {
    /// The body of a 2xx answer, or Slack's name for the failure.
    pub fn accepted(&self) -> Result<&str, &'static str> {
        match self {
            Self::Answered {
                status: 200..=299,
                body,
            } => Ok(body),
            Self::Late => Err("operation_timeout"),
            Self::Answered { .. } | Self::Unreachable => Err("dispatch_failed"),
            Self::SlackDown => Err("slack_is_down"),
        }
    }
}

/// A form body with one field `payload`, as interactions come.
pub(crate) fn payload_form(payload: &Value) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
}

/// Signs and sends a body to the next of the bot's addresses that accepts a connection.
pub(crate) async fn deliver(shared: &Shared, path: &str, body: String) -> Outcome {
    let (urls, secret) = {
        let mut state = shared.state();
        if state.faults.outage.is_some() {
            return Outcome::SlackDown;
        }
        let mut urls = state.bot_urls.clone();
        if !urls.is_empty() {
            let start = state.next_bot % urls.len();
            urls.rotate_left(start);
            state.next_bot += 1;
        }
        (urls, state.seed.signing_secret.clone())
    };
    let timestamp_s = shared.clock.now_ms() / 1_000;
    let mut delivery = Delivery {
        id: 0,
        at_ms: shared.clock.now_ms(),
        url: String::new(),
        path: path.to_owned(),
        timestamp_s,
        signature: signature(&secret, timestamp_s, body.as_bytes()),
        body,
        status: None,
        answer: String::new(),
    };
    // Like the load balancer a real bot sits behind: a dead replica is passed over.
    let mut target = urls.first().cloned().unwrap_or_default();
    for url in urls.iter().filter(|_| urls.len() > 1) {
        if crate::http::reachable(url).await {
            target.clone_from(url);
            break;
        }
    }
    delivery.url = format!("{target}{path}");
    let id = shared.state().journal.add_delivery(delivery.clone());
    let outcome = send(&delivery).await;
    note(shared, id, &outcome);
    outcome
}

/// Sends the same signed bytes once more to each address, all at once.
pub(crate) async fn redeliver(shared: &Shared, id: u64, urls: &[String]) -> Vec<Outcome> {
    let Some(original) = shared.state().journal.delivery(id).cloned() else {
        return Vec::new();
    };
    let sends = urls.iter().map(|url| {
        let copy = Delivery {
            url: format!("{url}{}", original.path),
            ..original.clone()
        };
        async move {
            let id = shared.state().journal.add_delivery(copy.clone());
            let outcome = send(&copy).await;
            note(shared, id, &outcome);
            outcome
        }
    });
    futures_util::future::join_all(sends).await
}

fn note(shared: &Shared, id: u64, outcome: &Outcome) {
    let (status, answer) = match outcome {
        Outcome::Answered { status, body } => (Some(*status), body.as_str()),
        Outcome::Late => (None, "no answer within three seconds"),
        Outcome::Unreachable => (None, "unreachable"),
        Outcome::SlackDown => (None, "Slack is switched off"),
    };
    let mut state = shared.state();
    state.journal.answer_delivery(id, status, answer);
    state.bot_reachable = !matches!(outcome, Outcome::Unreachable);
}

async fn send(delivery: &Delivery) -> Outcome {
    let timestamp = delivery.timestamp_s.to_string();
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)"),
        ("x-slack-request-timestamp", timestamp.as_str()),
        ("x-slack-signature", delivery.signature.as_str()),
    ];
    let sending = crate::http::send("POST", &delivery.url, &headers, delivery.body.clone().into_bytes());
    match tokio::time::timeout(ACK_DEADLINE, sending).await {
        Ok(Ok(answer)) => Outcome::Answered {
            status: answer.status,
            body: answer.body,
        },
        Ok(Err(error)) => {
            tracing::debug!(url = delivery.url, "delivery failed: {error:#}");
            Outcome::Unreachable
        }
        Err(_) => Outcome::Late,
    }
}
