//! Points in time in the formats of clients, and in the format that this program writes.

use time::{Date, Month, OffsetDateTime};

use standpipe_core::event::string;

/// A point in time between the years 0 and 9999, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EventTime(i64);

/// RFC 3339 in UTC with milliseconds, between quotes.
pub(super) type EventTimeText = [u8; 26];

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The Julian day of 1970-01-01.
const EPOCH_JULIAN_DAY: i32 = 2_440_588;
/// The first and the last millisecond.
const MIN: i64 = -719_528 * DAY;
const MAX: i64 = 2_932_897 * DAY - 1;

/// A client's point in time, and whether its text is RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ParsedTime {
    pub(super) stamp: EventTime,
    /// Whether the value is a string in the format of RFC 3339, without escapes.
    pub(super) is_rfc3339: bool,
}

impl EventTime {
    pub(super) fn of(time: OffsetDateTime) -> Self {
        let ms = time.unix_timestamp() * SECOND + i64::from(time.millisecond());
        EventTime(ms.clamp(MIN, MAX))
    }

    /// Parses a JSON value as a point in time.
    ///
    /// Strings can be in RFC 3339, or in a variant: with a space in place of the `T`, without
    /// seconds, without an offset (which means UTC), with an offset like `+0100`, `+01` or ` UTC`,
    /// or a date alone. Strings and numbers can be an integer count since 1970 of seconds (9 or 10
    /// digits), milliseconds (12 or 13), microseconds (16) or nanoseconds (19).
    pub(super) fn read(value: &str) -> Option<ParsedTime> {
        let Some(string) = string(value) else {
            return Some(ParsedTime { stamp: parse_count(value.as_bytes())?, is_rfc3339: false });
        };
        let text = string.trim_ascii();
        let (stamp, is_rfc3339) = parse_text(text.as_bytes())?;
        Some(ParsedTime { stamp, is_rfc3339: is_rfc3339 && text.len() + 2 == value.len() })
    }

    /// Subtracts the difference of the two times.
    pub(super) fn shifted_back(self, later: EventTime, earlier: EventTime) -> Option<EventTime> {
        EventTime(self.0 - (later.0 - earlier.0)).checked()
    }

    fn checked(self) -> Option<EventTime> {
        (MIN..=MAX).contains(&self.0).then_some(self)
    }

    pub(super) fn write(self) -> EventTimeText {
        let days = self.0.div_euclid(DAY) as i32;
        let date =
            Date::from_julian_day(EPOCH_JULIAN_DAY + days).expect("its year has four digits");
        let (year, month, day) = date.to_calendar_date();
        let ms_of_day = self.0.rem_euclid(DAY) as u32;
        let (seconds, ms) = (ms_of_day / 1000, ms_of_day % 1000);
        let mut text = *b"\"0000-00-00T00:00:00.000Z\"";
        let mut put = |at: usize, number: u32| {
            text[at] = b'0' + (number / 10) as u8;
            text[at + 1] = b'0' + (number % 10) as u8;
        };
        put(1, year as u32 / 100);
        put(3, year as u32 % 100);
        put(6, u8::from(month).into());
        put(9, day.into());
        put(12, seconds / 3600);
        put(15, seconds / 60 % 60);
        put(18, seconds % 60);
        put(21, ms / 10);
        text[23] = b'0' + (ms % 10) as u8;
        text
    }
}

/// Parses a count since 1970. The number of digits determines the unit.
fn parse_count(digits: &[u8]) -> Option<EventTime> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let ms = match digits.len() {
        9 | 10 => number * 1000,
        12 | 13 => number,
        16 => number / 1000,
        19 => number / 1_000_000,
        _ => return None,
    };
    EventTime(ms).checked()
}

/// Parses a point in time. Also returns whether it is RFC 3339.
fn parse_text(text: &[u8]) -> Option<(EventTime, bool)> {
    let Some((date, rest)) = text.split_first_chunk::<10>() else {
        return Some((parse_count(text)?, false));
    };
    if date[4] != b'-' || date[7] != b'-' {
        return Some((parse_count(text)?, false));
    }
    let (year, month, day) =
        (parse_number(&date[..4])?, parse_number(&date[5..7])?, parse_number(&date[8..])?);
    let midnight = DAY * days_since_1970(year, month, day)?;
    let [separator, rest @ ..] = rest else {
        return Some((EventTime(midnight), false));
    };
    let (time, has_seconds, rest) = time_of_day(rest)?;
    let (offset, is_strict) = parse_offset(rest)?;
    let is_rfc3339 = match separator {
        b'T' => has_seconds && is_strict,
        b't' | b' ' => false,
        _ => return None,
    };
    Some((EventTime(midnight + time - offset).checked()?, is_rfc3339))
}

