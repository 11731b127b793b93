//! The thread that reads the spool and makes chunks: entries of one source that wait together share
//! a chunk of bounded size. An entry is acknowledged once its events are settled; entries of
//! unknown sources or newer versions stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender};

use super::HeldEvents;
use super::entry::{Entry, UnknownRefusal};
use standpipe_core::event::{
    Ack, Chunk, Damage, Line, Settled, Settlements, Source, SourceNames, Totals,
};
use standpipe_spool::{Next, Outlet, Place, Spool};

/// How long to wait for an entry before looking whether to stop.
const PATIENCE: Duration = standpipe_core::limits::STOP_POLL;

/// Hands what is in the spool to the workers.
///
/// Entries of one source that wait together share a chunk, so that requests with
/// single events cost little more than those with many.
#[derive(Debug)]
pub struct Intake {
    /// Where entries come from.
    pub outlet: Outlet,
    /// Where they are acknowledged.
    pub spool: Spool,
    /// Whether the spool outlives the process.
    pub is_durable: bool,
    /// Where chunks go.
    pub chunks: Sender<Chunk>,
    /// Buffers that come back from the workers.
    pub buffers: Receiver<Vec<u8>>,
    /// What becomes of events is counted here.
    pub totals: Arc<Totals>,
    /// Bytes handed out.
    pub bytes_read: Arc<AtomicU64>,
    /// Whether nobody waits for delivery any more.
    pub is_abandoned: Arc<AtomicBool>,
    /// The sources that events may be of; they can be replaced meanwhile.
    pub sources: Arc<ArcSwap<SourceNames>>,
    /// Where events of others are counted.
    pub held: Arc<HeldEvents>,
}

/// What looking for a chunk came to.
pub enum Step {
    /// Its events wait for a worker.
    Chunk(Chunk),
    /// Nothing came in time.
    Nothing,
    /// Nothing will come.
    End,
}

/// A chunk in the making.
#[derive(Default)]
pub struct Gathering {
    /// Events of the chunks before.
    handed_out: u64,
    unreadable: Unreadable,
    source: String,
    bytes: Vec<u8>,
    lines: Vec<Line>,
    damaged: Vec<(u32, Damage)>,
    parts: Vec<Part>,
}

/// What of a chunk comes from one entry.
struct Part {
    place: Place,
    /// Its first event, by the position in the chunk.
    first: usize,
    /// The position in the entry of each event.
    items: Items,
}

enum Items {
    /// All, from the first one on.
    All(usize),
    /// Those that had not been settled before a restart, and can be read.
    Some(Vec<u32>),
}

impl Intake {
    /// Hand out entries until the spool is closed and empty, or nothing more shall
    /// be handed out.
    pub fn run(mut self) {
        let mut gathering = Gathering::default();
        // What is in memory alone is handed out whatever comes of it.
        while !(self.is_durable && self.is_abandoned.load(Ordering::Acquire)) {
            let is_taken = match self.next_chunk(&mut gathering, PATIENCE) {
                Step::Chunk(chunk) => self.chunks.send(chunk).is_ok(),
                Step::Nothing => true,
                Step::End => false,
            };
            if !is_taken {
                break;
            }
        }
    }

    /// Makes a chunk of the entries that wait; waits up to so long for the first one.
    pub fn next_chunk(&mut self, gathering: &mut Gathering, patience: Duration) -> Step {
        loop {
            let patience = if gathering.lines.is_empty() { patience } else { Duration::ZERO };
            let entry = match self.outlet.next(patience) {
                Next::Entry(entry) => entry,
                Next::Nothing if gathering.lines.is_empty() => return Step::Nothing,
                Next::End if gathering.lines.is_empty() => return Step::End,
                Next::Nothing | Next::End => return Step::Chunk(self.take(gathering)),
            };
            let read = match Entry::decode(&entry.bytes) {
                Ok(read) => read,
                Err(error) => {
                    let items = entry.items - small(entry.acked.len());
                    gathering.unreadable.keep(&self.spool, items, &error);
                    continue;
                }
            };
            let sources = self.sources.load();
            let Some(source) = sources.current(read.source) else {
                // It is not acknowledged, so it comes again with the next start.
                let events = u64::from(entry.items) - entry.acked.len() as u64;
                self.held.hold(read.source, events);
                continue;
            };
            let is_apart = source != gathering.source
                || gathering.bytes.len() + read.texts.len() > standpipe_core::limits::CHUNK_BYTES;
            let is_full = is_apart && !gathering.lines.is_empty();
            let chunk = is_full.then(|| self.take(gathering));
            if gathering.lines.is_empty() {
                source.clone_into(&mut gathering.source);
                gathering.bytes = self.buffers.try_recv().unwrap_or_default();
                gathering.bytes.clear();
            }
            let kept = gathering.add(&read, entry.place, &entry.acked);
            if let Some((items, error)) = kept {
                gathering.unreadable.keep(&self.spool, items, &error);
            }
            if let Some(chunk) = chunk {
                return Step::Chunk(chunk);
            }
        }
    }

