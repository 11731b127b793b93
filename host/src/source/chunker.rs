//! Passes the chunks of all sources to the workers.
//!
//! There is one queue, limited in chunks, so that reading is not faster than delivery, and one pool
//! of buffers, which reuses those of processed chunks. The queue closes with the last [`Chunker`],
//! and the workers then end.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use standpipe_core::event::{
    Ack, Chunk, EventSource, EventTotals, Lines, NextChunk, TotalsSnapshot,
};
use standpipe_core::metrics;

/// A source of events, split into chunks.
pub trait ChunkSource {
    /// Creates the next chunk in a buffer of the chunker, and waits for events if necessary. A
    /// source that a token can stop must not block for longer than [`limits::STOP_POLL`].
    ///
    /// [`limits::STOP_POLL`]: standpipe_core::limits::STOP_POLL
    fn next_chunk(&mut self, chunker: &Chunker) -> NextChunk;
}

/// The entry to the queue for a run's sources. Clones lead to the same workers.
#[derive(Debug, Clone)]
pub struct Chunker {
    queue: Sender<Chunk>,
    spare_buffers: Receiver<Vec<u8>>,
    progress: Progress,
}

/// The progress of a run.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    totals: Arc<EventTotals>,
    bytes_read: Counter,
}

impl Chunker {
    /// Creates a queue of this number of chunks. Returns the side of the sources, and the workers'
    /// sides of the queue and of the buffer pool.
    pub fn new(chunks_max: usize, progress: Progress) -> (Self, Receiver<Chunk>, Sender<Vec<u8>>) {
        let (queue, chunks) = crossbeam_channel::bounded(chunks_max);
        let (buffers, spare_buffers) = crossbeam_channel::bounded(chunks_max);
        (Chunker { queue, spare_buffers, progress }, chunks, buffers)
    }

    /// Passes on the chunks of a source until it has no more, until `stop` is cancelled, or until
    /// no worker is left. The current chunk is still passed on.
    pub fn hand_out(&self, source: &mut impl ChunkSource, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match source.next_chunk(self) {
                NextChunk::Chunk(chunk) => {
                    if self.queue.send(chunk).is_err() {
                        return;
                    }
                }
                NextChunk::Nothing => {}
                NextChunk::End => return,
            }
        }
    }

    /// Does the same on a separate thread.
    ///
    /// # Errors
    ///
    /// Fails if the system cannot create the thread.
    pub fn spawn(
        self,
        name: &str,
        mut source: impl ChunkSource + Send + 'static,
        stop: CancellationToken,
    ) -> io::Result<JoinHandle<()>> {
        let thread = thread::Builder::new().name(name.to_owned());
        thread.spawn(move || self.hand_out(&mut source, &stop))
    }

    /// A buffer to fill, with its earlier capacity.
    pub fn take_buffer(&self) -> Vec<u8> {
        self.spare_buffers.try_recv().unwrap_or_default()
    }

    /// Creates the chunk of lines, which count as read from now on.
    pub fn make_chunk(&self, lines: Lines, source: EventSource) -> Chunk {
        self.count_read(lines.bytes.len(), lines.len());
        let totals = self.totals();
        let ack = Ack::new(source, lines.len(), move |settled| totals.add_settled(settled));
        lines.into_chunk(ack)
    }

    /// Counts bytes and events that were read.
    pub fn count_read(&self, bytes: usize, events: usize) {
        self.progress.bytes_read.inc_by(bytes as u64);
        self.progress.totals.add_read(events as u64);
    }

    /// The counters for outcomes of events.
    pub fn totals(&self) -> Arc<EventTotals> {
        Arc::clone(&self.progress.totals)
    }
}

impl Progress {
    /// Bytes read so far, after decompression.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }

    /// The counts so far.
    pub fn totals(&self) -> TotalsSnapshot {
        self.totals.snapshot()
    }

    /// Registers the metrics of these counts.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.totals.register_metrics(registry);
        let bytes_read = self.bytes_read.clone();
        metrics::register(registry, move |page| {
            let help = "Bytes of events that were passed to the workers";
            page.counter("read_bytes", help, bytes_read.get())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standpipe_core::event::OutputOutcome;

    /// Creates chunks of one event without pauses.
    struct Counting {
        left: usize,
        is_pausing: bool,
    }

    impl ChunkSource for Counting {
        fn next_chunk(&mut self, chunker: &Chunker) -> NextChunk {
            self.is_pausing = !self.is_pausing;
            if !self.is_pausing {
                return NextChunk::Nothing;
            }
            let Some(left) = self.left.checked_sub(1) else { return NextChunk::End };
            self.left = left;
            let mut lines = Lines::in_buffer(chunker.take_buffer(), 1);
            lines.bytes.extend_from_slice(b"{}");
            lines.push(0..2, 0);
            NextChunk::Chunk(chunker.make_chunk(lines, "test".into()))
        }
    }

    fn counting(left: usize) -> Counting {
        Counting { left, is_pausing: false }
    }

    #[test]
    fn a_source_is_handed_out_to_its_end_and_counted() {
        let progress = Progress::default();
        let (chunker, chunks, _buffers) = Chunker::new(2, progress.clone());
        let handing = chunker.spawn("test", counting(5), CancellationToken::new()).unwrap();
        for chunk in chunks {
            chunk.ack.settle(0, OutputOutcome::Delivered);
            assert_eq!((chunk.line_text(chunk.lines[0]), chunk.lines.len()), (&b"{}"[..], 1));
        }
        handing.join().unwrap();
        let totals = progress.totals();
        assert_eq!((progress.bytes_read(), totals.read, totals.settled.delivered), (10, 5, 5));
    }

    #[test]
    fn buffers_that_come_back_are_filled_again() {
        let (chunker, chunks, buffers) = Chunker::new(1, Progress::default());
        buffers.send(Vec::with_capacity(12_345)).unwrap();
        for capacity_min in [12_345, 0] {
            chunker.hand_out(&mut counting(1), &CancellationToken::new());
            let capacity = chunks.recv().unwrap().bytes.capacity();
            assert!(capacity >= capacity_min && (capacity_min > 0) == (capacity > 12_000));
        }
    }

    #[test]
    fn a_stop_lets_the_chunk_in_hand_through_and_no_other() {
        let (chunker, chunks, _buffers) = Chunker::new(1, Progress::default());
        let stop = CancellationToken::new();
        let handing = chunker.spawn("test", counting(usize::MAX), stop.clone()).unwrap();
        drop(chunks.recv().unwrap());
        stop.cancel();
        // At most one chunk was queued, and one waited for the queue.
        assert!(chunks.iter().count() <= 2);
        handing.join().unwrap();
    }

    #[test]
    fn a_source_that_was_stopped_before_hands_out_nothing() {
        let (chunker, chunks, _buffers) = Chunker::new(1, Progress::default());
        let (stop, mut source) = (CancellationToken::new(), counting(1));
        stop.cancel();
        chunker.hand_out(&mut source, &stop);
        assert_eq!((chunks.len(), source.left), (0, 1));
    }

    #[test]
    fn without_workers_nothing_more_is_read() {
        let progress = Progress::default();
        let (chunker, chunks, _buffers) = Chunker::new(1, progress.clone());
        drop(chunks);
        chunker.hand_out(&mut counting(usize::MAX), &CancellationToken::new());
        let totals = progress.totals();
        assert_eq!((totals.read, totals.settled.undelivered), (1, 1));
    }
}
