//! What common credentials look like, for those that the bot does not know itself.
use super::redact::Span;

/// The longest private key that is hidden when its end is missing.
const KEY_BYTES_MAX: usize = 16 * 1024;

/// The longest `user:password@` that is looked for.
const USERINFO_BYTES_MAX: usize = 512;

/// A prefix and what may follow it.
struct Shape {
    prefix: &'static str,
    more: fn(u8) -> bool,
    least_bytes: usize,
    /// Whether a letter, digit or `_` before the prefix makes it part of an ordinary word.
    starts_word: bool,
    /// Whether the prefix stays readable.
    keep_prefix: bool,
}

const fn token(prefix: &'static str, least_bytes: usize) -> Shape {
    Shape {
        prefix,
        more: in_token,
        least_bytes,
        starts_word: true,
        keep_prefix: false,
    }
}

const SHAPES: &[Shape] = &[
    slack("xoxa-"),
    slack("xoxb-"),
    slack("xoxe-"),
    slack("xoxe."),
    slack("xoxp-"),
    slack("xoxr-"),
    slack("xoxs-"),
    slack("xapp-"),
    token("ghp_", 1),
    token("gho_", 1),
    token("ghu_", 1),
    token("ghs_", 1),
    token("ghr_", 1),
    token("github_pat_", 1),
    token("glpat-", 1),
    token("AKIA", 8),
    token("ASIA", 8),
    token("eyJ", 20),
    Shape {
        prefix: "hooks.slack.com/services/",
        more: in_path,
        least_bytes: 1,
        starts_word: false,
        keep_prefix: true,
    },
];

const fn slack(prefix: &'static str) -> Shape {
    Shape {
        starts_word: false,
        ..token(prefix, 1)
    }
}

const fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

const fn in_path(byte: u8) -> bool {
    in_token(byte) || byte == b'/'
}

const fn in_credentials(byte: u8) -> bool {
    in_path(byte) || matches!(byte, b'~' | b'+' | b'=')
}

/// Adds the span of everything in `text` that looks like a credential.
pub(super) fn token_shapes(text: &str, spans: &mut Vec<Span>) {
    for shape in SHAPES {
        for (at, _) in text.match_indices(shape.prefix) {
            let inside_word = text.as_bytes()[..at]
                .last()
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            let body = at + shape.prefix.len();
            let end = body + run(&text.as_bytes()[body..], shape.more);
            if end - body >= shape.least_bytes && !(shape.starts_word && inside_word) {
                add(spans, if shape.keep_prefix { body } else { at }, end);
            }
        }
    }
    authorization(text, spans);
    private_keys(text, spans);
    urls(text, spans);
}

fn add(spans: &mut Vec<Span>, start: usize, end: usize) {
    spans.push(Span {
        start,
        end,
        shown: true,
    });
}

fn run(bytes: &[u8], belongs: fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !belongs(*byte)).unwrap_or(bytes.len())
}

/// `Bearer …` anywhere, and `Basic …` behind the word authorization, in any case.
fn authorization(text: &str, spans: &mut Vec<Span>) {
    let lower = text.to_ascii_lowercase();
    for (scheme, needs_header) in [("bearer", false), ("basic", true)] {
        for (at, _) in lower.match_indices(scheme) {
            let from = at.saturating_sub(24);
            let header = lower.as_bytes()[from..at]
                .windows(13)
                .any(|word| word == b"authorization");
            let rest = &text.as_bytes()[at + scheme.len()..];
            let blanks = run(rest, |byte| matches!(byte, b' ' | b'\t'));
            let length = run(&rest[blanks..], in_credentials);
            let start = at + scheme.len() + blanks;
            let end = start + length;
            // A cut can leave a short rest of a long token.
            let cut = text[end..].is_empty() || text[end..].starts_with('…');
            if blanks > 0 && length > 0 && (header || !needs_header) && (length >= 8 || header || cut) {
                add(spans, start, end);
            }
        }
    }
}

/// Blocks of private keys; one whose end or start is not there is hidden as far as it can reach.
fn private_keys(text: &str, spans: &mut Vec<Span>) {
    const CLOSE: &str = "PRIVATE KEY-----";
    let edge = |word: &str| -> Vec<(usize, usize)> {
        text.match_indices(word)
            .filter_map(|(at, _)| {
                let label = text[at + word.len()..].find("-----")? + 5;
                let end = at + word.len() + label;
                text[at..end].ends_with(CLOSE).then_some((at, end))
            })
            .collect()
    };
    let (begins, ends) = (edge("-----BEGIN "), edge("-----END "));
    for &(start, body) in &begins {
        let limit = (start + KEY_BYTES_MAX).min(text.len());
        let limit = (limit..=text.len()).find(|at| text.is_char_boundary(*at));
        let end = ends.iter().find(|(at, _)| *at >= body).map(|(_, end)| *end);
        add(spans, start, end.or(limit).unwrap_or(text.len()));
    }
    for &(at, end) in &ends {
        let began = begins.iter().rev().find(|(start, _)| *start < at);
        let closed_before = |start: usize| ends.iter().any(|(other, _)| (start..at).contains(other));
        if began.is_none_or(|(start, _)| closed_before(*start)) {
            add(spans, key_lines_before(text, at), end);
        }
    }
}

/// Where the lines begin that stand before `at` and can be the body of a key.
fn key_lines_before(text: &str, at: usize) -> usize {
    let mut start = at;
    while let Some(before) = text[..start].strip_suffix('\n') {
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        let body = &before[line..];
        let base64 = |byte| in_credentials(byte) || byte == b' ' || byte == b':' || byte == b',';
        if body.bytes().any(|byte| !base64(byte)) {
            break;
        }
        start = line;
    }
    start
}

/// The password in `scheme://user:password@host`, and a user that is long enough to be a token.
fn urls(text: &str, spans: &mut Vec<Span>) {
    for (at, separator) in text.match_indices("://") {
        let start = at + separator.len();
        let stops = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`');
        let word = &text.as_bytes()[start..];
        let length = word.iter().position(|byte| stops(*byte)).unwrap_or(word.len());
        let word = &word[..length.min(USERINFO_BYTES_MAX)];
        // Passwords with an unescaped slash exist, so the last @ of the word counts.
        let userinfo = word.iter().rposition(|byte| *byte == b'@');
        let colon = word[..userinfo.unwrap_or(word.len())]
            .iter()
            .position(|byte| *byte == b':');
        match (userinfo, colon) {
            (Some(end), Some(colon)) if colon + 1 < end => {
                add(spans, start + colon + 1, start + end);
            }
            (Some(end), None) if end >= 16 && !word[..end].contains(&b'/') => {
                add(spans, start, start + end);
            }
            (None, Some(colon)) => torn_password(text, start + colon + 1, spans),
            _ => {}
        }
    }
}

/// A password whose `@` was cut off. Up to five digits are a port.
fn torn_password(text: &str, start: usize, spans: &mut Vec<Span>) {
    let stops = |character: char| character.is_whitespace() || matches!(character, '…' | '/');
    let end = text[start..].find(stops).map_or(text.len(), |at| start + at);
    let cut = end == text.len() || text[end..].starts_with('…');
    let port = end - start <= 5 && text[start..end].bytes().all(|byte| byte.is_ascii_digit());
    if cut && !port {
        add(spans, start, end);
    }
}
