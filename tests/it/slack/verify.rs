//! Signatures: the published vector, and everything that must not get through.

use countersign::slack::verify::{Unverified, verify};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Slack's published example.
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const TIMESTAMP: &str = "1531420618";
const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
const NOW_MS: i64 = 1_531_420_618_000;

fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    format!("v0={}", domain::digest::hex(&mac.finalize().into_bytes()))
}

fn check(secrets: &[&str], timestamp: &str, signature: &str, body: &[u8], now_ms: i64) -> Result<String, Unverified> {
    verify(
        secrets,
        Some(timestamp.as_bytes()),
        Some(signature.as_bytes()),
        body,
        now_ms,
    )
    .map(|verified| verified.request_id)
}

#[test]
fn the_published_vector_is_believed_and_has_a_reproducible_id() {
    let id = check(&[SECRET], TIMESTAMP, SIGNATURE, BODY.as_bytes(), NOW_MS).unwrap();
    let expected = Sha256::digest(format!("{TIMESTAMP}:{BODY}").as_bytes());
    assert_eq!(id, domain::digest::hex(&expected));
}

#[test]
fn the_window_is_five_minutes_both_ways() {
    for (skew_s, expected) in [
        (0, true),
        (299, true),
        (300, true),
        (301, false),
        (-300, true),
        (-301, false),
        (86_400, false),
    ] {
        let result = check(
            &[SECRET],
            TIMESTAMP,
            SIGNATURE,
            BODY.as_bytes(),
            NOW_MS + skew_s * 1_000,
        );
        assert_eq!(result.is_ok(), expected, "{skew_s}");
        if !expected {
            assert_eq!(result, Err(Unverified::OutOfTime));
        }
    }
    for now_ms in [i64::MIN, i64::MAX, 0] {
        assert_eq!(
            check(&[SECRET], TIMESTAMP, SIGNATURE, BODY.as_bytes(), now_ms),
            Err(Unverified::OutOfTime)
        );
    }
}

#[test]
fn a_rotation_knows_two_secrets_and_blank_ones_never_fit() {
    for (secrets, expected) in [
        (&[SECRET, "old"][..], Ok(false)),
        (&["new", SECRET], Ok(true)),
        (&["", SECRET], Ok(true)),
        (&["new", "old"], Err(Unverified::WrongSignature)),
        (&[], Err(Unverified::NoSecret)),
        (&[""], Err(Unverified::NoSecret)),
        (&["  ", "\t\n"], Err(Unverified::NoSecret)),
    ] {
        let verified = verify(
            secrets,
            Some(TIMESTAMP.as_bytes()),
            Some(SIGNATURE.as_bytes()),
            BODY.as_bytes(),
            NOW_MS,
        );
        assert_eq!(verified.map(|v| v.by_previous_secret), expected, "{secrets:?}");
    }
    // Signed with nothing, as whoever knows of an empty secret would do.
    for secret in ["", " "] {
        let signature = sign(secret, TIMESTAMP, BODY.as_bytes());
        assert!(check(&[secret], TIMESTAMP, &signature, BODY.as_bytes(), NOW_MS).is_err());
        assert!(check(&[secret, SECRET], TIMESTAMP, &signature, BODY.as_bytes(), NOW_MS).is_err());
    }
}

#[test]
fn hostile_headers_and_bodies_are_refused_without_a_panic() {
    let long = "9".repeat(400);
    for timestamp in [
        "",
        " ",
        "-1",
        "+1531420618",
        "1e9",
        "1531420618.0",
        "0x1",
        "-9223372036854775808",
        "9223372036854775808",
        &long,
        "١٥٣١٤٢٠٦١٨",
        "1531420618 ",
        "1531420618\n",
    ] {
        let signature = sign(SECRET, timestamp, BODY.as_bytes());
        assert_eq!(
            check(&[SECRET], timestamp, &signature, BODY.as_bytes(), NOW_MS),
            Err(Unverified::BadTimestamp),
            "{timestamp:?}"
        );
    }
    let hex = &SIGNATURE[3..];
    for signature in [
        "",
        "v0=",
        hex,
        &format!("v1={hex}"),
        &format!("V0={hex}"),
        &SIGNATURE[..66],
        &format!("{SIGNATURE}0"),
        &format!(" {SIGNATURE}"),
        &format!("v0={}", "é".repeat(32)),
        &format!("v0={}", "g".repeat(64)),
        &SIGNATURE.replace('a', "b"),
    ] {
        assert_eq!(
            check(&[SECRET], TIMESTAMP, signature, BODY.as_bytes(), NOW_MS),
            Err(Unverified::WrongSignature),
            "{signature:?}"
        );
    }
    for (timestamp, signature) in [(None, Some(SIGNATURE)), (Some(TIMESTAMP), None), (None, None)] {
        let result = verify(
            &[SECRET],
            timestamp.map(str::as_bytes),
            signature.map(str::as_bytes),
            BODY.as_bytes(),
            NOW_MS,
        );
        assert_eq!(result.unwrap_err(), Unverified::HeaderMissing);
    }
    let raw = [0xff, 0xfe, 0x00, b'x'];
    assert!(verify(&[SECRET], Some(&raw), Some(&raw), &raw, NOW_MS).is_err());
    // Bytes that are no text are still signed bytes; what they mean is the parser's business.
    let signature = sign(SECRET, TIMESTAMP, &raw);
    assert!(check(&[SECRET], TIMESTAMP, &signature, &raw, NOW_MS).is_ok());
    let mut changed = BODY.as_bytes().to_vec();
    changed.push(b' ');
    assert_eq!(
        check(&[SECRET], TIMESTAMP, SIGNATURE, &changed, NOW_MS),
        Err(Unverified::WrongSignature)
    );
}

#[test]
fn tags_are_never_compared_by_equality() {
    let source = include_str!("../../../src/slack/verify.rs");
    assert!(source.contains("verify_slice"));
    for line in source
        .lines()
        .filter(|line| line.contains("tag") || line.contains("mac"))
    {
        assert!(!line.contains("==") && !line.contains("!="), "{line}");
    }
}
