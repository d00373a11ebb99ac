//! The wire both ways, over real loopback HTTP, with a small bot that checks signatures itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use playground::{Channel, Fault, Handle, Options, Workspace, signature, start};
use serde_json::{Value, json};

const SECRET: &str = "playground-signing-secret";

/// A bot that remembers what it got and answers what it is told.
#[derive(Clone, Default)]
struct FakeBot {
    got: Arc<Mutex<Vec<HashMap<String, String>>>>,
    answers: Arc<Mutex<Vec<(u16, String)>>>,
    delay_ms: Arc<Mutex<u64>>,
}

impl FakeBot {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(receive).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn answer_next(&self, status: u16, body: &Value) {
        self.answers.lock().unwrap().push((status, body.to_string()));
    }

    fn last(&self) -> HashMap<String, String> {
        self.got.lock().unwrap().last().cloned().unwrap()
    }

    fn last_payload(&self) -> Value {
        serde_json::from_str(&self.last()["payload"]).unwrap()
    }
}

async fn receive(State(bot): State<FakeBot>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let timestamp = headers["x-slack-request-timestamp"].to_str().unwrap().parse().unwrap();
    if headers["x-slack-signature"] != signature(SECRET, timestamp, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    fields.insert("path".into(), uri.path().to_owned());
    bot.got.lock().unwrap().push(fields);
    let delay_ms = *bot.delay_ms.lock().unwrap();
    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    let mut answers = bot.answers.lock().unwrap();
    if answers.is_empty() {
        return ().into_response();
    }
    let (status, body) = answers.remove(0);
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

async fn playground_with(bot: &FakeBot, rate_limits: bool) -> Handle {
    let mut options = Options::new(Workspace::demo());
    options.bot_urls = vec![bot.start().await];
    options.rate_limits = rate_limits;
    start(options).await.unwrap()
}

fn button_blocks() -> Value {
    json!([
        {"type": "section", "block_id": "facts", "text": {"type": "mrkdwn", "text": "*REL-1* waits"}},
        {"type": "actions", "block_id": "acts", "elements": [
            {"type": "button", "action_id": "approve", "value": "REL-1:3", "text": {"type": "plain_text", "text": "Approve"}},
            {"type": "users_select", "action_id": "delegate"},
        ]},
    ])
}

async fn post_card(slack: &Handle) -> String {
    let args = json!({"channel": "C0RELEASES", "text": "REL-1 waits", "blocks": button_blocks(),
        "metadata": {"event_type": "card", "event_payload": {"release": "REL-1"}}});
    let answer = slack.api().post("chat.postMessage", &args).await.unwrap().json();
    assert_eq!(answer["ok"], true, "{answer}");
    answer["ts"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_command_arrives_as_slack_sends_it() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    bot.answer_next(200, &json!({"text": "Working on it"}));
    let ack = slack
        .command(
            "U0RITA",
            "C0RELEASES",
            "plan payments 1.4.0 for @priya & <b> in #ledger, @qa-leads",
        )
        .await;
    assert!(ack.ok(), "{ack:?}");
    let form = bot.last();
    assert_eq!(form["path"], "/slack/commands");
    assert_eq!(form["command"], "/release");
    assert_eq!(
        form["text"],
        "plan payments 1.4.0 for <@U0PRIYA|priya> &amp; &lt;b&gt; in <#C0LEDGER|ledger>, <!subteam^S0QALEADS|@qa-leads>"
    );
    for (key, value) in [
        ("user_id", "U0RITA"),
        ("user_name", "rita"),
        ("team_id", "T0ACME"),
        ("team_domain", "acme"),
        ("channel_id", "C0RELEASES"),
        ("channel_name", "releases"),
        ("api_app_id", "A0COUNTER"),
        ("is_enterprise_install", "false"),
    ] {
        assert_eq!(form[key], value, "{key}");
    }
    let whispers = slack.ephemerals("U0RITA");
    assert_eq!(whispers[0].text, "Working on it");
    assert!(slack.ephemerals("U0PRIYA").is_empty());
    assert!(slack.messages("C0RELEASES").is_empty());
}

#[tokio::test]
async fn failed_commands_are_told_as_slack_tells_them() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    bot.answer_next(500, &json!({}));
    let ack = slack.command("U0RITA", "C0RELEASES", "help").await;
    assert_eq!(
        ack.failure.as_deref(),
        Some("/release failed with the error \"dispatch_failed\"")
    );
    *bot.delay_ms.lock().unwrap() = 3_500;
    let ack = slack.command("U0RITA", "C0RELEASES", "help").await;
    assert_eq!(
        ack.failure.as_deref(),
        Some("/release failed with the error \"operation_timeout\"")
    );
    slack.set_bot_urls(&["http://127.0.0.1:9".into()]);
    let ack = slack.command("U0RITA", "C0RELEASES", "help").await;
    assert_eq!(
        ack.failure.as_deref(),
        Some("/release failed with the error \"dispatch_failed\"")
    );
    assert!(slack.ephemerals("U0RITA").iter().all(|said| said.from_slack));
}

#[tokio::test]
async fn a_click_carries_everything() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let ts = post_card(&slack).await;
    let chosen = slack
        .choose("U0PRIYA", "C0RELEASES", &ts, "delegate", json!("U0VERA"))
        .await;
    assert!(chosen.ok());
    assert_eq!(bot.last_payload()["actions"][0]["selected_user"], "U0VERA");
    for target in ["approve", "acts/approve", "Approve"] {
        assert!(slack.click("U0PRIYA", "C0RELEASES", &ts, target).await.ok(), "{target}");
    }
    let payload = bot.last_payload();
    assert_eq!(payload["type"], "block_actions");
    assert_eq!(
        payload["user"],
        json!({"id": "U0PRIYA", "username": "priya", "name": "priya", "team_id": "T0ACME"})
    );
    assert_eq!(
        payload["container"],
        json!({"type": "message", "message_ts": ts, "channel_id": "C0RELEASES", "is_ephemeral": false})
    );
    assert_eq!(payload["channel"], json!({"id": "C0RELEASES", "name": "releases"}));
    assert_eq!(payload["message"]["metadata"]["event_payload"]["release"], "REL-1");
    assert_eq!(payload["message"]["blocks"][1]["block_id"], "acts");
    assert_eq!(payload["actions"][0]["value"], "REL-1:3");
    assert_eq!(
        payload["state"]["values"]["acts"]["delegate"]["selected_user"],
        "U0VERA"
    );
    assert!(payload["enterprise"].is_null());
    assert_eq!(payload["is_enterprise_install"], false);
    assert!(
        slack
            .click("U0GUS", "C0RELEASES", &ts, "approve")
            .await
            .failure
            .is_some()
    );
    assert!(
        slack
            .click("U0PRIYA", "C0RELEASES", &ts, "reject")
            .await
            .failure
            .is_some()
    );
}

#[tokio::test]
async fn redelivered_clicks_are_the_same_bytes() {
    let (one, two, three) = (FakeBot::default(), FakeBot::default(), FakeBot::default());
    let slack = playground_with(&one, false).await;
    let ts = post_card(&slack).await;
    slack.click("U0PRIYA", "C0RELEASES", &ts, "approve").await;
    let original = slack.deliveries().pop().unwrap();
    let urls = [two.start().await, three.start().await];
    let copies = slack.redeliver(original.id, &urls).await;
    assert!(copies.iter().all(|copy| copy.status == Some(200)));
    assert_eq!(one.last()["payload"], two.last()["payload"]);
    assert_eq!(two.last()["payload"], three.last()["payload"]);
    let first = one.last_payload();
    assert!(slack.repeat(original.id).await.unwrap().ok());
    let second = one.last_payload();
    assert_ne!(first["trigger_id"], second["trigger_id"]);
    assert_ne!(first["response_url"], second["response_url"]);
    assert_eq!(first["message"], second["message"]);
}

#[tokio::test]
async fn triggers_work_once_and_for_three_seconds() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let view = json!({"type": "modal", "title": {"type": "plain_text", "text": "Hello"},
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}]});
    slack.command("U0RITA", "C0RELEASES", "plan").await;
    let trigger = bot.last()["trigger_id"].clone();
    let open = |trigger: String| {
        let (api, view) = (slack.api(), view.clone());
        async move {
            api.post("views.open", &json!({"trigger_id": trigger, "view": view}))
                .await
                .unwrap()
                .json()
        }
    };
    let opened = open(trigger.clone()).await;
    assert_eq!(opened["ok"], true, "{opened}");
    assert_eq!(opened["view"]["root_view_id"], opened["view"]["id"]);
    assert_eq!(open(trigger).await["error"], "exchanged_trigger_id");
    assert_eq!(open("1.2.3".into()).await["error"], "invalid_trigger_id");
    slack.command("U0RITA", "C0RELEASES", "plan").await;
    let trigger = bot.last()["trigger_id"].clone();
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    assert_eq!(open(trigger).await["error"], "expired_trigger_id");
}

