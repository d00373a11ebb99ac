//! Lengths of time as people write them: a whole number and one unit, `90s`, `15m`, `24h`, `7d`.

use std::ops::RangeInclusive;
use std::time::Duration;

const UNITS_SECONDS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];

/// Reads `text` as a length of time within `limits`. The error is a sentence about what is wrong.
pub fn parse_duration(text: &str, limits: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let malformed = || format!("\"{text}\" is not a length of time: write a whole number and s, m, h or d");
    let unit = text.chars().last().ok_or_else(malformed)?;
    let seconds_per_unit = UNITS_SECONDS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(malformed)?
        .1;
    let digits = &text[..text.len() - unit.len_utf8()];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let outside = || {
        let (least, most) = (show_duration(*limits.start()), show_duration(*limits.end()));
        format!("\"{text}\" is outside the limits, {least} to {most}")
    };
    let count: u64 = digits.parse().map_err(|_| outside())?;
    let length = Duration::from_secs(count.checked_mul(seconds_per_unit).ok_or_else(outside)?);
    if limits.contains(&length) {
        Ok(length)
    } else {
        Err(outside())
    }
}

/// The shortest way to write a length of whole seconds, in the form that [`parse_duration`] reads.
pub fn show_duration(length: Duration) -> String {
    let seconds = length.as_secs();
    let (unit, seconds_per_unit) = UNITS_SECONDS
        .iter()
        .rev()
        // "24h" reads better than "1d".
        .find(|(unit, unit_seconds)| {
            seconds.is_multiple_of(*unit_seconds) && seconds >= *unit_seconds * if *unit == 'd' { 2 } else { 1 }
        })
        .copied()
        .unwrap_or(UNITS_SECONDS[0]);
    format!("{}{unit}", seconds / seconds_per_unit)
}
