//! Rows that are no more than an event and a stream, which is all that most
//! settings have: the event's kind decides, and its text is not needed.

use standpipe_plugin::{Setup, Stream};

use crate::settings::{self, Row};
use crate::table::Table;

/// The streams of an event's rows.
#[derive(Debug, Default, Clone)]
pub(crate) struct Streams {
    /// The stream of the last row; none where that row's stream is empty.
    last: Option<Stream>,
    /// The streams of all rows, each once, in their order.
    all: Vec<Stream>,
}

/// The rows that match one event, most specific first.
#[derive(Debug)]
pub(crate) struct Matched<'a> {
    pub(crate) levels: [Option<&'a Streams>; 3],
}

/// # Errors
///
/// Firehose would refuse a stream's name.
pub(crate) fn table(rows: &[Row], setup: &mut Setup) -> Result<Table<Streams>, String> {
    Table::new(
        rows,
        |row| &row.event,
        |streams: &mut Streams, row| {
            streams.last = None;
            let settings::Stream::Named(name) = &row.stream else { return Ok(()) };
            let stream = row.declare(name, setup)?;
            streams.last = Some(stream);
            if !streams.all.contains(&stream) {
                streams.all.push(stream);
            }
            Ok(())
        },
    )
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
