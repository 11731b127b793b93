use std::ops::Range;
use std::sync::Arc;

use crate::event::{Ack, Outcome};

/// Records on their way to one delivery stream, in one buffer.
///
/// An event's text is copied here once, with its newline, and leaves the chunk
/// that it was read in: a stream that fills slowly then holds on to its own
/// records and not to everything that was read beside them.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Runs of records with the same provenance: the first record of each.
    segments: Vec<(u32, Provenance)>,
    payload_bytes: usize,
}

/// Who answers for a record, and who decided about it.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The promise of the record's source.
    pub ack: Ack,
    /// The SHA-256 of the plugin.
    pub plugin: Arc<str>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where the record's bytes stand.
    payload_start: u32,
    payload_end: u32,
    /// Where the event's own text ends: inside the payload, if that is the
    /// text and a newline, else it follows the payload.
    text_start: u32,
    text_end: u32,
    /// The event's position in its chunk, and its line in the source.
    event: u32,
    line: u64,
}

impl Batch {
    /// Add a record: the payload, and the event's text if that is another.
    pub(super) fn push(
        &mut self,
        provenance: &Provenance,
        (event, line): (u32, u64),
        text: &[u8],
        payload: Option<&[u8]>,
        newline: &[u8],
    ) {
        self.begin(provenance);
        let start = self.bytes.len();
        let sent = payload.unwrap_or(text);
        self.bytes.extend_from_slice(sent);
        self.bytes.extend_from_slice(newline);
        let payload = start..self.bytes.len();
        let text = if payload_is_text(sent, text) {
            start..start + text.len()
        } else {
            self.bytes.extend_from_slice(text);
            payload.end..self.bytes.len()
        };
        self.add_entry(event, line, payload, text);
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The size of all records together, as Firehose counts it.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// What the batch takes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The records' bytes, in order.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| &self.bytes[entry.payload()])
    }

    /// All records' bytes in one piece, where no text stands between them.
    pub(super) fn contiguous(&self) -> Option<&[u8]> {
        (self.bytes.len() == self.payload_bytes).then_some(&self.bytes)
    }

    /// A record's bytes.
    pub(super) fn payload(&self, record: usize) -> &[u8] {
        &self.bytes[self.entries[record].payload()]
    }

    /// The text of a record's event, as received.
    pub(super) fn text(&self, record: usize) -> &[u8] {
        &self.bytes[self.entries[record].text()]
    }

    pub(super) fn line(&self, record: usize) -> u64 {
        self.entries[record].line
    }

    pub(super) fn provenance(&self, record: usize) -> &Provenance {
        let after = self.segments.partition_point(|(first, _)| *first as usize <= record);
        &self.segments[after - 1].1
    }

    /// Settle every record that `outcome` has a word about.
    pub(super) fn settle(&self, outcome: impl Fn(usize) -> Option<Outcome>) {
        for (position, (first, provenance)) in self.segments.iter().enumerate() {
            let end =
                self.segments.get(position + 1).map_or(self.len(), |(next, _)| *next as usize);
            for record in *first as usize..end {
                if let Some(outcome) = outcome(record) {
                    provenance.ack.settle(self.entries[record].event, outcome);
                }
            }
        }
    }

    /// A new batch of some of the records, in the order given.
    pub(super) fn select(&self, records: impl IntoIterator<Item = usize>) -> Batch {
        let mut selected = Batch::default();
        for record in records {
            let entry = self.entries[record];
            selected.begin(self.provenance(record));
            let start = selected.bytes.len();
            selected.bytes.extend_from_slice(&self.bytes[entry.payload()]);
            let payload = start..selected.bytes.len();
            let text = if entry.text_start == entry.payload_start {
                start..start + entry.text().len()
            } else {
                selected.bytes.extend_from_slice(&self.bytes[entry.text()]);
                payload.end..selected.bytes.len()
            };
            selected.add_entry(entry.event, entry.line, payload, text);
        }
        selected
    }

    fn begin(&mut self, provenance: &Provenance) {
        if !self.segments.last().is_some_and(|(_, last)| last.is(provenance)) {
            self.segments.push((small(self.entries.len()), provenance.clone()));
        }
    }

    fn add_entry(&mut self, event: u32, line: u64, payload: Range<usize>, text: Range<usize>) {
        self.payload_bytes += payload.len();
        self.entries.push(Entry {
            payload_start: small(payload.start),
            payload_end: small(payload.end),
            text_start: small(text.start),
            text_end: small(text.end),
            event,
            line,
        });
    }
}

impl Entry {
    fn payload(&self) -> Range<usize> {
        self.payload_start as usize..self.payload_end as usize
    }

    fn text(&self) -> Range<usize> {
        self.text_start as usize..self.text_end as usize
    }
}

impl Provenance {
    fn is(&self, other: &Provenance) -> bool {
        self.ack.is(&other.ack) && Arc::ptr_eq(&self.plugin, &other.plugin)
    }
}

/// Whether the payload is the very text of the event, so that one copy serves.
fn payload_is_text(payload: &[u8], text: &[u8]) -> bool {
    std::ptr::eq(payload, text)
}

fn small(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a batch is far smaller than 4 GiB")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::event::Settled;

    fn provenance(events: usize, seen: &Arc<Mutex<Settled>>) -> Provenance {
        let seen = Arc::clone(seen);
        let ack = Ack::new("test".into(), events, move |settled| *seen.lock().unwrap() = settled);
        Provenance { ack, plugin: "digest".into() }
    }

    #[test]
    fn records_keep_their_bytes_texts_and_acks_when_selected() {
        let (first, second) = (Arc::default(), Arc::default());
        let mut batch = Batch::default();
        let a = provenance(2, &first);
        let b = provenance(1, &second);
        batch.push(&a, (0, 10), b"one", None, b"\n");
        batch.push(&a, (1, 11), b"two", Some(b"TWO!"), b"\n");
        batch.push(&b, (0, 12), b"three", None, b"");
        drop((a, b));
        assert_eq!(batch.payloads().collect::<Vec<_>>(), [&b"one\n"[..], b"TWO!\n", b"three"]);
        assert_eq!((batch.len(), batch.payload_bytes()), (3, 14));

        let rest = batch.select([1, 2]);
        assert_eq!(rest.payloads().collect::<Vec<_>>(), [&b"TWO!\n"[..], b"three"]);
        assert_eq!((rest.text(0), rest.text(1)), (&b"two"[..], &b"three"[..]));
        assert_eq!((rest.line(0), rest.line(1)), (11, 12));
        batch.settle(|record| (record == 0).then_some(Outcome::Delivered));
        drop(batch);
        rest.settle(|_| Some(Outcome::Dead));
        drop(rest);
        assert_eq!(*first.lock().unwrap(), Settled { delivered: 1, dead: 1, ..Settled::default() });
        assert_eq!(*second.lock().unwrap(), Settled { dead: 1, ..Settled::default() });
    }
}
