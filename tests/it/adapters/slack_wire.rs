//! What the Slack client puts on the wire and reads from it.

use super::fake::{Answer, CANARY, Fake};
use countersign::slack::client::{Limits, Post, SlackClient};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub fn post(channel: &str, outbox_id: &str) -> Post {
    Post {
        channel: channel.into(),
        text: "REL-789 waits".into(),
        blocks: json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "hi" } }]),
        thread_ts: None,
        outbox_id: outbox_id.into(),
    }
}

fn ok_at(ts: &str) -> Answer {
    // Slack echoes the message, with blocks and metadata that slack-morphism's model may refuse.
    Answer::Json(json!({
        "ok": true, "channel": "C1", "ts": ts,
        "message": { "blocks": [{ "type": "layout" }], "metadata": { "event_payload": { "n": 1 } } },
    }))
}

#[tokio::test]
async fn a_message_goes_out_with_text_blocks_metadata_and_no_unfurling() {
    let fake = Fake::start(|_| ok_at("1700000000.000100")).await;
    let mut message = post("C1", "card/REL-789");
    message.thread_ts = Some("1.2".into());
    let posted = fake.slack().post(&message).await.unwrap();
    assert_eq!(
        (posted.channel.as_str(), posted.ts.as_str()),
        ("C1", "1700000000.000100")
    );
    let asked = fake.asked().pop().unwrap();
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("POST", "/api/chat.postMessage")
    );
    assert_eq!(asked.headers["authorization"], format!("Bearer {CANARY}"));
    assert_eq!(
        asked.body["metadata"],
        json!({ "event_type": "countersign_message", "event_payload": { "outbox_id": "card/REL-789" } })
    );
    assert_eq!(asked.body["unfurl_links"], json!(false));
    assert_eq!(asked.body["thread_ts"], json!("1.2"));
    assert_eq!(asked.body["blocks"], message.blocks);
}

#[tokio::test]
async fn an_update_always_carries_text_and_blocks() {
    let fake = Fake::start(|_| Answer::Json(json!({ "ok": true, "channel": "C1", "ts": "1.2", "text": "x" }))).await;
    fake.slack().update("C1", "1.2", "done", &json!([])).await.unwrap();
    assert_eq!(
        fake.asked()[0].body,
        json!({ "channel": "C1", "ts": "1.2", "text": "done", "blocks": [] })
    );
}

#[tokio::test]
async fn reads_are_get_requests_with_the_token_in_the_header_only() {
    let fake = Fake::start(|asked| match asked.path.as_str() {
        "/api/auth.test" => {
            Answer::Json(json!({ "ok": true, "url": "x", "team_id": "T0", "user_id": "U0BOT", "bot_id": "B0BOT" }))
        }
        "/api/usergroups.users.list" => Answer::Json(json!({ "ok": true, "users": ["U1", "W2"] })),
        "/api/chat.getPermalink" => {
            Answer::Json(json!({ "ok": true, "channel": "C1", "permalink": "https://a.slack.com/x" }))
        }
        "/api/conversations.open" => Answer::Json(json!({ "ok": true, "channel": { "id": "D7" } })),
        _ => Answer::status(404, "no"),
    })
    .await;
    let slack = fake.slack();
    let me = slack.auth_test().await.unwrap();
    assert_eq!(
        (me.team_id.as_str(), me.bot_id.as_deref(), me.app_id),
        ("T0", Some("B0BOT"), None)
    );
    assert_eq!(slack.group_members("S1").await.unwrap(), ["U1", "W2"]);
    assert_eq!(
        slack.permalink("C1", "1.2").await.unwrap().as_deref(),
        Some("https://a.slack.com/x")
    );
    assert_eq!(slack.open_dm("U1").await.unwrap(), "D7");
    let asked = fake.asked();
    assert!(asked[..3].iter().all(|asked| asked.method == "GET"));
    assert_eq!(asked[1].query["usergroup"], "S1");
    assert_eq!(
        (
            asked[2].query["channel"].as_str(),
            asked[2].query["message_ts"].as_str()
        ),
        ("C1", "1.2")
    );
    assert!(
        asked
            .iter()
            .all(|asked| !asked.query.values().any(|value| value.contains("canary")))
    );
    assert!(!format!("{slack:?}").contains("canary"));
}

