//! Everything that went over the wire, both ways, for tests and for the curious.
//! Only records; must not influence what happens.

use serde::Serialize;
use serde_json::Value;

/// Older entries are dropped, so that a playground left running for days stays small.
const ENTRIES_MAX: usize = 5_000;

/// One call of the Web API or of a `response_url` (method `respond`).
#[derive(Debug, Clone, Serialize)]
pub struct ApiCall {
    /// Counts from 0.
    pub id: u64,
    /// Workspace time of the call.
    pub at_ms: i64,
    /// Method name, such as `chat.postMessage`.
    pub method: String,
    /// Arguments from query and body together, without the token.
    pub args: Value,
    /// HTTP status sent back; `None` if the caller never got an answer.
    pub status: Option<u16>,
    /// Slack's answer, also when it got lost on the way.
    pub answer: Value,
}

/// One signed request to the bot.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// Counts from 0.
    pub id: u64,
    /// Workspace time of the delivery.
    pub at_ms: i64,
    /// Where it went, base address and path.
    pub url: String,
    /// Path alone, such as `/slack/interactions`.
    pub path: String,
    /// `X-Slack-Request-Timestamp`.
    pub timestamp_s: i64,
    /// `X-Slack-Signature`.
    pub signature: String,
    /// The exact body.
    pub body: String,
    /// The bot's HTTP status; `None` if it didn't answer in time or at all.
    pub status: Option<u16>,
    /// The bot's answer, or why there is none.
    pub answer: String,
}

/// Both directions.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    calls: Vec<ApiCall>,
    deliveries: Vec<Delivery>,
    next_call: u64,
    next_delivery: u64,
}

impl Journal {
    pub fn add_call(&mut self, mut call: ApiCall) {
        call.id = self.next_call;
        self.next_call += 1;
        self.calls.push(call);
        trim(&mut self.calls);
    }

    pub fn add_delivery(&mut self, mut delivery: Delivery) -> u64 {
        delivery.id = self.next_delivery;
        self.next_delivery += 1;
        self.deliveries.push(delivery);
        trim(&mut self.deliveries);
        self.next_delivery - 1
    }

    pub fn calls(&self) -> &[ApiCall] {
        &self.calls
    }

    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    pub fn delivery(&self, id: u64) -> Option<&Delivery> {
        self.deliveries.iter().find(|delivery| delivery.id == id)
    }

    pub fn answer_delivery(&mut self, id: u64, status: Option<u16>, answer: &str) {
        if let Some(delivery) = self.deliveries.iter_mut().find(|delivery| delivery.id == id) {
            delivery.status = status;
            answer.clone_into(&mut delivery.answer);
        }
    }
}

fn trim<T>(entries: &mut Vec<T>) {
    if entries.len() > ENTRIES_MAX {
        entries.drain(..entries.len() - ENTRIES_MAX);
    }
}
