//! Generates events of a shop. The events are always the same.
//!
//! Kinds, nesting and sizes resemble those of real events: a quarter are pages, a twelfth
//! identifies, and the rest are track events with 18 names. Each has a context, and the mean size
//! is 818 bytes with the newline.

mod details;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use time::macros::datetime;

use details::{EventKind, PATHS};
use standpipe_core::clock;

const SEED: u64 = 0x5eed;

/// The time range of the events.
const MONTH: Duration = Duration::from_hours(28 * 24);

/// The minimum size of an event, in bytes with its newline.
pub const EVENT_BYTES_MIN: usize = 100;

/// The maximum size, which still fits into a record.
pub const EVENT_BYTES_MAX: usize = 1_000_000;

/// Padding up to this number of bytes is one string. Longer padding is nested like the rest of an
/// event, because a long string is easier to scan than real events.
const NOTE_BYTES_MAX: usize = 300;

/// The shape of generated events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventShape {
    /// The number of events.
    pub events: u64,
    /// The size of each event with its newline, [`EVENT_BYTES_MIN`] to [`EVENT_BYTES_MAX`]. By
    /// default, events have their natural sizes.
    pub event_bytes: Option<usize>,
    /// The number of event names, evenly distributed, for the same number of delivery streams. By
    /// default, events have their natural names.
    pub streams: Option<NonZero<usize>>,
}

impl EventShape {
    /// The name of events for a stream, if events are distributed over streams.
    pub(super) fn event_name(self, stream: usize) -> String {
        format!("Event {stream}")
    }
}

/// Writes events to a file.
#[expect(clippy::disallowed_methods, reason = "generated events contain no secrets")]
pub(super) fn write_events(shape: EventShape, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut generator = EventGenerator { rng: Rng::with_seed(SEED), number: 0, shape };
    let mut line = String::new();
    for _ in 0..shape.events {
        generator.write_event(&mut line);
        line.push('\n');
        file.write_all(line.as_bytes())?;
    }
    file.flush()
}

struct EventGenerator {
    rng: Rng,
    number: u64,
    shape: EventShape,
}

impl EventGenerator {
    /// Replaces the content of `line` with the next event.
    fn write_event(&mut self, line: &mut String) {
        self.number += 1;
        let kind = EventKind::draw_kind(&mut self.rng);
        let name = match self.shape.streams {
            Some(streams) => Some(self.shape.event_name(self.rng.usize(..streams.get()))),
            None => kind.name().map(str::to_owned),
        };
        line.clear();
        self.write_natural(line, kind, name.as_deref());
        let Some(bytes) = self.shape.event_bytes else { return };
        // The text must leave room for `,"note":""` and the newline.
        if line.len() + 11 > bytes {
            line.clear();
            self.write_short(line, kind, name.as_deref());
        }
        self.pad_event(line, bytes);
    }

