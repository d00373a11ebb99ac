//! What Slack sends, and what pretends to be it.

use countersign::slack::buttons::{ActionId, ButtonValue};
use countersign::slack::payload::{Elsewhere, Interaction, InteractionKind, PayloadError, SlashCommand};
use proptest::prelude::*;
use serde_json::{Value, json};

const COMMAND: &str = "token=x&team_id=T0ACME&team_domain=acme&channel_id=C0PAYMENTS&channel_name=payments&user_id=U0PRIYA&user_name=priya&command=%2Frelease&text=approve+REL-789&api_app_id=A0COUNTER&is_enterprise_install=false&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2F1&trigger_id=13345224609.738474920.8088930838d88f008e0";

fn form(payload: &Value) -> Vec<u8> {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
        .into_bytes()
}

fn click() -> Value {
    json!({
        "type": "block_actions", "user": {"id": "U0PRIYA", "username": "priya", "team_id": "T0ACME"}, "api_app_id": "A0COUNTER",
        "team": {"id": "T0ACME", "domain": "acme"}, "enterprise": null, "is_enterprise_install": false,
        "container": {"type": "message", "message_ts": "1548261231.000200", "channel_id": "C0PAYMENTS", "is_ephemeral": false},
        "channel": {"id": "C0PAYMENTS", "name": "payments"}, "trigger_id": "12.34.56", "response_url": "https://hooks.slack.com/actions/1",
        "message": {"ts": "1548261231.000200", "text": "REL-789", "metadata": {"event_type": "x", "event_payload": {"n": 7}}},
        "state": {"values": {}},
        "actions": [{"action_id": "approve", "block_id": "b8.3", "type": "button", "value": "{\"release\":\"REL-789\",\"view\":\"2.0\"}", "action_ts": "1548426417.840180",
                     "text": {"type": "plain_text", "text": "Approve"}}]
    })
}

#[test]
fn a_slash_command_is_read_with_all_its_fields() {
    let command = SlashCommand::parse(COMMAND.as_bytes()).unwrap();
    assert_eq!(
        (command.command.as_str(), command.text.as_str()),
        ("/release", "approve REL-789")
    );
    assert_eq!(
        command.response_url.as_deref(),
        Some("https://hooks.slack.com/commands/1")
    );
    assert!(!command.is_enterprise_install);
    assert_eq!(command.workspace().check("T0ACME", "A0COUNTER"), Ok(()));
    let org = COMMAND.replace(
        "is_enterprise_install=false",
        "is_enterprise_install=true&enterprise_id=E0ACME",
    );
    let org = SlashCommand::parse(org.as_bytes()).unwrap();
    assert!(org.is_enterprise_install && org.workspace().enterprise_id == Some("E0ACME"));
}

#[test]
fn a_malformed_form_is_told_apart() {
    for (body, expected) in [
        (&b"\xff\xfe"[..], PayloadError::NotUtf8),
        (b"command=%ff", PayloadError::NotUtf8),
        (b"command=%zz", PayloadError::MalformedForm),
        (b"command=%", PayloadError::MalformedForm),
        (b"command=%f", PayloadError::MalformedForm),
        (b"", PayloadError::Missing("command")),
        (b"command=%2Frelease", PayloadError::Missing("user_id")),
        (b"command=%2Frelease&user_id=U1", PayloadError::Missing("api_app_id")),
        (b"command=a&command=b", PayloadError::MalformedForm),
        (b"{\"json\":1}", PayloadError::Missing("command")),
    ] {
        assert_eq!(SlashCommand::parse(body), Err(expected), "{body:?}");
    }
    let many = (0..200).map(|n| format!("f{n}=1")).collect::<Vec<_>>().join("&");
    assert_eq!(SlashCommand::parse(many.as_bytes()), Err(PayloadError::MalformedForm));
}

#[test]
fn a_click_is_read_with_what_other_readers_refuse() {
    let interaction = Interaction::parse(&form(&click())).unwrap();
    let InteractionKind::Click(of) = &interaction.kind else {
        panic!("{interaction:?}")
    };
    assert_eq!(ActionId::parse(&of.actions[0].action_id), Some(ActionId::Approve));
    let value = ButtonValue::parse(of.actions[0].value.as_deref().unwrap()).unwrap();
    assert_eq!(
        (value.release.as_str(), value.view.as_deref()),
        ("REL-789", Some("2.0"))
    );
    assert_eq!(
        (of.channel_id.as_deref(), of.message_ts.as_deref()),
        (Some("C0PAYMENTS"), Some("1548261231.000200"))
    );
    // Nulls and gaps that real payloads have.
    let mut bare = click();
    for gone in [
        "channel",
        "message",
        "trigger_id",
        "response_url",
        "container",
        "enterprise",
        "state",
    ] {
        bare[gone] = Value::Null;
    }
    let InteractionKind::Click(of) = Interaction::parse(&form(&bare)).unwrap().kind else {
        panic!()
    };
    assert_eq!(of.channel_id, None);
}

