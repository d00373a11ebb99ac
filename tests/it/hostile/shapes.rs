//! What is signed and still no request of ours: types, sizes, encodings, workspaces, methods and routes.

use super::door::{COMMANDS, Door, EVENTS, FORM, INTERACTIONS, Knock, fields, form, say, status_line};
use crate::support::bot::PRIYA;
use crate::support::database::Engine;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

pub async fn another_content_type_is_415(engine: Engine) {
    let door = Door::open(engine).await;
    let click = door.signed(INTERACTIONS, form(&door.click(PRIYA)));
    let command = door.signed(COMMANDS, door.command(PRIYA, "approve REL-789"));
    let event = door.signed(EVENTS, r#"{"type":"url_verification","challenge":"c"}"#);
    door.all_are(
        415,
        &[
            ("JSON", click.clone().with("content-type", "application/json")),
            ("text", command.clone().with("content-type", "text/plain")),
            ("none", command.without("content-type")),
            (
                "several parts",
                click.clone().with("content-type", "multipart/form-data; boundary=x"),
            ),
            (
                "a longer name",
                click.clone().with("content-type", "application/x-www-form-urlencoded2"),
            ),
            ("outside ASCII", click.with_bytes("content-type", &[0xff, 0xfe])),
            ("an event as a form", event.clone()),
        ],
    )
    .await;
    let event = event.with("content-type", "application/json; charset=utf-8");
    assert_eq!(door.send(&event).await, (200, r#"{"challenge":"c"}"#.to_owned()));
    door.finish().await;
}

pub async fn what_is_too_large_is_413_however_it_comes(engine: Engine) {
    let door = Door::open(engine).await;
    let large = format!("payload={}", "a".repeat(512 * 1024));
    door.all_are(413, &[("with its length", door.signed(INTERACTIONS, large.clone()))])
        .await;

    let before = door.still().await;
    let mut bytes = door.head(large.as_bytes(), "transfer-encoding: chunked").into_bytes();
    for chunk in large.as_bytes().chunks(8_192) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    let mut stream = door.connect().await;
    let line = say(&mut stream, &bytes).await;
    // Either it says so, or it hangs up on whoever goes on talking.
    assert!(line.contains(" 413 ") || line.is_empty(), "in chunks: {line}");
    let mut stream = door.connect().await;
    let line = say(&mut stream, door.head(b"", "content-length: 99999999999").as_bytes()).await;
    // Nothing came, so there is nothing to measure: it is given up like a slow one.
    assert!(line.starts_with("HTTP/1.1 4"), "announced: {line}");
    door.stands(&before).await;
    door.finish().await;
}

pub async fn a_slow_body_is_given_up_and_holds_nobody_up(engine: Engine) {
    let door = Door::open(engine).await;
    let before = door.still().await;
    let body = form(&door.click(PRIYA));
    let framing = format!("content-length: {}", body.len());
    let (head, begun) = (door.head(body.as_bytes(), &framing), Instant::now());

    // Stalled at the head, stalled in the body, and one byte after the other.
    let mut stalled = Vec::new();
    for cut in [30, head.len(), head.len() + 20] {
        for _ in 0..20 {
            let mut stream = door.connect().await;
            stream
                .write_all(&format!("{head}{body}").as_bytes()[..cut])
                .await
                .unwrap();
            stalled.push((cut, stream));
        }
    }
    let mut dripping = door.connect().await;
    dripping.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = dripping.into_split();
    let drip = tokio::spawn(async move {
        for byte in body.into_bytes() {
            if writing.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    });

    let asked = Instant::now();
    let help = door.signed(COMMANDS, door.command(PRIYA, "help"));
    assert_eq!(door.send(&help).await.0, 200);
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "others wait: {:?}",
        asked.elapsed()
    );

    let mut answer = vec![0; 512];
    let dripped = tokio::time::timeout(
        Duration::from_secs(8),
        tokio::io::AsyncReadExt::read(&mut reading, &mut answer),
    );
    let read = dripped.await.expect("a dripping body is waited for").unwrap_or(0);
    let line = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(line.is_empty() || line.starts_with("HTTP/1.1 4"), "{line}");
    drip.abort();
    for (cut, stream) in &mut stalled {
        // A head that never ends is hyper's to wait for; it has no request yet and holds no more than its socket.
        if *cut > 30 {
            let line = tokio::time::timeout(Duration::from_secs(8), status_line(stream));
            let line = line.await.expect("a stalled body is waited for");
            assert!(line.is_empty() || line.starts_with("HTTP/1.1 4"), "{line}");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    door.stands(&before).await;
    door.finish().await;
}

pub async fn what_can_not_be_read_is_400(engine: Engine) {
    let door = Door::open(engine).await;
    let signed = |body: &[u8]| door.signed(INTERACTIONS, body);
    let payload = |text: &str| door.signed(INTERACTIONS, fields(&[("payload", text)]));
    let click = door.click(PRIYA);
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = click.clone();
        change(&mut changed);
        payload(&changed.to_string())
    };
    let deep = "[".repeat(100_000);
    let deep_object = "{\"a\":".repeat(30_000);
    let twice = format!("{}&{}", form(&click), form(&click));
    let many = format!("{}{}", form(&click), "&a=b".repeat(200));
    let command = |pairs: &[(&str, &str)]| door.signed(COMMANDS, fields(pairs));
    let event = |body: &[u8]| door.signed(EVENTS, body).with("content-type", "application/json");
    door.all_are(
        400,
        &[
            ("nothing", signed(b"")),
            ("not UTF-8", signed(b"payload=\xff\xfe")),
            ("not UTF-8 behind escapes", signed(b"payload=%ff%fe")),
            ("a broken escape", signed(b"payload=%zz")),
            ("an escape cut short", signed(b"payload=%7")),
            ("no payload", signed(b"other=1")),
            ("an empty payload", signed(b"payload=")),
            ("the payload twice", signed(twice.as_bytes())),
            ("too many fields", signed(many.as_bytes())),
            ("broken JSON", payload("{\"type\":")),
            ("JSON and more", payload(&format!("{click}{click}"))),
            ("nested too deeply", payload(&deep)),
            ("objects nested too deeply", payload(&deep_object)),
            ("an array", payload("[]")),
            ("a number", payload("5")),
            ("null", payload("null")),
            ("a string", payload("\"x\"")),
            ("a number out of range", payload("1e999999")),
            ("no type", with(&|click| click["type"] = json!(null))),
            ("no user", with(&|click| click["user"] = json!(null))),
            (
                "a user id that is none",
                with(&|click| click["user"]["id"] = json!("U0PRIYA' OR '1'='1")),
            ),
            (
                "a user id with a zero byte",
                with(&|click| click["user"]["id"] = json!("U0PRIYA\u{0}")),
            ),
            (
                "actions that are none",
                with(&|click| click["actions"] = json!("approve")),
            ),
            (
                "a form without its view",
                with(&|click| click["type"] = json!("view_submission")),
            ),
            (
                "a command without a user",
                command(&[
                    ("command", "/release"),
                    ("api_app_id", "A0COUNTER"),
                    ("team_id", "T0ACME"),
                ]),
            ),
            (
                "a command without an app",
                command(&[("command", "/release"), ("user_id", PRIYA), ("team_id", "T0ACME")]),
            ),
            (
                "a command of two people",
                command(&[("command", "/release"), ("user_id", PRIYA), ("user_id", "U0RITA")]),
            ),
            ("an event that is no JSON", event(b"{")),
            ("an event that is not UTF-8", event(b"\"\xff\"")),
            ("an event nested too deeply", event(deep.as_bytes())),
        ],
    )
    .await;
    door.finish().await;
}

pub async fn other_workspaces_and_apps_are_403(engine: Engine) {
    let door = Door::open(engine).await;
    let click = door.click(PRIYA);
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = click.clone();
        change(&mut changed);
        door.signed(INTERACTIONS, form(&changed))
    };
    let command = |team: &str, app: &str| {
        let text = door.command(PRIYA, "approve REL-789");
        let text = text.replace("T0ACME", team).replace("A0COUNTER", app);
        door.signed(COMMANDS, text)
    };
    let event = |team: &str, app: &str| {
        let event =
            json!({ "type": "event_callback", "team_id": team, "api_app_id": app, "event": { "type": "message" } });
        door.signed(EVENTS, event.to_string())
            .with("content-type", "application/json")
    };
    door.all_are(
        403,
        &[
            ("an event of another team", event("T0EVIL", "A0COUNTER")),
            ("an event of another app", event("T0ACME", "A0EVIL")),
            ("another team", with(&|click| click["team"]["id"] = json!("T0EVIL"))),
            (
                "a team in other letters",
                with(&|click| click["team"]["id"] = json!("t0acme")),
            ),
            ("no team", with(&|click| click["team"] = json!(null))),
            ("another app", with(&|click| click["api_app_id"] = json!("A0EVIL"))),
            ("no app", with(&|click| click["api_app_id"] = json!(null))),
            (
                "an organisation's install",
                with(&|click| {
                    click["team"] = json!(null);
                    click["enterprise"] = json!({ "id": "E0ACME", "name": "Acme" });
                    click["is_enterprise_install"] = json!(true);
                }),
            ),
            ("a command of another team", command("T0EVIL", "A0COUNTER")),
            ("a command of no team", command("", "A0COUNTER")),
            ("a command of another app", command("T0ACME", "A0EVIL")),
        ],
    )
    .await;
    door.finish().await;
}

pub async fn only_post_and_only_these_routes(engine: Engine) {
    let door = Door::open(engine).await;
    let click = form(&door.click(PRIYA));
    let (mut wrong_methods, mut unknown) = (Vec::new(), Vec::new());
    for path in [COMMANDS, INTERACTIONS, EVENTS] {
        for method in [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            let mut knock = door.signed(path, click.clone());
            knock.method = method;
            wrong_methods.push((path, knock));
        }
    }
    let mut query = door.signed(&format!("{INTERACTIONS}?{click}"), "");
    query.method = Method::GET;
    wrong_methods.push(("everything in the address", query));
    for path in [
        "/",
        "/slack",
        "/slack/",
        "/slack/interactions/",
        "/SLACK/INTERACTIONS",
        "/slack/interactions/1",
        "/admin",
        "/approve/REL-789",
        "/slack/commands%00",
        "/.env",
        "/debug",
        "/jobs",
    ] {
        unknown.push((path, door.signed(path, click.clone())));
        let mut knock = Knock::new(path, "").with("content-type", FORM);
        knock.method = Method::GET;
        unknown.push((path, knock));
    }
    door.all_are(405, &wrong_methods).await;
    door.all_are(404, &unknown).await;
    door.finish().await;
}
