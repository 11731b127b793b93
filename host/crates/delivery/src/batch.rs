//! A batch: records for one stream in one buffer, with their events and the events' provenance. The
//! text of an event is copied once, so a slow stream keeps no chunks in memory. Compressed records
//! stand in a second buffer, because dead letters need the events.

use std::ops::Range;
use std::sync::Arc;

use super::compression::{RecordCompression, RecordCompressors};
use crate::limits;
use standpipe_core::event::{Ack, OutputOutcome};

/// Records for one delivery stream, in one buffer.
///
/// A record contains one event, or several with aggregation. The text of an event is copied here
/// once, with its newline, and leaves its chunk: so a stream that fills slowly keeps only its own
/// records in memory, and not the other events of the chunk.
#[derive(Debug, Default)]
pub struct Batch {
    /// The records before compression, one after the other.
    pub(super) bytes: Vec<u8>,
    /// The texts of events whose payload differs from their text.
    pub(super) texts: Vec<u8>,
    /// The compressed records, one after the other.
    pub(super) compressed: Vec<u8>,
    events: Vec<Entry>,
    /// For each record, the number of events up to its end.
    records: Vec<u32>,
    /// For each record up to the last compressed one, its end in `compressed`. A record that is not
    /// compressed has no bytes there, while a compressed one always has some.
    compressed_ends: Vec<u32>,
    /// The provenance of the events.
    pub(super) runs: Vec<ProvenanceRun>,
}

/// Consecutive events with the same provenance.
#[derive(Debug, Clone)]
pub(super) struct ProvenanceRun {
    /// The position of the first event in the batch.
    first: u32,
    provenance: Provenance,
}

/// Where an event comes from, and which plugin decided it.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The acknowledgement of the event's chunk.
    pub ack: Ack,
    /// The SHA-256 of the plugin.
    pub plugin: Arc<str>,
    /// The number of the plugin's generation in this run.
    pub generation: u64,
}

/// One output of an event.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The event's position in its chunk.
    pub event: u32,
    /// The event's line in its source.
    pub line: u64,
    /// The event's text as received.
    pub text: &'a [u8],
    /// The payload, if it differs from the text.
    pub payload: Option<&'a [u8]>,
}

/// The positions of the parts of a [`Record`] in a batch's buffers.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The end of the event's payload and newline in `bytes`. They start at the end of the previous
    /// event.
    end: u32,
    text: TextLocation,
    event: u32,
    line: u64,
}

/// The position of an event's text as received.
#[derive(Debug, Clone, Copy)]
enum TextLocation {
    /// The text is this number of bytes at the start of the payload.
    Payload(u32),
    /// The text is stored in `texts`.
    Kept { start: u32, end: u32 },
}

impl<'a> Record<'a> {
    /// The bytes to send.
    fn payload(&self) -> &'a [u8] {
        self.payload.unwrap_or(self.text)
    }

    /// The size of the bytes to send, including the newline.
    pub(super) fn bytes(&self, newline: &[u8]) -> usize {
        self.payload().len() + newline.len()
    }
}

impl Batch {
    /// A batch of one record without a source.
    pub fn of_record(text: &[u8], newline: bool, compression: Option<RecordCompression>) -> Self {
        let mut batch = Batch::default();
        let provenance =
            Provenance { ack: Ack::new("".into(), 1, |_| ()), plugin: "".into(), generation: 0 };
        let newline: &[u8] = if newline { b"\n" } else { b"" };
        batch.push(&provenance, Record { event: 0, line: 1, text, payload: None }, newline);
        if let Some(compression) = compression {
            batch.compress_last_record(limits::RECORD_BYTES_MAX, |record, to| {
                RecordCompressors::default().compress(compression, record, to);
            });
        }
        batch
    }

    /// An empty batch with the capacity of this one, so that filling it does not reallocate.
    pub(super) fn empty_of_same_size(&self) -> Self {
        Batch {
            bytes: Vec::with_capacity(self.bytes.len()),
            texts: Vec::with_capacity(self.texts.len()),
            compressed: Vec::with_capacity(self.compressed.len()),
            events: Vec::with_capacity(self.events.len()),
            records: Vec::with_capacity(self.records.len()),
            compressed_ends: Vec::with_capacity(self.compressed_ends.len()),
            runs: Vec::with_capacity(self.runs.len()),
        }
    }

