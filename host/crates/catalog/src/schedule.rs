//! When the catalog runs: a schedule between two dates, in UTC.
//!
//! A [`Schedule`] computes times, [`Scheduler`] decides which run is due, and [`RunStore`] stores
//! the results. Times depend only on the wall clock and the settings, so two programs with the same
//! settings compute the same times.

mod cron;
mod run_record;
mod run_store;
mod scheduler;

pub use cron::{Cron, CronError};
pub use run_record::{RunCounts, RunRecord, RunResult, RunStatus, RunTrigger};
pub use run_store::{ActiveRun, RunHistory, RunStore, RunStoreError};
pub use scheduler::{DueRun, ScheduleEnd, Scheduler, run_on_schedule};

use std::time::Duration;

use thiserror::Error;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time};

use standpipe_core::clock;

/// The minimum interval between two runs of the catalog. A run of a large account takes longer than
/// this, because Firehose is called five times per second.
const SCHEDULE_EVERY_MIN: Duration = Duration::from_secs(1);

/// The maximum interval.
const SCHEDULE_EVERY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// When the catalog runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    rhythm: Rhythm,
    /// No run is due before this time.
    start: Option<OffsetDateTime>,
    /// No run is due after this time.
    end: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rhythm {
    /// Runs start only on request.
    Manual,
    Cron(Cron),
    /// Runs are due at all whole multiples of this interval since 1970.
    Every(Duration),
}

/// Why a schedule is invalid.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ScheduleError {
    /// The text is neither a word nor a cron expression.
    #[error(
        "schedule is {text:?}: {error}: write \"manual\", \"hourly\", \"daily\", \"weekly\", \"every 15m\", or the five \
         fields of a cron expression such as \"30 6 * * mon-fri\""
    )]
    Rhythm {
        /// The text.
        text: String,
        /// The error of the expression.
        error: CronError,
    },
    /// The interval between two runs is out of range.
    #[error(
        "schedule is {text:?}: write an interval between {} and {}, such as \"every 15m\"",
        humantime::format_duration(SCHEDULE_EVERY_MIN),
        humantime::format_duration(SCHEDULE_EVERY_MAX)
    )]
    Every {
        /// The text.
        text: String,
    },
    /// A date is invalid.
    #[error(
        "{key} is {text:?}: write a date such as \"2026-01-31\", or a time such as \"2026-01-31T06:00:00Z\""
    )]
    Date {
        /// The key of the date.
        key: &'static str,
        /// The text.
        text: String,
    },
    /// The end is before the start.
    #[error("end_date is before start_date: swap them, or remove one")]
    Backwards,
}

impl Schedule {
    /// A schedule without runs.
    pub fn manual() -> Self {
        Schedule { rhythm: Rhythm::Manual, start: None, end: None }
    }

    /// Parses a schedule, and the dates between which it applies. A date without a time means its
    /// first moment for the start, and its last moment for the end.
    ///
    /// # Errors
    ///
    /// Fails if one of them is invalid.
    pub fn parse(
        rhythm: &str,
        start_date: Option<&str>,
        end_date: Option<&str>,
    ) -> Result<Self, ScheduleError> {
        let last = Time::MIDNIGHT - time::Duration::SECOND;
        let start =
            start_date.map(|text| parse_date("start_date", text, Time::MIDNIGHT)).transpose()?;
        let end = end_date.map(|text| parse_date("end_date", text, last)).transpose()?;
        if start.zip(end).is_some_and(|(start, end)| end < start) {
            return Err(ScheduleError::Backwards);
        }
        Ok(Schedule { rhythm: Rhythm::parse(rhythm)?, start, end })
    }

    /// Returns whether runs start only on request.
    pub fn is_manual(&self) -> bool {
        self.rhythm == Rhythm::Manual
    }

    /// Returns the first due time after this one, or `None` if there are no more.
    pub fn next_after(&self, after: OffsetDateTime) -> Option<OffsetDateTime> {
        let before_start = |start: OffsetDateTime| start - time::Duration::NANOSECOND;
        let after = self.start.map_or(after, |start| after.max(before_start(start)));
        let next = match &self.rhythm {
            Rhythm::Manual => None,
            Rhythm::Cron(cron) => cron.next_after(after),
            Rhythm::Every(pause) => next_multiple(*pause, after),
        }?;
        self.end.is_none_or(|end| next <= end).then_some(next)
    }
}

