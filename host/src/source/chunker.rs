//! Hands the chunks of all sources to the workers.
//!
//! There is one queue, bounded in chunks, so that reading goes no faster than delivery, and
//! one pool of buffers: those of chunks that the workers are through with are filled again.
//! It closes with the last [`Chunker`], and the workers then end.

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

/// Something that events come from, cut into chunks.
pub trait ChunkSource {
    /// Makes the next chunk, in a buffer of the chunker's, and waits for one if need be. Who
    /// is to be stopped by a token waits no longer than [`limits::STOP_POLL`] at once.
    ///
    /// [`limits::STOP_POLL`]: standpipe_core::limits::STOP_POLL
    fn next_chunk(&mut self, chunker: &Chunker) -> NextChunk;
}

/// Where the sources of a run hand their chunks in. Clones lead to the same workers.
#[derive(Debug, Clone)]
pub struct Chunker {
    queue: Sender<Chunk>,
    spare_buffers: Receiver<Vec<u8>>,
    progress: Progress,
}

/// How far a run has got.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    totals: Arc<EventTotals>,
    bytes_read: Counter,
}

impl Chunker {
    /// A queue for so many chunks: its end for sources, and the workers' end of it and of
    /// the pool of buffers.
    pub fn new(chunks_max: usize, progress: Progress) -> (Self, Receiver<Chunk>, Sender<Vec<u8>>) {
        let (queue, chunks) = crossbeam_channel::bounded(chunks_max);
        let (buffers, spare_buffers) = crossbeam_channel::bounded(chunks_max);
        (Chunker { queue, spare_buffers, progress }, chunks, buffers)
    }

    /// Hands out the chunks of a source until it has no more, until `stop` is cancelled, or
    /// until no worker is left. The chunk that is being made then goes on its way.
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

    /// The same on a thread of its own.
    ///
    /// # Errors
    ///
    /// The system grants no thread.
    pub fn spawn(
        self,
        name: &str,
        mut source: impl ChunkSource + Send + 'static,
        stop: CancellationToken,
    ) -> io::Result<JoinHandle<()>> {
        let thread = thread::Builder::new().name(name.to_owned());
        thread.spawn(move || self.hand_out(&mut source, &stop))
    }

    /// A buffer to fill, with the room that it had before.
    pub fn take_buffer(&self) -> Vec<u8> {
        self.spare_buffers.try_recv().unwrap_or_default()
    }

    /// Makes the chunk of lines that count as read from now on.
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

    /// What counts how events of the run end.
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

    /// Have the counts be on a page of metrics.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.totals.register_metrics(registry);
        let bytes_read = self.bytes_read.clone();
        metrics::register(registry, move |page| {
            let help = "Bytes of events that were handed to the workers";
            page.counter("read_bytes", help, bytes_read.get())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standpipe_core::event::OutputOutcome;

    /// Makes chunks of one event, with nothing in between each two of them.
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
        // At most one that was queued, and one that waited to be.
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
