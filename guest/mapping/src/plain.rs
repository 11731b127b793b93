//! Mappings that have only an event and a stream, as in most settings. The event's kind alone
//! decides, so its text is not read.

use standpipe_plugin::{Setup, Stream};

use crate::settings::{self, MappingRow};
use crate::table::EventTable;

/// The streams of the mappings of one event.
#[derive(Debug, Default, Clone)]
pub(crate) struct RowStreams {
    /// The stream of the last mapping, or `None` if that stream is empty.
    last: Option<Stream>,
    /// The streams of all mappings, each once, in order.
    all: Vec<Stream>,
}

/// The mappings that match one event, most specific first.
#[derive(Debug)]
pub(crate) struct MatchedRows<'a> {
    pub(crate) levels: [Option<&'a RowStreams>; 3],
}

/// # Errors
///
/// Fails if Firehose would reject the name of a stream.
pub(crate) fn build_table(
    rows: &[MappingRow],
    setup: &mut Setup,
) -> Result<EventTable<RowStreams>, String> {
    EventTable::new(
        rows,
        |row| &row.event,
        |streams: &mut RowStreams, row| {
            streams.last = None;
            let settings::RowTarget::Named(name) = &row.stream else { return Ok(()) };
            let stream = row.declare_stream(name, setup)?;
            streams.last = Some(stream);
            if !streams.all.contains(&stream) {
                streams.all.push(stream);
            }
            Ok(())
        },
    )
}

impl MatchedRows<'_> {
    /// The stream of the most specific mapping that names one.
    pub(crate) fn first_stream(&self) -> Option<Stream> {
        self.levels.iter().flatten().find_map(|streams| streams.last)
    }

    /// Every stream of every matching mapping, each once.
    pub(crate) fn all_streams(&self) -> impl Iterator<Item = Stream> {
        self.levels.iter().enumerate().flat_map(|(level, streams)| {
            let seen = self.levels[..level].iter().flatten();
            let is_new =
                move |stream: &Stream| !seen.clone().any(|earlier| earlier.all.contains(stream));
            streams.iter().flat_map(|streams| &streams.all).copied().filter(is_new)
        })
    }
}
