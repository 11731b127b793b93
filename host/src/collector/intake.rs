use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::entry::Entry;
use crate::event::{Ack, Chunk, Damage, Line, Settled, Settlements, Source, Totals};
use crate::limits;
use crate::spool::{Next, Outlet, Place, Spool};

/// How long to wait for an entry before looking whether to stop.
const PATIENCE: Duration = limits::STOP_POLL;

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
}

/// A chunk in the making.
#[derive(Default)]
struct Gathering {
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
    /// Those that had not been settled before a restart.
    Some(Vec<u32>),
}

impl Intake {
    /// Hand out entries until the spool is closed and empty, or nothing more shall
    /// be handed out.
    pub fn run(mut self) {
        let mut gathering = Gathering::default();
        let mut number = 1;
        // What is in memory alone is handed out whatever comes of it.
        while !(self.is_durable && self.is_abandoned.load(Ordering::Acquire)) {
            let patience = if gathering.lines.is_empty() { PATIENCE } else { Duration::ZERO };
            let entry = match self.outlet.next(patience) {
                Next::Entry(entry) => entry,
                Next::Nothing if gathering.lines.is_empty() => continue,
                Next::End if gathering.lines.is_empty() => break,
                Next::Nothing | Next::End => {
                    if !self.send(&mut gathering, &mut number) {
                        break;
                    }
                    continue;
                }
            };
            let Some(read) = Entry::decode(&entry.bytes) else {
                tracing::error!(
                    "an entry of the spool is not of this program's form: it is skipped"
                );
                self.spool.acknowledge_all(entry.place);
                continue;
            };
            let is_apart = read.source != gathering.source
                || gathering.bytes.len() + read.texts.len() > limits::CHUNK_BYTES;
            if is_apart && !gathering.lines.is_empty() && !self.send(&mut gathering, &mut number) {
                break;
            }
            if gathering.lines.is_empty() {
                read.source.clone_into(&mut gathering.source);
                gathering.bytes = self.buffers.try_recv().unwrap_or_default();
                gathering.bytes.clear();
            }
            gathering.add(&read, entry.place, &entry.acked);
        }
    }

    /// Hand a chunk out. Tells whether anybody takes it.
    fn send(&self, gathering: &mut Gathering, number: &mut u64) -> bool {
        let Gathering { source, bytes, lines, damaged, parts } = std::mem::take(gathering);
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let first_line = *number;
        *number += lines.len() as u64;
        let ack = self.promise(&source, lines.len(), parts);
        self.chunks.send(Chunk { bytes, lines, damaged, first_line, ack }).is_ok()
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
    /// Add an entry's events but for those that were settled before.
    fn add(&mut self, entry: &Entry<'_>, place: Place, settled: &[u32]) {
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
            if let Some(refusal) = refusal {
                self.damaged.push((small(self.lines.len()), Damage::Refused(refusal)));
            }
            self.lines.push(line);
            if let Some(items) = &mut items {
                items.push(item);
            }
        }
        let items = items.map_or(Items::All(self.lines.len() - first), Items::Some);
        self.parts.push(Part { place, first, items });
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