impl Rhythm {
    fn parse(text: &str) -> Result<Self, ScheduleError> {
        let word = text.trim().to_ascii_lowercase();
        if word == "manual" {
            return Ok(Rhythm::Manual);
        }
        if let Some(pause) = word.strip_prefix("every ") {
            let allowed = SCHEDULE_EVERY_MIN..=SCHEDULE_EVERY_MAX;
            let pause = humantime::parse_duration(pause.trim()).ok();
            let pause = pause.filter(|pause| allowed.contains(pause) && pause.subsec_nanos() == 0);
            return pause
                .map(Rhythm::Every)
                .ok_or_else(|| ScheduleError::Every { text: text.to_owned() });
        }
        let expression = match &*word {
            "hourly" => "0 * * * *",
            "daily" => "0 0 * * *",
            // As in OpenMetadata's own pages, the week starts on Monday.
            "weekly" => "0 0 * * mon",
            other => other,
        };
        let cron = expression.parse();
        cron.map(Rhythm::Cron)
            .map_err(|error| ScheduleError::Rhythm { text: text.to_owned(), error })
    }
}

fn next_multiple(pause: Duration, after: OffsetDateTime) -> Option<OffsetDateTime> {
    let pause = i64::try_from(pause.as_secs()).ok()?;
    let next = (after.unix_timestamp().div_euclid(pause) + 1).checked_mul(pause)?;
    OffsetDateTime::from_unix_timestamp(next).ok()
}

fn parse_date(
    key: &'static str,
    text: &str,
    time_of_date: Time,
) -> Result<OffsetDateTime, ScheduleError> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    let day = day.map(|day| day.with_time(time_of_date).assume_utc());
    day.or_else(|| clock::parse_rfc3339(text))
        .ok_or_else(|| ScheduleError::Date { key, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> OffsetDateTime {
        clock::parse_rfc3339(text).unwrap()
    }

    fn next(rhythm: &str, after: &str) -> Option<String> {
        let schedule = Schedule::parse(rhythm, None, None).unwrap();
        schedule.next_after(time(after)).map(|next| clock::rfc3339(next)[..19].to_owned())
    }

    #[test]
    fn words_are_rhythms() {
        // This day is a Thursday.
        for (rhythm, expected) in [
            ("hourly", "2026-01-01T11:00:00"),
            ("Daily", "2026-01-02T00:00:00"),
            ("weekly", "2026-01-05T00:00:00"),
            ("every 15m", "2026-01-01T10:45:00"),
            ("every 7s", "2026-01-01T10:30:07"),
            ("30 6 * * mon-fri", "2026-01-02T06:30:00"),
        ] {
            assert_eq!(next(rhythm, "2026-01-01T10:30:00Z").as_deref(), Some(expected), "{rhythm}");
        }
        assert_eq!(next("manual", "2026-01-01T10:30:00Z"), None);
    }

    #[test]
    fn dates_bound_it() {
        let schedule = Schedule::parse("daily", Some("2026-02-01"), Some("2026-02-03")).unwrap();
        let mut now = time("2025-01-01T00:00:00Z");
        let mut days = Vec::new();
        while let Some(next) = schedule.next_after(now) {
            days.push(next.day());
            now = next;
        }
        assert_eq!(days, [1, 2, 3]);
        let until = Schedule::parse("daily", None, Some("2026-02-03T00:00:00+01:00")).unwrap();
        assert_eq!(until.next_after(time("2026-02-02T00:00:00Z")), None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (rhythm, start, end, word) in [
            ("sometimes", None, None, "manual"),
            ("every 1ms", None, None, "every 15m"),
            ("every 5000d", None, None, "every 15m"),
            ("daily", Some("soon"), None, "start_date"),
            ("daily", None, Some("2026-02-30"), "end_date"),
            ("daily", Some("2026-02-02"), Some("2026-02-01"), "swap"),
        ] {
            let error = Schedule::parse(rhythm, start, end).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(rhythm in ".{0,30}", start in ".{0,20}", seconds in any::<i32>()) {
            let now = OffsetDateTime::from_unix_timestamp(seconds.into()).unwrap();
            for start in [None, Some(&*start)] {
                if let Ok(schedule) = Schedule::parse(&rhythm, start, None) {
                    let _ = schedule.next_after(now);
                }
            }
        }

        #[test]
        fn multiples_follow_one_another(pause in 1..100_000_u64, seconds in 0..4_000_000_000_i64) {
            let after = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let next = next_multiple(Duration::from_secs(pause), after).unwrap();
            prop_assert!(next > after && (next - after).unsigned_abs() <= Duration::from_secs(pause));
            prop_assert_eq!(next.unix_timestamp().unsigned_abs() % pause, 0);
        }
    }
}
