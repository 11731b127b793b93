//! The thread that makes chunks of the events that a program handed in, tells each waiting caller
//! how its event ended, and rests between small chunks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Shared, Submissions, Submitted};
use crate::limits;
use standpipe_core::event::{
    Ack, Chunk, Damage, Ended, Line, Settled, Settlements, Source, Totals,
};

/// Makes chunks of what is handed in.
///
/// Whatever waits when it looks makes a chunk, so that an event alone is not late.
/// Then it rests for [`limits::SUBMITTED_REST`], unless more waits than a chunk takes:
/// waking threads for each event would cost whoever hands them in more than all the
/// rest does.
#[derive(Debug)]
pub struct Gatherer {
    /// Where events come from.
    pub submissions: Submissions,
    /// What they are called.
    pub source: Source,
    /// Where chunks go.
    pub chunks: Sender<Chunk>,
    /// Buffers that come back from the workers.
    pub buffers: Receiver<Vec<u8>>,
    /// What becomes of events is counted here.
    pub totals: Arc<Totals>,
    /// Bytes handed out.
    pub bytes_read: Arc<AtomicU64>,
}

/// A chunk in the making.
#[derive(Default)]
struct Gathering {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    damaged: Vec<(u32, Damage)>,
    waiting: Vec<(u32, oneshot::Sender<Ended>)>,
    /// The room that the events take in the queue.
    room: usize,
}

/// Who waits to be told of the events of a chunk.
struct Waiting {
    shared: Arc<Shared>,
    events: Mutex<Vec<(u32, oneshot::Sender<Ended>)>>,
}

impl Gatherer {
    /// Hand chunks out until nothing more is accepted, and nothing waits; or until no
    /// worker is left, and then nothing more is accepted.
    pub fn run(self) {
        let mut number = 1;
        while let Ok(first) = self.submissions.queue.recv() {
            let bytes = self.buffers.try_recv().unwrap_or_default();
            let mut gathering = Gathering { bytes, ..Gathering::default() };
            gathering.bytes.clear();
            gathering.add(first);
            while gathering.has_room()
                && let Ok(next) = self.submissions.queue.try_recv()
            {
                gathering.add(next);
            }
            let (is_more, events) = (!gathering.has_room(), gathering.lines.len() as u64);
            if !self.send(gathering, number) {
                return;
            }
            number += events;
            if !is_more {
                thread::sleep(limits::SUBMITTED_REST);
            }
        }
    }

    /// Tells whether a worker is left. Where none is, the promise is dropped, and all
    /// are told.
    fn send(&self, gathering: Gathering, first_line: u64) -> bool {
        let Gathering { bytes, lines, damaged, waiting, room } = gathering;
        let (events, shared) = (lines.len(), &self.submissions.shared);
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.totals.add_read(events as u64);
        let ack = self.promise(events, waiting);
        let sent = self.chunks.send(Chunk { bytes, lines, damaged, first_line, ack });
        shared.queued.fetch_sub(events, Ordering::Relaxed);
        shared.bytes.add_permits(room);
        sent.is_ok()
    }

    fn promise(&self, events: usize, waiting: Vec<(u32, oneshot::Sender<Ended>)>) -> Ack {
        let shared = Arc::clone(&self.submissions.shared);
        let waiting = Arc::new(Waiting { shared, events: Mutex::new(waiting) });
        let (told, totals) = (Arc::clone(&waiting), Arc::clone(&self.totals));
        let record = move |settlements: &Settlements<'_>| told.tell(settlements);
        let notice = move |settled: Settled| {
            totals.add_settled(settled);
            waiting.abandon();
        };
        Ack::recorded(self.source.clone(), events, record, notice)
    }
}

impl Gathering {
    fn has_room(&self) -> bool {
        self.bytes.len() < standpipe_core::limits::CHUNK_BYTES
            && self.lines.len() < limits::BATCH_EVENTS_MAX
    }

    fn add(&mut self, submitted: Submitted) {
        let index = small(self.lines.len());
        let Submitted { text, too_long, settled } = submitted;
        self.room += text.len().max(1);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(without_line_end(&text));
        make_one_line(&mut self.bytes[start..]);
        let (start, end) = (small(start), small(self.bytes.len()));
        self.lines.push(Line { start, end, offset: index });
        if let Some(bytes) = too_long {
            self.damaged.push((index, Damage::TooLong { bytes }));
        }
        self.waiting.push((index, settled));
    }
}

impl Waiting {
    /// Tell of the events that have been settled since the last time.
    fn tell(&self, settlements: &Settlements<'_>) {
        let ended = |event: u32| settlements.ended(event as usize);
        let mut events = self.events.lock();
        let settled = events.extract_if(.., |(event, _)| ended(*event).is_some());
        let settled: Vec<_> = settled.collect();
        drop(events);
        let count = settled.len();
        for (event, waiting) in settled {
            let ended = ended(event).expect("what is settled stays settled");
            self.shared.counts.add_ended(ended);
            // Whoever handed it in may not want to know.
            let _ = waiting.send(ended);
        }
        self.shared.settle(count, 0);
    }

    /// The rest will never be settled.
    fn abandon(&self) {
        let mut events = self.events.lock();
        let abandoned = std::mem::take(&mut *events).len();
        drop(events);
        self.shared.settle(0, abandoned);
    }
}

fn without_line_end(text: &Bytes) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// A record is one line. Between the tokens of a JSON text, spaces mean the same as
/// line ends. A line end inside a string stays: such a text is no JSON, and must not
/// become any.
fn make_one_line(text: &mut [u8]) {
    if memchr::memchr2(b'\n', b'\r', text).is_none() {
        return;
    }
    let (mut is_in_string, mut is_escaped) = (false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_in_string,
            b'"' => is_in_string = !is_in_string,
            b'\n' | b'\r' if !is_in_string => *byte = b' ',
            _ => {}
        }
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("a chunk is far smaller than 4 GiB")
}
