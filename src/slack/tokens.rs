//! Cuts what somebody typed after `/release` into words: quotes of every kind, odd spaces, Slack's mentions and escapes.

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The word, without quotes and escapes.
    pub text: String,
    /// Where it begins in the typed text.
    pub start: usize,
    /// The Slack id, if it is a mention such as `<@U1|x>`.
    pub mention: Option<String>,
}

/// The words of `typed`, in order.
pub fn tokens(typed: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    // Looked for once: in a text of opening quotes alone, each would look through all of the rest.
    let last_closing = CLOSING.map(|closing| typed.rfind(closing));
    let mut rest = typed.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        if is_space(c) {
            continue;
        }
        let end = if let Some(kind) = quotation(c).filter(|kind| last_closing[*kind].is_some_and(|last| last > start)) {
            end_after(typed, start + c.len_utf8(), |c| CLOSING[kind].contains(&c))
        } else if c == '<' {
            end_after(typed, start, |c| c == '>')
        } else {
            typed[start..].find(is_space).map_or(typed.len(), |at| start + at)
        };
        while rest.peek().is_some_and(|(at, _)| *at < end) {
            rest.next();
        }
        tokens.push(token(&typed[start..end], start));
    }
    tokens
}

/// The end of the word that the first match of `ends` closes; the end of everything without one.
fn end_after(typed: &str, from: usize, ends: impl Fn(char) -> bool) -> usize {
    typed[from..]
        .char_indices()
        .find(|(_, c)| ends(*c))
        .map_or(typed.len(), |(at, c)| from + at + c.len_utf8())
}

fn token(raw: &str, start: usize) -> Token {
    let mention = raw
        .strip_prefix('<')
        .and_then(|inner| inner.strip_suffix('>'))
        .map(|inner| {
            let (id, label) = inner.split_once('|').unwrap_or((inner, ""));
            (
                id.trim_start_matches(['@', '#', '!']).trim_start_matches("subteam^"),
                label,
            )
        });
    match mention {
        Some((id, label)) => Token {
            text: unescape(if label.is_empty() { id } else { label }),
            start,
            mention: Some(unescape(id)),
        },
        None => Token {
            text: unescape(unquoted(raw)),
            start,
            mention: None,
        },
    }
}

/// Free text as it was meant: without the quotes around it and without escapes, its inner typography untouched.
pub fn free_text(raw: &str) -> String {
    unescape(unquoted(raw.trim_matches(is_space)))
}

/// Without one pair of quotes, if they enclose all of it.
fn unquoted(raw: &str) -> &str {
    let mut chars = raw.chars();
    let (Some(first), Some(last)) = (chars.next(), chars.next_back()) else {
        return raw;
    };
    match quotation(first) {
        Some(kind) if CLOSING[kind].contains(&last) => {
            let inner = &raw[first.len_utf8()..raw.len() - last.len_utf8()];
            // `"a" and "b"` is not one quotation.
            if inner.contains(CLOSING[kind]) { raw } else { inner }
        }
        _ => raw,
    }
}

/// What closes each kind of quotation. Keyboards mix them freely.
const CLOSING: [&[char]; 3] = [
    &['"', '\u{201c}', '\u{201d}', '\u{bb}', '\u{ab}'],
    &['\'', '\u{2018}', '\u{2019}'],
    &['`'],
];

/// Which kind of quotation begins with `c`: its place in [`CLOSING`].
fn quotation(c: char) -> Option<usize> {
    match c {
        '"' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => Some(0),
        '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' => Some(1),
        '`' => Some(2),
        _ => None,
    }
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// Slack escapes exactly these three.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
