//! Doing the same thing again: an earlier click or command with new ids.
//! Redelivery of the very same bytes is in `deliver`.

use serde_json::{Value, json};

use super::Ack;
use crate::deliver::deliver;
use crate::state::Shared;

/// Sends an earlier click or command again as a new one: new signature, trigger and response URL.
pub(crate) async fn repeat_afresh(shared: &Shared, delivery_id: u64) -> Option<Ack> {
    let original = shared.state().journal.delivery(delivery_id).cloned()?;
    let mut fields: Vec<(String, String)> = form_urlencoded::parse(original.body.as_bytes()).into_owned().collect();
    for (key, value) in &mut fields {
        match key.as_str() {
            "payload" => {
                let mut payload: Value = serde_json::from_str(value).ok()?;
                renew(shared, &mut payload);
                *value = payload.to_string();
            }
            "trigger_id" => *value = shared.state().renew_trigger(value),
            "response_url" => *value = renew_response_url(shared, value),
            _ => {}
        }
    }
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&fields)
        .finish();
    let outcome = deliver(shared, &original.path, body).await;
    shared.changed();
    Some(Ack::of(&outcome))
}

fn renew(shared: &Shared, payload: &mut Value) {
    if let Some(trigger_id) = payload["trigger_id"].as_str() {
        payload["trigger_id"] = json!(shared.state().renew_trigger(trigger_id));
    }
    if let Some(url) = payload["response_url"].as_str() {
        payload["response_url"] = json!(renew_response_url(shared, url));
    }
    for action in payload["actions"].as_array_mut().into_iter().flatten() {
        action["action_ts"] = json!(shared.clock.next_ts());
    }
}

fn renew_response_url(shared: &Shared, url: &str) -> String {
    let id = url.rsplit('/').next().unwrap_or_default();
    let fresh = shared.state().renew_response_url(id, shared.clock.now_ms());
    format!("{}/respond/{fresh}", shared.base_url)
}
