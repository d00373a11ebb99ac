//! The parts all interaction payloads share, and sending them.
//! Must not decide what a person may do.

use serde_json::{Value, json};

use super::Ack;
use crate::choices;
use crate::deliver::{self, deliver};
use crate::state::{Shared, State};

pub(super) async fn send_action(shared: &Shared, user: &str, payload: &Value) -> Ack {
    let outcome = deliver(shared, deliver::INTERACTIONS_PATH, deliver::payload_form(payload)).await;
    let mut ack = Ack::of(&outcome);
    if let Err(error) = outcome.accepted() {
        let failure = match error {
            "slack_is_down" => "Slack is switched off: nothing was sent.".to_owned(),
            error => {
                format!("This app didn't respond: the click failed with the error \"{error}\"")
            }
        };
        shared.state().notify(user, &failure);
        ack.failure = Some(failure);
    }
    shared.changed();
    ack
}

pub(super) fn base_payload(state: &mut State, kind: &str, user: &str) -> Value {
    let trigger_id = state.issue_trigger(user);
    let name = state.name_of(user);
    let team_id = state
        .users
        .get(user)
        .map_or(&state.seed.team_id, |known| &known.team_id);
    json!({
        "type": kind,
        "user": {"id": user, "username": name, "name": name, "team_id": team_id},
        "team": {"id": state.seed.team_id, "domain": state.seed.domain},
        "enterprise": null, "is_enterprise_install": false,
        "api_app_id": state.seed.app_id, "token": state.seed.verification_token,
        "trigger_id": trigger_id,
    })
}

/// The entry in `actions`; `None` for radio buttons and the like that send nothing by themselves.
pub(super) fn action_json(
    shared: &Shared,
    block: &Value,
    element: &Value,
    value: &Value,
    values: &mut Value,
) -> Result<Option<Value>, String> {
    let kind = element["type"].as_str().unwrap_or_default();
    let mut action = json!({
        "type": kind, "action_id": element["action_id"], "block_id": block["block_id"],
        "action_ts": shared.clock.next_ts(),
    });
    match kind {
        "button" => {
            for key in ["text", "value", "style", "url"] {
                if !element[key].is_null() {
                    action[key] = element[key].clone();
                }
            }
        }
        "overflow" => {
            let option = choices::offered(element)
                .into_iter()
                .find(|option| option["value"] == *value);
            action["selected_option"] = option.ok_or("This is not among the options.")?.clone();
        }
        _ => {
            let entry = choices::choose(element, value)?;
            let (Some(block_id), Some(action_id)) = (block["block_id"].as_str(), element["action_id"].as_str()) else {
                return Err("This element has no id.".into());
            };
            values[block_id][action_id] = entry.clone();
            if let (Some(target), Some(entry)) = (action.as_object_mut(), entry.as_object()) {
                target.extend(entry.clone());
            }
        }
    }
    Ok(Some(action))
}

/// The element by action id, `block_id/action_id`, or its words.
pub(super) fn find<'a>(blocks: &'a [Value], target: &str) -> Result<(&'a Value, &'a Value), String> {
    let elements = choices::elements(blocks);
    let by_ids = |(block, element): &&(&Value, &Value)| {
        element["action_id"] == target
            || target
                .split_once('/')
                .is_some_and(|(block_id, action_id)| block["block_id"] == block_id && element["action_id"] == action_id)
    };
    let by_words = |(_, element): &&(&Value, &Value)| element["text"]["text"] == target;
    let found = elements.iter().find(by_ids).or_else(|| elements.iter().find(by_words));
    found
        .copied()
        .ok_or_else(|| format!("There is nothing called \"{target}\" to click in this message."))
}
