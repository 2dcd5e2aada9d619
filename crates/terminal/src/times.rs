//! When a message was written, as it is shown.

use chrono::{DateTime, Local, TimeZone};

/// Milliseconds after which a pipe shows when a message was written.
const OLD: u64 = 60_000;

/// Which lines show a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Every received line, the time of day: for terminals.
    OfDay,
    /// Lines older than a minute, with the date: for pipes.
    OfOld,
    /// None.
    Off,
}

impl Times {
    /// What stands before a message of this time (milliseconds since 1970 UTC).
    #[must_use]
    pub fn prefix(self, written: u64, now: u64) -> String {
        self.prefix_in(&Local, written, now)
    }

    fn prefix_in<Z: TimeZone>(self, zone: &Z, written: u64, now: u64) -> String
    where
        Z::Offset: std::fmt::Display,
    {
        match self {
            Self::OfDay => format(zone, written, "%H:%M "),
            Self::OfOld if now.saturating_sub(written) > OLD => {
                format(zone, written, "[%Y-%m-%d %H:%M] ")
            }
            Self::OfOld | Self::Off => String::new(),
        }
    }
}

/// Day and time (milliseconds since 1970 UTC), for pipes and terminals alike.
#[must_use]
pub fn day_and_time(written: u64) -> String {
    format(&Local, written, "%Y-%m-%d %H:%M")
}

/// A time that no calendar has is somebody's wrong clock: it is left out.
fn format<Z: TimeZone>(zone: &Z, written: u64, form: &str) -> String
where
    Z::Offset: std::fmt::Display,
{
    let moment = i64::try_from(written).ok().and_then(DateTime::from_timestamp_millis);
    let shown = moment.map(|moment| moment.with_timezone(zone).format(form).to_string());
    shown.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    /// 2026-01-31 09:12:00 UTC.
    const MOMENT: u64 = 1_769_850_720_000;

    #[test]
    fn a_terminal_shows_the_time_of_day_and_a_pipe_the_date_of_what_is_old() {
        let shown = |times: Times, age| times.prefix_in(&Utc, MOMENT, MOMENT + age);
        assert_eq!(shown(Times::OfDay, 0), "09:12 ");
        assert_eq!(shown(Times::OfOld, 60_000), "");
        assert_eq!(shown(Times::OfOld, 60_001), "[2026-01-31 09:12] ");
        assert_eq!(shown(Times::Off, 1_000_000), "");
    }

    #[test]
    fn a_time_from_the_future_or_outside_every_calendar_is_harmless() {
        assert_eq!(Times::OfOld.prefix_in(&Utc, MOMENT + 1, MOMENT), "");
        assert_eq!(Times::OfDay.prefix_in(&Utc, u64::MAX, MOMENT), "");
        assert_eq!(Times::OfDay.prefix_in(&Utc, i64::MAX as u64, MOMENT), "");
    }
}