#[tokio::test]
async fn a_message_that_does_not_stand_there_has_no_link() {
    let fake = Fake::start(|_| Answer::Json(json!({ "ok": false, "error": "message_not_found" }))).await;
    assert_eq!(fake.slack().permalink("C1", "1.2").await.unwrap(), None);
    assert!(
        fake.slack().delete("C1", "1.2").await.is_ok(),
        "what is gone need not be deleted"
    );
    let failure = fake.slack().update("C1", "1.2", "t", &json!([])).await.unwrap_err();
    assert!(!failure.is_transient());
}

#[tokio::test]
async fn a_channel_shared_with_outsiders_is_seen_in_each_of_slacks_forms() {
    for (flags, outside) in [
        (json!({}), false),
        (json!({ "is_ext_shared": true, "is_shared": true }), true),
        (json!({ "is_pending_ext_shared": true }), true),
        (json!({ "is_shared": true, "is_org_shared": true }), false),
        (json!({ "is_shared": true, "is_org_shared": false }), true),
    ] {
        let mut channel =
            json!({ "id": "C1", "name": "releases", "is_member": true, "is_archived": false, "priority": 0.5 });
        channel
            .as_object_mut()
            .unwrap()
            .extend(flags.as_object().unwrap().clone());
        let answer = json!({ "ok": true, "channel": channel });
        let fake = Fake::start(move |_| Answer::Json(answer.clone())).await;
        let facts = fake.slack().channel("C1").await.unwrap();
        assert_eq!(
            (facts.shared_with_outsiders, facts.is_member, facts.name.as_str()),
            (outside, true, "releases"),
            "{flags}"
        );
    }
}

fn history_message(ts: &str, outbox_id: &str, sender: &Value) -> Value {
    let mut message = json!({
        "type": "message", "ts": ts, "text": "x",
        "metadata": { "event_type": "countersign_message", "event_payload": { "outbox_id": outbox_id, "n": 7 } },
    });
    message
        .as_object_mut()
        .unwrap()
        .extend(sender.as_object().unwrap().clone());
    message
}

#[tokio::test]
async fn a_posted_message_is_found_by_its_outbox_id_on_any_page_and_only_if_we_sent_it() {
    let fake = Fake::start(|asked| {
        if asked.path == "/api/auth.test" {
            return Answer::Json(json!({ "ok": true, "team_id": "T0", "user_id": "U0BOT", "bot_id": "B0BOT" }));
        }
        let us = json!({ "user": "U0BOT", "bot_id": "B0BOT" });
        let forged = json!({ "user": "U0EVIL", "bot_id": "B0EVIL" });
        let (messages, next) = match asked.query.get("cursor").map(String::as_str) {
            None => (
                vec![
                    json!({ "ts": "9.0", "type": "message" }),
                    history_message("8.0", "notice/REL-1/1", &us),
                ],
                "two",
            ),
            Some("two") => (
                vec![
                    history_message("7.0", "notice/REL-1/1", &us),
                    history_message("6.0", "notice/REL-2/1", &forged),
                ],
                "three",
            ),
            _ => (
                vec![history_message("5.0", "notice/REL-3/1", &json!({ "bot_id": "B0BOT" }))],
                "",
            ),
        };
        Answer::Json(json!({ "ok": true, "messages": messages, "response_metadata": { "next_cursor": next } }))
    })
    .await;
    let slack = fake.slack();
    let find = |id: &'static str, pages| {
        let slack = slack.clone();
        async move { slack.find_posted("C1", id, "4.0", pages).await.unwrap() }
    };
    assert_eq!(
        find("notice/REL-1/1", 5).await.as_deref(),
        Some("7.0"),
        "the older of two copies"
    );
    assert_eq!(
        find("notice/REL-2/1", 5).await,
        None,
        "another app's message with our id is not ours"
    );
    assert_eq!(find("notice/REL-3/1", 5).await.as_deref(), Some("5.0"));
    assert_eq!(find("notice/REL-3/1", 2).await, None, "no more pages than allowed");
    let asked = fake.asked();
    assert_eq!(fake.count("/api/auth.test"), 1);
    assert_eq!(
        (
            asked[1].query["include_all_metadata"].as_str(),
            asked[1].query["oldest"].as_str()
        ),
        ("true", "4.0")
    );
}

#[tokio::test]
async fn a_view_is_opened_once_and_not_after_its_deadline() {
    let fake = Fake::start(|asked| match asked.body["trigger_id"].as_str() {
        Some("slow") => Answer::Slow(Duration::from_secs(20), json!({ "ok": true })),
        _ => Answer::Json(json!({ "ok": true, "view": { "id": "V1" } })),
    })
    .await;
    let slack = fake.slack_with(Limits::default());
    let view = json!({ "type": "modal" });
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(300);
    let failure = slack.open_view("slow", &view, deadline).await.unwrap_err();
    assert!(failure.outcome_unknown() && begun.elapsed() < Duration::from_secs(5));
    let deadline = Instant::now() + Duration::from_secs(5);
    slack.open_view("quick", &view, deadline).await.unwrap();
    assert_eq!(fake.count("/api/views.open"), 2);
}

