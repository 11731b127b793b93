//! Reads entries from the spool and creates chunks of their events.

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::HeldEvents;
use standpipe_core::event::{
    Ack, Chunk, EventEntry, EventSource, EventTotals, LineError, Lines, NextChunk, Settled,
    Settlements, SourceNames, UnknownRefusal,
};
use standpipe_core::limits::CHUNK_BYTES;
use standpipe_core::log_interval::LogInterval;
use standpipe_spool::limits::SPOOL_LOG_STEP;
use standpipe_spool::{Consumer, EntryPosition, NextEntry, Spool};

/// Reads entries from the spool and creates chunks of their events.
///
/// Waiting entries of one source share a chunk, so requests with single events cost little more
/// than requests with many.
#[derive(Debug)]
pub struct SpoolReader {
    consumer: Consumer,
    /// The spool that receives the acknowledgements.
    spool: Spool,
    /// The counters for outcomes of events.
    totals: Arc<EventTotals>,
    /// The known sources. They can be replaced at run time.
    sources: Arc<ArcSwap<SourceNames>>,
    /// The counter for events of unknown sources.
    held: Arc<HeldEvents>,
    gathered: PendingChunk,
    /// The number of the next chunk's first event, counted from 1.
    next_line: u64,
    /// Limits the log lines about events that stay in the spool because this version of the program
    /// cannot read them.
    log_of_unreadable: LogInterval,
}

/// A chunk that is being filled.
#[derive(Debug, Default)]
struct PendingChunk {
    source: String,
    lines: Lines,
    parts: Vec<EntryEvents>,
}

/// The part of a chunk that comes from one entry.
#[derive(Debug)]
struct EntryEvents {
    place: EntryPosition,
    /// The positions of the events in the chunk.
    events: Range<usize>,
    /// The position of each event in the entry. `None` if the chunk contains all events of the
    /// entry: none was settled before a restart, and none is unreadable.
    items: Option<Vec<u32>>,
}

impl SpoolReader {
    /// Creates a reader of a spool. Events of sources that are not in `sources` stay in the spool,
    /// and are counted in `held`.
    pub fn new(
        consumer: Consumer,
        spool: Spool,
        totals: Arc<EventTotals>,
        sources: Arc<ArcSwap<SourceNames>>,
        held: Arc<HeldEvents>,
    ) -> Self {
        SpoolReader {
            consumer,
            spool,
            totals,
            sources,
            held,
            gathered: PendingChunk::default(),
            next_line: 1,
            log_of_unreadable: LogInterval::new(SPOOL_LOG_STEP),
        }
    }

    /// Creates a chunk of the waiting entries, in a buffer to reuse. Waits up to `patience` for the
    /// first entry.
    pub fn read_chunk(&mut self, patience: Duration, buffer: impl Fn() -> Vec<u8>) -> NextChunk {
        loop {
            let is_first = self.gathered.lines.is_empty();
            let entry = match self.consumer.next(if is_first { patience } else { Duration::ZERO }) {
                NextEntry::Entry(entry) => entry,
                NextEntry::Nothing if is_first => return NextChunk::Nothing,
                NextEntry::End if is_first => return NextChunk::End,
                NextEntry::Nothing | NextEntry::End => return NextChunk::Chunk(self.take_chunk()),
            };
            let read = match EventEntry::decode(&entry.bytes) {
                Ok(read) => read,
                Err(error) => {
                    let items = entry.items - to_u32(entry.acked.len());
                    self.keep_unreadable(items, &error);
                    continue;
                }
            };
            let sources = self.sources.load();
            let Some(source) = sources.current(read.source) else {
                // The entry is not acknowledged, so the next run reads it again.
                let events = u64::from(entry.items) - entry.acked.len() as u64;
                self.held.hold_events(read.source, events);
                continue;
            };
            let is_full = !is_first && !self.gathered.has_room(source, read.texts.len());
            let chunk = is_full.then(|| self.take_chunk());
            if is_first || is_full {
                source.clone_into(&mut self.gathered.source);
                self.gathered.lines = Lines::in_buffer(buffer(), self.next_line);
            }
            let kept = self.gathered.add_entry(&read, entry.place, &entry.acked);
            if let Some((items, error)) = kept {
                self.keep_unreadable(items, &error);
            }
            if let Some(chunk) = chunk {
                return NextChunk::Chunk(chunk);
            }
        }
    }

