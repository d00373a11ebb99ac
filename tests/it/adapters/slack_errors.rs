//! Everything that can go wrong on the way to Slack, and what becomes of it.

use super::fake::{Answer, CANARY, Fake};
use super::slack_wire::post;
use countersign::failure::Failure;
use countersign::slack::client::{Limits, SlackClient};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What a call must end with: transient, unknown outcome, milliseconds to wait.
type Expected = (bool, bool, Option<i64>);

fn shape(failure: &Failure) -> Expected {
    (
        failure.is_transient(),
        failure.outcome_unknown(),
        failure.retry_after_ms(),
    )
}

const UNKNOWN: Expected = (true, true, None);
const AGAIN: Expected = (true, false, None);
const NEVER: Expected = (false, false, None);

#[tokio::test]
async fn every_kind_of_answer_is_judged_for_a_post_and_for_a_read() {
    let refused = |error: &str| Answer::Json(json!({ "ok": false, "error": error }));
    let html = |status| {
        Answer::Http(
            status,
            vec![("content-type", "text/html".into())],
            b"<h1>xoxb-canary-1234567890-secret</h1>".to_vec(),
        )
    };
    let cases: Vec<(&str, Answer, Expected, Expected)> = vec![
        (
            "hangs",
            Answer::Slow(Duration::from_secs(5), json!({ "ok": true })),
            UNKNOWN,
            AGAIN,
        ),
        (
            "429 with a time",
            Answer::limited("7"),
            (true, false, Some(7_000)),
            (true, false, Some(7_000)),
        ),
        (
            "429 with an absurd time",
            Answer::limited("99999999999"),
            (true, false, Some(3_600_000)),
            (true, false, Some(3_600_000)),
        ),
        (
            "429 with a date",
            Answer::limited("Wed, 21 Oct 2026 07:28:00 GMT"),
            (true, false, Some(10_000)),
            (true, false, Some(10_000)),
        ),
        (
            "200 ratelimited",
            refused("ratelimited"),
            (true, false, Some(10_000)),
            (true, false, Some(10_000)),
        ),
        (
            "503",
            Answer::Http(503, vec![("retry-after", "3".into())], Vec::new()),
            (true, true, Some(3_000)),
            (true, false, Some(3_000)),
        ),
        ("500 in HTML", html(500), UNKNOWN, AGAIN),
        (
            "502 that says ok",
            Answer::Http(502, Vec::new(), br#"{"ok":true,"channel":"C1","ts":"1"}"#.to_vec()),
            UNKNOWN,
            AGAIN,
        ),
        (
            "500 with an error",
            Answer::Http(500, Vec::new(), br#"{"ok":false,"error":"not_in_channel"}"#.to_vec()),
            UNKNOWN,
            AGAIN,
        ),
        ("internal_error", refused("internal_error"), UNKNOWN, AGAIN),
        ("fatal_error", refused("fatal_error"), UNKNOWN, AGAIN),
        ("service_unavailable", refused("service_unavailable"), UNKNOWN, AGAIN),
        ("request_timeout", refused("request_timeout"), UNKNOWN, AGAIN),
        ("no JSON", Answer::status(200, "oops"), UNKNOWN, AGAIN),
        ("HTML with 200", html(200), UNKNOWN, AGAIN),
        (
            "half JSON",
            Answer::status(200, r#"{"ok":true,"channel":"C1"#),
            UNKNOWN,
            AGAIN,
        ),
        ("JSON of another kind", Answer::status(200, "[1,2]"), UNKNOWN, AGAIN),
        (
            "ok without what we need",
            Answer::Json(json!({ "ok": true })),
            UNKNOWN,
            AGAIN,
        ),
        (
            "not ok, no reason",
            Answer::Json(json!({ "ok": false })),
            UNKNOWN,
            AGAIN,
        ),
        (
            "ok as a word",
            Answer::Json(json!({ "ok": "true", "channel": "C1", "ts": "1.2" })),
            UNKNOWN,
            AGAIN,
        ),
        (
            "huge",
            Answer::Http(200, Vec::new(), vec![b' '; 5_000_000]),
            UNKNOWN,
            AGAIN,
        ),
        (
            "redirect",
            Answer::Http(302, vec![("location", "http://127.0.0.1:1/".into())], Vec::new()),
            UNKNOWN,
            AGAIN,
        ),
        ("404", html(404), NEVER, NEVER),
        ("403", html(403), NEVER, NEVER),
        ("408", html(408), UNKNOWN, AGAIN),
        ("an error of the future", refused("brand_new_error"), NEVER, NEVER),
        (
            "an error that is no word",
            refused("xoxb-canary-1234567890-secret <b>"),
            NEVER,
            NEVER,
        ),
    ];
    let mut checks = tokio::task::JoinSet::new();
    for (name, answer, for_post, for_read) in cases {
        checks.spawn(async move {
            let fake = Fake::start(move |_| answer.clone()).await;
            let posted = fake.slack().post(&post("C1", "x")).await.unwrap_err();
            let read = fake.slack().permalink("C1", "1.2").await.unwrap_err();
            assert_eq!(shape(&posted), for_post, "{name}: post: {posted}");
            assert_eq!(shape(&read), for_read, "{name}: read: {read}");
            for failure in [posted, read] {
                let shown = format!("{failure} {failure:?}");
                assert!(!shown.contains("canary"), "{name}: {shown}");
                assert!(failure.message().chars().count() <= 300);
            }
        });
    }
    checks.join_all().await;
}

#[tokio::test]
async fn a_refusal_names_slacks_error_and_the_remedy() {
    for (error, remedy) in [
        ("not_in_channel", "/invite"),
        ("channel_not_found", "channel's id"),
        ("is_archived", "Unarchive"),
        ("invalid_auth", "SLACK_BOT_TOKEN"),
        ("account_inactive", "SLACK_BOT_TOKEN"),
        ("token_revoked", "SLACK_BOT_TOKEN"),
        ("missing_scope", "manifest.yml"),
        ("invalid_blocks", "mistake in Countersign"),
        ("msg_too_long", "mistake in Countersign"),
        ("message_not_found", "gone"),
        ("expired_trigger_id", "3 seconds"),
        ("user_disabled", "switched off"),
    ] {
        let answer = json!({ "ok": false, "error": error, "needed": "channels:history", "provided": "chat:write" });
        let fake = Fake::start(move |_| Answer::Json(answer.clone())).await;
        let failure = fake.slack().post(&post("C1", "x")).await.unwrap_err();
        assert!(!failure.is_transient(), "{error}");
        assert!(
            failure.message().contains(error) && failure.message().contains(remedy),
            "{failure}"
        );
        assert!(failure.message().contains("channels:history"));
    }
}

#[tokio::test]
async fn what_was_stored_before_the_error_is_an_unknown_outcome() {
    let fake = Fake::start(|_| Answer::status(503, "stored, but the answer is lost")).await;
    let failure = fake.slack().post(&post("C1", "notice/REL-1/1")).await.unwrap_err();
    assert!(failure.outcome_unknown());
    assert_eq!(
        fake.count("/api/chat.postMessage"),
        1,
        "and nothing repeats it by itself"
    );
    let failure = fake.slack().update("C1", "1.2", "t", &json!([])).await.unwrap_err();
    assert!(
        failure.is_transient() && !failure.outcome_unknown(),
        "an update may simply be repeated"
    );
}

#[tokio::test]
async fn a_refused_connection_is_known_not_to_have_posted_anything() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    drop(listener);
    let slack = SlackClient::new(&url, CANARY).unwrap();
    assert_eq!(shape(&slack.post(&post("C1", "x")).await.unwrap_err()), AGAIN);
}

/// Takes a request and then does something rude.
async fn rude(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 65_536];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() {
    for answer in [
        b"".as_slice(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"ok\":true,",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\nx",
    ] {
        let slack = SlackClient::new(&rude(answer).await, CANARY).unwrap();
        assert_eq!(
            shape(&slack.post(&post("C1", "x")).await.unwrap_err()),
            UNKNOWN,
            "{:?}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[tokio::test]
async fn a_slow_answer_costs_no_more_than_the_limit_of_the_call() {
    let fake = Fake::start(|_| Answer::Slow(Duration::from_secs(30), json!({ "ok": true }))).await;
    let slack = fake.slack_with(Limits {
        call: Duration::from_millis(150),
        ..Limits::default()
    });
    let begun = Instant::now();
    assert!(slack.user("U1").await.unwrap_err().is_transient());
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn redirects_are_never_followed() {
    let target = Fake::start(|_| Answer::Json(json!({ "ok": true, "channel": "C1", "ts": "1.2" }))).await;
    let location = format!("{}/api/chat.postMessage", target.url);
    let fake = Fake::start(move |_| Answer::Http(307, vec![("location", location.clone())], Vec::new())).await;
    assert!(fake.slack().post(&post("C1", "x")).await.is_err());
    assert!(
        fake.slack()
            .respond(&format!("{}/r", fake.url), &json!({ "text": "x" }), false)
            .await
            .is_err()
    );
    assert!(target.asked().is_empty());
}

#[tokio::test]
async fn an_answer_of_unknown_length_is_read_up_to_the_limit_only() {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n".to_vec();
    answer.extend(vec![b' '; 5_000_000]);
    answer.extend(br#"{"ok":true,"channel":"C1","ts":"1.2"}"#);
    let slack = SlackClient::new(&rude(answer.leak()).await, CANARY).unwrap();
    let failure = slack.post(&post("C1", "x")).await.unwrap_err();
    assert!(
        failure.outcome_unknown() && failure.message().contains("too long"),
        "{failure}"
    );
}

#[tokio::test]
async fn only_a_clear_yes_is_a_yes() {
    for answer in [
        "{}",
        r#"{"ok":false}"#,
        r#"{"ok":null}"#,
        r#"{"ok":1}"#,
        r#"{"ok":"true"}"#,
        "true",
        "ok",
        "",
    ] {
        let fake = Fake::start(move |_| Answer::status(200, answer)).await;
        let failure = fake.slack().update("C1", "1.2", "t", &json!([])).await.unwrap_err();
        assert_eq!(shape(&failure), AGAIN, "{answer}");
    }
}
