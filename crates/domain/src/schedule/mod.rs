//! Time in the service's own zone: days, working days, due times. The zone is an IANA name, so that
//! daylight saving is the database's knowledge, not ours.

use crate::ids::Millis;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};

/// `at_ms` in the zone named `time_zone`; UTC if the name is unknown (configuration refuses such names).
pub fn in_zone(at_ms: Millis, time_zone: &str) -> Zoned {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    Timestamp::from_millisecond(at_ms)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(zone)
}

/// The calendar day in the zone, such as `2026-11-30`.
pub fn day_of(at_ms: Millis, time_zone: &str) -> String {
    in_zone(at_ms, time_zone).date().to_string()
}

/// The next working day (Monday to Friday) after `at_ms` at `hour` o'clock in the zone. A time that
/// the change to summer time leaves out becomes the first instant after the gap.
pub fn next_working_day(at_ms: Millis, time_zone: &str, hour: i8) -> Millis {
    let now = in_zone(at_ms, time_zone);
    let mut day = now.date();
    loop {
        let Ok(next) = day.checked_add(1.day()) else {
            return at_ms;
        };
        day = next;
        if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            break;
        }
    }
    day.at(hour, 0, 0, 0)
        .to_zoned(now.time_zone().clone())
        .map_or(at_ms, |due| due.timestamp().as_millisecond())
}

/// The end of the next calendar day in the zone.
pub fn end_of_next_day(at_ms: Millis, time_zone: &str) -> Millis {
    let now = in_zone(at_ms, time_zone);
    now.date()
        .checked_add(2.days())
        .and_then(|day| day.to_zoned(now.time_zone().clone()))
        .and_then(|midnight| midnight.checked_sub(SignedDuration::from_millis(1)))
        .map_or(at_ms, |end| end.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn check(at: &str, zone: &str, due: &str) {
        assert_eq!(next_working_day(ms(at), zone, 17), ms(due), "{at} in {zone}");
    }

    #[test]
    fn the_next_working_day_skips_the_weekend_and_follows_daylight_saving() {
        check(
            "2026-11-23T03:12:00+01:00",
            "Europe/Berlin",
            "2026-11-24T17:00:00+01:00",
        );
        check(
            "2026-11-27T20:00:00+01:00",
            "Europe/Berlin",
            "2026-11-30T17:00:00+01:00",
        );
        // Friday before the change to summer time, and the Saturday before the change back.
        check(
            "2026-03-27T20:00:00+01:00",
            "Europe/Berlin",
            "2026-03-30T17:00:00+02:00",
        );
        check(
            "2026-10-24T20:00:00+02:00",
            "Europe/Berlin",
            "2026-10-26T17:00:00+01:00",
        );
        check(
            "2026-10-30T20:00:00-04:00",
            "America/New_York",
            "2026-11-02T17:00:00-05:00",
        );
        // 23:30 UTC is already the next day in Berlin.
        check("2026-11-23T23:30:00Z", "Europe/Berlin", "2026-11-25T17:00:00+01:00");
    }

    #[test]
    fn days_are_those_of_the_zone() {
        assert_eq!(day_of(ms("2026-11-29T23:30:00Z"), "Europe/Berlin"), "2026-11-30");
        assert_eq!(
            end_of_next_day(ms("2026-03-28T12:00:00Z"), "Europe/Berlin"),
            ms("2026-03-29T23:59:59.999+02:00")
        );
    }
}
