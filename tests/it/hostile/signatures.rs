//! Who is believed: what Slack signed, within five minutes, and nothing else.

use super::door::{COMMANDS, Door, EVENTS, INTERACTIONS, Knock, form};
use crate::support::bot::PRIYA;
use crate::support::database::Engine;

pub async fn what_slack_did_not_sign_is_not_believed(engine: Engine) {
    let door = Door::open(engine).await;
    let click = form(&door.click(PRIYA));
    let good = door.signed(INTERACTIONS, click.clone());
    let now_s = door.bot.slack.now_ms() / 1_000;
    let by = |secret: &str| {
        let signature = playground::signature(secret, now_s, click.as_bytes());
        Knock::new(INTERACTIONS, click.clone()).signed_with(&now_s.to_string(), &signature)
    };
    let another = door.signed(INTERACTIONS, format!("{click}&a=b"));
    let mut swapped = good.clone();
    swapped.body.clone_from(&another.body);
    let signature = good.headers["x-slack-signature"].to_str().unwrap().to_owned();
    let signature_of = |text: &str| good.clone().with("x-slack-signature", text);
    let challenge = r#"{"type":"url_verification","challenge":"c"}"#;
    let command = door.command(PRIYA, "approve REL-789");
    door.all_are(
        401,
        &[
            ("unsigned click", Knock::new(INTERACTIONS, click.clone())),
            ("unsigned command", Knock::new(COMMANDS, command)),
            (
                "unsigned url_verification",
                Knock::new(EVENTS, challenge).with("content-type", "application/json"),
            ),
            ("unsigned and empty", Knock::new(INTERACTIONS, "")),
            (
                "unsigned and of a wrong type",
                Knock::new(COMMANDS, "").with("content-type", "text/html"),
            ),
            ("another secret", by("another-secret-of-32-characters!")),
            ("an empty secret", by("")),
            ("another body's signature", swapped),
            ("no time", good.clone().without("x-slack-request-timestamp")),
            ("no signature", good.clone().without("x-slack-signature")),
            ("no scheme", signature_of(&signature[3..])),
            ("another scheme", signature_of(&signature.replace("v0=", "v1="))),
            ("cut short", signature_of(&signature[..65])),
            ("too long", signature_of(&format!("{signature}0"))),
            ("no hex", signature_of(&format!("v0={}", "z".repeat(64)))),
            ("all zeros", signature_of(&format!("v0={}", "0".repeat(64)))),
            ("an empty signature", signature_of("")),
            (
                "a signature outside ASCII",
                good.clone().with_bytes("x-slack-signature", &[0xff; 67]),
            ),
        ],
    )
    .await;
    door.finish().await;
}

pub async fn the_time_is_a_plain_number_within_five_minutes(engine: Engine) {
    let door = Door::open(engine).await;
    let click = form(&door.click(PRIYA));
    let huge = "9".repeat(4_000);
    let least = i64::MIN.to_string();
    let mut knocks = vec![
        ("301 s old", door.signed_ahead(INTERACTIONS, click.clone(), -301)),
        // To the second it is tested without a network, in slack::verify: here time passes on the way.
        ("in the future", door.signed_ahead(INTERACTIONS, click.clone(), 330)),
        ("a day old", door.signed_ahead(INTERACTIONS, click.clone(), -86_400)),
    ];
    for text in [
        least.as_str(),
        "1e9",
        " 1",
        "-1",
        "+1",
        "0x10",
        "1.5",
        "",
        "NaN",
        "٣",
        "1 2",
        "18446744073709551617",
        huge.as_str(),
    ] {
        let signature = playground::signature("playground-signing-secret", 0, click.as_bytes());
        let knock = Knock::new(INTERACTIONS, click.clone()).signed_with("0", &signature);
        knocks.push((text, knock.with_bytes("x-slack-request-timestamp", text.as_bytes())));
    }
    door.all_are(401, &knocks).await;

    let late = door.command(PRIYA, "help");
    for ahead_s in [-290, 299] {
        let (status, answer) = door.send(&door.signed_ahead(COMMANDS, late.clone(), ahead_s)).await;
        assert_eq!(status, 200, "{ahead_s}: {answer}");
    }
    door.finish().await;
}

pub async fn the_previous_secret_is_believed_while_it_is_configured(engine: Engine) {
    let mut door = Door::open(engine).await;
    let previous = "previous-signing-secret-of-acme!";
    let help = door.command(PRIYA, "help");
    let by = |door: &Door, secret: &str| {
        let now_s = door.bot.slack.now_ms() / 1_000;
        let signature = playground::signature(secret, now_s, help.as_bytes());
        Knock::new(COMMANDS, help.clone()).signed_with(&now_s.to_string(), &signature)
    };
    assert_eq!(door.send(&by(&door, previous)).await.0, 401, "not configured");
    door.boot_with("SLACK_SIGNING_SECRET_PREVIOUS", previous).await;
    assert_eq!(door.send(&by(&door, previous)).await.0, 200);
    assert_eq!(
        door.send(&door.signed(COMMANDS, help.clone())).await.0,
        200,
        "the new one too"
    );
    assert_eq!(door.send(&by(&door, "yet-another-secret-of-somebody-1")).await.0, 401);
    door.finish().await;
}