    fn write_natural(&mut self, line: &mut String, kind: EventKind, name: Option<&str>) {
        line.push_str(r#"{"anonymousId":""#);
        self.write_uuid(line);
        line.push_str(r#"","channel":"client""#);
        begin_event(line, ',', kind, name);
        let rng = &mut self.rng;
        let path = details::pick_one(rng, PATHS);
        kind.write_details(line, rng, path);
        details::write_context(line, rng, kind, path);
        let _ = write!(
            line,
            r#","integrations":{{"All":true,"Mixpanel":false}},"messageId":"ajs-{:032x}""#,
            rng.u128(..)
        );
        let time = self.next_time();
        let _ = write!(line, r#","sentAt":"{time}","timestamp":"{time}","userId":"#);
        let user = self.rng.u64(..50_000);
        if kind == EventKind::Identify || self.rng.u8(..5) > 0 {
            let hash = user.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let _ = write!(line, r#""{hash:016x}{user:04x}"}}"#);
        } else {
            line.push_str("null}");
        }
    }

    /// Writes an event with the members for routing and an id.
    fn write_short(&mut self, line: &mut String, kind: EventKind, name: Option<&str>) {
        begin_event(line, '{', kind, name);
        let _ = write!(line, r#","messageId":"{:08x}"}}"#, self.rng.u32(..));
    }

    /// Pads an event to a length in bytes, with its newline.
    fn pad_event(&mut self, line: &mut String, bytes: usize) {
        line.pop();
        let mut before = r#","items":["#;
        while bytes - line.len() > NOTE_BYTES_MAX {
            line.push_str(before);
            details::write_product(line, &mut self.rng);
            before = ",";
        }
        if before == "," {
            line.push(']');
        }
        line.push_str(r#","note":""#);
        let fill = "made to measure ".chars().cycle();
        let missing = bytes - line.len() - "\"}\n".len();
        line.extend(fill.take(missing));
        line.push_str("\"}");
    }

    fn write_uuid(&mut self, line: &mut String) {
        let (high, low) = (self.rng.u64(..), self.rng.u64(..));
        let _ = write!(
            line,
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff
        );
    }

    /// The next timestamp: about 12 events per second, within one month.
    fn next_time(&mut self) -> String {
        let since_start = Duration::from_millis(self.number * 86 + self.rng.u64(..80));
        let within_month = since_start.as_millis() % MONTH.as_millis();
        clock::rfc3339(datetime!(2026-08-01 0:00 UTC) + Duration::from_millis(within_month as u64))
    }
}

/// Writes the start of an event: its type and name.
fn begin_event(line: &mut String, before: char, kind: EventKind, name: Option<&str>) {
    let _ = write!(line, r#"{before}"type":"{}""#, kind.message_type());
    if let Some(name) = name {
        let _ = write!(line, r#","event":"{name}""#);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn generated_events(shape: EventShape) -> Vec<serde_json::Value> {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_events(shape, file.path()).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        if let Some(bytes) = shape.event_bytes {
            assert!(text.split_inclusive('\n').all(|line| line.len() == bytes), "{bytes}");
        } else {
            let mean = text.len() as u64 / shape.events;
            assert!((800..840).contains(&mean), "an event has {mean} bytes");
        }
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[test]
    fn events_are_of_natural_kinds_and_sizes() {
        let shape = EventShape { events: 5000, ..EventShape::default() };
        let mut kinds = BTreeMap::<String, usize>::new();
        for event in generated_events(shape) {
            let kind = event["event"].as_str().unwrap_or(event["type"].as_str().unwrap());
            *kinds.entry(kind.to_owned()).or_default() += 1;
            assert!(event["context"]["library"]["name"].is_string());
        }
        assert_eq!(kinds.len(), 20, "{kinds:?}");
        assert!((1200..1400).contains(&kinds["page"]), "{kinds:?}");
        assert!((340..460).contains(&kinds["identify"]), "{kinds:?}");
        assert!((60..140).contains(&kinds["Order Completed"]), "{kinds:?}");
    }

    #[test]
    fn events_are_as_large_as_asked_for() {
        for event_bytes in [EVENT_BYTES_MIN, 101, 400, 818, 1000, 10_000, EVENT_BYTES_MAX] {
            let count = (500_000 / event_bytes as u64).max(2);
            generated_events(EventShape {
                events: count,
                event_bytes: Some(event_bytes),
                streams: None,
            });
        }
        let streams = NonZero::new(500);
        generated_events(EventShape { events: 1000, event_bytes: Some(EVENT_BYTES_MIN), streams });
    }

    #[test]
    fn events_are_spread_over_streams() {
        let shape = EventShape { events: 1000, streams: NonZero::new(3), event_bytes: Some(200) };
        let mut names = BTreeMap::<String, usize>::new();
        for event in generated_events(shape) {
            *names.entry(event["event"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(names.keys().collect::<Vec<_>>(), ["Event 0", "Event 1", "Event 2"]);
        assert!(names.values().all(|count| *count > 250), "{names:?}");
    }
}
