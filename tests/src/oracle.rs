//! Computes the outcome of every event in the simplest possible way.
//!
//! It shares no code with the program: it parses whole events with `serde_json`, and searches the
//! mappings one after the other.

use std::collections::BTreeMap;

use serde_json::Value;

/// Records by delivery stream.
pub type Streams = BTreeMap<String, Vec<Vec<u8>>>;

/// Mapping rows, as event and stream.
#[derive(Debug, Clone)]
pub struct Oracle<'a> {
    /// The rows; the last one of an event counts.
    pub rows: &'a [(&'a str, &'a str)],
    /// Streams whose records end without a newline.
    pub without_newline: &'a [&'a str],
}

/// The expected outcome of some lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedOutcome {
    /// The records of each stream.
    pub streams: Streams,
    /// Number of filtered events.
    pub filtered: u64,
    /// Lines that are not events, by their number, with their bytes.
    pub not_events: BTreeMap<u64, Vec<u8>>,
}

/// The differences between received and expected records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Missing records: stream and record.
    pub missing: Vec<(String, Vec<u8>)>,
    /// Records that were never expected.
    pub unknown: Vec<(String, Vec<u8>)>,
    /// Records received more often than expected, once for each superfluous time.
    pub doubled: Vec<(String, Vec<u8>)>,
}

impl<'a> Oracle<'a> {
    /// An oracle for these rows; every record ends with a newline.
    pub fn new(rows: &'a [(&'a str, &'a str)]) -> Self {
        Oracle { rows, without_newline: &[] }
    }

    /// The stream of an event, by the precedence name, type, `*`.
    pub fn stream_of(&self, event: &serde_json::Map<String, Value>) -> Option<&'a str> {
        let word =
            |key: &str| event.get(key).and_then(Value::as_str).filter(|word| !word.is_empty());
        let levels = [word("event"), word("type"), Some("*")];
        levels.into_iter().flatten().find_map(|word| self.find_row(word))
    }

    fn find_row(&self, word: &str) -> Option<&'a str> {
        let matching = self.rows.iter().rev();
        let row = matching.clone().find(|(event, _)| event.to_lowercase() == word.to_lowercase());
        row.map(|(_, stream)| *stream).filter(|stream| !stream.is_empty())
    }

    /// The expected outcome of the lines of an input.
    pub fn expected_outcome(&self, input: &[u8]) -> ExpectedOutcome {
        let mut fate = ExpectedOutcome::default();
        for (number, line) in (1..).zip(input.split(|&byte| byte == b'\n')) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.iter().all(|byte| b" \t\r".contains(byte)) {
                self.add_line(&mut fate, number, line);
            }
        }
        fate
    }

    fn add_line(&self, fate: &mut ExpectedOutcome, number: u64, line: &[u8]) {
        let Ok(Value::Object(event)) = serde_json::from_slice(line) else {
            fate.not_events.insert(number, line.to_owned());
            return;
        };
        let Some(stream) = self.stream_of(&event) else {
            fate.filtered += 1;
            return;
        };
        let newline = if self.without_newline.contains(&stream) { &b""[..] } else { b"\n" };
        let records = fate.streams.entry(stream.to_owned()).or_default();
        records.push([line, newline].concat());
    }
}

impl ExpectedOutcome {
    /// The number of events that go to streams.
    pub fn delivered_count(&self) -> u64 {
        self.streams.values().map(|records| records.len() as u64).sum()
    }
}

/// Splits the bytes of a stream into records, each of which ends with a newline.
pub fn split_records(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Compares received records with the expected ones, in any order.
pub fn compare_streams(expected: &Streams, got: &Streams) -> Differences {
    let mut balance = BTreeMap::<(&str, &[u8]), (usize, usize)>::new();
    for (stream, record) in each_record(expected) {
        balance.entry((stream, record)).or_default().0 += 1;
    }
    for (stream, record) in each_record(got) {
        balance.entry((stream, record)).or_default().1 += 1;
    }
    let mut differences = Differences::default();
    for ((stream, record), (expected, got)) in balance {
        let list = match (expected, got) {
            (0, _) => &mut differences.unknown,
            (expected, got) if got < expected => &mut differences.missing,
            _ => &mut differences.doubled,
        };
        let record = (stream.to_owned(), record.to_owned());
        list.extend(std::iter::repeat_n(record, expected.abs_diff(got)));
    }
    differences
}

/// Fails unless the received records are exactly the expected ones.
pub fn assert_same(expected: &Streams, got: &Streams) {
    let differences = compare_streams(expected, got);
    assert!(differences == Differences::default(), "{}", differences.text());
}

impl Differences {
    /// The differences as text: the number of each kind, with the first examples.
    pub fn text(&self) -> String {
        let kinds =
            [("missing", &self.missing), ("unknown", &self.unknown), ("doubled", &self.doubled)];
        let kinds = kinds.iter().filter_map(|(kind, records)| {
            let (stream, record) = records.first()?;
            let (count, record) = (records.len(), record.escape_ascii());
            Some(format!("{count} {kind}, the first in {stream}: {record}"))
        });
        kinds.collect::<Vec<_>>().join("\n")
    }
}

fn each_record(streams: &Streams) -> impl Iterator<Item = (&str, &[u8])> {
    streams.iter().flat_map(|(stream, records)| {
        records.iter().map(move |record| (stream.as_str(), record.as_slice()))
    })
}