async fn open_reason_modal(bot: &FakeBot, slack: &Handle) -> String {
    slack.command("U0RITA", "C0RELEASES", "reject").await;
    let view = json!({"type": "modal", "callback_id": "reject", "private_metadata": "REL-1", "notify_on_close": true,
    "title": {"type": "plain_text", "text": "Reject"}, "submit": {"type": "plain_text", "text": "Reject"},
    "blocks": [
        {"type": "input", "block_id": "why", "label": {"type": "plain_text", "text": "Why?"},
         "element": {"type": "plain_text_input", "action_id": "text", "max_length": 20}},
        {"type": "input", "block_id": "who", "optional": true, "label": {"type": "plain_text", "text": "Who?"},
         "element": {"type": "multi_users_select", "action_id": "people"}},
    ]});
    let args = json!({"trigger_id": bot.last()["trigger_id"], "view": view});
    let answer = slack.api().post("views.open", &args).await.unwrap().json();
    answer["view"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

#[tokio::test]
async fn a_modal_is_filled_in_corrected_and_sent() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let id = open_reason_modal(&bot, &slack).await;
    let sent_before = slack.deliveries().len();
    let ack = slack.submit_view("U0RITA", &id, &json!({})).await;
    assert_eq!(ack.errors["why"], "Please complete this required field.");
    let ack = slack
        .submit_view("U0RITA", &id, &json!({"why": "far too long for this input"}))
        .await;
    assert!(ack.errors["why"].as_str().unwrap().contains("20"));
    assert_eq!(
        slack.deliveries().len(),
        sent_before,
        "Slack keeps incomplete forms to itself"
    );

    bot.answer_next(
        200,
        &json!({"response_action": "errors", "errors": {"why": "Say more."}}),
    );
    let ack = slack.submit_view("U0RITA", &id, &json!({"text": "no"})).await;
    assert_eq!(ack.errors["why"], "Say more.");
    assert_eq!(slack.views("U0RITA")[0].errors["why"], "Say more.");
    bot.answer_next(200, &json!({"response_action": "errors", "errors": {"nowhere": "?"}}));
    let ack = slack.submit_view("U0RITA", &id, &json!({})).await;
    assert_eq!(
        ack.failure.as_deref(),
        Some("We had some trouble connecting. Try again?")
    );

    let ack = slack
        .submit_view(
            "U0RITA",
            &id,
            &json!({"why": {"text": "tests fail"}, "people": ["U0DEV"]}),
        )
        .await;
    assert!(ack.ok());
    assert!(slack.views("U0RITA").is_empty());
    let payload = bot.last_payload();
    assert_eq!(payload["type"], "view_submission");
    assert_eq!(payload["view"]["callback_id"], "reject");
    assert_eq!(payload["view"]["private_metadata"], "REL-1");
    assert_eq!(
        payload["view"]["state"]["values"],
        json!({
            "why": {"text": {"type": "plain_text_input", "value": "tests fail"}},
            "who": {"people": {"type": "multi_users_select", "selected_users": ["U0DEV"]}},
        })
    );
    assert!(payload["channel"].is_null());
    let id = open_reason_modal(&bot, &slack).await;
    slack.close_view("U0RITA", &id).await;
    assert_eq!(bot.last_payload()["type"], "view_closed");
    assert!(slack.views("U0RITA").is_empty());
}

#[tokio::test]
async fn views_are_updated_and_pushed() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let id = open_reason_modal(&bot, &slack).await;
    let mut view = slack.views("U0RITA")[0].view.clone();
    let stale = json!({"view_id": id, "view": view, "hash": "1.stale"});
    assert_eq!(
        slack.api().post("views.update", &stale).await.unwrap().json()["error"],
        "hash_conflict"
    );
    slack.act_in_view("U0RITA", &id, "why/text", json!("kept")).await;
    view["blocks"][0]["label"]["text"] = json!("Why not?");
    let fresh = json!({"view_id": id, "view": view, "hash": view["hash"]});
    let updated = slack.api().post("views.update", &fresh).await.unwrap().json();
    assert_eq!(
        updated["view"]["state"]["values"]["why"]["text"]["value"], "kept",
        "{updated}"
    );
    bot.answer_next(
        200,
        &json!({"response_action": "push", "view": {"type": "modal",
        "title": {"type": "plain_text", "text": "Sure?"}, "blocks": []}}),
    );
    slack.submit_view("U0RITA", &id, &json!({})).await;
    let open = slack.views("U0RITA");
    assert_eq!(open.len(), 2);
    assert_eq!(open[1].view["previous_view_id"], json!(id));
    assert_eq!(open[1].view["root_view_id"], json!(id));
}

