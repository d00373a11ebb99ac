//! Foreign text in Slack's markup: escaped, so that `<!channel>` never gets through, cleaned of what hides or
//! reverses text, and cut on character boundaries with an honest count of what is missing.

/// Slack counts like UTF-16, as browsers do: an emoji counts twice.
fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// A character as it is sent, and what it counts.
fn escaped(c: char) -> (Option<&'static str>, usize) {
    match c {
        '&' => (Some("&amp;"), 5),
        '<' => (Some("&lt;"), 4),
        '>' => (Some("&gt;"), 4),
        c => (None, c.len_utf16()),
    }
}

/// Without control characters and without the marks that reverse the reading direction of what follows.
fn clean(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| {
            if matches!(c, '\t' | '\r' | '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .filter(|c| *c == '\n' || !c.is_control())
        .filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
        .collect()
}

/// Foreign text in at most `room` characters as sent.
pub fn foreign(text: &str, room: usize) -> String {
    fit(clean(text).trim(), room)
}

/// Foreign text on one line, in at most `room` characters as sent.
pub fn foreign_line(text: &str, room: usize) -> String {
    fit(&clean(text).split_whitespace().collect::<Vec<_>>().join(" "), room)
}

/// Foreign text as a quotation, each line marked as one; `empty` where there is no text.
pub fn quoted(text: &str, room: usize, empty: &str) -> String {
    let text = foreign(text, room.max(40));
    if text.is_empty() {
        return empty.to_owned();
    }
    // A quotation of hundreds of empty lines would push everything else off the screen.
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = lines
        .iter()
        .take(30)
        .map(|line| format!("> {line}"))
        .collect::<Vec<_>>()
        .join("\n");
    match lines.len().saturating_sub(30) {
        0 => shown,
        more => format!("{shown}\n> … ({more} more lines)"),
    }
}

fn fit(text: &str, room: usize) -> String {
    let total: usize = text.chars().map(|c| escaped(c).1).sum();
    let keep = if total <= room { room } else { room.saturating_sub(16) };
    let mut out = String::with_capacity(text.len().min(4_000));
    let mut used = 0;
    for (at, c) in text.chars().enumerate() {
        let (entity, count) = escaped(c);
        used += count;
        if used > keep {
            let more = text.chars().count() - at;
            return format!("{}… ({more} more)", out.trim_end());
        }
        match entity {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    out
}

/// The end of a program's output as a code block of at most `room` characters.
pub fn code_tail(text: &str, room: usize) -> String {
    let text = clean(text).replace("```", "'''");
    let text = text.trim_matches('\n');
    let room = room.saturating_sub(40);
    let mut used = 0;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        used += escaped(c).1;
        if used > room {
            break;
        }
        start = at;
    }
    if start > 0
        && let Some(newline) = text[start..].find('\n')
        && newline + 1 < text.len() - start
    {
        start += newline + 1;
    }
    let above = text[..start].chars().count();
    let shown: String = fit(&text[start..], usize::MAX);
    match above {
        0 => format!("```\n{shown}\n```"),
        above => format!("```\n… ({above} more characters above)\n{shown}\n```"),
    }
}

/// Our own markup in at most `room` characters: whole lines go first, then whole words, never half a mention.
pub fn clip(markup: &str, room: usize) -> String {
    if units(markup) <= room {
        return markup.to_owned();
    }
    let lines: Vec<&str> = markup.lines().collect();
    let keep = room.saturating_sub(20);
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        if units(&out) + units(line) + 1 > keep {
            if out.is_empty() {
                return clip_line(line, keep);
            }
            return format!("{out}… ({} more lines)", lines.len() - at);
        }
        out.push_str(line);
        out.push('\n');
    }
    out.trim_end().to_owned()
}

fn clip_line(line: &str, room: usize) -> String {
    let mut used = 0;
    let mut safe = 0;
    let (mut in_tag, mut in_entity) = (false, false);
    for (at, c) in line.char_indices() {
        used += c.len_utf16();
        if used > room {
            break;
        }
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            '&' => in_entity = true,
            ';' => in_entity = false,
            _ => {}
        }
        if !in_tag && !in_entity {
            safe = at + c.len_utf8();
        }
    }
    format!("{}… ({} more)", &line[..safe], line[safe..].chars().count())
}

/// The first `most` of `items`, and how many more there are.
pub fn some_of(items: impl IntoIterator<Item = String>, most: usize) -> String {
    let items: Vec<String> = items.into_iter().collect();
    let shown = items.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} … ({more} more)"),
    }
}

/// Items as in a sentence: `a, b and c`.
pub fn joined(items: &[String], word: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

/// `1 ticket`, `2 tickets`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}