    /// Turns what was gathered into a chunk.
    fn take(&self, gathering: &mut Gathering) -> Chunk {
        let first_line = gathering.handed_out + 1;
        let handed_out = gathering.handed_out + gathering.lines.len() as u64;
        let unreadable = std::mem::take(&mut gathering.unreadable);
        let next = Gathering { handed_out, unreadable, ..Gathering::default() };
        let Gathering { source, bytes, lines, damaged, parts, .. } =
            std::mem::replace(gathering, next);
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let ack = self.promise(&source, lines.len(), parts);
        Chunk { bytes, lines, damaged, first_line, ack }
    }

    /// What a durable spool keeps does not count as read.
    fn promise(&self, source: &str, events: usize, parts: Vec<Part>) -> Ack {
        let (spool, totals, is_durable) =
            (self.spool.clone(), Arc::clone(&self.totals), self.is_durable);
        let record = move |settlements: &Settlements<'_>| {
            for part in &parts {
                spool.acknowledge(part.place, &part.settled(settlements));
            }
        };
        let notice = move |settled: Settled| {
            let undelivered = if is_durable { 0 } else { settled.undelivered };
            let settled = Settled { undelivered, ..settled };
            totals.add_read(settled.delivered + settled.filtered + settled.dead + undelivered);
            totals.add_settled(settled);
        };
        let source = if is_durable { Source::durable(source) } else { source.into() };
        Ack::recorded(source, events, record, notice)
    }
}

impl Gathering {
    /// Add an entry's events but for those that were settled before, and those that
    /// cannot be read: how many, and why the last of them cannot.
    fn add(
        &mut self,
        entry: &Entry<'_>,
        place: Place,
        settled: &[u32],
    ) -> Option<(u32, UnknownRefusal)> {
        let mut kept = None;
        let (first, base) = (self.lines.len(), small(self.bytes.len()));
        self.bytes.extend_from_slice(entry.texts);
        let mut settled = settled.iter().peekable();
        let mut items = settled.peek().map(|_| Vec::new());
        let mut start = base;
        for (item, (end, refusal)) in (0..).zip(entry.events()) {
            let line = Line { start, end: base + end, offset: small(self.lines.len()) };
            start = line.end;
            if settled.next_if_eq(&&item).is_some() {
                continue;
            }
            match refusal {
                Ok(None) => {}
                Ok(Some(refusal)) => {
                    self.damaged.push((small(self.lines.len()), Damage::Refused(refusal)));
                }
                Err(unknown) => {
                    kept = Some((kept.map_or(0, |(items, _)| items) + 1, unknown));
                    // All before it were handed out.
                    items.get_or_insert_with(|| (0..item).collect());
                    continue;
                }
            }
            self.lines.push(line);
            if let Some(items) = &mut items {
                items.push(item);
            }
        }
        if self.lines.len() > first {
            let items = items.map_or(Items::All(self.lines.len() - first), Items::Some);
            self.parts.push(Part { place, first, items });
        }
        kept
    }
}

/// Events that stay in the spool, since this version of the program cannot read
/// them: a later one may.
#[derive(Default)]
struct Unreadable {
    /// When that was last logged.
    logged: Option<Instant>,
}

impl Unreadable {
    /// Count events that are not handed out, and not acknowledged.
    fn keep(&mut self, spool: &Spool, events: u32, reason: &dyn std::error::Error) {
        spool.keep(events);
        if self
            .logged
            .is_none_or(|logged| logged.elapsed() >= standpipe_spool::limits::SPOOL_LOG_STEP)
        {
            self.logged = Some(Instant::now());
            let total = spool.status().items_unreadable;
            tracing::error!(
                events,
                total,
                "a request in the spool cannot be read, and stays there: {reason}: run the version of the program that wrote it, or a newer one"
            );
        }
    }
}

