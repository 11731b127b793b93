//! Tests that times are parsed in each format of the settings, written in each format, and
//! unchanged after both, including time zones and daylight saving time.

use proptest::prelude::*;

use super::{Reading, Writing, Zone, convert_time};
use crate::json::JsonValue;

fn read_text(json: &str, reading: Reading, zone: &str) -> Option<String> {
    let zone = Zone::parse(zone).expect("a zone");
    convert_time(JsonValue::of_text(json), reading, &Writing::Rfc3339, &zone)
}

fn write_text(json: &str, writing: &Writing, zone: &str) -> Option<String> {
    let zone = Zone::parse(zone).expect("a zone");
    convert_time(JsonValue::of_text(json), Reading::Any, writing, &zone)
}

#[test]
fn variants_are_read() {
    for (text, expected) in [
        ("2026-02-28T12:34:56Z", "2026-02-28T12:34:56Z"),
        ("2026-02-28t12:34:56z", "2026-02-28T12:34:56Z"),
        ("2026-02-28 12:34:56Z", "2026-02-28T12:34:56Z"),
        ("2026-02-28T12:34:56.1Z", "2026-02-28T12:34:56.100Z"),
        ("2026-02-28T12:34:56,1234Z", "2026-02-28T12:34:56.123400Z"),
        ("2026-02-28T12:34:56.123456789Z", "2026-02-28T12:34:56.123456789Z"),
        ("2026-02-28T12:34:56+02:00", "2026-02-28T10:34:56Z"),
        ("2026-02-28T12:34:56-0330", "2026-02-28T16:04:56Z"),
        ("2026-02-28T12:34:56+02", "2026-02-28T10:34:56Z"),
        ("2026-02-28T12:34:56", "2026-02-28T12:34:56Z"),
        ("2026-02-28T12:34Z", "2026-02-28T12:34:00Z"),
        ("2026-02-28", "2026-02-28T00:00:00Z"),
        ("20260228", "2026-02-28T00:00:00Z"),
        ("20260228T123456Z", "2026-02-28T12:34:56Z"),
        (" 2026-02-28T12:34:56Z ", "2026-02-28T12:34:56Z"),
        ("2026-02-28T12:34:56+01:00[Europe/Berlin]", "2026-02-28T11:34:56Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        ("9999-12-30T22:00:00Z", "9999-12-30T22:00:00Z"),
        ("1772282096", "2026-02-28T12:34:56Z"),
        ("1772282096789", "2026-02-28T12:34:56.789Z"),
    ] {
        let json = serde_json::to_string(text).expect("JSON");
        assert_eq!(
            read_text(&json, Reading::Any, "UTC"),
            Some(format!("\"{expected}\"")),
            "{text}"
        );
    }
}

#[test]
fn invalid_times_are_refused() {
    for json in [
        "null",
        "true",
        "[]",
        "{}",
        "\"\"",
        "\"today\"",
        "\"2026-02-30\"",
        "\"2026-02-28T25:00\"",
        "\"12:34\"",
        "\"28.02.2026\"",
        "\"2026-W09-6\"",
        "\"-000001-01-01T00:00:00Z\"",
        "1e9",
        "99999999999999999999999999999999999999999999",
        "\"1.\"",
        "\"--1\"",
        "1e400",
        "\"0x10\"",
    ] {
        assert_eq!(read_text(json, Reading::Any, "UTC"), None, "{json}");
    }
    assert_eq!(read_text("1772282096", Reading::Iso8601, "UTC"), None);
    assert_eq!(read_text("\"2026-02-28\"", Reading::UnixSeconds, "UTC"), None);
    assert_eq!(read_text("\"2026-02-28\"", Reading::UnixMillis, "UTC"), None);
}

#[test]
fn numbers_count_seconds_or_milliseconds() {
    for (json, reading, expected) in [
        ("0", Reading::Any, "1970-01-01T00:00:00Z"),
        ("-1", Reading::Any, "1969-12-31T23:59:59Z"),
        ("-0.001", Reading::Any, "1969-12-31T23:59:59.999Z"),
        ("99999999999", Reading::Any, "5138-11-16T09:46:39Z"),
        ("100000000000", Reading::Any, "1973-03-03T09:46:40Z"),
        ("-100000000000", Reading::Any, "1966-10-31T14:13:20Z"),
        ("1772282096.25", Reading::Any, "2026-02-28T12:34:56.250Z"),
        ("1772282096.1234567891", Reading::UnixSeconds, "2026-02-28T12:34:56.123456789Z"),
        ("1772282096789.5", Reading::UnixMillis, "2026-02-28T12:34:56.789500Z"),
        ("1000", Reading::UnixMillis, "1970-01-01T00:00:01Z"),
        ("\"1000\"", Reading::UnixMillis, "1970-01-01T00:00:01Z"),
        ("100000000000", Reading::UnixSeconds, "5138-11-16T09:46:40Z"),
    ] {
        assert_eq!(read_text(json, reading, "UTC"), Some(format!("\"{expected}\"")), "{json}");
    }
}

#[test]
fn times_are_written() {
    let json = "\"2026-07-01T22:34:56.789Z\"";
    let format = |format| Writing::format(format).expect("a format");
    for (writing, zone, expected) in [
        (Writing::Rfc3339, "UTC", "\"2026-07-01T22:34:56.789Z\""),
        (Writing::Rfc3339, "+05:30", "\"2026-07-02T04:04:56.789+05:30\""),
        (Writing::Rfc3339, "Europe/Berlin", "\"2026-07-02T00:34:56.789+02:00\""),
        (Writing::Rfc3339, "america/new_york", "\"2026-07-01T18:34:56.789-04:00\""),
        (Writing::Date, "UTC", "\"2026-07-01\""),
        (Writing::Date, "Europe/Berlin", "\"2026-07-02\""),
        (Writing::UnixSeconds, "Asia/Tokyo", "1782945296"),
        (Writing::UnixMillis, "UTC", "1782945296789"),
        (format("%d.%m.%Y %H:%M:%S%.3f %z"), "Europe/Berlin", "\"02.07.2026 00:34:56.789 +0200\""),
        (format("%Y/%m/%d/%H"), "UTC", "\"2026/07/01/22\""),
        (format("%A \"%b\" %Z"), "Europe/Berlin", r#""Thursday \"Jul\" CEST""#),
        (format("%s"), "UTC", "\"1782945296\""),
    ] {
        assert_eq!(write_text(json, &writing, zone).as_deref(), Some(expected));
    }
    assert_eq!(write_text("-0.5", &Writing::UnixSeconds, "UTC").as_deref(), Some("-1"));
    assert_eq!(write_text("\"0000-01-01T00:00:00Z\"", &Writing::Date, "-01:00"), None);
}

#[test]
fn times_without_a_zone_are_of_the_zone_given() {
    for (text, expected) in [
        ("2026-01-15 12:00", "2026-01-15T12:00:00+01:00"),
        ("2026-07-15", "2026-07-15T00:00:00+02:00"),
        // Clocks skip this hour, and repeat the next one.
        ("2026-03-29T02:30", "2026-03-29T03:30:00+02:00"),
        ("2026-10-25T02:30", "2026-10-25T02:30:00+02:00"),
        ("2026-01-15T12:00Z", "2026-01-15T13:00:00+01:00"),
    ] {
        let json = format!("\"{text}\"");
        assert_eq!(
            read_text(&json, Reading::Iso8601, "Europe/Berlin"),
            Some(format!("\"{expected}\""))
        );
    }
}

#[test]
fn zones_and_formats_are_checked() {
    for zone in ["UTC", "Z", "+01:00", "-0330", "+14", "Europe/Berlin", "Etc/GMT+5", "+23:59"] {
        Zone::parse(zone).expect(zone);
    }
    for zone in ["", "Europe/Berlln", "+1", "+25:00", "+01:60", "01:00", "+0100x", "../etc", "+é0"]
    {
        let error = Zone::parse(zone).expect_err(zone);
        assert!(error.contains("IANA name"), "{error}");
    }
    for format in ["%", "%Y-%", "%!"] {
        let error = Writing::format(format).expect_err(format);
        assert!(error.contains("is not a time format"), "{error}");
    }
    assert!(Writing::format(&"%A".repeat(129)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_value_is_read_without_panic(
        json in prop_oneof![".{0,40}", "\"[0-9TZ:+. -]{0,30}\"", "-?[0-9]{0,30}(\\.[0-9]{0,12})?"],
        zone in prop::sample::select(vec!["UTC", "+05:30", "Europe/Berlin"]),
        format in ".{0,12}",
    ) {
        crate::fuzzing::check_timestamp(&json, zone, &format);
    }

    /// Milliseconds are converted to every other format and back.
    #[test]
    fn times_come_back(millis in -62_000_000_000_000..253_000_000_000_000_i64, zone in -23..24_i32) {
        let zone = Zone::parse(&format!("{zone:+03}")).expect("a zone");
        let number = millis.to_string();
        let to = |json: &str, reading, writing: &_| convert_time(JsonValue::of_text(json), reading, writing, &zone);
        let text = to(&number, Reading::UnixMillis, &Writing::Rfc3339).expect("a time");
        prop_assert_eq!(to(&text, Reading::Iso8601, &Writing::UnixMillis), Some(number.clone()));
        prop_assert_eq!(to(&text, Reading::Any, &Writing::Rfc3339), Some(text.clone()));
        let seconds = to(&number, Reading::UnixMillis, &Writing::UnixSeconds).expect("a time");
        prop_assert_eq!(seconds, millis.div_euclid(1000).to_string());
        let day = to(&number, Reading::UnixMillis, &Writing::Date).expect("a time");
        prop_assert_eq!(&text[..11], &day[..11]);
    }
}
