//! Cron expressions of five fields in UTC. The search for the next minute is limited. Expressions
//! that no day satisfies are rejected.

use std::str::FromStr;

use thiserror::Error;
use time::{Date, OffsetDateTime, Time, UtcOffset};

/// Maximum number of days to search for the next due one: the leap days of 40 years, which include
/// every weekday, even across a century without a leap day.
const DAYS_MAX: usize = 48 * 366;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The five fields of a cron expression: minute, hour, day of the month, month, day
/// of the week.
///
/// As in cron, a day is due if either of its two fields matches it, or if both match when one of
/// them starts with `*`. Fields can have lists, ranges, steps, and names of three letters. 0 and 7
/// are Sunday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether both fields must match a day.
    needs_both: bool,
}

/// Why a text is not a cron expression.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum CronError {
    /// The number of fields is wrong.
    #[error("expected 5 fields, found {0}")]
    Fields(usize),
    /// A field cannot be parsed.
    #[error("invalid {field} {part:?}: expected {least} to {most}")]
    Part {
        /// The text of the field.
        part: String,
        /// The name of the field.
        field: &'static str,
        /// The minimum value.
        least: u8,
        /// The maximum value.
        most: u8,
    },
    /// No year has such a day.
    #[error("no date matches it")]
    Never,
}

struct Field {
    name: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", least: 1, most: 31, names: &[] };
const MONTH: Field = Field { name: "month", least: 1, most: 12, names: &MONTHS };
const WEEKDAY: Field = Field { name: "day of the week", least: 0, most: 7, names: &WEEKDAYS };

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let fields: Vec<_> = text.split_ascii_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = &fields[..] else {
            return Err(CronError::Fields(fields.len()));
        };
        let mut on = WEEKDAY.parse_field(weekdays)?;
        if on & 1 << 7 != 0 {
            on = on & !(1 << 7) | 1;
        }
        let cron = Cron {
            minutes: MINUTE.parse_field(minutes)?,
            hours: HOUR.parse_field(hours)?,
            days: DAY.parse_field(days)?,
            months: MONTH.parse_field(months)?,
            weekdays: on,
            needs_both: days.starts_with('*') || weekdays.starts_with('*'),
        };
        let any = OffsetDateTime::UNIX_EPOCH;
        cron.next_after(any).map(|_| cron).ok_or(CronError::Never)
    }
}

impl Cron {
    /// The first matching minute after this time, in UTC.
    pub fn next_after(&self, after: OffsetDateTime) -> Option<OffsetDateTime> {
        let after = after.checked_to_offset(UtcOffset::UTC)?;
        let from = after.checked_add(time::Duration::minutes(1))?;
        let mut date = from.date();
        let mut least = (from.hour(), from.minute());
        for _ in 0..DAYS_MAX {
            if self.has_day(date)
                && let Some((hour, minute)) = self.next_of_day(least)
            {
                let time = Time::from_hms(hour, minute, 0).ok()?;
                return Some(date.with_time(time).assume_utc());
            }
            date = date.next_day()?;
            least = (0, 0);
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let is_day = has_bit(self.days, date.day());
        let is_weekday = has_bit(self.weekdays, date.weekday().number_days_from_sunday());
        has_bit(self.months, date.month().into())
            && if self.needs_both { is_day && is_weekday } else { is_day || is_weekday }
    }

    /// The first time of day at or after this one.
    fn next_of_day(&self, (hour, minute): (u8, u8)) -> Option<(u8, u8)> {
        let same = has_bit(self.hours, hour).then(|| first_bit(self.minutes, minute)).flatten();
        let later = || Some((first_bit(self.hours, hour + 1)?, first_bit(self.minutes, 0)?));
        same.map(|minute| (hour, minute)).or_else(later)
    }
}

impl Field {
    fn parse_field(&self, text: &str) -> Result<u64, CronError> {
        text.split(',').try_fold(0, |all, part| Ok(all | self.parse_part(part)?))
    }

    /// `*`, `N`, `N-M`, each with or without `/STEP`.
    fn parse_part(&self, part: &str) -> Result<u64, CronError> {
        let wrong = || CronError::Part {
            part: part.chars().take(40).collect(),
            field: self.name,
            least: self.least,
            most: self.most,
        };
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(parse_number(step).filter(|&step| step > 0))),
            None => (part, None),
        };
        let step = step.map(|step| step.ok_or_else(wrong)).transpose()?;
        let (least, most) = match range.split_once('-') {
            _ if range == "*" => (self.least, self.most_of_star()),
            Some((least, most)) => (
                self.parse_value(least).ok_or_else(wrong)?,
                self.parse_value(most).ok_or_else(wrong)?,
            ),
            None => {
                let least = self.parse_value(range).ok_or_else(wrong)?;
                (least, if step.is_some() { self.most_of_star() } else { least })
            }
        };
        if most < least {
            return Err(wrong());
        }
        let values = (least..=most).step_by(step.unwrap_or(1).into());
        Ok(values.fold(0, |all, value| all | 1 << value))
    }

    /// The maximum that `*` includes: Sunday is not included twice.
    fn most_of_star(&self) -> u8 {
        if self.most == WEEKDAY.most { 6 } else { self.most }
    }

    fn parse_value(&self, text: &str) -> Option<u8> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let named = named.and_then(|place| u8::try_from(place).ok()).map(|at| at + self.least);
        named
            .or_else(|| parse_number(text))
            .filter(|value| (self.least..=self.most).contains(value))
    }
}

/// Parses digits only, because Rust's parser accepts a sign.
fn parse_number(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn has_bit(set: u64, value: u8) -> bool {
    set >> value & 1 == 1
}

/// The smallest element of a set that is not below the minimum.
fn first_bit(set: u64, least: u8) -> Option<u8> {
    let set = set & u64::MAX.checked_shl(least.into())?;
    (set != 0).then(|| u8::try_from(set.trailing_zeros()).expect("there are 64 bits"))
}

#[cfg(test)]
mod tests;
