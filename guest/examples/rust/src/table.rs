//! Finds the streams of an event by its name or type.

use std::collections::HashMap;

use standpipe_plugin::{Setup, Stream};

use crate::settings::Row;

/// The mapping that matches events that no other mapping matches.
pub(crate) const ANY: &str = "*";

/// The mappings, keyed by their event in lower case.
pub(crate) struct Table(HashMap<String, Streams>);

/// The streams of the mappings of one event.
#[derive(Default)]
pub(crate) struct Streams {
    /// The stream of the last mapping, or `None` if that stream is empty.
    pub(crate) last: Option<Stream>,
    /// The streams of all mappings, each once.
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
