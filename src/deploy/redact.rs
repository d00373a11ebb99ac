//! The one redactor: output of scripts, logs and Slack texts all pass through it before a person or a disk sees them.
//! It knows the bot's own secrets in the forms they tend to appear in, and the shapes of common tokens.
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use super::clean::LINE_CUT;
use super::output::{LOST, NOT_KEPT};
use super::shapes::token_shapes;

/// Stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// A shorter secret would redact ordinary words; configuration must refuse one.
pub const SECRET_CHARS_MIN: usize = 6;

/// A line of a secret of several lines counts as a secret itself from this length on.
const LINE_CHARS_MIN: usize = 16;

/// A part of a text to be hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
    /// False for the torn rest of a secret, which goes without a trace.
    pub shown: bool,
}

/// Hides secrets in texts. Its `Debug` says how many forms it knows, never which.
#[derive(Clone)]
pub struct Redactor {
    /// By first byte; the longest first.
    forms: Vec<Vec<String>>,
    form_bytes_max: usize,
    count: usize,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.count)
    }
}

impl Redactor {
    /// Knows these secrets as they are, without the blanks around them, each long line of a longer
    /// one, and all of these in base64 (at any offset), hexadecimal, URL and JSON form.
    /// Those shorter than [`SECRET_CHARS_MIN`] are left out.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            let secret = secret.as_ref().replace("\r\n", "\n");
            add_forms(&secret, &mut forms);
            add_forms(secret.trim(), &mut forms);
            for line in secret.lines().map(str::trim) {
                if line.chars().count() >= LINE_CHARS_MIN {
                    add_forms(line, &mut forms);
                }
            }
        }
        let mut by_byte = vec![Vec::new(); 256];
        let count = forms.len();
        let form_bytes_max = forms.iter().map(String::len).max().unwrap_or(0);
        for form in forms {
            if let Some(&first) = form.as_bytes().first() {
                by_byte[usize::from(first)].push(form);
            }
        }
        for forms in &mut by_byte {
            forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        }
        Self {
            forms: by_byte,
            form_bytes_max,
            count,
        }
    }

    /// The text with [`REDACTED`] for every secret in it. Redacting twice changes nothing more.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.hide_in(text, Vec::new())
    }

    /// As [`Redactor::redact`], for a text that may go on behind its end: what can be the start of a
    /// secret there goes too.
    pub(super) fn redact_unfinished<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.hide_in(text, vec![self.torn_end(text, text.len())])
    }

    fn hide_in<'a>(&self, text: &'a str, torn: Vec<Span>) -> Cow<'a, str> {
        let mut spans = self.secrets_in(text);
        spans.extend(torn);
        token_shapes(text, &mut spans);
        self.torn_at_marks(text, &mut spans);
        spans.retain(|span| span.end > span.start);
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(hide(text, spans))
    }

    /// Length of the longest form in bytes; a text cut out of a longer one needs this much more around it.
    pub(super) fn form_bytes_max(&self) -> usize {
        self.form_bytes_max
    }

    /// What can be the rest of a secret at `from` that began before it. Only a span, never a cut: it
    /// may be a part of a whole secret as well.
    fn torn_start(&self, text: &str, from: usize) -> Span {
        let rest = &text.as_bytes()[from..];
        let length = self
            .all_forms()
            .flat_map(|form| (1..form.len()).map(move |cut| &form.as_bytes()[cut..]))
            .filter(|end| rest.starts_with(end))
            .map(<[u8]>::len)
            .max();
        Span {
            start: from,
            end: next_boundary(text, from + length.unwrap_or(0)),
            shown: false,
        }
    }

    /// What can be the start of a secret at `until` that goes on behind it.
    fn torn_end(&self, text: &str, until: usize) -> Span {
        let before = &text.as_bytes()[..until];
        let length = self
            .all_forms()
            .flat_map(|form| (1..form.len()).map(move |cut| &form.as_bytes()[..cut]))
            .filter(|start| before.ends_with(start))
            .map(<[u8]>::len)
            .max();
        Span {
            start: previous_boundary(text, until - length.unwrap_or(0)),
            end: until,
            shown: false,
        }
    }

    fn all_forms(&self) -> impl Iterator<Item = &String> {
        self.forms.iter().flatten()
    }

    fn secrets_in(&self, text: &str) -> Vec<Span> {
        let bytes = text.as_bytes();
        let mut spans = Vec::new();
        for (start, &byte) in bytes.iter().enumerate() {
            let found = self.forms[usize::from(byte)]
                .iter()
                .find(|form| bytes[start..].starts_with(form.as_bytes()));
            if let Some(form) = found {
                spans.push(Span {
                    start,
                    end: start + form.len(),
                    shown: true,
                });
            }
        }
        spans
    }

    /// A line that was cut, or output that is missing, can leave a part of a secret beside the mark.
    fn torn_at_marks(&self, text: &str, spans: &mut Vec<Span>) {
        for (mark, both_sides) in [(LINE_CUT, false), (LOST, true), (NOT_KEPT, true)] {
            for (at, _) in text.match_indices(mark) {
                spans.push(self.torn_end(text, at));
                if both_sides {
                    spans.push(self.torn_start(text, at + mark.len()));
                }
            }
        }
    }
}