    /// Creates a chunk from the collected entries.
    fn take_chunk(&mut self) -> Chunk {
        let PendingChunk { source, lines, parts } = std::mem::take(&mut self.gathered);
        self.next_line += lines.len() as u64;
        let ack = self.make_ack(&source, lines.len(), parts);
        lines.into_chunk(ack)
    }

    /// Creates an ack. Events that a durable spool keeps do not count as read.
    fn make_ack(&self, source: &str, events: usize, parts: Vec<EntryEvents>) -> Ack {
        let (spool, totals) = (self.spool.clone(), Arc::clone(&self.totals));
        let is_durable = spool.is_durable();
        let record = move |settlements: &Settlements<'_>| {
            for part in &parts {
                spool.acknowledge(part.place, part.settled_items(settlements));
            }
        };
        let notice = move |settled: Settled| {
            let undelivered = if is_durable { 0 } else { settled.undelivered };
            let settled = Settled { undelivered, ..settled };
            totals.add_read(settled.delivered + settled.filtered + settled.dead + undelivered);
            totals.add_settled(settled);
        };
        let source = if is_durable { EventSource::durable(source) } else { source.into() };
        Ack::with_checkpoint(source, events, record, notice)
    }

    /// Counts events that are neither returned nor acknowledged: a later version may be able to
    /// read them.
    fn keep_unreadable(&self, events: u32, reason: &dyn Error) {
        self.spool.count_unreadable(events);
        if self.log_of_unreadable.admit().is_some() {
            let total = self.spool.status().items_unreadable;
            tracing::error!(
                events,
                total,
                "failed to read a request in the spool; it stays there: {reason}: run the version of the program that wrote it, or a newer one"
            );
        }
    }
}

impl PendingChunk {
    /// Returns whether an entry of this source with this number of bytes fits into the same chunk.
    fn has_room(&self, source: &str, bytes: usize) -> bool {
        source == self.source && self.lines.bytes.len() + bytes <= CHUNK_BYTES
    }

    /// Adds an entry's events, except for those that were settled before, and unreadable ones.
    /// Returns the number of unreadable events and the error of the last one.
    fn add_entry(
        &mut self,
        entry: &EventEntry<'_>,
        place: EntryPosition,
        settled: &[u32],
    ) -> Option<(u32, UnknownRefusal)> {
        let mut kept = None;
        let lines = &mut self.lines;
        let (first, base) = (lines.len(), lines.bytes.len());
        lines.bytes.extend_from_slice(entry.texts);
        let mut settled = settled.iter().peekable();
        let mut items = settled.peek().map(|_| Vec::new());
        let mut start = base;
        for (item, (end, refusal)) in (0..).zip(entry.events()) {
            let text = start..base + end as usize;
            start = text.end;
            if settled.next_if_eq(&&item).is_some() {
                continue;
            }
            let offset = to_u32(lines.len());
            match refusal {
                Ok(None) => lines.push(text, offset),
                Ok(Some(refusal)) => lines.push_error(text, offset, LineError::Refused(refusal)),
                Err(unknown) => {
                    kept = Some((kept.map_or(0, |(items, _)| items) + 1, unknown));
                    // All earlier events were added.
                    items.get_or_insert_with(|| (0..item).collect());
                    continue;
                }
            }
            if let Some(items) = &mut items {
                items.push(item);
            }
        }
        if lines.len() > first {
            self.parts.push(EntryEvents { place, events: first..lines.len(), items });
        }
        kept
    }
}