#[tokio::test]
async fn a_response_url_works_five_times_in_thirty_minutes() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    slack.command("U0RITA", "C0RELEASES", "help").await;
    let url = bot.last()["response_url"].clone();
    let say = |args: Value| {
        let (api, url) = (slack.api(), url.clone());
        async move { api.post_to(&url, &args).await.unwrap() }
    };
    assert_eq!(say(json!({"text": "Working…"})).await.status, 200);
    assert_eq!(say(json!({"text": "Done", "replace_original": true})).await.status, 200);
    let whispers = slack.ephemerals("U0RITA");
    assert_eq!(whispers.len(), 1);
    assert_eq!(whispers[0].text, "Done");
    assert_eq!(
        say(json!({"text": "for all", "response_type": "in_channel"}))
            .await
            .status,
        200
    );
    assert_eq!(slack.messages("C0RELEASES")[0].text, "for all");
    say(json!({"delete_original": true})).await;
    assert!(slack.ephemerals("U0RITA").is_empty());
    assert_eq!(say(json!({"text": "five"})).await.status, 200);
    let sixth = say(json!({"text": "six"})).await;
    assert_eq!((sixth.status, sixth.json()["error"].as_str()), (404, Some("used_url")));

    slack.command("U0RITA", "C0RELEASES", "help").await;
    let url = bot.last()["response_url"].clone();
    slack.advance(31 * 60 * 1_000).unwrap();
    let late = slack.api().post_to(&url, &json!({"text": "late"})).await.unwrap();
    assert_eq!((late.status, late.json()["error"].as_str()), (404, Some("expired_url")));
}