/// Parses `HH:MM` with optional seconds, which may have a fraction. Returns the time, whether it
/// has seconds, and the rest of the text. A leap second becomes the following second.
fn time_of_day(text: &[u8]) -> Option<(i64, bool, &[u8])> {
    let (clock, rest) = text.split_first_chunk::<5>()?;
    let (hour, minute) = (parse_number(&clock[..2])?, parse_number(&clock[3..])?);
    if clock[2] != b':' || hour > 23 || minute > 59 {
        return None;
    }
    let minutes = hour * HOUR + minute * MINUTE;
    let [b':', a, b, rest @ ..] = rest else { return Some((minutes, false, rest)) };
    let second = parse_number(&[*a, *b])?;
    if second > 60 {
        return None;
    }
    let seconds = minutes + second * SECOND;
    let [b'.' | b',', fraction @ ..] = rest else { return Some((seconds, true, rest)) };
    let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digit = |at: usize| fraction[..len].get(at).map_or(0, |digit| i64::from(digit - b'0'));
    let ms = digit(0) * 100 + digit(1) * 10 + digit(2);
    (len != 0).then(|| (seconds + ms, rest[0] == b'.', &fraction[len..]))
}

/// Parses an offset from UTC. Also returns whether the form is valid in RFC 3339.
fn parse_offset(text: &[u8]) -> Option<(i64, bool)> {
    let (text, is_behind_space) = match text {
        [] => return Some((0, false)),
        b"Z" => return Some((0, true)),
        [b' ', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    let (sign, digits, is_strict) = match *text {
        [b'z' | b'Z'] | [b'U', b'T', b'C'] | [b'G', b'M', b'T'] => return Some((0, false)),
        [sign, a, b, b':', c, d] => (sign, [a, b, c, d], !is_behind_space),
        [sign, a, b, c, d] => (sign, [a, b, c, d], false),
        [sign, a, b] => (sign, [a, b, b'0', b'0'], false),
        _ => return None,
    };
    let (hours, minutes) = (parse_number(&digits[..2])?, parse_number(&digits[2..])?);
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| (sign * (hours * HOUR + minutes * MINUTE), is_strict))
}

/// Parses up to four digits.
#[inline]
fn parse_number(digits: &[u8]) -> Option<i64> {
    let add =
        |number, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'));
    digits.iter().try_fold(0, add)
}

/// Returns the days from 1970 to a date.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(year as i32, month, u8::try_from(day).ok()?).ok()?;
    Some(i64::from(date.to_julian_day() - EPOCH_JULIAN_DAY))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use standpipe_core::clock;

    fn read(value: &str) -> Option<(String, bool)> {
        let read = EventTime::read(value)?;
        let written = String::from_utf8(read.stamp.write().to_vec()).unwrap();
        Some((written.trim_matches('"').to_owned(), read.is_rfc3339))
    }

    #[test]
    fn forms_that_are_read() {
        for (value, written, is_rfc3339) in [
            ("\"2026-01-02T03:04:05Z\"", "2026-01-02T03:04:05.000Z", true),
            ("\"2026-01-02T03:04:05.1Z\"", "2026-01-02T03:04:05.100Z", true),
            ("\"2026-01-02T03:04:05.123999999999Z\"", "2026-01-02T03:04:05.123Z", true),
            ("\"2026-01-02T03:04:05.123456+05:30\"", "2026-01-01T21:34:05.123Z", true),
            ("\"2026-01-02T03:04:05.0\\u002B01:00\"", "2026-01-02T02:04:05.000Z", false),
            ("\" 2026-01-02T03:04:05Z\"", "2026-01-02T03:04:05.000Z", false),
            ("\"2026-01-02t03:04:05z\"", "2026-01-02T03:04:05.000Z", false),
            ("\"2026-01-02T03:04:05\"", "2026-01-02T03:04:05.000Z", false),
            ("\"2026-01-02 03:04:05\"", "2026-01-02T03:04:05.000Z", false),
            ("\"2026-01-02 03:04:05,25 -0130\"", "2026-01-02T04:34:05.250Z", false),
            ("\"2026-01-02 03:04:05 UTC\"", "2026-01-02T03:04:05.000Z", false),
            ("\"2026-01-02T03:04:05 +01:00\"", "2026-01-02T02:04:05.000Z", false),
            ("\"2026-01-02T03:04+01\"", "2026-01-02T02:04:00.000Z", false),
            ("\"2026-01-02\"", "2026-01-02T00:00:00.000Z", false),
            ("\"2024-02-29\"", "2024-02-29T00:00:00.000Z", false),
            ("\"2016-12-31T23:59:60Z\"", "2017-01-01T00:00:00.000Z", true),
            ("\"0000-01-01T00:00:00Z\"", "0000-01-01T00:00:00.000Z", true),
            ("\"9999-12-31T23:59:59.999Z\"", "9999-12-31T23:59:59.999Z", true),
            ("1767323045", "2026-01-02T03:04:05.000Z", false),
            ("\"1767323045\"", "2026-01-02T03:04:05.000Z", false),
            ("1767323045678", "2026-01-02T03:04:05.678Z", false),
            ("1767323045678901", "2026-01-02T03:04:05.678Z", false),
            ("1767323045678901234", "2026-01-02T03:04:05.678Z", false),
        ] {
            assert_eq!(read(value), Some((written.to_owned(), is_rfc3339)), "{value}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for value in [
            "\"\"",
            "\"now\"",
            "null",
            "true",
            "{}",
            "[]",
            "-1",
            "1.5",
            "1e9",
            "2026",
            "20260102",
            "\"2026\"",
            "9999999999999999999",
            "99999999999999999999999",
            "\"2026-13-01\"",
            "\"2026-00-01\"",
            "\"2026-02-29\"",
            "\"2100-02-29\"",
            "\"2026-04-31\"",
            "\"2026-01-00\"",
            "\"2026-1-2\"",
            "\"2026/01/02\"",
            "\"2026-01-02T\"",
            "\"2026-01-02T3:04\"",
            "\"2026-01-02T24:00:00Z\"",
            "\"2026-01-02T03:60:00Z\"",
            "\"2026-01-02T03:04:61Z\"",
            "\"2026-01-02T03:04:05.Z\"",
            "\"2026-01-02T03:04:05+24:00\"",
            "\"2026-01-02T03:04:05+01:60\"",
            "\"2026-01-02T03:04:05*01:00\"",
            "\"2026-01-02T03:04:05ZZ\"",
            "\"2026-01-02X03:04:05Z\"",
            "\"2026-01-02T03:04:\"",
            "\"0000-01-01T00:00:00+00:01\"",
            "\"9999-12-31T23:59:59-00:01\"",
            "\"ä026-01-02\"",
            "\"2026-01-02T03:04:0٣Z\"",
            "\"+026-01-02\"",
            "\"2026-01-02T03-04-05Z\"",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn only_years_that_can_be_written_are_reached() {
        let stamp = |text: &str| EventTime::read(&format!("\"{text}\"")).unwrap().stamp;
        let (first, last) = (stamp("0000-01-01"), stamp("9999-12-31T23:59:59.999Z"));
        assert_eq!(stamp("2026-01-01").shifted_back(last, first), None);
        assert_eq!(stamp("2026-01-01").shifted_back(first, last), None);
        assert_eq!(first.shifted_back(first, last), Some(last));
        assert_eq!((first.0, last.0), (MIN, MAX));
    }

    proptest! {
        #[test]
        fn agrees_with_another_reader_and_writer(ms in MIN..=MAX) {
            let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap();
            let text = format!("\"{}\"", clock::rfc3339(time));
            prop_assert_eq!(EventTime::of(time), EventTime(ms));
            let written = EventTime(ms).write();
            prop_assert_eq!(std::str::from_utf8(&written).unwrap(), text.as_str());
            prop_assert_eq!(EventTime::read(&text), Some(ParsedTime { stamp: EventTime(ms), is_rfc3339: true }));
        }

        #[test]
        fn any_text_is_read_as_rfc3339_or_not_as_such(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,9})?(Z|[+-][0-2][0-9]:?[0-6][0-9])?",
        ) {
            let other = clock::parse_rfc3339(&text);
            let own = EventTime::read(&format!("\"{text}\""));
            let is_plain = !text.contains([' ', 't']) && &text[17..19] != "60";
            if is_plain {
                let strict = own.filter(|read| read.is_rfc3339).map(|read| read.stamp);
                prop_assert_eq!(strict, other.map(EventTime::of));
            }
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC*") {
            let quoted = serde_json::to_string(&text).unwrap();
            if let Some(read) = EventTime::read(&quoted) {
                prop_assert!((MIN..=MAX).contains(&read.stamp.0));
            }
        }
    }
}
