//! Signed by Slack, by a person who may sign, and saying what no message of ours says: forged values, forms, addresses and names.

use super::door::{Door, INTERACTIONS, KEY, form};
use crate::support::bot::{DEV, MIA, PRIYA, QUINN, RITA, plan_inputs};
use crate::support::database::Engine;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

pub async fn forged_buttons_get_a_friendly_answer_and_sign_nothing(engine: Engine) {
    let door = Door::open(engine).await;
    let before = door.bot.release(KEY).await;
    let ours = door.value();
    let with = |name: &str, value: Value| {
        let mut forged = ours.clone();
        forged[name] = value;
        forged.to_string()
    };
    let long = format!("{{\"release\":\"REL-789\",\"view\":\"{}\"}}", "1".repeat(3_000));
    let buttons = [
        ("approve", with("release", json!("REL-999"))),
        ("approve", with("release", json!("rel 789; drop table log"))),
        ("approve", with("role", json!("qa_lead"))),
        ("approve", with("role", json!("cto"))),
        ("approve", with("role", json!("admin"))),
        ("approve", with("role", json!("emperor"))),
        ("approve", with("view", json!("999.9"))),
        ("approve", with("view", json!("0.0"))),
        ("approve", with("view", json!("../../etc/passwd"))),
        ("approve", with("view", json!(7))),
        ("approve", with("authority", json!("all"))),
        ("approve", "not JSON at all".to_owned()),
        ("approve", String::new()),
        ("approve", "[]".to_owned()),
        ("approve", "[".repeat(1_900)),
        ("approve", long),
        ("choose_role_qa_lead", ours.to_string()),
        ("choose_role_cto", ours.to_string()),
        ("choose_role_emperor", ours.to_string()),
        ("deploy", ours.to_string()),
        ("stop", ours.to_string()),
        ("settle_finished", with("attempt", json!(99))),
        ("settle_finished", ours.to_string()),
        ("settle_failed", with("attempt", json!(-1))),
        ("settle_failed", with("attempt", json!(1e300))),
        ("settle_new_attempt", with("attempt", json!(0))),
        ("APPROVE", ours.to_string()),
        ("drop_everything", ours.to_string()),
        ("", ours.to_string()),
    ];
    for (action, value) in buttons {
        let mut click = door.click(PRIYA);
        click["actions"][0]["action_id"] = json!(action);
        click["actions"][0]["value"] = json!(value);
        let answer = door.asks(&click).await;
        let short: String = value.chars().take(80).collect();
        assert!(
            answer.contains("Nothing was changed") || answer.contains("newer") || answer.contains("changed since"),
            "{action} {short}: {answer}"
        );
        assert!(!answer.contains("internal"), "{action} {short}: {answer}");
    }
    let mut without = door.click(PRIYA);
    without["actions"][0]["value"] = json!(null);
    assert!(door.asks(&without).await.contains("Nothing was changed"));
    without["actions"] = json!([]);
    let (status, _) = door.send(&door.signed(INTERACTIONS, form(&without))).await;
    assert_eq!(status, 200);
    // Whose question it was doesn't matter: the QA lead's click on the product owner's button signs for QA.
    assert!(door.asks(&door.click(DEV)).await.contains("not in a role"));

    let after = door.bot.release(KEY).await;
    assert_eq!(after.sign_offs.len(), 0);
    assert_eq!((after.status.key(), after.view()), (before.status.key(), before.view()));
    assert!(door.bot.starts("payments").is_empty());
    door.quiet().await;
    door.finish().await;
}

pub async fn an_old_card_is_stale_after_the_plan_has_changed(engine: Engine) {
    let door = Door::open(engine).await;
    let old = door.click(PRIYA);
    door.bot.types(RITA, "plan REL-789").await;
    let changed = json!({ "version": "v1.4.1", "scope": "Refunds, and more" });
    assert_eq!(door.bot.submits(RITA, &changed).await, json!({}));
    door.bot
        .wait("the new plan to be asked about", async || {
            let release = door.bot.release(KEY).await;
            (release.status.key() == "asking" && release.version.to_string().contains("1.4.1")).then_some(())
        })
        .await;
    let answer = door.asks(&old).await;
    assert!(!answer.contains("internal"), "{answer}");
    assert_eq!(
        door.sign_offs().await,
        0,
        "nobody signs what they did not see: {answer}"
    );
    door.quiet().await;
    door.finish().await;
}