#[tokio::test]
async fn a_button_replaces_its_own_message() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let ts = post_card(&slack).await;
    slack.click("U0PRIYA", "C0RELEASES", &ts, "approve").await;
    let url = bot.last_payload()["response_url"].as_str().unwrap().to_owned();
    let args = json!({"text": "approved", "replace_original": true});
    slack.api().post_to(&url, &args).await.unwrap();
    let message = slack.message("C0RELEASES", &ts).unwrap();
    assert_eq!(message.text, "approved");
    assert!(message.blocks.is_empty());
}

#[tokio::test]
async fn one_message_per_second_and_channel() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, true).await;
    post_card(&slack).await;
    let args = json!({"channel": "C0RELEASES", "text": "again"});
    let second = slack.api().post("chat.postMessage", &args).await.unwrap();
    assert_eq!((second.status, second.retry_after_s), (429, Some(1)));
    assert_eq!(second.json(), json!({"ok": false, "error": "ratelimited"}));
    let elsewhere = json!({"channel": "C0LEDGER", "text": "here"});
    assert_eq!(
        slack.api().post("chat.postMessage", &elsewhere).await.unwrap().json()["ok"],
        true
    );
    slack.advance(60_000).unwrap();
    assert_eq!(
        slack.api().post("chat.postMessage", &args).await.unwrap().status,
        429,
        "real time counts"
    );
    tokio::time::sleep(Duration::from_millis(1_010)).await;
    assert_eq!(
        slack.api().post("chat.postMessage", &args).await.unwrap().json()["ok"],
        true
    );
}