/// Replaces the spans; those that overlap become one.
fn hide(text: &str, mut spans: Vec<Span>) -> String {
    spans.sort_unstable();
    let mut hidden = String::with_capacity(text.len());
    let mut copied = 0;
    let mut spans = spans.into_iter().peekable();
    while let Some(mut span) = spans.next() {
        while let Some(next) = spans.next_if(|next| next.start < span.end) {
            span.end = span.end.max(next.end);
            span.shown |= next.shown;
        }
        hidden.push_str(&text[copied..span.start]);
        if span.shown {
            hidden.push_str(REDACTED);
        }
        copied = span.end;
    }
    hidden.push_str(&text[copied..]);
    hidden
}

fn next_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

fn previous_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn add_forms(secret: &str, forms: &mut BTreeSet<String>) {
    if secret.chars().count() < SECRET_CHARS_MIN {
        return;
    }
    let bytes = secret.as_bytes();
    forms.insert(secret.to_owned());
    forms.insert(hexadecimal(bytes, false));
    forms.insert(hexadecimal(bytes, true));
    forms.insert(percent_encoded(bytes, false, "%20"));
    forms.insert(percent_encoded(bytes, true, "%20"));
    forms.insert(percent_encoded(bytes, false, "+"));
    forms.insert(percent_encoded(bytes, true, "+"));
    if let Ok(json) = serde_json::to_string(secret) {
        forms.insert(json[1..json.len() - 1].to_owned());
    }
    for last in [b"+/", b"-_"] {
        for lead in 0..3 {
            for form in base64_forms(bytes, lead, *last) {
                // Six characters that are sure carry 4 bytes; less would redact ordinary words.
                if form.len() >= SECRET_CHARS_MIN {
                    forms.insert(form);
                }
            }
        }
    }
}

/// What base64 makes of `bytes` after `lead` unknown bytes: the characters that are sure whatever
/// surrounds them and, if nothing comes before, the whole with and without padding.
fn base64_forms(bytes: &[u8], lead: usize, last: [u8; 2]) -> Vec<String> {
    let padded = base64(&[&[0, 0][..lead], bytes].concat(), last);
    let first_sure = (lead * 8).div_ceil(6);
    let sure = (lead + bytes.len()) * 8 / 6;
    let mut forms = vec![padded[first_sure..sure].to_owned()];
    if lead == 0 {
        forms.push(padded.trim_end_matches('=').to_owned());
        forms.push(padded);
    } else {
        // Nothing after it: the end is sure as well.
        forms.push(padded[first_sure..].trim_end_matches('=').to_owned());
    }
    forms
}

fn base64(bytes: &[u8], last: [u8; 2]) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4_usize {
            if index > group.len() {
                text.push('=');
                continue;
            }
            let six = usize::try_from(bits >> (18 - 6 * index) & 63).unwrap_or(0);
            let letter = ALPHABET.get(six).or_else(|| last.get(six.wrapping_sub(62)));
            text.push(char::from(letter.copied().unwrap_or(b'=')));
        }
    }
    text
}

fn hexadecimal(bytes: &[u8], upper: bool) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        push_hexadecimal(&mut text, byte, upper);
        text
    })
}

fn percent_encoded(bytes: &[u8], lower: bool, space: &str) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            b' ' => text.push_str(space),
            _ => {
                text.push('%');
                push_hexadecimal(&mut text, byte, !lower);
            }
        }
    }
    text
}

fn push_hexadecimal(text: &mut String, byte: u8, upper: bool) {
    // Writing to a String can't fail.
    let _ = if upper {
        write!(text, "{byte:02X}")
    } else {
        write!(text, "{byte:02x}")
    };
}
