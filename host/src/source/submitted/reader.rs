//! Creates chunks of submitted events.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{SubmissionQueue, SubmissionState, Submitted};
use crate::limits;
use crate::source::{ChunkSource, Chunker};
use standpipe_core::event::{
    Ack, Chunk, EventOutcome, EventSource, LineError, Lines, NextChunk, Settled, Settlements,
};
use standpipe_core::limits::CHUNK_BYTES;

/// The pause between two chunks of submitted events, if fewer events arrive than fit into a chunk.
/// It is the additional delay of an event, and small compared to the delay of delivery. It limits
/// how often threads are woken, which is most of the cost of a few events.
const SUBMITTED_REST: Duration = Duration::from_millis(1);

/// Creates chunks of submitted events.
///
/// Each time, all waiting events form a chunk, so a single event is not delayed. Then the reader
/// pauses for `SUBMITTED_REST`, unless more events wait than fit into a chunk: waking threads for
/// each event would cost the submitter more than everything else. The reader ends once no more
/// events are accepted and none wait. If no worker is left, no more events are accepted.
#[derive(Debug)]
pub struct SubmissionReader {
    submissions: SubmissionQueue,
    source: EventSource,
    /// The number of the next event, counted from 1.
    next_line: u64,
    /// Whether the previous chunk was not full, so that no more events waited.
    is_idle: bool,
    /// The queue share of the last chunk. It is released once the workers have this chunk.
    handed_out: Option<QueueShare>,
}

/// The share of the queue limits that some events use, until it is dropped.
#[derive(Debug)]
struct QueueShare {
    shared: Arc<SubmissionState>,
    events: usize,
    bytes: usize,
}

/// A chunk that is being filled.
struct PendingSubmissions {
    lines: Lines,
    waiting: Vec<(u32, oneshot::Sender<EventOutcome>)>,
    /// The queue bytes of the events.
    room: usize,
}

/// The submitters that wait for the outcomes of a chunk's events.
struct PendingOutcomes {
    shared: Arc<SubmissionState>,
    events: Mutex<Vec<(u32, oneshot::Sender<EventOutcome>)>>,
}

impl SubmissionReader {
    /// Creates a reader of events. The name of this source identifies them in plugins and dead
    /// letters.
    pub fn new(submissions: SubmissionQueue, source: EventSource) -> Self {
        SubmissionReader { submissions, source, next_line: 1, is_idle: false, handed_out: None }
    }

    /// Takes waiting events as long as they fit into a chunk. Waits for the first event.
    fn gather_events(&self, buffer: impl FnOnce() -> Vec<u8>) -> Option<PendingSubmissions> {
        let first = self.submissions.queue.recv().ok()?;
        let lines = Lines::in_buffer(buffer(), self.next_line);
        let mut gathered = PendingSubmissions { lines, waiting: Vec::new(), room: 0 };
        gathered.add_event(first);
        while gathered.has_room()
            && let Ok(next) = self.submissions.queue.try_recv()
        {
            gathered.add_event(next);
        }
        Some(gathered)
    }

    fn make_chunk(&mut self, gathered: PendingSubmissions, chunker: &Chunker) -> Chunk {
        let PendingSubmissions { lines, waiting, room } = gathered;
        chunker.count_read(lines.bytes.len(), lines.len());
        self.next_line += lines.len() as u64;
        let shared = Arc::clone(&self.submissions.shared);
        self.handed_out = Some(QueueShare { shared, events: lines.len(), bytes: room });
        let shared = Arc::clone(&self.submissions.shared);
        let waiting = Arc::new(PendingOutcomes { shared, events: Mutex::new(waiting) });
        let (pending, totals) = (Arc::clone(&waiting), chunker.totals());
        let record = move |settlements: &Settlements<'_>| pending.send_outcomes(settlements);
        let notice = move |settled: Settled| {
            totals.add_settled(settled);
            waiting.abandon_rest();
        };
        let ack = Ack::with_checkpoint(self.source.clone(), lines.len(), record, notice);
        lines.into_chunk(ack)
    }
}

impl ChunkSource for SubmissionReader {
    #[expect(
        clippy::disallowed_methods,
        reason = "a rest of a millisecond, which is there so that nothing wakes it"
    )]
    fn next_chunk(&mut self, chunker: &Chunker) -> NextChunk {
        self.handed_out = None;
        if self.is_idle {
            thread::sleep(SUBMITTED_REST);
        }
        let Some(gathered) = self.gather_events(|| chunker.take_buffer()) else {
            return NextChunk::End;
        };
        self.is_idle = gathered.has_room();
        NextChunk::Chunk(self.make_chunk(gathered, chunker))
    }
}

impl Drop for QueueShare {
    fn drop(&mut self) {
        self.shared.queued.fetch_sub(self.events, Ordering::Relaxed);
        self.shared.bytes.add_permits(self.bytes);
    }
}

impl PendingSubmissions {
    fn has_room(&self) -> bool {
        self.lines.bytes.len() < CHUNK_BYTES && self.lines.len() < limits::BATCH_EVENTS_MAX
    }

    fn add_event(&mut self, submitted: Submitted) {
        let Submitted { text, too_long, settled } = submitted;
        let index = u32::try_from(self.lines.len()).expect("a chunk has few events");
        self.room += text.len().max(1);
        let start = self.lines.bytes.len();
        self.lines.bytes.extend_from_slice(without_line_end(&text));
        make_one_line(&mut self.lines.bytes[start..]);
        let bytes = start..self.lines.bytes.len();
        match too_long {
            Some(whole) => self.lines.push_error(bytes, index, LineError::TooLong { bytes: whole }),
            None => self.lines.push(bytes, index),
        }
        self.waiting.push((index, settled));
    }
}

impl PendingOutcomes {
    /// Sends the outcomes of the events that were settled since the last call.
    fn send_outcomes(&self, settlements: &Settlements<'_>) {
        let ended = |event: u32| settlements.outcome_of(event as usize);
        let mut events = self.events.lock();
        let settled = events.extract_if(.., |(event, _)| ended(*event).is_some());
        let settled: Vec<_> = settled.collect();
        drop(events);
        let count = settled.len();
        for (event, waiting) in settled {
            let ended = ended(event).expect("what is settled stays settled");
            self.shared.counts.of_outcome(ended).inc();
            // The submitter may have dropped the future.
            let _ = waiting.send(ended);
        }
        self.shared.settle_events(count, 0);
    }

    /// The remaining events will never be settled.
    fn abandon_rest(&self) {
        let mut events = self.events.lock();
        let abandoned = std::mem::take(&mut *events).len();
        drop(events);
        self.shared.settle_events(0, abandoned);
    }
}

fn without_line_end(text: &Bytes) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// Converts a JSON text to one line, because a record is one line. Between tokens, spaces mean the
/// same as line ends. A line end inside a string stays: such a text is not JSON, and must not
/// become valid.
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