#[tokio::test]
async fn channels_the_bot_cannot_post_to() {
    let bot = FakeBot::default();
    let mut secret = Channel::public("C0SECRET", "secret", "");
    secret.is_private = true;
    let workspace = Workspace::demo()
        .channel(Channel::public("C0OTHER", "other", ""))
        .channel(secret);
    let mut options = Options::new(workspace);
    options.bot_urls = vec![bot.start().await];
    let slack = start(options).await.unwrap();
    slack.change_channel("C0LEDGER", |channel| channel.is_archived = true);
    slack.change_user("U0MIA", |user| user.deleted = true);
    for (channel, error) in [
        ("C0OTHER", "not_in_channel"),
        ("C0SECRET", "channel_not_found"),
        ("C0LEDGER", "is_archived"),
        ("U0MIA", "user_disabled"),
        ("U0BOT", "cannot_dm_bot"),
    ] {
        let answer = slack
            .api()
            .post("chat.postMessage", &json!({"channel": channel, "text": "x"}))
            .await
            .unwrap();
        assert_eq!(answer.json()["error"], error, "{channel}");
    }
    let info = slack
        .api()
        .get("conversations.info", &[("channel", "C0OTHER")])
        .await
        .unwrap()
        .json();
    assert_eq!(info["channel"]["is_member"], false);
}

#[tokio::test]
async fn text_without_blocks_removes_the_blocks() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let ts = post_card(&slack).await;
    let answer = slack
        .api()
        .post(
            "chat.update",
            &json!({"channel": "C0RELEASES", "ts": ts, "text": "gone"}),
        )
        .await
        .unwrap();
    assert_eq!(answer.json()["ok"], true);
    let message = slack.message("C0RELEASES", &ts).unwrap();
    assert!(message.blocks.is_empty());
    assert_eq!(message.metadata.unwrap()["event_payload"]["release"], "REL-1");
}

#[tokio::test]
async fn slack_fails_the_way_it_is_told_to() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let args = json!({"channel": "C0RELEASES", "text": "lost"});
    slack.fault("chat.postMessage", Fault::LostAnswer, 1);
    assert_eq!(slack.api().post("chat.postMessage", &args).await.unwrap().status, 503);
    assert_eq!(
        slack.messages("C0RELEASES").len(),
        1,
        "the answer got lost, the message did not"
    );
    let call = slack.calls().pop().unwrap();
    assert_eq!((call.status, call.answer["ok"].as_bool()), (Some(503), Some(true)));

    slack.fault("chat.postMessage", Fault::RateLimited { retry_after_s: 7 }, 1);
    assert_eq!(
        slack.api().post("chat.postMessage", &args).await.unwrap().retry_after_s,
        Some(7)
    );
    slack.fault("*", Fault::Hang, 1);
    let api = slack.api();
    let hanging = tokio::time::timeout(Duration::from_millis(300), api.post("chat.postMessage", &args));
    assert!(hanging.await.is_err());

    slack.slack_off(Fault::FatalError);
    assert_eq!(
        slack.api().get("auth.test", &[]).await.unwrap().json()["error"],
        "fatal_error"
    );
    let before = slack.deliveries().len();
    assert!(slack.command("U0RITA", "C0RELEASES", "help").await.failure.is_some());
    assert_eq!(
        slack.deliveries().len(),
        before,
        "nothing reaches the bot while Slack is off"
    );
    slack.slack_on();
    assert_eq!(slack.api().get("auth.test", &[]).await.unwrap().json()["ok"], true);
}

#[tokio::test]
async fn people_and_groups_change_while_it_runs() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let members = || async {
        slack
            .api()
            .get("usergroups.users.list", &[("usergroup", "S0QALEADS")])
            .await
            .unwrap()
            .json()["users"]
            .clone()
    };
    assert_eq!(members().await, json!(["U0QUINN", "U0UMA"]));
    slack.change_user("U0UMA", |user| user.deleted = true);
    assert_eq!(members().await, json!(["U0QUINN"]));
    slack.change_group("S0QALEADS", |group| group.users.push("U0MIA".into()));
    assert_eq!(members().await, json!(["U0QUINN", "U0MIA"]));
    let uma = slack
        .api()
        .get("users.info", &[("user", "U0UMA")])
        .await
        .unwrap()
        .json();
    assert_eq!(uma["user"]["deleted"], true);
    // Reads take no JSON, as in Slack.
    let json_read = slack
        .api()
        .post("users.info", &json!({"user": "U0UMA"}))
        .await
        .unwrap()
        .json();
    assert_eq!(json_read["error"], "user_not_found");
}

