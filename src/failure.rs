//! What an adapter says when the outside did not do as asked: whether trying again can help, when, and whether
//! the thing may have happened all the same. Never a secret, never a whole answer.

use std::fmt;

/// The longest message of a failure, in characters.
const MESSAGE_CHARS_MAX: usize = 300;
/// The longest wait that anybody outside may impose: one hour.
const RETRY_AFTER_MS_MAX: i64 = 3_600_000;

/// Why a call outside failed. The constructors redact and shorten; build it only through them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Trying again later can help.
    Transient {
        /// What happened, for people.
        message: String,
        /// Not before so many milliseconds have passed, at most an hour, where the other side said so.
        retry_after_ms: Option<i64>,
        /// Whether the request may have been carried out although no good answer came: look before repeating.
        outcome_unknown: bool,
    },
    /// Trying again can't help until somebody changes something.
    Permanent {
        /// What happened and the remedy, for people.
        message: String,
    },
}

impl Failure {
    /// It certainly did not happen; try again.
    pub fn transient(message: impl AsRef<str>) -> Self {
        Self::Transient {
            message: tidy(message.as_ref()),
            retry_after_ms: None,
            outcome_unknown: false,
        }
    }

    /// It may have happened.
    pub fn unknown(message: impl AsRef<str>) -> Self {
        Self::Transient {
            message: tidy(message.as_ref()),
            retry_after_ms: None,
            outcome_unknown: true,
        }
    }

    /// It did not happen, and the other side wants `retry_after_ms` of peace; more than an hour counts as an hour.
    pub fn limited(message: impl AsRef<str>, retry_after_ms: i64) -> Self {
        Self::transient(message).after(Some(retry_after_ms))
    }

    /// It can't happen as things are.
    pub fn permanent(message: impl AsRef<str>) -> Self {
        Self::Permanent {
            message: tidy(message.as_ref()),
        }
    }

    /// The same failure with a wait, at most an hour. A permanent one stays as it is.
    #[must_use]
    pub fn after(mut self, wait_ms: Option<i64>) -> Self {
        if let Self::Transient { retry_after_ms, .. } = &mut self {
            *retry_after_ms = wait_ms.map(|ms| ms.clamp(0, RETRY_AFTER_MS_MAX));
        }
        self
    }

    /// What happened, for people.
    pub fn message(&self) -> &str {
        match self {
            Self::Transient { message, .. } | Self::Permanent { message } => message,
        }
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    /// Whether it may have happened all the same.
    pub fn outcome_unknown(&self) -> bool {
        matches!(
            self,
            Self::Transient {
                outcome_unknown: true,
                ..
            }
        )
    }

    /// The wait that the other side asked for, in milliseconds, at most an hour.
    pub fn retry_after_ms(&self) -> Option<i64> {
        match self {
            Self::Transient { retry_after_ms, .. } => *retry_after_ms,
            Self::Permanent { .. } => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Failure {}

/// One short line without control characters and without anything that looks like a secret.
fn tidy(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = redact(&line);
    if line.chars().count() <= MESSAGE_CHARS_MAX {
        return line;
    }
    line.chars().take(MESSAGE_CHARS_MAX - 1).chain(['…']).collect()
}

/// Blanks out what looks like a secret: Slack tokens, words after `Bearer` or `Basic`, `password=…` and its like,
/// the user part of an address, and everything behind the host of one of Slack's hook addresses.
pub fn redact(text: &str) -> String {
    let mut after_scheme = false;
    let words = text.split(' ').map(|word| {
        let blank = after_scheme && !word.is_empty();
        after_scheme = word.is_empty() && after_scheme
            || matches!(
                word.to_ascii_lowercase().trim_end_matches(':'),
                "bearer" | "basic" | "authorization"
            );
        if blank && !after_scheme {
            "[redacted]".to_owned()
        } else {
            redact_word(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn redact_word(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let cut = |at: usize| format!("{}[redacted]", &word[..at]);
    if let Some(at) = ["xoxb-", "xoxp-", "xoxe", "xoxa-", "xoxs-", "xapp-"]
        .iter()
        .filter_map(|mark| lower.find(mark))
        .min()
    {
        return cut(at);
    }
    let marks = [
        "password=",
        "passwd=",
        "token=",
        "secret=",
        "sig=",
        "signature=",
        "api_key=",
        "apikey=",
    ];
    if let Some(at) = marks
        .iter()
        .filter_map(|mark| lower.find(mark).map(|at| at + mark.len()))
        .min()
    {
        return cut(at);
    }
    if let Some(at) = lower.find("hooks.slack.com/") {
        return cut(at + "hooks.slack.com/".len());
    }
    let Some(scheme_end) = lower.find("://").map(|at| at + 3) else {
        return word.to_owned();
    };
    let authority_end = word[scheme_end..]
        .find(['/', '?', '#'])
        .map_or(word.len(), |at| scheme_end + at);
    match word[scheme_end..authority_end].rfind('@') {
        Some(at) => format!("{}[redacted]{}", &word[..scheme_end], &word[scheme_end + at..]),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_never_holds_a_secret_and_is_one_short_line() {
        for (text, shown) in [
            ("token xoxb-1-2-abc was refused", "token [redacted] was refused"),
            (
                "Authorization: Bearer abc.def end",
                "Authorization: Bearer [redacted] end",
            ),
            (
                "fatal: https://u:p@git.acme.test/x.git gone",
                "fatal: https://[redacted]@git.acme.test/x.git gone",
            ),
            (
                "POST https://hooks.slack.com/actions/T1/2/abc",
                "POST https://hooks.slack.com/[redacted]",
            ),
            (
                "see https://h.test/a?sig=abc&b=1",
                "see https://h.test/a?sig=[redacted]",
            ),
            ("plain words\r\nstay", "plain words  stay"),
        ] {
            assert_eq!(Failure::permanent(text).message(), shown);
        }
        assert_eq!(Failure::transient("ä".repeat(1_000)).message().chars().count(), 300);
    }

    #[test]
    fn nobody_can_make_us_wait_more_than_an_hour() {
        assert_eq!(
            Failure::limited("slow down", i64::MAX).retry_after_ms(),
            Some(3_600_000)
        );
        assert_eq!(Failure::limited("slow down", -5).retry_after_ms(), Some(0));
        assert_eq!(Failure::permanent("no").after(Some(5)).retry_after_ms(), None);
    }
}
