//! Converts times between formats.
//!
//! The parser accepts strings in RFC 3339 and the usual variants of ISO 8601 (a space in place of
//! the `T`, no seconds, no zone, a date alone, without hyphens and colons; but not weeks and days
//! of the year), and seconds or milliseconds since 1970, as numbers or strings, with fractions but
//! without exponents. Digits below nanoseconds are dropped.
//!
//! The rules of the IANA time zones are part of the plugin, because it cannot read files. They only
//! change with a new version.

mod read;
mod write;

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};

use crate::json::JsonValue;

/// The format of a time in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Any of the formats below. Numbers from 100 thousand million, before or after 1970, are
    /// milliseconds. As milliseconds, they start in 1973; as seconds, they would start in 5138.
    Any,
    /// A string of ISO 8601.
    Iso8601,
    UnixSeconds,
    UnixMillis,
}

/// The output format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Writing {
    /// RFC 3339 with the necessary digits of the second: none, 3, 6 or 9. With `Z` in UTC, and an
    /// offset in other zones.
    Rfc3339,
    /// The second of the time, as a number.
    UnixSeconds,
    /// The millisecond of the time, as a number.
    UnixMillis,
    /// The day in the zone, like `2026-02-28`.
    Date,
    /// A format that [`Writing::format`] has checked.
    Format(TimeFormat),
}

/// A format in the syntax of `strftime`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeFormat(String);

/// The zone of the output, and of an input without a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone(TimeZone);

/// Maximum bytes of a format. The names of months and days are at most ten times as long as their
/// placeholders.
const FORMAT_BYTES_MAX: usize = 256;

impl Writing {
    /// Creates an output format in the syntax of `strftime`, such as `%d.%m.%Y %H:%M`.
    ///
    /// # Errors
    ///
    /// Fails if the format has unknown parts, or is too long.
    pub(crate) fn format(format: &str) -> Result<Self, String> {
        if format.len() > FORMAT_BYTES_MAX {
            return Err(format!("a format has at most {FORMAT_BYTES_MAX} bytes"));
        }
        let sample = Zoned::new(Timestamp::UNIX_EPOCH, TimeZone::UTC);
        let tried = BrokenDownTime::from(&sample).to_string(format);
        tried.map_err(|error| format!("{format:?} is not a time format: {error}"))?;
        Ok(Writing::Format(TimeFormat(format.to_owned())))
    }
}

impl Zone {
    pub(crate) const UTC: Zone = Zone(TimeZone::UTC);

    /// Parses a zone: its IANA name (`Europe/Berlin`), `UTC`, or an offset (`+05:30`).
    ///
    /// # Errors
    ///
    /// Fails if the zone is unknown.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        if matches!(name, "UTC" | "Z") {
            return Ok(Zone::UTC);
        }
        if let Some(seconds) = parse_offset(name) {
            let offset = Offset::from_seconds(seconds);
            return Ok(Zone(offset.map_err(|_| unknown_zone(name))?.to_time_zone()));
        }
        TimeZoneDatabase::bundled().get(name).map(Zone).map_err(|_| unknown_zone(name))
    }
}

fn unknown_zone(name: &str) -> String {
    format!(
        "unknown time zone {name:?}: give an IANA name like \"Europe/Berlin\", \"UTC\" or \"+01:00\""
    )
}

/// The seconds of an offset such as `-03:30`.
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i32::from(byte - b'0'));
    let [h1, h2, m1, m2] = match digits {
        [h1, h2] => [h1, h2, &b'0', &b'0'],
        [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => [h1, h2, m1, m2],
        _ => return None,
    };
    let (hours, minutes) = (digit(h1)? * 10 + digit(h2)?, digit(m1)? * 10 + digit(m2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60)
}

/// Converts a value that is a time, and returns it as JSON. Returns `None` if the value is not a
/// time, or if its year does not have four digits.
pub(crate) fn convert_time(
    value: JsonValue<'_>,
    reading: Reading,
    writing: &Writing,
    zone: &Zone,
) -> Option<String> {
    let time = read::read_time(value, reading, &zone.0)?;
    write::write_json(time, writing, &zone.0)
}

#[cfg(test)]
mod tests;
