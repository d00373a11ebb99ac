//! Proves that a request comes from Slack, over the raw bytes, before anything is parsed.
//! Tags are only ever compared by `Mac::verify_slice`, which takes the same time for every wrong tag.

use domain::ids::Millis;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// How far a request's time may be from ours, either way, in seconds.
pub const MAX_SKEW_S: u64 = 300;

/// A request whose signature and time hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<'b> {
    /// The bytes that were signed.
    pub body: &'b [u8],
    /// When Slack signed them, seconds since 1970.
    pub timestamp_s: i64,
    /// SHA-256 over timestamp, `:` and body: the same signed bytes have the same id.
    pub request_id: String,
    /// Whether only the previous secret fits: the rotation is not over yet.
    pub by_previous_secret: bool,
}

/// Why a request is not believed. All of them are answered by 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// No secret is configured; nothing can be believed.
    NoSecret,
    /// A header is missing.
    HeaderMissing,
    /// The time is no plain number of seconds.
    BadTimestamp,
    /// The time is more than five minutes from ours, in the past or in the future.
    OutOfTime,
    /// The signature is not `v0=` and 64 hex characters, or it is another one.
    WrongSignature,
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSecret => "no signing secret is configured",
            Self::HeaderMissing => "the signature or time header is missing",
            Self::BadTimestamp => "the time header is no number of seconds",
            Self::OutOfTime => "the request is more than 5 minutes from our clock",
            Self::WrongSignature => "the signature is wrong",
        })
    }
}

impl std::error::Error for Unverified {}

/// Checks `X-Slack-Request-Timestamp` and `X-Slack-Signature` over the raw `body`. `secrets` are the current one
/// and, during a rotation, the previous one; blank secrets never fit.
///
/// # Errors
/// Why the request is not believed.
pub fn verify<'b>(
    secrets: &[&str],
    timestamp: Option<&[u8]>,
    signature: Option<&[u8]>,
    body: &'b [u8],
    now_ms: Millis,
) -> Result<Verified<'b>, Unverified> {
    if secrets.iter().all(|secret| secret.trim().is_empty()) {
        return Err(Unverified::NoSecret);
    }
    let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
        return Err(Unverified::HeaderMissing);
    };
    let timestamp_s = seconds(timestamp).ok_or(Unverified::BadTimestamp)?;
    if now_ms.div_euclid(1_000).abs_diff(timestamp_s) > MAX_SKEW_S {
        return Err(Unverified::OutOfTime);
    }
    let tag = tag(signature).ok_or(Unverified::WrongSignature)?;
    let fits = |secret: &&str| !secret.trim().is_empty() && is_signed_by(secret, timestamp, body, &tag);
    let position = secrets.iter().position(fits).ok_or(Unverified::WrongSignature)?;
    Ok(Verified {
        body,
        timestamp_s,
        request_id: request_id(timestamp, body),
        by_previous_secret: position > 0,
    })
}

/// Digits only: no sign, no exponent, no space; far below what `i64` holds.
fn seconds(header: &[u8]) -> Option<i64> {
    let is_plain = (1..=12).contains(&header.len()) && header.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(header).ok().filter(|_| is_plain)?;
    text.parse().ok()
}

/// The 32 bytes behind `v0=` and 64 hex characters.
fn tag(header: &[u8]) -> Option<[u8; 32]> {
    let hex = header.strip_prefix(b"v0=").filter(|hex| hex.len() == 64)?;
    let mut tag = [0; 32];
    for (byte, pair) in tag.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(tag)
}

fn is_signed_by(secret: &str, timestamp: &[u8], body: &[u8], tag: &[u8; 32]) -> bool {
    // HMAC takes keys of every length, so this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    mac.update(b"v0:");
    mac.update(timestamp);
    mac.update(b":");
    mac.update(body);
    mac.verify_slice(tag).is_ok()
}

fn request_id(timestamp: &[u8], body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(timestamp);
    hash.update(b":");
    hash.update(body);
    domain::digest::hex(&hash.finalize())
}
