//! A17: an answer to a click goes to Slack or nowhere.

use super::fake::{Answer, Fake};
use countersign::slack::client::response_url::parse;
use serde_json::json;
use url::Url;

const TRICKS: &[&str] = &[
    "",
    "hooks.slack.com/actions/T1/2/x",
    "//hooks.slack.com/actions/T1/2/x",
    "http://hooks.slack.com/actions/T1/2/x",
    "http://hooks.slack.com:443/actions/T1/2/x",
    "HTTPS://hooks.slack.com/actions/T1/2/x",
    "https://HOOKS.SLACK.COM/actions/T1/2/x",
    "https:hooks.slack.com/actions/T1/2/x",
    "https:/hooks.slack.com/actions/T1/2/x",
    "https:///hooks.slack.com/actions/T1/2/x",
    "https:\\\\hooks.slack.com\\actions",
    "https://hooks.slack.com",
    "https://hooks.slack.com/",
    "https://hooks.slack.com:443",
    "https://hooks.slack.com:8443/actions/T1/2/x",
    "https://hooks.slack.com:80/actions/T1/2/x",
    "https://hooks.slack.com:0443/actions/T1/2/x",
    "https://hooks.slack.com:/actions/T1/2/x",
    "https://hooks.slack.com:4430/actions/T1/2/x",
    "https://hooks.slack.com.evil.test/actions/T1/2/x",
    "https://hooks.slack.com./actions/T1/2/x",
    "https://evil.test/hooks.slack.com/actions",
    "https://evil.test/?https://hooks.slack.com/actions",
    "https://evil.test#https://hooks.slack.com/actions",
    "https://evilhooks.slack.com/actions/T1/2/x",
    "https://x.hooks.slack.com/actions/T1/2/x",
    "https://slack.com/actions/T1/2/x",
    "https://hooks-slack.com/actions/T1/2/x",
    "https://hooks.slack.com@evil.test/actions",
    "https://hooks.slack.com:443@evil.test/actions",
    "https://user@hooks.slack.com/actions/T1/2/x",
    "https://user:pw@hooks.slack.com/actions/T1/2/x",
    "https://evil.test@hooks.slack.com/actions/T1/2/x",
    "https://hooks.slack.com\\@evil.test/actions",
    "https://hooks.slack.com\\.evil.test/actions",
    "https://hooks.slack.com#@evil.test/actions",
    "https://hooks.slack.com?@evil.test/actions",
    "https://hooks.slack.com/actions/T1/2/x#part",
    "https://hooks.slack.com//evil.test/actions",
    "https://hooks.slack.com/../../evil",
    "https://hooks.slack.com/actions/../x",
    "https://hooks.slack.com/actions/\r\nHost: evil.test",
    "https://hooks.slack.com/actions/T1 2",
    "https://hooks.slack.com/actions/T1\tx",
    " https://hooks.slack.com/actions/T1/2/x",
    "https://hooks.slack.com/actions/T1/2/x ",
    "https://hooks\t.slack.com/actions/T1/2/x",
    "https://hooks%2Eslack.com/actions/T1/2/x",
    "https://hooks.slack%2ecom/actions/T1/2/x",
    "https://hooks.slack.com%2f@evil.test/x",
    "https://hooks.slack.com%00.evil.test/x",
    "https://hooks。slack。com/actions/T1/2/x",
    "https://hоoks.slack.com/actions/T1/2/x",
    "https://hooks.slack.ⅽom/actions/T1/2/x",
    "https://xn--hoks-5qa.slack.com/actions",
    "https://127.0.0.1/actions",
    "https://2130706433/actions",
    "https://0x7f000001/actions",
    "https://[::1]/actions",
    "https://[::ffff:169.254.169.254]/latest/meta-data",
    "http://169.254.169.254/latest/meta-data",
    "http://localhost/actions",
    "http://127.0.0.1:4003/actions",
    "file:///etc/passwd",
    "gopher://hooks.slack.com/x",
    "javascript:alert(1)",
    "data:text/plain,hooks.slack.com/",
];

#[test]
fn tricks_with_a_response_url_are_refused_and_never_repeated() {
    assert!(TRICKS.len() >= 60);
    let api = Url::parse("https://slack.com/api").unwrap();
    let long = format!("https://hooks.slack.com/actions/{}", "x".repeat(600));
    for trick in TRICKS.iter().copied().chain([long.as_str()]) {
        let failure = parse(trick, &api).expect_err(trick);
        assert!(!failure.is_transient());
        assert!(trick.len() < 5 || !failure.message().contains(trick), "{trick}");
    }
    for good in [
        "https://hooks.slack.com/actions/T0ACME/123/aBcD",
        "https://hooks.slack.com/commands/T0ACME/123/aBcD",
        "https://hooks.slack.com:443/commands/T0ACME/123/aBcD",
    ] {
        assert_eq!(parse(good, &api).unwrap().host_str(), Some("hooks.slack.com"));
    }
}

#[test]
fn beside_a_local_api_only_that_very_origin_is_called() {
    let api = Url::parse("http://127.0.0.1:4003/api").unwrap();
    assert!(parse("http://127.0.0.1:4003/response/abc", &api).is_ok());
    for other in [
        "http://127.0.0.1:4004/response/abc",
        "http://127.0.0.1:40030/response/abc",
        "http://127.0.0.1:4003@evil.test/x",
        "http://127.0.0.1:4003.evil.test/x",
        "http://127.0.0.1/response/abc",
        "http://127.0.0.2:4003/response/abc",
        "http://127.1:4003/response/abc",
        "http://localhost:4003/response/abc",
        "https://127.0.0.1:4003/response/abc",
        "https://hooks.slack.com/actions/T1/2/x",
    ] {
        assert!(parse(other, &api).is_err(), "{other}");
    }
}

#[tokio::test]
async fn an_answer_is_private_and_replaces_only_when_asked_to() {
    let fake = Fake::start(|_| Answer::Http(200, vec![("content-type", "text/plain".into())], b"ok".to_vec())).await;
    let url = format!("{}/response/abc", fake.url);
    fake.slack()
        .respond(&url, &json!({ "text": "done" }), false)
        .await
        .unwrap();
    fake.slack()
        .respond(&url, &json!({ "text": "done" }), true)
        .await
        .unwrap();
    let asked = fake.asked();
    assert_eq!(
        asked[0].body,
        json!({ "text": "done", "response_type": "ephemeral", "replace_original": false })
    );
    assert_eq!(asked[1].body["replace_original"], json!(true));
    assert!(
        !asked[0].headers.contains_key("authorization"),
        "the token is for the API alone"
    );
}

#[tokio::test]
async fn a_used_up_address_is_final_and_a_broken_one_is_not() {
    for (answer, transient) in [
        (Answer::status(404, r#"{"ok":false,"error":"used_url"}"#), false),
        (Answer::status(410, "expired_url"), false),
        (Answer::Json(json!({ "ok": false, "error": "expired_url" })), false),
        (Answer::status(500, "no"), true),
        (Answer::limited("2"), true),
    ] {
        let fake = Fake::start(move |_| answer.clone()).await;
        let url = format!("{}/response/secret-part", fake.url);
        let failure = fake
            .slack()
            .respond(&url, &json!({ "text": "x" }), false)
            .await
            .unwrap_err();
        assert_eq!(failure.is_transient(), transient, "{failure}");
        assert!(!failure.message().contains("secret-part"));
    }
}
