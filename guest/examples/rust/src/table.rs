//! From the name or type of an event to the streams of its rows.

use std::collections::HashMap;

use standpipe_plugin::{Setup, Stream};

use crate::settings::Row;

/// The row that matches whatever no other row matches.
pub(crate) const ANY: &str = "*";

/// The rows by their event, in lower case.
pub(crate) struct Table(HashMap<String, Streams>);

/// What the rows of one event say.
#[derive(Default)]
pub(crate) struct Streams {
    /// The stream of the last row; none if it is empty there.
    pub(crate) last: Option<Stream>,
    /// The streams of all rows, each once.
    pub(crate) all: Vec<Stream>,
}

impl Table {
    /// Declares each stream.
    pub(crate) fn new(rows: &[Row], setup: &mut Setup) -> Result<Self, String> {
        let mut table = HashMap::<String, Streams>::new();
        for row in rows {
            let streams = table.entry(row.event.to_lowercase()).or_default();
            streams.last = None;
            if row.stream.is_empty() {
                continue;
            }
            let stream = setup
                .declare(&row.stream)
                .map_err(|error| format!("mapping {} ({:?}): {error}", row.number, row.event))?;
            streams.last = Some(stream);
            if !streams.all.contains(&stream) {
                streams.all.push(stream);
            }
        }
        Ok(Table(table))
    }

    pub(crate) fn find_row(&self, word: &str) -> Option<&Streams> {
        self.0.get(&word.to_lowercase())
    }
}
