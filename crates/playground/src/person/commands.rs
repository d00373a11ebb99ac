//! Slash commands: the form Slack sends and what it makes of the answer.
//! Must not know the commands themselves.

use serde_json::{Value, json};

use super::{Ack, channel_name, open_own_dm};
use crate::deliver::{self, deliver};
use crate::escape::{self, Style};
use crate::messages::Draft;
use crate::respond;
use crate::state::Shared;

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
    let draft =
        respond::draft(&answer).map_err(|_| format!("{command} failed with the error \"invalid_command_response\""))?;
    let mut state = shared.state();
    if in_channel {
        // Slack then shows the command itself to everybody.
        let typed = escape::typed(&state, &format!("{command} {text}"), Style::IdsOnly);
        let echo = Draft {
            text: typed,
            ..Draft::default()
        };
        state.post(channel, user, shared.clock.next_ts(), echo);
    }
    let Some(permission) = state.response_urls.get(response_url).cloned() else {
        return Ok(());
    };
    let created = respond::say(&mut state, &permission, in_channel, draft, shared.clock.next_ts());
    state.set_original(response_url, created);
    Ok(())
}