    /// Adds a record and its newline.
    pub(super) fn push(&mut self, provenance: &Provenance, record: Record<'_>, newline: &[u8]) {
        self.push_event(provenance, record, newline);
        self.records.push(to_u32(self.events.len()));
    }

    /// Adds an event to the last record.
    pub(super) fn push_to_last_record(
        &mut self,
        provenance: &Provenance,
        record: Record<'_>,
        newline: &[u8],
    ) {
        self.push_event(provenance, record, newline);
        *self.records.last_mut().expect("there is a record") = to_u32(self.events.len());
    }

    /// Whether this number of bytes fits into the last record, if records are aggregated up to
    /// `bytes_max`.
    pub(super) fn last_record_has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        let Some(last) = self.records.len().checked_sub(1) else { return false };
        self.events_of(last).len() < limits::RECORD_EVENTS_MAX
            && self.event_texts(last).len() + bytes <= bytes_max
    }

    /// The bytes of the last record that is not compressed yet, or `None` if there is none.
    pub(super) fn uncompressed_bytes(&self) -> Option<usize> {
        let last = self.records.len().checked_sub(1)?;
        (self.compressed_ends.len() <= last).then(|| self.event_texts(last).len())
    }

    /// Compresses the last record. If it is larger than `bytes_max` after compression, its last
    /// events become another record, which is not compressed yet. Returns the sizes of the
    /// compressed record before and after compression.
    pub(super) fn compress_last_record(
        &mut self,
        bytes_max: usize,
        mut compress: impl FnMut(&[u8], &mut Vec<u8>),
    ) -> (usize, usize) {
        let last = self.records.len() - 1;
        let events = self.events_of(last);
        let (start, mut count) = (self.start(events.start), events.len());
        let compressed_start = self.compressed.len();
        loop {
            let end = self.start(events.start + count);
            compress(&self.bytes[start..end], &mut self.compressed);
            let bytes = self.compressed.len() - compressed_start;
            if bytes <= bytes_max || count == 1 {
                self.end_compressed_record(last, to_u32(events.start + count));
                return (end - start, bytes);
            }
            self.compressed.truncate(compressed_start);
            count = smaller_count(count, bytes, bytes_max);
        }
    }

    /// Ends the last record after these events, and its compressed form here. Later events become
    /// another record.
    fn end_compressed_record(&mut self, last: usize, events: u32) {
        let all = std::mem::replace(&mut self.records[last], events);
        let before = self.compressed_ends.last().copied().unwrap_or_default();
        self.compressed_ends.resize(last, before);
        self.compressed_ends.push(to_u32(self.compressed.len()));
        if all > events {
            self.records.push(all);
        }
    }

    /// Whether some records are compressed.
    pub(super) fn has_compressed(&self) -> bool {
        !self.compressed.is_empty()
    }

    /// Creates batches with the same events in records of at most `bytes_max` bytes, not
    /// compressed. There are several batches if one would exceed the limit of records.
    pub(super) fn without_compression(&self, bytes_max: usize) -> Vec<Batch> {
        let mut batches = vec![Batch::default()];
        for event in 0..self.events.len() {
            let bytes = self.event_bytes(event);
            let batch = batches.last_mut().expect("there is one");
            let is_shared = batch.last_record_has_room(bytes, bytes_max);
            if !is_shared && batch.len() == limits::REQUEST_RECORDS_MAX {
                batches.push(Batch::default());
            }
            let batch = batches.last_mut().expect("there is one");
            batch.copy_event(self, event);
            let end = to_u32(batch.events.len());
            match batch.records.last_mut() {
                Some(last) if is_shared => *last = end,
                _ => batch.records.push(end),
            }
        }
        batches
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The size of all records together, as Firehose counts it.
    pub fn payload_bytes(&self) -> usize {
        match self.has_compressed() {
            true => self.payloads().map(<[u8]>::len).sum(),
            false => self.bytes.len(),
        }
    }

    /// The size of all records together before compression.
    pub(super) fn text_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of the batch in memory. For tiny events, their positions take more memory than
    /// their texts.
    pub(super) fn held_bytes(&self) -> usize {
        let index = size_of_val(self.events.as_slice()) + size_of_val(self.records.as_slice());
        self.bytes.len() + self.texts.len() + self.compressed.len() + index
    }

    /// The bytes of each record, in order.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|record| self.payload(record))
    }

    /// The bytes of a record, as they are sent.
    pub fn payload(&self, record: usize) -> &[u8] {
        self.compressed_record(record).unwrap_or_else(|| self.event_texts(record))
    }

    /// The compressed form of a record, if it has one.
    fn compressed_record(&self, record: usize) -> Option<&[u8]> {
        let end = *self.compressed_ends.get(record)?;
        let start = record.checked_sub(1).map_or(0, |before| self.compressed_ends[before]);
        (start < end).then(|| &self.compressed[start as usize..end as usize])
    }

    /// The bytes of a record before compression.
    fn event_texts(&self, record: usize) -> &[u8] {
        let events = self.events_of(record);
        &self.bytes[self.start(events.start)..self.start(events.end)]
    }

    /// The events of a record, by their position in the batch.
    pub(super) fn events_of(&self, record: usize) -> Range<usize> {
        let before = record.checked_sub(1).map_or(0, |before| self.records[before]);
        before as usize..self.records[record] as usize
    }

    /// The bytes of an event in its record.
    pub(super) fn event_bytes(&self, event: usize) -> usize {
        self.start(event + 1) - self.start(event)
    }

    /// The text of an event, as received.
    pub(super) fn text(&self, event: usize) -> &[u8] {
        match self.events[event].text {
            TextLocation::Payload(length) => {
                let start = self.start(event);
                &self.bytes[start..start + length as usize]
            }
            TextLocation::Kept { start, end } => &self.texts[start as usize..end as usize],
        }
    }

    /// The line of an event in its source.
    pub(super) fn line(&self, event: usize) -> u64 {
        self.events[event].line
    }

    /// The provenance of an event.
    pub(super) fn provenance(&self, event: usize) -> &Provenance {
        let after = self.runs.partition_point(|run| run.first as usize <= event);
        &self.runs[after - 1].provenance
    }

    /// Settles all events of these records with the same outcome.
    pub(super) fn settle(&self, records: impl IntoIterator<Item = usize>, outcome: OutputOutcome) {
        for record in records {
            for event in self.events_of(record) {
                self.provenance(event).ack.settle(self.event(event), outcome);
            }
        }
    }

    /// The position of an event in its chunk.
    pub(super) fn event(&self, event: usize) -> u32 {
        self.events[event].event
    }

    /// Settles every event as delivered.
    pub(super) fn settle_all_delivered(&self) {
        let ends = self.runs.iter().skip(1).map(|run| run.first as usize);
        let ends = ends.chain([self.events.len()]);
        for (run, end) in self.runs.iter().zip(ends) {
            for entry in &self.events[run.first as usize..end] {
                run.provenance.ack.settle(entry.event, OutputOutcome::Delivered);
            }
        }
    }

    /// Makes the sources store the settled events.
    pub(super) fn checkpoint(&self) {
        self.runs.iter().for_each(|run| run.provenance.ack.checkpoint());
    }

    /// Creates a batch of some of the records, in the given order.
    pub(super) fn select(&self, records: impl IntoIterator<Item = usize>) -> Batch {
        let mut selected = Batch::default();
        for record in records {
            selected.copy_record(self, record);
        }
        selected
    }

    /// Adds all records of another batch.
    pub(super) fn append(&mut self, other: &Batch) {
        for record in 0..other.len() {
            self.copy_record(other, record);
        }
    }

    /// The number of events.
    pub(super) fn event_count(&self) -> usize {
        self.events.len()
    }

    /// The positions of events and records in the batch, serialized.
    pub(super) fn index(&self) -> Vec<u8> {
        let ends = self.records.len() + self.compressed_ends.len();
        let mut index = Vec::with_capacity(self.events.len() * ENTRY_BYTES + ends * size_of::<u32>());
        for entry in &self.events {
            index.extend_from_slice(&entry.to_bytes());
        }
        for end in self.records.iter().chain(&self.compressed_ends) {
            index.extend_from_slice(&end.to_le_bytes());
        }
        index
    }

    /// Creates a batch from its parts: the buffers of records, texts and compressed records, and
    /// the index of this number of events and records.
    pub(super) fn from_parts(
        [bytes, texts, compressed]: [Vec<u8>; 3],
        index: &[u8],
        (events, records): (usize, usize),
        runs: Vec<ProvenanceRun>,
    ) -> Self {
        let (entries, ends) = index.split_at(events * ENTRY_BYTES);
        let events = entries.as_chunks().0.iter().map(Entry::from_bytes).collect();
        let mut ends = ends.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let records = ends.by_ref().take(records).collect();
        let compressed_ends = ends.collect();
        Batch { bytes, texts, compressed, events, records, compressed_ends, runs }
    }

    fn push_event(&mut self, provenance: &Provenance, record: Record<'_>, newline: &[u8]) {
        self.begin_span(provenance);
        self.bytes.extend_from_slice(record.payload());
        self.bytes.extend_from_slice(newline);
        let text = match record.payload {
            None => TextLocation::Payload(to_u32(record.text.len())),
            Some(_) => self.keep_text(record.text),
        };
        let end = to_u32(self.bytes.len());
        self.events.push(Entry { end, text, event: record.event, line: record.line });
    }

    fn copy_record(&mut self, other: &Batch, record: usize) {
        for event in other.events_of(record) {
            self.copy_event(other, event);
        }
        self.records.push(to_u32(self.events.len()));
        if let Some(compressed) = other.compressed_record(record) {
            self.compressed.extend_from_slice(compressed);
            self.end_compressed_record(self.records.len() - 1, to_u32(self.events.len()));
        }
    }

    fn copy_event(&mut self, other: &Batch, event: usize) {
        self.begin_span(other.provenance(event));
        self.bytes.extend_from_slice(&other.bytes[other.start(event)..other.start(event + 1)]);
        let entry = other.events[event];
        let text = match entry.text {
            TextLocation::Payload(length) => TextLocation::Payload(length),
            TextLocation::Kept { .. } => self.keep_text(other.text(event)),
        };
        self.events.push(Entry { end: to_u32(self.bytes.len()), text, ..entry });
    }

    fn keep_text(&mut self, text: &[u8]) -> TextLocation {
        let start = to_u32(self.texts.len());
        self.texts.extend_from_slice(text);
        TextLocation::Kept { start, end: to_u32(self.texts.len()) }
    }

    /// Inlined, because consecutive events usually have the same provenance, and then this is only
    /// a comparison.
    #[inline]
    fn begin_span(&mut self, provenance: &Provenance) {
        if !self.runs.last().is_some_and(|run| run.provenance.is(provenance)) {
            let (first, provenance) = (to_u32(self.events.len()), provenance.clone());
            self.runs.push(ProvenanceRun { first, provenance });
        }
    }

    /// The position at which an event's bytes start. For the position after the last event, the end
    /// of all bytes.
    fn start(&self, event: usize) -> usize {
        event.checked_sub(1).map_or(0, |before| self.events[before].end as usize)
    }
}