fn reason_form(user: &str, callback: &str, metadata: &str, reason: &str) -> Value {
    json!({
        "type": "view_submission", "api_app_id": "A0COUNTER", "trigger_id": "1.2.3",
        "user": { "id": user, "team_id": "T0ACME" }, "team": { "id": "T0ACME" }, "enterprise": null,
        "view": {
            "id": "V0FORGED", "callback_id": callback, "private_metadata": metadata, "hash": "1.a",
            "state": { "values": { "reason": { "value": { "type": "plain_text_input", "value": reason } } } },
        },
    })
}

pub async fn forged_forms_change_nothing(engine: Engine) {
    let door = Door::open(engine).await;
    let ours = door.value().to_string();
    let as_role = |role: &str| {
        let mut value = door.value();
        value["role"] = json!(role);
        value.to_string()
    };
    let elsewhere = ours.replace(KEY, "REL-999");
    let forms = [
        reason_form(MIA, "reject", &ours, "I am nobody"),
        reason_form(MIA, "reject", &as_role("qa_lead"), "I am the QA lead"),
        reason_form(PRIYA, "reject", &as_role("cto"), "I am the CTO"),
        reason_form(PRIYA, "reject", &elsewhere, "No such release"),
        reason_form(PRIYA, "reject", "", "No metadata"),
        reason_form(PRIYA, "reject", "{\"release\":[1]}", "Odd metadata"),
        reason_form(PRIYA, "reject", &"[".repeat(3_000), "Deep metadata"),
        reason_form(PRIYA, "reject", &ours, "   "),
        reason_form(QUINN, "withdraw", &ours, "I never signed"),
        reason_form(MIA, "cancel", &ours, "I am no release manager"),
        reason_form(PRIYA, "drop_everything", &ours, "An unknown form"),
        reason_form(MIA, "plan", &ours, "A plan without its fields"),
        reason_form(MIA, "hotfix", &ours, "A hotfix without its fields"),
    ];
    for forged in forms {
        let (status, answer) = door.send(&door.signed(INTERACTIONS, form(&forged))).await;
        assert_eq!(status, 200, "{forged}");
        let answered: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{forged}: {answer}"));
        let action = answered["response_action"].as_str();
        assert!(matches!(action, Some("errors" | "update")), "{forged}: {answer}");
        assert!(!answer.contains("internal"), "{forged}: {answer}");
        let release = door.bot.release(KEY).await;
        assert_eq!(release.status.key(), "asking", "{forged}: {answer}");
    }
    assert_eq!(door.bot.running().handler.store.count("release/").await.unwrap(), 1);
    door.quiet().await;
    door.finish().await;
}

pub async fn a_zero_byte_in_a_text_breaks_nothing(engine: Engine) {
    let door = Door::open(engine).await;
    let ours = door.value().to_string();
    let zero = reason_form(PRIYA, "reject", &ours, "red\u{0}dish");
    let (status, _) = door.send(&door.signed(INTERACTIONS, form(&zero))).await;
    assert_eq!(status, 200);
    let mut click = door.click(QUINN);
    click["message"]["text"] = json!("what\u{0}ever");
    click["container"]["message_ts"] = json!("1\u{0}");
    let answer = door.asks(&click).await;
    println!("{engine:?}: {answer}");
    door.quiet().await;
    door.bot.finish().await;
}

