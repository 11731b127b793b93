//! From an event's name and type to the streams of the rows that match.

use std::collections::HashMap;

use guest::{Setup, Stream};

use crate::settings::Row;

/// The row that matches when no other does.
const ANY: &str = "*";

/// The rows, keyed by their lower-cased event.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: HashMap<String, Streams>,
    any: Streams,
    /// Reused for every lookup, so that lower-casing allocates nothing.
    key: String,
}

#[derive(Debug, Default, Clone)]
struct Streams {
    /// The stream of the last row; none where that row's stream is empty.
    last: Option<Stream>,
    /// The streams of all rows, each once, in their order.
    all: Vec<Stream>,
}

/// The rows that match one event, most specific first.
#[derive(Debug)]
pub(crate) struct Matched<'a> {
    levels: [Option<&'a Streams>; 3],
}

impl Table {
    pub(crate) fn new(rows: &[Row], setup: &mut Setup) -> Result<Self, String> {
        let mut table = HashMap::<String, Streams>::with_capacity(rows.len());
        for row in rows {
            let streams = table.entry(row.event.to_lowercase()).or_default();
            streams.last = None;
            if row.stream.is_empty() {
                continue;
            }
            let stream = setup.declare(&row.stream);
            let stream = stream.map_err(|error| {
                format!("mappings row {} ({:?}): {error}", row.number, row.event)
            })?;
            streams.last = Some(stream);
            if !streams.all.contains(&stream) {
                streams.all.push(stream);
            }
        }
        let any = table.get(ANY).cloned().unwrap_or_default();
        Ok(Table { rows: table, any, key: String::new() })
    }

    pub(crate) fn matched(
        &mut self,
        name: Option<&str>,
        message_type: Option<&str>,
    ) -> Matched<'_> {
        let Table { rows, any, key } = self;
        let mut find = |word: Option<&str>| rows.get(lower_case(word?, key));
        Matched { levels: [find(name), find(message_type), Some(any)] }
    }
}

impl Matched<'_> {
    /// The stream of the most specific row that names one.
    pub(crate) fn first_stream(&self) -> Option<Stream> {
        self.levels.iter().flatten().find_map(|streams| streams.last)
    }

    /// Every stream of every matching row, each once.
    pub(crate) fn all_streams(&self) -> impl Iterator<Item = Stream> {
        self.levels.iter().enumerate().flat_map(|(level, streams)| {
            let seen = self.levels[..level].iter().flatten();
            let is_new =
                move |stream: &Stream| !seen.clone().any(|earlier| earlier.all.contains(stream));
            streams.iter().flat_map(|streams| &streams.all).copied().filter(is_new)
        })
    }
}

/// Unicode's default lower-casing, as JavaScript's `toLowerCase` does it.
fn lower_case<'a>(word: &str, buffer: &'a mut String) -> &'a str {
    buffer.clear();
    if word.is_ascii() {
        buffer.push_str(word);
        buffer.make_ascii_lowercase();
    } else {
        *buffer = word.to_lowercase();
    }
    buffer
}