/// The size of a serialized [`Entry`].
const ENTRY_BYTES: usize = 24;

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        // The start of a kept text is never the largest number, which marks the other variant.
        let (start, end) = match self.text {
            TextLocation::Payload(length) => (u32::MAX, length),
            TextLocation::Kept { start, end } => (start, end),
        };
        let mut bytes = [0; ENTRY_BYTES];
        for (place, number) in [self.end, start, end, self.event].into_iter().enumerate() {
            bytes[4 * place..][..4].copy_from_slice(&number.to_le_bytes());
        }
        bytes[16..].copy_from_slice(&self.line.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let (numbers, line) = bytes.split_at(16);
        let number = |place: usize| {
            let number = numbers[4 * place..][..4].try_into();
            u32::from_le_bytes(number.expect("four bytes"))
        };
        let text = match (number(1), number(2)) {
            (u32::MAX, length) => TextLocation::Payload(length),
            (start, end) => TextLocation::Kept { start, end },
        };
        let line = u64::from_le_bytes(line.try_into().expect("eight bytes"));
        Entry { end: number(0), text, event: number(3), line }
    }
}

impl Provenance {
    fn is(&self, other: &Provenance) -> bool {
        self.generation == other.generation
            && self.ack.is(&other.ack)
            && Arc::ptr_eq(&self.plugin, &other.plugin)
    }
}