pub async fn hostile_names_typed_in_forms_are_refused(engine: Engine) {
    const VERSIONS: &[&str] = &[
        "--upload-pack=touch /tmp/x",
        "-h",
        "v-1",
        "1.0.0; rm -rf /",
        "$(id)",
        "`id`",
        "1.0 0",
        "../../etc/passwd",
        "v1.4.0\nv9",
        "v1.4.0\u{0}",
        "refs/heads/main",
        "v1.4.0^{commit}",
        "v1.4.0~1",
        "HEAD",
        "@{-1}",
        "v1.4.0:evil",
        "v1*",
        "v1?",
        "v1[",
        "a\\b",
        "${jndi:ldap://x}",
        "{commit}",
        "%0a",
        "v1.4.0|id",
        "v1.4.0&id",
        "v1.4.0>x",
        "'",
        "\"",
        "\u{202e}0.4.1v",
        "v１.4.0",
        "v1..2",
        "v1.lock",
    ];
    let door = Door::open(engine).await;
    door.quiet().await;
    let before = door.still().await;
    door.bot.types(RITA, "plan REL-790 payments v1.4.0").await;
    for version in VERSIONS {
        let mut inputs = plan_inputs();
        inputs["version"] = json!(version);
        let complaints = door.bot.submits(RITA, &inputs).await;
        assert!(
            complaints["version"].is_string(),
            "{version:?} is a version: {complaints}"
        );
        let (_, answer) = door
            .send(&door.signed(
                super::door::COMMANDS,
                door.command(RITA, &format!("hotfix payments {version}")),
            ))
            .await;
        assert!(!answer.contains("internal"), "{version:?}: {answer}");
    }
    assert_eq!(door.bot.running().handler.store.count("release/").await.unwrap(), 1);
    let after = door.still().await;
    assert_eq!(
        format!("{before:?}").split("requests").next(),
        format!("{after:?}").split("requests").next()
    );
    for view in door.bot.slack.views(RITA) {
        door.bot.slack.close_view(RITA, &view.id).await;
    }
    door.finish().await;
}

pub async fn an_answer_goes_to_slack_or_nowhere_and_the_click_is_decided(engine: Engine) {
    let door = Door::open(engine).await;
    let sink = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = sink.local_addr().unwrap().port();
    let hits = Arc::new(AtomicUsize::new(0));
    let counting = tokio::spawn({
        let hits = Arc::clone(&hits);
        async move {
            while sink.accept().await.is_ok() {
                hits.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let api = door.bot.slack.url().trim_end_matches('/').to_owned();
    let api_host = api.trim_start_matches("http://").to_owned();
    let answered = door.answers().len();
    for trick in [
        format!("http://127.0.0.1:{port}/respond/x"),
        format!("http://localhost:{port}/respond/x"),
        format!("https://127.0.0.1:{port}/respond/x"),
        format!("http://{api_host}@127.0.0.1:{port}/respond/x"),
        format!("http://user:secret@{api_host}/respond/x"),
        format!("http://127.0.0.1:{port}#{api_host}/respond/x"),
        format!("http://127.0.0.1:{port}\\@{api_host}/respond/x"),
        format!("http://[::ffff:127.0.0.1]:{port}/respond/x"),
        format!("http://2130706433:{port}/respond/x"),
        format!("https://hooks.slack.com.evil:{port}/x"),
        format!("https://hooks.slack.com@127.0.0.1:{port}/x"),
        format!("https://hooks.slack.com:{port}/x"),
        "https://hooks.slack.com.evil/x".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
        String::new(),
    ] {
        let mut click = door.click(DEV);
        click["response_url"] = json!(trick);
        let before = door.bot.running().handler.store.head().await.unwrap();
        let (status, _) = door.send(&door.signed(INTERACTIONS, form(&click))).await;
        assert_eq!(status, 200, "{trick}");
        drop(before);
    }
    let mut click = door.click(PRIYA);
    click["response_url"] = json!(format!("http://127.0.0.1:{port}/respond/x"));
    assert_eq!(door.send(&door.signed(INTERACTIONS, form(&click))).await.0, 200);
    assert_eq!(door.sign_offs().await, 1, "the click itself is decided");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(hits.load(Ordering::SeqCst), 0, "a connection was made");
    assert_eq!(door.answers().len(), answered, "an answer went out");
    counting.abort();
    door.bot.finish().await;
}
