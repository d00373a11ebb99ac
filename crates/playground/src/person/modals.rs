//! What a person does inside modals, and what Slack does with the bot's answers to it.
//! The modal's own rules live in `crate::views`.

use serde_json::{Map, Value, json};

use super::payloads::{action_json, base_payload, find, send_action};
use super::{Ack, Action};
use crate::choices;
use crate::deliver::{self, deliver};
use crate::state::{Shared, State};
use crate::views::OpenView;

const TROUBLE: &str = "We had some trouble connecting. Try again?";

/// Clicks a button or changes an element inside a modal.
pub(crate) async fn act_in_view(shared: &Shared, action: &Action) -> Ack {
    let payload = {
        let mut state = shared.state();
        match view_action_payload(shared, &mut state, action) {
            Ok(Some(payload)) => payload,
            Ok(None) => {
                return Ack {
                    status: Some(200),
                    ..Ack::default()
                };
            }
            Err(why) => return Ack::refused(why),
        }
    };
    send_action(shared, &action.user, &payload).await
}

fn view_action_payload(shared: &Shared, state: &mut State, action: &Action) -> Result<Option<Value>, String> {
    let view = state
        .view_of(&action.user, &action.place)
        .cloned()
        .ok_or("This modal is not open.")?;
    let (block, element) = find(view.blocks(), &action.target)?;
    let mut values = view.values.clone();
    let action_json = action_json(shared, block, element, &action.value, &mut values)?;
    let silent = block["type"] == "input" && block["dispatch_action"] != true;
    let open = state.view_mut(&view.id).ok_or("This modal is not open.")?;
    open.values = values;
    let Some(action_json) = action_json.filter(|_| !silent) else {
        return Ok(None);
    };
    let view_json = open.to_json();
    let mut payload = base_payload(state, "block_actions", &action.user);
    payload["container"] = json!({"type": "view", "view_id": view.id});
    payload["view"] = view_json;
    payload["actions"] = json!([action_json]);
    Ok(Some(payload))
}

/// Sends a modal away; `inputs` are first put into its elements.
pub(crate) async fn submit(shared: &Shared, user: &str, view_id: &str, inputs: &Value) -> Ack {
    let payload = {
        let mut state = shared.state();
        let Some(open) = state.view_of(user, view_id).cloned() else {
            return Ack::refused("This modal is not open.");
        };
        let mut view = open;
        if let Err(why) = view.fill(inputs) {
            return Ack::refused(why);
        }
        view.errors = choices::complaints(view.blocks(), &view.values);
        view.banner = None;
        let complaints = view.errors.clone();
        let view_json = view.to_json();
        if let Some(stored) = state.view_mut(view_id) {
            *stored = view;
        }
        if !complaints.is_empty() {
            drop(state);
            shared.changed();
            return Ack {
                errors: complaints,
                ..Ack::default()
            };
        }
        let mut payload = base_payload(&mut state, "view_submission", user);
        payload["view"] = view_json;
        payload["response_urls"] = json!([]);
        payload
    };
    let outcome = deliver(shared, deliver::INTERACTIONS_PATH, deliver::payload_form(&payload)).await;
    let mut ack = Ack::of(&outcome);
    let shown = match outcome.accepted() {
        Ok(body) => follow(shared, user, view_id, body),
        Err("slack_is_down") => Err("Slack is switched off: nothing was sent.".to_owned()),
        Err(_) => Err(TROUBLE.to_owned()),
    };
    match shown {
        Ok(errors) => ack.errors = errors,
        Err(banner) => {
            if let Some(view) = shared.state().view_mut(view_id) {
                view.banner = Some(banner.clone());
            }
            ack.failure = Some(banner);
        }
    }
    shared.changed();
    ack
}

/// Does what the acknowledgement of a `view_submission` asks for.
fn follow(shared: &Shared, user: &str, view_id: &str, body: &str) -> Result<Map<String, Value>, String> {
    let answer: Value = if body.trim().is_empty() {
        json!({})
    } else {
        serde_json::from_str(body).map_err(|_| TROUBLE.to_owned())?
    };
    let now_ms = shared.clock.now_ms();
    let mut state = shared.state();
    match answer["response_action"].as_str() {
        None => {
            state.close_view(user, view_id, false);
        }
        Some("clear") => {
            state.close_view(user, view_id, true);
        }
        Some("update") => {
            state
                .update_view(view_id, &answer["view"], None, now_ms)
                .map_err(|_| TROUBLE.to_owned())?;
        }
        Some("push") => {
            state
                .open_view(user, &answer["view"], true, now_ms)
                .map_err(|_| TROUBLE.to_owned())?;
        }
        Some("errors") => {
            let errors = answer["errors"].as_object().cloned().unwrap_or_default();
            let view = state.view_mut(view_id).ok_or_else(|| TROUBLE.to_owned())?;
            let is_input = |id: &String| {
                view.blocks()
                    .iter()
                    .any(|b| b["type"] == "input" && b["block_id"] == **id)
            };
            // Slack shows nothing but trouble when an error names a block that takes no input.
            if errors.is_empty() || !errors.keys().all(is_input) {
                return Err(TROUBLE.to_owned());
            }
            view.errors.clone_from(&errors);
            return Ok(errors);
        }
        Some(_) => return Err(TROUBLE.to_owned()),
    }
    Ok(Map::new())
}

/// Closes a modal; the bot hears of it if the view asked for that.
pub(crate) async fn close(shared: &Shared, user: &str, view_id: &str, all: bool) -> Ack {
    let payloads: Vec<Value> = {
        let mut state = shared.state();
        let closed = state.close_view(user, view_id, all);
        let told: Vec<OpenView> = closed
            .into_iter()
            .filter(|view| view.view["notify_on_close"] == true)
            .collect();
        told.iter()
            .map(|view| closed_payload(&mut state, user, view, all))
            .collect()
    };
    shared.changed();
    let mut ack = Ack {
        status: Some(200),
        ..Ack::default()
    };
    for payload in payloads {
        let outcome = deliver(shared, deliver::INTERACTIONS_PATH, deliver::payload_form(&payload)).await;
        ack = Ack::of(&outcome);
    }
    ack
}

fn closed_payload(state: &mut State, user: &str, view: &OpenView, all: bool) -> Value {
    let mut payload = base_payload(state, "view_closed", user);
    payload["view"] = view.to_json();
    payload["is_cleared"] = json!(all);
    if let Some(object) = payload.as_object_mut() {
        object.remove("trigger_id");
    }
    payload
}