/// The number of events of a record that was too large after compression: in proportion to its
/// limit, and at least one less.
fn smaller_count(count: usize, bytes: usize, bytes_max: usize) -> usize {
    // A margin, because the events differ.
    let fitting = count * bytes_max / bytes * 15 / 16;
    fitting.clamp(1, count - 1)
}

fn to_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a batch is far smaller than 4 GiB")
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use standpipe_core::event::{Reason, Settled};

    fn provenance(events: usize, seen: &Arc<Mutex<Settled>>) -> Provenance {
        let seen = Arc::clone(seen);
        let ack = Ack::new("test".into(), events, move |settled| {
            *seen.lock() = settled;
        });
        Provenance { ack, plugin: "digest".into(), generation: 0 }
    }

    fn record<'a>(event: u32, text: &'a [u8], payload: Option<&'a [u8]>) -> Record<'a> {
        Record { event, line: u64::from(event) + 10, text, payload }
    }

    #[test]
    fn records_keep_their_bytes_texts_and_acks_when_selected() {
        let (first, second) = (Arc::default(), Arc::default());
        let mut batch = Batch::default();
        let a = provenance(2, &first);
        let b = provenance(2, &second);
        batch.push(&a, record(0, b"one", None), b"\n");
        batch.push(&a, record(1, b"two", Some(b"TWO!")), b"\n");
        batch.push_to_last_record(&b, record(0, b"three", None), b"\n");
        batch.push(&b, record(1, b"four", None), b"");
        drop((a, b));
        let payloads = [&b"one\n"[..], b"TWO!\nthree\n", b"four"];
        assert_eq!(batch.payloads().collect::<Vec<_>>(), payloads);
        assert_eq!((batch.len(), batch.payload_bytes()), (3, 19));

        let rest = batch.select([1, 2]);
        assert_eq!(rest.payloads().collect::<Vec<_>>(), payloads[1..]);
        assert_eq!([0, 1, 2].map(|event| rest.text(event)), [&b"two"[..], b"three", b"four"]);
        assert_eq!([0, 1, 2].map(|event| rest.line(event)), [11, 10, 11]);
        assert_eq!([0, 1].map(|record| rest.events_of(record)), [0..2, 2..3]);
        batch.settle([0], OutputOutcome::Delivered);
        drop(batch);
        rest.settle([0, 1], OutputOutcome::Dead(Reason::GivenUp));
        drop(rest);
        assert_eq!(*first.lock(), Settled { delivered: 1, dead: 1, ..Settled::default() });
        assert_eq!(*second.lock(), Settled { dead: 2, ..Settled::default() });
    }

    #[test]
    fn a_record_that_is_too_large_after_compression_is_split_between_events() {
        let seen = Arc::default();
        let provenance = provenance(5, &seen);
        let mut batch = Batch::default();
        batch.push(&provenance, record(0, b"raw", None), b"\n");
        for (event, text) in (1..).zip([&b"aa"[..], b"bb", b"cc", b"dd"]) {
            match event {
                1 => batch.push(&provenance, record(event, text, None), b"\n"),
                _ => batch.push_to_last_record(&provenance, record(event, text, None), b"\n"),
            }
        }
        assert_eq!(batch.uncompressed_bytes(), Some(12));
        let double = |record: &[u8], to: &mut Vec<u8>| to.extend([record, record].concat());
        // Two events have 12 bytes after this "compression".
        assert_eq!(batch.compress_last_record(12, double), (3, 6));
        assert_eq!((batch.len(), batch.uncompressed_bytes()), (3, Some(9)));
        assert_eq!(batch.compress_last_record(100, double), (9, 18));
        assert_eq!((batch.len(), batch.uncompressed_bytes()), (3, None));
        let payloads = [&b"raw\n"[..], b"aa\naa\n", b"bb\ncc\ndd\nbb\ncc\ndd\n"];
        assert_eq!(batch.payloads().collect::<Vec<_>>(), payloads);
        assert_eq!((batch.payload_bytes(), batch.text_bytes()), (28, 16));

        // The compressed form stays with its record.
        let mut joined = batch.select([2]);
        joined.append(&batch.select([0, 1]));
        let order = [payloads[2], payloads[0], payloads[1]];
        assert_eq!(joined.payloads().collect::<Vec<_>>(), order);
        let plain = joined.without_compression(6);
        assert_eq!(plain.len(), 1);
        assert!(!plain[0].has_compressed());
        let plain: Vec<_> = plain[0].payloads().collect();
        assert_eq!(plain, [&b"bb\ncc\n"[..], b"dd\n", b"raw\n", b"aa\n"]);
    }
}
