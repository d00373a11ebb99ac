//! What Slack makes of text a person types: mentions become ids, `& < >` are escaped.
//! Text only; must not store anything.

use crate::state::State;

/// How mentions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `<@U123|name>`, as slash commands with `should_escape` get it.
    WithNames,
    /// `<@U123>`, as messages store it.
    IdsOnly,
}

/// Escapes typed text and turns `@name`, `#channel`, `@group`, ids in `<…>` and web addresses into
/// Slack's markup.
pub(crate) fn typed(state: &State, text: &str, style: Style) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut at_word_start = true;
    while let Some(first) = rest.chars().next() {
        let mention = if first == '<' {
            bracketed(state, rest, style)
        } else if at_word_start {
            named(state, rest, style).or_else(|| web_address(rest))
        } else {
            None
        };
        if let Some((markup, used)) = mention {
            out.push_str(&markup);
            rest = &rest[used..];
            at_word_start = false;
            continue;
        }
        match first {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
        rest = &rest[first.len_utf8()..];
        at_word_start = !first.is_alphanumeric();
    }
    out
}

/// `<@U123>` and the like, as a pasted mention.
fn bracketed(state: &State, rest: &str, style: Style) -> Option<(String, usize)> {
    let end = rest.find('>')?;
    let inner = rest[1..end].split('|').next()?;
    let markup = if let Some(id) = inner.strip_prefix('@') {
        person(state, id, style)?
    } else if let Some(id) = inner.strip_prefix('#') {
        channel(state, id, style)?
    } else {
        group(state, inner.strip_prefix("!subteam^")?, style)?
    };
    Some((markup, end + 1))
}

fn named(state: &State, rest: &str, style: Style) -> Option<(String, usize)> {
    let sigil = rest.chars().next().filter(|first| matches!(first, '@' | '#'))?;
    let name: String = rest[1..]
        .chars()
        .take_while(|c| c.is_alphanumeric() || "-_.".contains(*c))
        .collect();
    // A full stop after a name ends the sentence and is not part of it.
    let name = name.trim_end_matches(['.', '-']);
    let markup = if sigil == '#' {
        let found = state
            .channels
            .values()
            .find(|channel| channel.name.eq_ignore_ascii_case(name))?;
        channel(state, &found.id, style)?
    } else if let Some(user) = state.users.values().find(|user| user.name.eq_ignore_ascii_case(name)) {
        person(state, &user.id, style)?
    } else {
        let found = state
            .groups
            .values()
            .find(|group| group.handle.eq_ignore_ascii_case(name))?;
        group(state, &found.id, style)?
    };
    Some((markup, 1 + name.len()))
}

fn web_address(rest: &str) -> Option<(String, usize)> {
    if !rest.starts_with("https://") && !rest.starts_with("http://") {
        return None;
    }
    let end = rest
        .find(|c: char| c.is_whitespace() || "<>|".contains(c))
        .unwrap_or(rest.len());
    let url = rest[..end].trim_end_matches(['.', ',', ')', '!', '?']);
    Some((format!("<{}>", url.replace('&', "&amp;")), url.len()))
}

fn person(state: &State, id: &str, style: Style) -> Option<String> {
    let user = state.users.get(id)?;
    Some(match style {
        Style::WithNames => format!("<@{}|{}>", user.id, user.name),
        Style::IdsOnly => format!("<@{}>", user.id),
    })
}

fn channel(state: &State, id: &str, style: Style) -> Option<String> {
    let channel = state.channels.get(id).filter(|channel| channel.im_user.is_none())?;
    Some(match style {
        Style::WithNames => format!("<#{}|{}>", channel.id, channel.name),
        Style::IdsOnly => format!("<#{}>", channel.id),
    })
}

fn group(state: &State, id: &str, style: Style) -> Option<String> {
    let group = state.groups.get(id)?;
    Some(match style {
        Style::WithNames => format!("<!subteam^{}|@{}>", group.id, group.handle),
        Style::IdsOnly => format!("<!subteam^{}>", group.id),
    })
}