#[tokio::test]
async fn the_page_answers_only_this_machine() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let url = format!("{}/playground/clock", slack.url());
    let post = |extra: (&'static str, &'static str)| {
        let url = url.clone();
        async move {
            let authority = url
                .strip_prefix("http://")
                .unwrap()
                .split('/')
                .next()
                .unwrap()
                .to_owned();
            raw_post(&authority, "/playground/clock", extra).await
        }
    };
    assert_eq!(post(("origin", "http://localhost:4003")).await, 200);
    assert_eq!(post(("origin", "https://evil.example")).await, 403);
    assert_eq!(post(("host", "evil.example")).await, 403);
    assert_eq!(post(("content-type", "text/plain")).await, 415);
    let offset = slack.now_ms();
    assert!(offset > 0);
}

/// Writes the request by hand, to send the headers a browser under attack would send.
async fn raw_post(authority: &str, path: &str, (name, value): (&str, &str)) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut headers = HashMap::from([("host", authority), ("content-type", "application/json")]);
    headers.insert(name, value);
    let body = r#"{"advance_ms":60000}"#;
    let lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\ncontent-length: {length}\r\nconnection: close\r\n{}",
        lines.concat()
    );
    let mut stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    stream
        .write_all(format!("{request}\r\n{body}").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_page_is_built_in_and_shows_each_person_their_own() {
    let bot = FakeBot::default();
    let slack = playground_with(&bot, false).await;
    let api = slack.api();
    let page = api.fetch("/").await.unwrap();
    assert_eq!(page.status, 200);
    for asset in ["style.css", "app.js", "dom.js", "mrkdwn.js", "blocks.js", "modal.js"] {
        let file = api.fetch(&format!("/page/{asset}")).await.unwrap();
        assert!(file.status == 200 && !file.body.is_empty(), "{asset}");
    }
    let args = json!({"channel": "C0RELEASES", "user": "U0RITA", "text": "psst"});
    assert_eq!(api.post("chat.postEphemeral", &args).await.unwrap().json()["ok"], true);
    let seen_by = |user: &'static str, channel: &'static str| {
        let api = slack.api();
        async move {
            api.fetch(&format!("/playground/state?user={user}&channel={channel}"))
                .await
                .unwrap()
                .json()
        }
    };
    assert_eq!(seen_by("U0RITA", "C0RELEASES").await["ephemerals"][0]["text"], "psst");
    assert_eq!(seen_by("U0PRIYA", "C0RELEASES").await["ephemerals"], json!([]));
    post_card(&slack).await;
    assert_eq!(
        seen_by("U0RITA", "C0RELEASES").await["messages"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        seen_by("U0GUS", "C0RELEASES").await["messages"],
        json!([]),
        "a guest outside sees nothing"
    );
}

#[tokio::test]
async fn a_token_may_do_what_its_scopes_allow_and_no_more() {
    let workspace = Workspace::demo().with_scopes(["chat:write", "channels:history"]);
    let slack = start(Options::new(workspace)).await.unwrap();
    let posted = slack
        .api()
        .post("chat.postMessage", &json!({ "channel": "C0RELEASES", "text": "said" }))
        .await
        .unwrap();
    assert_eq!(posted.json()["ok"], true, "{}", posted.body);
    let history = slack
        .api()
        .get("conversations.history", &[("channel", "C0RELEASES")])
        .await;
    assert_eq!(history.unwrap().json()["ok"], true);
    for (method, args, needed) in [
        (
            "conversations.info",
            [("channel", "C0RELEASES")],
            "channels:read,groups:read",
        ),
        ("users.info", [("user", "U0RITA")], "users:read"),
        ("usergroups.users.list", [("usergroup", "S0QALEADS")], "usergroups:read"),
    ] {
        let answer = slack.api().get(method, &args).await.unwrap().json();
        assert_eq!(
            (&answer["error"], &answer["needed"], &answer["provided"]),
            (
                &json!("missing_scope"),
                &json!(needed),
                &json!("channels:history,chat:write")
            ),
            "{method}"
        );
    }
}