#[test]
fn foreign_apps_workspaces_and_people_are_recognised() {
    let check = |change: &dyn Fn(&mut Value)| {
        let mut payload = click();
        change(&mut payload);
        Interaction::parse(&form(&payload))
            .unwrap()
            .workspace()
            .check("T0ACME", "A0COUNTER")
    };
    assert_eq!(check(&|_| {}), Ok(()));
    assert_eq!(check(&|p| p["api_app_id"] = json!("A0OTHER")), Err(Elsewhere::App));
    assert_eq!(check(&|p| p["api_app_id"] = Value::Null), Err(Elsewhere::App));
    assert_eq!(check(&|p| p["team"] = Value::Null), Err(Elsewhere::Team));
    assert_eq!(check(&|p| p["team"]["id"] = json!("T0OTHER")), Err(Elsewhere::Team));
    assert_eq!(
        check(&|p| p["user"]["team_id"] = json!("T0OTHER")),
        Err(Elsewhere::Person)
    );
    assert_eq!(
        check(&|p| p["user"]["team_id"] = json!("E0ACME")),
        Err(Elsewhere::Person)
    );
    assert_eq!(
        check(&|p| {
            p["user"]["team_id"] = json!("E0ACME");
            p["enterprise"] = json!({"id": "E0ACME", "name": "Acme"});
        }),
        Ok(())
    );
    assert_eq!(
        check(&|p| {
            p["user"]["team_id"] = json!("E0ACME");
            p["team"]["enterprise_id"] = json!("E0ACME");
        }),
        Ok(())
    );
    assert_eq!(
        check(&|p| p["user"].as_object_mut().map(|u| u.remove("team_id")).map_or((), drop)),
        Ok(())
    );
}

#[test]
fn other_interactions_are_ignored_and_broken_ones_told_apart() {
    for kind in ["shortcut", "message_action", "block_suggestion", "something_new"] {
        let payload = json!({"type": kind, "user": {"id": "U1"}, "team": {"id": "T1"}, "api_app_id": "A1"});
        let interaction = Interaction::parse(&form(&payload)).unwrap();
        assert_eq!(interaction.kind, InteractionKind::Ignored(kind.to_owned()));
    }
    let closed = json!({"type": "view_closed", "user": {"id": "U1"}, "api_app_id": "A1", "view": {"id": "V1", "callback_id": "plan"}});
    assert!(
        matches!(Interaction::parse(&form(&closed)).unwrap().kind, InteractionKind::Closed(view) if view.callback_id == "plan")
    );
    assert_eq!(Interaction::parse(b"x=1"), Err(PayloadError::Missing("payload")));
    assert!(matches!(
        Interaction::parse(b"payload=%7B"),
        Err(PayloadError::MalformedJson(_))
    ));
    let deep = format!("payload={}", "[".repeat(100_000));
    assert!(matches!(
        Interaction::parse(deep.as_bytes()),
        Err(PayloadError::MalformedJson(_))
    ));
    for wrong in [
        json!(7),
        json!([]),
        json!({}),
        json!({"type": "block_actions"}),
        json!({"type": 7, "user": {"id": "U1"}}),
        json!({"type": "block_actions", "user": "U1"}),
        json!({"type": "block_actions", "user": {"id": 7}}),
        json!({"type": "block_actions", "user": {"id": "U1"}, "actions": {"a": 1}}),
        json!({"type": "block_actions", "user": {"id": "U1"}, "team": "T1"}),
        json!({"type": "view_submission", "user": {"id": "U1"}}),
        json!({"type": "view_submission", "user": {"id": "U1"}, "view": {"id": "V1", "state": {"values": []}}}),
    ] {
        assert!(
            matches!(Interaction::parse(&form(&wrong)), Err(PayloadError::WrongType(_))),
            "{wrong}"
        );
    }
}

#[test]
fn a_button_carries_ids_and_nothing_else() {
    for action in ActionId::all() {
        assert_eq!(ActionId::parse(&action.to_string()), Some(action));
    }
    assert_eq!(ActionId::parse("choose_role_boss"), None);
    let full = "{\"release\":\"REL-789\",\"role\":\"qa_lead\",\"view\":\"3.1\",\"attempt\":2}";
    assert_eq!(ButtonValue::parse(full).unwrap().to_json(), full);
    let huge = format!("{{\"release\":\"REL-789\",\"view\":\"{}\"}}", "1".repeat(3_000));
    for hostile in [
        "",
        "null",
        "REL-789",
        "[]",
        "{}",
        "{\"release\":\"rel-789\"}",
        "{\"release\":\"REL-789\",\"approved\":true}",
        "{\"release\":\"REL-789\",\"role\":\"boss\"}",
        "{\"release\":\"REL-789\",\"attempt\":-1}",
        "{\"release\":\"REL-789\",\"attempt\":99999999999}",
        "{\"release\":\"REL-789\",\"view\":\"3.1; drop\"}",
        "{\"release\":\"REL-789\",\"release\":\"REL-790\"}",
        &huge,
    ] {
        assert!(ButtonValue::parse(hostile).is_err(), "{hostile:.80}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_the_parsers_panic(body in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = SlashCommand::parse(&body);
        let _ = Interaction::parse(&body);
        let _ = Interaction::from_json(&text);
        let _ = ButtonValue::parse(&text);
    }
}
