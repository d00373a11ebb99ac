//! What names, ids and addresses look like, and the nearest known word to a mistyped one.

use url::Url;

/// `true` for a Slack id that begins with one of `prefixes`: capitals and digits, such as `U0PRIYA`.
pub(super) fn is_slack_id(text: &str, prefixes: &[char]) -> bool {
    text.starts_with(prefixes)
        && (3..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// `true` for a name that people type in a command: lower case, digits, `-` and `_`, at most 40 characters.
pub(super) fn is_name(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    text.len() <= 40
        && text.bytes().all(inside)
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
}

/// `true` for a rule id such as `signoff.tech-lead`.
pub(super) fn is_rule_id(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.contains('.') && text.len() <= 64 && text.split('.').all(word)
}

/// `true` for a GitHub login, those with the suffix of a managed company included.
pub(super) fn is_github_login(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// `true` for a Jira account id.
pub(super) fn is_jira_account(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.' | b'@'))
}

/// `true` for one e-mail address without a display name.
pub(super) fn is_email(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok()
}

/// `true` if the address can only mean this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `true` for https anywhere and plain http on this machine.
pub(super) fn is_safe_web_address(url: &Url) -> bool {
    url.has_host() && (url.scheme() == "https" || url.scheme() == "http" && is_loopback(url))
}

/// ` Did you mean …?`, or nothing when no known word is near.
pub(super) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!(" Did you mean `{near}`?"))
}

/// The known word that is the fewest edits away, if that is few enough to be a slip.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Nobody mistypes a long text: comparing it would only cost time.
    if word.len() > 64 {
        return None;
    }
    let close_enough = (word.chars().count() / 3).max(1);
    let scored = known.into_iter().map(|candidate| (edits(word, candidate), candidate));
    scored
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= close_enough)
        .map(|(_, near)| near)
}

/// The number of letters to change, insert or remove; the case of a letter does not count.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().map(|letter| letter.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.chars().map(|letter| letter.to_ascii_lowercase()).enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
