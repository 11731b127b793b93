//! Points in time as clients write them, and as this program writes them.

use time::OffsetDateTime;

use standpipe_core::event::string;

/// A point in time between the years 0 and 9999, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(i64);

/// RFC 3339 in UTC with milliseconds, between quotes.
pub(super) type Written = [u8; 26];

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The first and the last millisecond.
const MIN: i64 = -719_528 * DAY;
const MAX: i64 = 2_932_897 * DAY - 1;

/// What a client wrote, and whether others can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) stamp: Stamp,
    /// Whether it is a string in the form of RFC 3339, without escapes.
    pub(super) is_rfc3339: bool,
}

impl Stamp {
    pub(super) fn of(time: OffsetDateTime) -> Self {
        let ms = time.unix_timestamp() * SECOND + i64::from(time.millisecond());
        Stamp(ms.clamp(MIN, MAX))
    }

    /// A checked JSON value, if it can be taken for a point in time.
    ///
    /// Strings: RFC 3339; the same with a space for the `T`, without seconds,
    /// without an offset (which means UTC) or with one like `+0100`, `+01` and ` UTC`;
    /// a date alone. Strings and numbers: a whole count since 1970 of seconds (9 or
    /// 10 digits), milliseconds (12 or 13), microseconds (16) or nanoseconds (19).
    pub(super) fn read(value: &str) -> Option<Read> {
        let Some(string) = string(value) else {
            return Some(Read { stamp: count(value.as_bytes())?, is_rfc3339: false });
        };
        let text = string.trim_ascii();
        let (stamp, is_rfc3339) = parse(text.as_bytes())?;
        Some(Read { stamp, is_rfc3339: is_rfc3339 && text.len() + 2 == value.len() })
    }

    /// This time, moved by as much as lies between these two.
    pub(super) fn minus(self, later: Stamp, earlier: Stamp) -> Option<Stamp> {
        Stamp(self.0 - (later.0 - earlier.0)).checked()
    }

    fn checked(self) -> Option<Stamp> {
        (MIN..=MAX).contains(&self.0).then_some(self)
    }

    pub(super) fn write(self) -> Written {
        let (days, ms) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY) as u32);
        let (year, month, day) = date(days);
        let (seconds, ms) = (ms / 1000, ms % 1000);
        let mut text = *b"\"0000-00-00T00:00:00.000Z\"";
        let mut put = |at: usize, number: u32| {
            text[at] = b'0' + (number / 10) as u8;
            text[at + 1] = b'0' + (number % 10) as u8;
        };
        put(1, year / 100);
        put(3, year % 100);
        put(6, month);
        put(9, day);
        put(12, seconds / 3600);
        put(15, seconds / 60 % 60);
        put(18, seconds % 60);
        put(21, ms / 10);
        text[23] = b'0' + (ms % 10) as u8;
        text
    }
}

/// A count since 1970, whose unit its length tells.
fn count(digits: &[u8]) -> Option<Stamp> {
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
    Stamp(ms).checked()
}

/// A point in time, and whether it is written as RFC 3339 wants it.
fn parse(text: &[u8]) -> Option<(Stamp, bool)> {
    let Some((date, rest)) = text.split_first_chunk::<10>() else {
        return Some((count(text)?, false));
    };
    if date[4] != b'-' || date[7] != b'-' {
        return Some((count(text)?, false));
    }
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    let midnight = DAY * days(year, month, day)?;
    let [separator, rest @ ..] = rest else {
        return Some((Stamp(midnight), false));
    };
    let (time, has_seconds, rest) = time_of_day(rest)?;
    let (offset, is_strict) = offset(rest)?;
    let is_rfc3339 = match separator {
        b'T' => has_seconds && is_strict,
        b't' | b' ' => false,
        _ => return None,
    };
    Some((Stamp(midnight + time - offset).checked()?, is_rfc3339))
}

/// `HH:MM`, and seconds with any fraction if there are any; whether there are; what
/// follows. A leap second is the one behind it.
fn time_of_day(text: &[u8]) -> Option<(i64, bool, &[u8])> {
    let (clock, rest) = text.split_first_chunk::<5>()?;
    let (hour, minute) = (number(&clock[..2])?, number(&clock[3..])?);
    if clock[2] != b':' || hour > 23 || minute > 59 {
        return None;
    }
    let minutes = hour * HOUR + minute * MINUTE;
    let [b':', a, b, rest @ ..] = rest else { return Some((minutes, false, rest)) };
    let second = number(&[*a, *b])?;
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

/// How far behind a time UTC is, and whether RFC 3339 knows this form.
fn offset(text: &[u8]) -> Option<(i64, bool)> {
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
    let (hours, minutes) = (number(&digits[..2])?, number(&digits[2..])?);
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| (sign * (hours * HOUR + minutes * MINUTE), is_strict))
}

/// Up to four digits.
#[inline]
fn number(digits: &[u8]) -> Option<i64> {
    let add =
        |number, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'));
    digits.iter().try_fold(0, add)
}

/// The days from 1970 to a date. Years are counted from March, so that a leap day
/// ends one.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leap_days + day_of_year - 719_468)
}

/// The year, month and day that lie so many days behind 1970, for the years that
/// a [`Stamp`] can have.
fn date(days: i64) -> (u32, u32, u32) {
    // From the first of March 400 years before the year 0, so above zero.
    let days = (days + 719_468 + 146_097) as u32;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2) - 400, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use standpipe_core::clock;

    fn read(value: &str) -> Option<(String, bool)> {
        let read = Stamp::read(value)?;
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
        let stamp = |text: &str| Stamp::read(&format!("\"{text}\"")).unwrap().stamp;
        let (first, last) = (stamp("0000-01-01"), stamp("9999-12-31T23:59:59.999Z"));
        assert_eq!(stamp("2026-01-01").minus(last, first), None);
        assert_eq!(stamp("2026-01-01").minus(first, last), None);
        assert_eq!(first.minus(first, last), Some(last));
        assert_eq!((first.0, last.0), (MIN, MAX));
    }

    proptest! {
        #[test]
        fn agrees_with_another_reader_and_writer(ms in MIN..=MAX) {
            let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap();
            let text = format!("\"{}\"", clock::rfc3339(time));
            prop_assert_eq!(Stamp::of(time), Stamp(ms));
            let written = Stamp(ms).write();
            prop_assert_eq!(std::str::from_utf8(&written).unwrap(), text.as_str());
            prop_assert_eq!(Stamp::read(&text), Some(Read { stamp: Stamp(ms), is_rfc3339: true }));
        }

        #[test]
        fn any_text_is_read_as_rfc3339_or_not_as_such(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,9})?(Z|[+-][0-2][0-9]:?[0-6][0-9])?",
        ) {
            let other = clock::parse_rfc3339(&text);
            let own = Stamp::read(&format!("\"{text}\""));
            let is_plain = !text.contains([' ', 't']) && &text[17..19] != "60";
            if is_plain {
                let strict = own.filter(|read| read.is_rfc3339).map(|read| read.stamp);
                prop_assert_eq!(strict, other.map(Stamp::of));
            }
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC*") {
            let quoted = serde_json::to_string(&text).unwrap();
            if let Some(read) = Stamp::read(&quoted) {
                prop_assert!((MIN..=MAX).contains(&read.stamp.0));
            }
        }
    }
}
