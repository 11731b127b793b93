//! The wall-clock time, in the only format that the host writes.

use std::time::SystemTime;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// The current time, as RFC 3339 in UTC with milliseconds.
pub fn now_rfc3339() -> String {
    rfc3339(now())
}

/// The current time.
pub fn now() -> OffsetDateTime {
    #[cfg(any(test, feature = "testing"))]
    if let Some(now) = simulated::now() {
        return now;
    }
    SystemTime::now().into()
}

/// A wall clock that a simulation sets, and lets jump.
#[cfg(any(test, feature = "testing"))]
pub mod simulated {
    use std::cell::Cell;

    use time::OffsetDateTime;

    thread_local! {
        static NOW: Cell<Option<OffsetDateTime>> = const { Cell::new(None) };
    }

    pub(super) fn now() -> Option<OffsetDateTime> {
        NOW.get()
    }

    /// Sets the wall clock of this thread. `None` restores the real one.
    pub fn set(now: Option<OffsetDateTime>) {
        NOW.set(now);
    }
}

/// A time as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(time: OffsetDateTime) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.format(format).expect("a date between the years 0 and 9999")
}

/// Parses a time in RFC 3339, and converts it to UTC.
pub fn parse_rfc3339(text: &str) -> Option<OffsetDateTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    time.checked_to_offset(UtcOffset::UTC).filter(|time| (0..=9999).contains(&time.year()))
}

/// The current time, in a format that sorts by time and is valid in a file name.
pub fn now_for_file_name() -> String {
    let format =
        format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");
    now().format(format).expect("a date between the years 0 and 9999")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        let now = now_rfc3339();
        assert_eq!(rfc3339(parse_rfc3339(&now).unwrap()), now);
        let utc = parse_rfc3339("2026-01-02T03:04:05+01:00").map(rfc3339);
        assert_eq!(utc.as_deref(), Some("2026-01-02T02:04:05.000Z"));
        for wrong in ["", "2026-01-02", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }
}
