//! The time of day, in the one form that the host writes.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::macros::format_description;

/// Now, as RFC 3339 in UTC with milliseconds.
pub fn now_rfc3339() -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from(SystemTime::now())
        .format(format)
        .expect("a date between the years 0 and 9999")
}

/// Now, in a form that sorts by time and can stand in a file's name.
pub fn now_for_file_name() -> String {
    let format =
        format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");
    OffsetDateTime::from(SystemTime::now())
        .format(format)
        .expect("a date between the years 0 and 9999")
}
