//! Times as people read them: in the reader's own zone where Slack can do that, else in the service's, named.

use domain::ids::{DAY_MS, HOUR_MS, MINUTE_MS, Millis};
use domain::schedule::in_zone;

/// A time in Slack's markup: each reader sees their own zone; where that fails, the service's.
pub fn when(at_ms: Millis, time_zone: &str) -> String {
    format!(
        "<!date^{}^{{date_short_pretty}} {{time}}|{}>",
        at_ms.div_euclid(1_000),
        clock(at_ms, time_zone)
    )
}

/// A time in the service's zone, such as `Mon 30 Nov 17:30 CET`.
pub fn clock(at_ms: Millis, time_zone: &str) -> String {
    in_zone(at_ms, time_zone).strftime("%a %-d %b %H:%M %Z").to_string()
}

/// The same with the year, for texts that are kept.
pub fn full_clock(at_ms: Millis, time_zone: &str) -> String {
    in_zone(at_ms, time_zone).strftime("%a %-d %b %Y %H:%M %Z").to_string()
}

/// A length of time: `19 min`, `1 h 30 min`, `2 days`.
pub fn span(ms: Millis) -> String {
    let ms = ms.max(0);
    match ms {
        ms if ms >= 2 * DAY_MS && ms % DAY_MS < HOUR_MS => format!("{} days", ms / DAY_MS),
        ms if ms >= HOUR_MS => match ms % HOUR_MS / MINUTE_MS {
            0 => format!("{} h", ms / HOUR_MS),
            minutes => format!("{} h {minutes} min", ms / HOUR_MS),
        },
        ms if ms >= MINUTE_MS => format!("{} min", ms / MINUTE_MS),
        ms => format!("{} s", ms / 1_000),
    }
}
