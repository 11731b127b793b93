//! Writes times as JSON.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::{TimeFormat, Writing};

/// Writes a time as JSON. Returns `None` if its year does not have four digits, or the format fails.
pub(super) fn write_json(time: Timestamp, writing: &Writing, zone: &TimeZone) -> Option<String> {
    match writing {
        Writing::UnixSeconds => return Some(floor_units(time, 1_000_000_000)),
        Writing::UnixMillis => return Some(floor_units(time, 1_000_000)),
        Writing::Rfc3339 | Writing::Date | Writing::Format(_) => {}
    }
    let local = Zoned::new(time, zone.clone());
    if local.year() < 0 {
        return None;
    }
    match writing {
        Writing::Rfc3339 => Some(format!("\"{}\"", rfc_3339(&local))),
        Writing::Date => Some(format!("\"{}\"", local.date())),
        Writing::Format(TimeFormat(format)) => {
            let text = BrokenDownTime::from(&local).to_string(format).ok()?;
            serde_json::to_string(&text).ok()
        }
        Writing::UnixSeconds | Writing::UnixMillis => None,
    }
}

/// The number of whole units, rounded down, also before 1970.
fn floor_units(time: Timestamp, unit_nanoseconds: i128) -> String {
    time.as_nanosecond().div_euclid(unit_nanoseconds).to_string()
}

fn rfc_3339(local: &Zoned) -> String {
    let nanoseconds = local.subsec_nanosecond();
    let digits = match nanoseconds {
        0 => 0,
        _ if nanoseconds % 1_000_000 == 0 => 3,
        _ if nanoseconds % 1_000 == 0 => 6,
        _ => 9,
    };
    let printer = DateTimePrinter::new().precision(Some(digits));
    if *local.time_zone() == TimeZone::UTC {
        printer.timestamp_to_string(&local.timestamp())
    } else {
        // Local mean time had offsets with seconds, which the format cannot express.
        let minutes = local.offset().seconds() / 60;
        let offset = Offset::from_seconds(minutes * 60).unwrap_or(Offset::UTC);
        printer.timestamp_with_offset_to_string(&local.timestamp(), offset)
    }
}