impl Part {
    /// The entry's items that are settled, a bit for each.
    fn settled(&self, settlements: &Settlements<'_>) -> Vec<u64> {
        let is_settled = |offset: usize| settlements.is_settled(self.first + offset);
        match &self.items {
            Items::All(count) => bits((0..small(*count)).filter(|item| is_settled(*item as usize))),
            Items::Some(items) => {
                let items = items.iter().enumerate();
                bits(items.filter(|(offset, _)| is_settled(*offset)).map(|(_, item)| *item))
            }
        }
    }
}

/// A bit for each of these ascending positions.
fn bits(positions: impl Iterator<Item = u32>) -> Vec<u64> {
    let mut bits = Vec::new();
    for position in positions {
        let (word, bit) = (position as usize / 64, position % 64);
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        bits[word] |= 1 << bit;
    }
    bits
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("an entry and a chunk are limited")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::decode::{Decoded, DecodedEvent};
    use super::super::entry::encode;
    use super::*;
    use standpipe_core::event::{Outcome, Refusal};
    use standpipe_spool::{Durability, SpoolSettings, Status};

    /// An entry of some events, each a text and the code of why it is refused.
    fn entry(events: &[(&str, u8)]) -> Vec<u8> {
        let mut decoded = Decoded::default();
        for (text, _) in events {
            let start = small(decoded.bytes.len());
            decoded.bytes.extend_from_slice(text.as_bytes());
            let end = small(decoded.bytes.len());
            decoded.events.push(DecodedEvent { start, end, refused: None });
        }
        let text_bytes = decoded.bytes.len();
        let mut bytes = encode("web", decoded);
        let codes_end = bytes.len() - text_bytes;
        let first = codes_end - 5 * events.len();
        for (code, (_, value)) in bytes[first..codes_end].chunks_exact_mut(5).zip(events) {
            code[4] = *value;
        }
        bytes
    }

    /// Hand out what is in a spool, deliver it, and say what came.
    fn deliver(directory: &Path, entries: Vec<(u32, Vec<u8>)>) -> (Vec<String>, usize, Status) {
        let settings = SpoolSettings {
            directory: directory.to_owned(),
            bytes_max: 1 << 30,
            durability: Durability::Os,
        };
        let (spool, outlet, _) = Spool::open(settings).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (items, bytes) in entries {
            runtime.block_on(spool.append(items, bytes)).unwrap();
        }
        spool.close();
        let (chunks, receive_chunks) = crossbeam_channel::unbounded();
        let (_buffers, receive_buffers) = crossbeam_channel::unbounded();
        let intake = Intake {
            outlet,
            spool: spool.clone(),
            is_durable: true,
            chunks,
            buffers: receive_buffers,
            totals: Arc::default(),
            bytes_read: Arc::default(),
            is_abandoned: Arc::default(),
            sources: Arc::default(),
            held: Arc::default(),
        };
        intake.run();
        let (mut texts, mut refused) = (Vec::new(), 0);
        for chunk in receive_chunks {
            refused += chunk.damaged.len();
            for (event, line) in (0..).zip(&chunk.lines) {
                let text = &chunk.bytes[line.start as usize..line.end as usize];
                texts.push(String::from_utf8(text.to_vec()).unwrap());
                chunk.ack.settle(event, Outcome::Delivered);
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
            (4, entry(&[("a", 0), ("b", 200), ("c", Refusal::NoType.code()), ("d", 0)])),
            (1, entry(&[("e", 250)])),
            (1, entry(&[("f", 0)])),
        ];
        let (texts, refused, status) = deliver(directory.path(), entries);
        assert_eq!((texts, refused), (["a", "c", "d", "f"].map(str::to_owned).to_vec(), 1));
        // Two of the newer version, one malformed, and two with unknown codes.
        assert_eq!((status.items_waiting, status.items_unreadable), (5, 5));
        assert_eq!(status.corrupt_items, 0);
        for _ in 0..2 {
            let (texts, _, status) = deliver(directory.path(), Vec::new());
            assert_eq!(texts, [] as [String; 0], "what was delivered does not come again");
            assert_eq!((status.items_waiting, status.items_unreadable), (5, 5));
        }
    }
}
