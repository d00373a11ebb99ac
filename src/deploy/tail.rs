//! The end of a script's output as a person may see it: clean, without secrets, and never more than asked for.
//! Secrets are taken out here, in the bot, because the supervisor must not know them.
use std::io;
use std::path::Path;

use super::clean::clean_text;
use super::output::{Kept, read_kept};
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
pub fn tail(
    spool: &Path,
    max_bytes: usize,
    max_lines: usize,
    redactor: &Redactor,
) -> io::Result<Tail> {
    // The status before the output: once it is there, the output is final.
    let status: Option<Status> = read_json(&spool.join(STATUS_FILE))?;
    let kept = read_kept(spool, status.is_some())?;
    let kept_bytes = (kept.head.len() + kept.tail.len()) as u64 + kept.missing_bytes;
    let total_bytes = (status.as_ref()).map_or(kept_bytes, |status| status.output.clean_bytes);
    let incomplete =
        kept.missing_bytes > 0 || (status.as_ref()).is_some_and(|status| status.output.truncated);
    let lost_end = (status.as_ref()).is_none_or(|status| status.output.lost_bytes > 0);

    let window = max_bytes
        .saturating_add(redactor.form_bytes_max())
        .saturating_add(MARGIN_BYTES);
    let (text, cut) = assemble(kept, window, redactor);
    let mut text = text.as_str();
    if lost_end {
        // The rest of a secret may be on its way.
        text = &text[..text.len() - redactor.torn_end(text)];
    }
    let hidden = redactor.redact(text);
    let shown = limit(&hidden, max_bytes, max_lines);
    Ok(Tail {
        truncated: cut || incomplete || shown.len() < hidden.trim_end_matches('\n').len(),
        text: shown.to_owned(),
        total_bytes,
    })
}

/// The last `window` bytes as clean text, and whether that leaves something out.
fn assemble(kept: Kept, window: usize, redactor: &Redactor) -> (String, bool) {
    let Kept {
        head,
        tail,
        missing_bytes,
    } = kept;
    if tail.len() >= window {
        return (after_cut(&tail[tail.len() - window..], redactor), true);
    }
    if missing_bytes > 0 {
        let rest = window - tail.len();
        let (head, cut) = if head.len() > rest {
            (after_cut(&head[head.len() - rest..], redactor), true)
        } else {
            (clean_text(&head), false)
        };
        let head = &head[..head.len() - redactor.torn_end(&head)];
        let tail = after_cut(&tail, redactor);
        let gap = format!("{head}…[{missing_bytes} bytes not kept]\n{tail}");
        return (gap, cut);
    }
    let whole = [head, tail].concat();
    if whole.len() > window {
        return (after_cut(&whole[whole.len() - window..], redactor), true);
    }
    (clean_text(&whole), false)
}

/// The text from its first whole line on, without the rest of a secret that began before it.
fn after_cut(bytes: &[u8], redactor: &Redactor) -> String {
    let line = bytes
        .iter()
        .position(|byte| matches!(byte, b'\n' | b'\r'))
        .map_or(0, |at| at + 1);
    let text = clean_text(&bytes[line..]);
    text[redactor.torn_start(&text)..].to_owned()
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
