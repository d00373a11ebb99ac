//! The end of a script's output as a person may see it: clean, without secrets, and never more than asked for.
//! Secrets are taken out here, in the bot, because the supervisor must not know them.
use std::io;
use std::path::Path;

use super::clean::clean_text;
use super::output::{Kept, NOT_KEPT, read_kept};
use super::redact::Redactor;
use super::spool::{STATUS_FILE, Status, read_json};

/// Read beyond what was asked for, so that a secret or a key that begins earlier is seen whole.
const MARGIN_BYTES: usize = 256 * 1024;

/// The end of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Text without control characters, secrets hidden.
    pub text: String,
    /// Whether the output holds more than the text, before or in it.
    pub truncated: bool,
    /// Bytes of clean output so far, kept or not.
    pub total_bytes: u64,
}

/// The last lines of an attempt's output: at most `max_lines` and at most `max_bytes` bytes. An
/// attempt without output has an empty tail.
///
/// # Errors
/// The error of reading the spool.
pub fn tail(spool: &Path, max_bytes: usize, max_lines: usize, redactor: &Redactor) -> io::Result<Tail> {
    // The status before the output: once it is there, the output is final.
    let status: Option<Status> = read_json(&spool.join(STATUS_FILE))?;
    let kept = read_kept(spool, status.is_some())?;
    let kept_bytes = (kept.head.len() + kept.tail.len()) as u64 + kept.missing_bytes;
    let total_bytes = (status.as_ref()).map_or(kept_bytes, |status| status.output.clean_bytes);
    let incomplete = kept.missing_bytes > 0 || (status.as_ref()).is_some_and(|status| status.output.truncated);
    let lost_end = (status.as_ref()).is_none_or(|status| status.output.lost_bytes > 0);

    let window = max_bytes
        .saturating_add(redactor.form_bytes_max())
        .saturating_add(MARGIN_BYTES);
    let (text, cut) = assemble(kept, window);
    let hidden = if lost_end {
        redactor.redact_unfinished(&text)
    } else {
        redactor.redact(&text)
    };
    let shown = limit(&hidden, max_bytes, max_lines);
    Ok(Tail {
        truncated: cut || incomplete || shown.len() < hidden.trim_end_matches('\n').len(),
        text: shown.to_owned(),
        total_bytes,
    })
}

/// The last `window` bytes as clean text, and whether that leaves something out. Every place where
/// something is missing has its mark, beside which the redactor looks for parts of secrets.
fn assemble(kept: Kept, window: usize) -> (String, bool) {
    let Kept {
        head,
        tail,
        missing_bytes,
    } = kept;
    if missing_bytes > 0 && tail.len() < window {
        let (head, cut) = last(&head, window - tail.len());
        return (format!("{head}{}", after_cut(&tail)), cut);
    }
    if missing_bytes > 0 {
        return last(&tail, window);
    }
    last(&[head, tail].concat(), window)
}

/// The end of an output whose start is there.
fn last(bytes: &[u8], window: usize) -> (String, bool) {
    match bytes.len().checked_sub(window) {
        None | Some(0) => (clean_text(bytes), false),
        Some(cut) => (after_cut(&bytes[cut..]), true),
    }
}

/// The mark, and the text from its first whole line on.
fn after_cut(bytes: &[u8]) -> String {
    let line = bytes
        .iter()
        .position(|byte| matches!(byte, b'\n' | b'\r'))
        .map_or(0, |at| at + 1);
    format!("{NOT_KEPT}{}", clean_text(&bytes[line..]))
}

/// The last lines that fit; whole lines if there is more than one.
fn limit(text: &str, max_bytes: usize, max_lines: usize) -> &str {
    let text = text.trim_end_matches('\n');
    let mut start = match max_lines.checked_sub(1) {
        None => text.len(),
        Some(earlier) => (text.rmatch_indices('\n').nth(earlier)).map_or(0, |(at, _)| at + 1),
    };
    if text.len() - start > max_bytes {
        start = text.len() - max_bytes;
        while !text.is_char_boundary(start) {
            start += 1;
        }
        let torn_line = !text[..start].ends_with('\n');
        if let Some(newline) = text[start..].find('\n')
            && torn_line
        {
            start += newline + 1;
        }
    }
    &text[start..]
}
