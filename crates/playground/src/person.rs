//! What a person can do in Slack: type, run commands, click, and fill in modals.
//! Builds Slack's payloads and shows what Slack shows; the wire itself is in `deliver`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::choices;
use crate::deliver::{self, Outcome, deliver};
use crate::escape::{self, Style};
use crate::messages::{Draft, Message};
use crate::respond;
use crate::state::{Shared, State};
use crate::tickets::Original;
use crate::views::OpenView;

/// How the bot acknowledged, and what Slack told the person if it did not.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ack {
    /// The bot's HTTP status; `None` if nothing was sent or nothing came back.
    pub status: Option<u16>,
    /// The bot's body: JSON, or a string if it wasn't JSON; `null` if empty.
    pub body: Value,
    /// What Slack showed because the acknowledgement failed.
    pub failure: Option<String>,
    /// Complaints under inputs, by block id: the bot's or, before anything is sent, Slack's own.
    pub errors: Map<String, Value>,
}

impl Ack {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Answered { status, body } => {
                let parsed = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
                let body = if body.is_empty() { Value::Null } else { parsed };
                Self { status: Some(*status), body, ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self { failure: Some(why.into()), ..Self::default() }
    }

    /// True if the bot acknowledged in time with a 2xx.
    pub fn ok(&self) -> bool {
        self.failure.is_none() && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// What was clicked or changed: where, which element, and the new value.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub user: String,
    /// Channel of the message, or empty inside a view.
    pub channel: String,
    /// `ts` of the message, or the id of the view.
    pub place: String,
    /// The element: its action id, `block_id/action_id`, or the words on it.
    pub target: String,
    /// What was chosen; `null` for buttons.
    pub value: Value,
}

/// Posts what a person typed.
pub(crate) fn say(
    shared: &Shared,
    user: &str,
    channel: &str,
    text: &str,
    thread_ts: Option<&str>,
) -> Result<Message, String> {
    let mut state = shared.state();
    open_own_dm(&mut state, user, channel);
    let place = state.channels.get(channel).ok_or("There is no such channel.")?;
    if !place.members.contains(user) {
        return Err("You are not in this channel.".into());
    }
    if place.is_archived {
        return Err("This channel is archived.".into());
    }
    let draft = Draft {
        text: escape::typed(&state, text, Style::IdsOnly),
        thread_ts: thread_ts.map(str::to_owned),
        ..Draft::default()
    };
    let message = state.post(channel, user, shared.clock.next_ts(), draft);
    drop(state);
    shared.changed();
    Ok(message)
}

/// Runs a slash command: `text` with or without the command itself in front.
pub(crate) async fn command(shared: &Shared, user: &str, channel: &str, command: &str, text: &str) -> Ack {
    let (form, response_url) = {
        let mut state = shared.state();
        open_own_dm(&mut state, user, channel);
        if state.faults.outage.is_some() {
            return Ack::refused("Slack is switched off: nothing was sent.");
        }
        let Some(place) = state.channels.get(channel).filter(|place| place.members.contains(user)) else {
            return Ack::refused("You are not in this channel.");
        };
        let place_name = channel_name(place).to_owned();
        let trigger_id = state.issue_trigger(user);
        let url_id = state.issue_response_url(user, channel, None, None, shared.clock.now_ms());
        let seed = &state.seed;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", &seed.verification_token)
            .append_pair("team_id", &seed.team_id)
            .append_pair("team_domain", &seed.domain)
            .append_pair("channel_id", channel)
            .append_pair("channel_name", &place_name)
            .append_pair("user_id", user)
            .append_pair("user_name", state.name_of(user))
            .append_pair("command", command)
            .append_pair("text", &escape::typed(&state, text.trim(), Style::WithNames))
            .append_pair("api_app_id", &seed.app_id)
            .append_pair("is_enterprise_install", "false")
            .append_pair("response_url", &format!("{}/respond/{url_id}", shared.base_url))
            .append_pair("trigger_id", &trigger_id)
            .finish();
        (form, url_id)
    };
    let outcome = deliver(shared, deliver::COMMANDS_PATH, form).await;
    let mut ack = Ack::of(&outcome);
    let failure = match outcome.accepted() {
        Ok(body) => show_command_answer(shared, user, channel, command, text, &response_url, body).err(),
        Err(error) => Some(format!("{command} failed with the error \"{error}\"")),
    };
    if let Some(failure) = failure {
        let ts = shared.clock.next_ts();
        shared.state().slack_says(channel, user, ts, failure.clone());
        ack.failure = Some(failure);
    }
    shared.changed();
    ack
}

fn show_command_answer(
    shared: &Shared,
    user: &str,
    channel: &str,
    command: &str,
    text: &str,
    response_url: &str,
    body: &str,
) -> Result<(), String> {
    if body.trim().is_empty() {
        return Ok(());
    }
    let answer: Value = match serde_json::from_str(body) {
        Ok(answer @ Value::Object(_)) => answer,
        _ => json!({"text": body}),
    };
    let in_channel = answer["response_type"] == "in_channel";
    if answer["text"].is_null() && answer["blocks"].is_null() {
        return Ok(());
    }
    let draft = respond::draft(&answer)
        .map_err(|_| format!("{command} failed with the error \"invalid_command_response\""))?;
    let mut state = shared.state();
    if in_channel {
        // Slack then shows the command itself to everybody.
        let typed = escape::typed(&state, &format!("{command} {text}"), Style::IdsOnly);
        let echo = Draft { text: typed, ..Draft::default() };
        state.post(channel, user, shared.clock.next_ts(), echo);
    }
    let Some(permission) = state.response_urls.get(response_url).cloned() else { return Ok(()) };
    let created = respond::say(&mut state, &permission, in_channel, draft, shared.clock.next_ts());
    state.set_original(response_url, created);
    Ok(())
}

/// Clicks a button or chooses something in a message.
pub(crate) async fn act_in_message(shared: &Shared, action: &Action) -> Ack {
    let payload = match message_payload(shared, action) {
        Ok(Some(payload)) => payload,
        Ok(None) => return Ack { status: Some(200), ..Ack::default() },
        Err(why) => return Ack::refused(why),
    };
    send_action(shared, &action.user, &payload).await
}

async fn send_action(shared: &Shared, user: &str, payload: &Value) -> Ack {
    let outcome = deliver(shared, deliver::INTERACTIONS_PATH, deliver::payload_form(payload)).await;
    let mut ack = Ack::of(&outcome);
    if let Err(error) = outcome.accepted() {
        let failure = match error {
            "slack_is_down" => "Slack is switched off: nothing was sent.".to_owned(),
            error => format!("This app didn't respond: the click failed with the error \"{error}\""),
        };
        shared.state().notify(user, &failure);
        ack.failure = Some(failure);
    }
    shared.changed();
    ack
}

fn message_payload(shared: &Shared, action: &Action) -> Result<Option<Value>, String> {
    let mut state = shared.state();
    let (user, channel, ts) = (action.user.as_str(), action.channel.as_str(), action.place.as_str());
    let place = state.channels.get(channel).ok_or("There is no such channel.")?;
    if !place.members.contains(user) {
        return Err("You are not in this channel.".into());
    }
    let place_name = channel_name(place).to_owned();
    let message = state.message(channel, ts).cloned();
    let whisper = state.ephemeral(channel, ts).filter(|whisper| whisper.user == user).cloned();
    let (blocks, thread_ts, original) = match (&message, &whisper) {
        (Some(message), _) => (&message.blocks, message.thread_ts.clone(), Original::Message(ts.to_owned())),
        (None, Some(whisper)) => (&whisper.blocks, whisper.thread_ts.clone(), Original::Ephemeral(ts.to_owned())),
        (None, None) => return Err("There is no such message.".into()),
    };
    let (block, element) = find(blocks, &action.target)?;
    let key = (user.to_owned(), channel.to_owned(), ts.to_owned());
    let before = state.selections.get(&key).cloned().unwrap_or_else(|| json!({}));
    let mut values = choices::initial_values(blocks, &before);
    let Some(action_json) = action_json(shared, block, element, &action.value, &mut values)? else {
        state.selections.insert(key, values);
        return Ok(None);
    };
    state.selections.insert(key, values.clone());
    let mut container = json!({"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": message.is_none()});
    if let Some(thread_ts) = &thread_ts {
        container["thread_ts"] = json!(thread_ts);
    }
    let mut payload = base_payload(&mut state, "block_actions", user);
    let url_thread = message.as_ref().filter(|m| m.is_reply()).and(thread_ts);
    let url_id = state.issue_response_url(user, channel, Some(original), url_thread, shared.clock.now_ms());
    payload["container"] = container;
    payload["channel"] = json!({"id": channel, "name": place_name});
    payload["response_url"] = json!(format!("{}/respond/{url_id}", shared.base_url));
    payload["state"] = json!({"values": values});
    payload["actions"] = json!([action_json]);
    if let Some(message) = &message {
        payload["message"] = state.message_json(message, true);
    }
    Ok(Some(payload))
}

/// Clicks a button or changes an element inside a modal.
pub(crate) async fn act_in_view(shared: &Shared, action: &Action) -> Ack {
    let payload = {
        let mut state = shared.state();
        match view_action_payload(shared, &mut state, action) {
            Ok(Some(payload)) => payload,
            Ok(None) => return Ack { status: Some(200), ..Ack::default() },
            Err(why) => return Ack::refused(why),
        }
    };
    send_action(shared, &action.user, &payload).await
}

fn view_action_payload(shared: &Shared, state: &mut State, action: &Action) -> Result<Option<Value>, String> {
    let view = state.view_of(&action.user, &action.place).cloned().ok_or("This modal is not open.")?;
    let (block, element) = find(view.blocks(), &action.target)?;
    let mut values = view.values.clone();
    let action_json = action_json(shared, block, element, &action.value, &mut values)?;
    let silent = block["type"] == "input" && block["dispatch_action"] != true;
    let open = state.view_mut(&view.id).ok_or("This modal is not open.")?;
    open.values = values;
    let Some(action_json) = action_json.filter(|_| !silent) else { return Ok(None) };
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
            return Ack { errors: complaints, ..Ack::default() };
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
        Err(_) => Err("We had some trouble connecting. Try again?".to_owned()),
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
    let trouble = |_| "We had some trouble connecting. Try again?".to_owned();
    let answer: Value = if body.trim().is_empty() {
        json!({})
    } else {
        serde_json::from_str(body).map_err(|_| trouble(()))?
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
            state.update_view(view_id, &answer["view"], None, now_ms).map_err(|_| trouble(()))?;
        }
        Some("push") => {
            state.open_view(user, &answer["view"], true, now_ms).map_err(|_| trouble(()))?;
        }
        Some("errors") => {
            let errors = answer["errors"].as_object().cloned().unwrap_or_default();
            let view = state.view_mut(view_id).ok_or_else(|| trouble(()))?;
            let is_input = |id: &String| view.blocks().iter().any(|b| b["type"] == "input" && b["block_id"] == **id);
            // Slack shows nothing but trouble when an error names a block that takes no input.
            if errors.is_empty() || !errors.keys().all(is_input) {
                return Err(trouble(()));
            }
            view.errors.clone_from(&errors);
            return Ok(errors);
        }
        Some(_) => return Err(trouble(())),
    }
    Ok(Map::new())
}

/// Closes a modal; the bot hears of it if the view asked for that.
pub(crate) async fn close(shared: &Shared, user: &str, view_id: &str, all: bool) -> Ack {
    let payloads: Vec<Value> = {
        let mut state = shared.state();
        let closed = state.close_view(user, view_id, all);
        let told: Vec<OpenView> = closed.into_iter().filter(|view| view.view["notify_on_close"] == true).collect();
        told.iter().map(|view| closed_payload(&mut state, user, view, all)).collect()
    };
    shared.changed();
    let mut ack = Ack { status: Some(200), ..Ack::default() };
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

fn base_payload(state: &mut State, kind: &str, user: &str) -> Value {
    let trigger_id = state.issue_trigger(user);
    let name = state.name_of(user);
    let team_id = state.users.get(user).map_or(&state.seed.team_id, |known| &known.team_id);
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
fn action_json(
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
            let option = choices::offered(element).into_iter().find(|option| option["value"] == *value);
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
fn find<'a>(blocks: &'a [Value], target: &str) -> Result<(&'a Value, &'a Value), String> {
    let elements = choices::elements(blocks);
    let by_ids = |(block, element): &&(&Value, &Value)| {
        element["action_id"] == target
            || target.split_once('/').is_some_and(|(block_id, action_id)| {
                block["block_id"] == block_id && element["action_id"] == action_id
            })
    };
    let by_words = |(_, element): &&(&Value, &Value)| element["text"]["text"] == target;
    let found = elements.iter().find(by_ids).or_else(|| elements.iter().find(by_words));
    found.copied().ok_or_else(|| format!("There is nothing called \"{target}\" to click in this message."))
}

/// A person may write to the bot before the bot ever wrote to them.
fn open_own_dm(state: &mut State, user: &str, channel: &str) {
    if channel == crate::state::dm_id(user) && state.users.contains_key(user) {
        state.open_dm(user);
    }
}

fn channel_name(channel: &crate::seed::Channel) -> &str {
    if channel.im_user.is_none() && channel.is_private { "privategroup" } else { &channel.name }
}
