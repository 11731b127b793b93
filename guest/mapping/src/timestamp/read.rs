//! Parses times in JSON values.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::tz::TimeZone;

use super::Reading;
use crate::json::{JsonKind, JsonValue};

/// From this distance to 1970, [`Reading::Any`] treats a number as milliseconds and not as seconds.
const MILLIS_FROM: u128 = 100_000_000_000;

/// Maximum bytes of a string. The longest useful ones have less than half of it.
const STRING_BYTES_MAX: usize = 128;

/// Parses the time in a value. A string without a zone is in the given zone.
pub(super) fn read_time(
    value: JsonValue<'_>,
    reading: Reading,
    zone: &TimeZone,
) -> Option<Timestamp> {
    let text = match value.kind() {
        JsonKind::String => value.as_string()?,
        JsonKind::Number if reading != Reading::Iso8601 => value.raw_text().into(),
        _ => return None,
    };
    let text = text.trim_ascii();
    if text.len() > STRING_BYTES_MAX {
        return None;
    }
    match reading {
        Reading::Iso8601 => iso_8601(text, zone),
        Reading::UnixSeconds => read_unix(text, |_| Unit::Second),
        Reading::UnixMillis => read_unix(text, |_| Unit::Millisecond),
        Reading::Any if value.kind() == JsonKind::Number => read_unix(text, likely_unit),
        Reading::Any => iso_8601(text, zone).or_else(|| read_unix(text, likely_unit)),
    }
}

fn iso_8601(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    let time = pieces.time().unwrap_or(Time::midnight());
    let local = pieces.date().to_datetime(time);
    match pieces.offset() {
        Some(PiecesOffset::Zulu) => TimeZone::UTC.to_timestamp(local).ok(),
        Some(PiecesOffset::Numeric(offset)) => offset.offset().to_timestamp(local).ok(),
        // A local time that clocks skip or repeat is interpreted as in most programs.
        _ => zone.to_timestamp(local).ok(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Second,
    Millisecond,
}

fn likely_unit(whole: u128) -> Unit {
    if whole < MILLIS_FROM { Unit::Second } else { Unit::Millisecond }
}

/// Parses a number of seconds or milliseconds.
fn read_unix(text: &str, unit: impl Fn(u128) -> Unit) -> Option<Timestamp> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let nanosecond_digits = match unit(whole) {
        Unit::Second => 9,
        Unit::Millisecond => 6,
    };
    let fraction = &fraction[..fraction.len().min(nanosecond_digits)];
    let fraction = format!("{fraction:0<nanosecond_digits$}").parse::<u128>().ok()?;
    let nanoseconds = whole.checked_mul(10_u128.pow(u32::try_from(nanosecond_digits).ok()?))?;
    let nanoseconds = i128::try_from(nanoseconds.checked_add(fraction)?).ok()?;
    let is_negative = unsigned.len() < text.len();
    Timestamp::from_nanosecond(if is_negative { -nanoseconds } else { nanoseconds }).ok()
}