#[tokio::test]
async fn messages_to_one_channel_keep_their_distance_and_other_channels_do_not_wait() {
    let fake = Fake::start(|_| ok_at("1.2")).await;
    let gap = Duration::from_millis(150);
    let slack = fake.slack_with(Limits {
        gap,
        ..Limits::default()
    });
    let begun = Instant::now();
    let mut posts = tokio::task::JoinSet::new();
    for n in 0..8 {
        let slack = slack.clone();
        let channel = if n < 4 { "C1".to_owned() } else { format!("D{n}") };
        posts.spawn(async move { slack.post(&post(&channel, "x")).await.unwrap() });
    }
    posts.join_all().await;
    let to = |prefix: &str| -> Vec<Instant> {
        let asked = fake.asked();
        asked
            .iter()
            .filter(|asked| asked.body["channel"].as_str().unwrap().starts_with(prefix))
            .map(|asked| asked.at)
            .collect()
    };
    let in_channel = to("C1");
    for (n, at) in (0..).zip(&in_channel) {
        assert!(*at - begun >= n * gap, "message {n} was early");
    }
    assert!(to("D").iter().all(|at| at < &in_channel[3]), "direct messages waited");
}

#[tokio::test]
async fn nothing_is_sent_to_a_method_that_slack_asked_us_to_leave_alone() {
    let fake = Fake::start(|asked| match asked.path.as_str() {
        "/api/chat.postMessage" => Answer::limited("2"),
        _ => Answer::Json(json!({ "ok": true })),
    })
    .await;
    let slack = fake.slack();
    assert_eq!(
        slack.post(&post("C1", "a")).await.unwrap_err().retry_after_ms(),
        Some(2_000)
    );
    let second = slack.post(&post("C2", "b")).await.unwrap_err();
    assert!((1..=2_001).contains(&second.retry_after_ms().unwrap()) && !second.outcome_unknown());
    assert_eq!(fake.count("/api/chat.postMessage"), 1, "the whole method rests");
    slack.update("C1", "1.2", "t", &json!([])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_050)).await;
    assert!(slack.post(&post("C2", "b")).await.is_err());
    assert_eq!(fake.count("/api/chat.postMessage"), 2, "and is tried again afterwards");
}

#[tokio::test]
async fn an_ephemeral_message_names_its_reader() {
    let fake = Fake::start(|_| Answer::Json(json!({ "ok": true, "message_ts": "1.2" }))).await;
    fake.slack()
        .post_ephemeral("C1", "U1", "psst", &json!([]))
        .await
        .unwrap();
    let asked = fake.asked().pop().unwrap();
    assert_eq!(
        (asked.path.as_str(), &asked.body["user"]),
        ("/api/chat.postEphemeral", &json!("U1"))
    );
}

#[test]
fn an_api_address_must_be_https_or_on_this_machine() {
    for good in [
        "https://slack.com/api",
        "https://slack.com/api/",
        "http://127.0.0.1:4003/api",
        "http://localhost/api",
        "http://[::1]:1/api",
    ] {
        assert!(SlackClient::new(good, CANARY).is_ok(), "{good}");
    }
    for bad in [
        "http://slack.com/api",
        "http://0.0.0.0:4003/api",
        "slack.com/api",
        "ftp://slack.com",
        "https://u:p@slack.com/api",
        "https://slack.com/api?x=1",
        "https://slack.com/api#x",
        "http://127.0.0.1.evil.test/api",
        "",
    ] {
        let failure = SlackClient::new(bad, CANARY).unwrap_err();
        assert!(
            !failure.is_transient() && failure.message().contains("SLACK_API_URL"),
            "{bad}"
        );
    }
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_at_once() {
    for token in ["", "xoxb-canary\n", "xoxb canary", "xoxb-canäry"] {
        let failure = SlackClient::new("http://127.0.0.1:1/api", token).unwrap_err();
        assert!(failure.message().contains("SLACK_BOT_TOKEN") && !failure.message().contains("can\u{e4}ry"));
        assert!(!failure.is_transient() && !failure.message().contains("canary"));
    }
}