impl EntryEvents {
    /// The positions of the entry's items that are settled.
    fn settled_items(&self, settlements: &Settlements<'_>) -> impl Iterator<Item = u32> {
        let settled = self.events.clone().filter(|event| settlements.is_settled(*event));
        settled.map(|event| event - self.events.start).map(|offset| match &self.items {
            Some(items) => items[offset],
            None => to_u32(offset),
        })
    }
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).expect("an entry and a chunk are limited")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::decode::{DecodedEvent, DecodedEvents};
    use super::*;
    use standpipe_core::event::{EventRefusal, OutputOutcome};
    use standpipe_spool::{Durability, SpoolSettings, SpoolStatus};

    /// An entry of some events, each with a text and the code of its refusal.
    fn entry(events: &[(&str, u8)]) -> Vec<u8> {
        let mut decoded = DecodedEvents::default();
        for (text, _) in events {
            let start = to_u32(decoded.bytes.len());
            decoded.bytes.extend_from_slice(text.as_bytes());
            let end = to_u32(decoded.bytes.len());
            decoded.events.push(DecodedEvent { start, end, refused: None });
        }
        let text_bytes = decoded.bytes.len();
        let mut bytes = decoded.into_entry("web");
        let codes_end = bytes.len() - text_bytes;
        let first = codes_end - 5 * events.len();
        for (code, (_, value)) in bytes[first..codes_end].chunks_exact_mut(5).zip(events) {
            code[4] = *value;
        }
        bytes
    }

    /// Reads the events of a spool, delivers them, and returns the result.
    fn deliver(
        directory: &Path,
        entries: Vec<(u32, Vec<u8>)>,
    ) -> (Vec<String>, usize, SpoolStatus) {
        let settings = SpoolSettings {
            directory: directory.to_owned(),
            bytes_max: 1 << 30,
            durability: Durability::Os,
        };
        let (spool, consumer, _) = Spool::open(settings).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (items, bytes) in entries {
            runtime.block_on(spool.append(items, bytes)).unwrap();
        }
        spool.close();
        let mut reader = SpoolReader::new(
            consumer,
            spool.clone(),
            Arc::default(),
            Arc::default(),
            Arc::default(),
        );
        let (mut texts, mut refused) = (Vec::new(), 0);
        loop {
            let chunk = match reader.read_chunk(Duration::from_millis(1), Vec::new) {
                NextChunk::Chunk(chunk) => chunk,
                NextChunk::Nothing => continue,
                NextChunk::End => break,
            };
            refused += chunk.errors.len();
            for (event, line) in (0..).zip(&chunk.lines) {
                let text = &chunk.bytes[line.start as usize..line.end as usize];
                texts.push(String::from_utf8(text.to_vec()).unwrap());
                chunk.ack.settle(event, OutputOutcome::Delivered);
            }
        }
        (texts, refused, spool.status())
    }

    #[test]
    fn what_this_version_cannot_read_stays_and_all_else_is_handed_out() {
        let directory = tempfile::tempdir().unwrap();
        let mut newer = entry(&[("new", 0), ("newer", 0)]);
        newer[0] = 9;
        let mut malformed = entry(&[("lost?", 0)]);
        malformed.pop();
        let entries = vec![
            (2, newer),
            (1, malformed),
            (4, entry(&[("a", 0), ("b", 200), ("c", EventRefusal::NoType.code()), ("d", 0)])),
            (1, entry(&[("e", 250)])),
            (1, entry(&[("f", 0)])),
        ];
        let (texts, refused, status) = deliver(directory.path(), entries);
        assert_eq!((texts, refused), (["a", "c", "d", "f"].map(str::to_owned).to_vec(), 1));
        // Two entries of the newer version, one malformed entry, and two unknown codes.
        assert_eq!((status.items_waiting, status.items_unreadable), (5, 5));
        assert_eq!(status.corrupt_items, 0);
        for _ in 0..2 {
            let (texts, _, status) = deliver(directory.path(), Vec::new());
            assert_eq!(texts, [] as [String; 0], "what was delivered does not come again");
            assert_eq!((status.items_waiting, status.items_unreadable), (5, 5));
        }
    }
}
