//! Tests that the next minute of a cron expression equals that of a search through every minute,
//! and that no text panics.

use proptest::prelude::*;

use super::*;
use standpipe_core::clock;

fn next(expression: &str, after: &str) -> String {
    let cron: Cron = expression.parse().unwrap();
    clock::rfc3339(cron.next_after(clock::parse_rfc3339(after).unwrap()).unwrap())[..16].to_owned()
}

#[test]
fn expressions_name_minutes() {
    // This day is a Sunday.
    for (expression, expected) in [
        ("* * * * *", "2026-03-01T10:31"),
        ("*/20 * * * *", "2026-03-01T10:40"),
        ("5 10 * * *", "2026-03-02T10:05"),
        ("30 10 * * *", "2026-03-02T10:30"),
        ("0 0 31 * *", "2026-03-31T00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("0 0 29 feb */7", "2032-02-29T00:00"),
        ("0 12 1 * mon", "2026-03-01T12:00"),
        ("0 9 1 * mon", "2026-03-02T09:00"),
        ("0 12 * * 7", "2026-03-01T12:00"),
        ("0 0 * * 5-7", "2026-03-06T00:00"),
        ("0 0 * JAN,jul mon-FRI", "2026-07-01T00:00"),
        ("10-30/10,45 23 * * *", "2026-03-01T23:10"),
        ("50/5 * * * *", "2026-03-01T10:50"),
    ] {
        assert_eq!(next(expression, "2026-03-01T10:30:00Z"), expected, "{expression}");
    }
    assert_eq!(next("* * * * *", "2026-03-01T10:30:59.999Z"), "2026-03-01T10:31");
    assert_eq!(next("0 0 * * *", "2026-03-01T23:30:00-02:00"), "2026-03-03T00:00");
}

#[test]
fn what_is_none_is_refused() {
    for wrong in [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "+1 * * * *",
        "1- * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "1,,2 * * * *",
        "a * * * *",
        "* * * mon *",
        "1/2/3 * * * *",
        "@reboot",
        "** * * * *",
        "999999999999 * * * *",
        "*/-1 * * * *",
    ] {
        assert!(wrong.parse::<Cron>().is_err(), "{wrong}");
    }
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert_eq!(never.parse::<Cron>(), Err(CronError::Never), "{never}");
    }
}

/// Evaluates a field according to its definition, without sets of bits.
fn is_named(text: &str, value: u8) -> bool {
    text.split(',').any(|part| {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let (least, most) = match range.split_once('-') {
            _ if range == "*" => (u8::from(false), 59),
            Some((least, most)) => (least.parse().unwrap(), most.parse().unwrap()),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        (least..=most).contains(&value) && (value - least).is_multiple_of(step.parse().unwrap())
    })
}

fn field(least: u8, most: u8) -> impl Strategy<Value = String> {
    let one = (least..=most).prop_map(|value| value.to_string());
    let range = (least..=most).prop_flat_map(move |from| {
        (Just(from), from..=most, 1..5_u8)
            .prop_map(|(from, to, step)| format!("{from}-{to}/{step}"))
    });
    let part = prop_oneof![one, range];
    prop_oneof![2 => Just("*".to_owned()), 3 => prop::collection::vec(part, 1..3).prop_map(|parts| parts.join(","))]
}

proptest! {
    #[test]
    fn it_finds_what_trying_every_minute_finds(
        minute in field(0, 59), hour in field(0, 23), day in field(1, 28), weekday in field(0, 6),
        seconds in 0..4_000_000_000_i64,
    ) {
        let cron: Cron = format!("{minute} {hour} {day} * {weekday}").parse().unwrap();
        let after = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let next = cron.next_after(after).unwrap();
        prop_assert!(next > after);
        let is_due = |time: OffsetDateTime| {
            let days = (is_named(&day, time.day()), is_named(&weekday, time.weekday().number_days_from_sunday()));
            let both = day == "*" || weekday == "*";
            is_named(&minute, time.minute()) && is_named(&hour, time.hour())
                && if both { days.0 && days.1 } else { days.0 || days.1 }
        };
        prop_assert!(is_due(next), "{next}");
        let mut tried = OffsetDateTime::from_unix_timestamp(seconds - seconds % 60 + 60).unwrap();
        let mut left = 3 * 1440;
        while tried < next && left > 0 {
            prop_assert!(!is_due(tried), "{tried} comes before {next}");
            tried += time::Duration::MINUTE;
            left -= 1;
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[0-9*,/a-z -]{0,24}", seconds in any::<i32>()) {
        if let Ok(cron) = text.parse::<Cron>() {
            let now = OffsetDateTime::from_unix_timestamp(seconds.into()).unwrap();
            prop_assert!(cron.next_after(now).is_some_and(|next| next > now));
        }
    }
}
