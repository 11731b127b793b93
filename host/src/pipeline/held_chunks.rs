//! Chunks that a worker has set aside because their source must wait, within a limit of bytes.
//! Meanwhile, chunks of other sources are processed.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::limits;
use standpipe_core::event::Chunk;

/// Maximum number of chunks that a worker sets aside. Chunks can be small.
const HELD_CHUNKS_MAX: usize = 256;

/// A partly processed chunk.
#[derive(Debug)]
pub(super) struct PartialChunk {
    pub(super) chunk: Chunk,
    /// The first line that was not processed.
    pub(super) next: usize,
    /// Lines before that with undecided events, by their position in the chunk.
    pub(super) undecided: Vec<u32>,
}

/// Chunks that a worker has set aside: their source must wait because the plugin fails on its
/// events. Meanwhile, chunks of other sources are processed.
#[derive(Debug, Default)]
pub(super) struct HeldChunks {
    /// The chunks in the order in which they were set aside, each with the time from which it can
    /// continue.
    works: VecDeque<(Instant, PartialChunk)>,
    bytes: usize,
}

impl PartialChunk {
    pub(super) fn new(chunk: Chunk) -> Self {
        PartialChunk { chunk, next: 0, undecided: Vec::new() }
    }
}

impl HeldChunks {
    pub(super) fn is_empty(&self) -> bool {
        self.works.is_empty()
    }

    /// Whether the worker must accept no more chunks.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= limits::HELD_BYTES_MAX || self.works.len() >= HELD_CHUNKS_MAX
    }

    /// Sets a chunk aside until this time.
    pub(super) fn set_aside(&mut self, work: PartialChunk, until: Instant) {
        self.bytes += work.chunk.bytes.len();
        self.works.push_back((until, work));
    }

    /// The time at which the first chunk is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.works.iter().map(|(until, _)| *until).min()
    }

    /// Takes the due chunk that has waited longest.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<PartialChunk> {
        let due = self.works.iter().position(|(until, _)| *until <= now)?;
        let (_, work) = self.works.remove(due).expect("it was found there");
        self.bytes -= work.chunk.bytes.len();
        Some(work)
    }

    /// Makes all chunks due.
    pub(super) fn release_all(&mut self, now: Instant) {
        self.works.iter_mut().for_each(|(until, _)| *until = now.min(*until));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use standpipe_core::event::{Ack, Lines};

    const SECOND: Duration = Duration::from_secs(1);

    fn work(bytes: usize) -> PartialChunk {
        let ack = Ack::new("test".into(), 0, |_| ());
        PartialChunk::new(Lines { bytes: vec![0; bytes], ..Lines::default() }.into_chunk(ack))
    }

    #[test]
    fn who_is_due_and_has_waited_longest_goes_first() {
        let (now, mut held) = (Instant::now(), HeldChunks::default());
        assert_eq!((held.next_due(), held.pop_due(now).is_some()), (None, false));
        held.set_aside(work(1), now + SECOND * 3);
        held.set_aside(work(2), now + SECOND);
        held.set_aside(work(3), now + SECOND * 2);
        assert_eq!(held.next_due(), Some(now + SECOND));
        assert!(held.pop_due(now).is_none());
        let size = |work: Option<PartialChunk>| work.map(|work| work.chunk.bytes.len());
        assert_eq!(size(held.pop_due(now + SECOND * 2)), Some(2));
        assert_eq!(size(held.pop_due(now + SECOND * 2)), Some(3));
        held.release_all(now);
        assert_eq!(size(held.pop_due(now)), Some(1));
        assert!(held.is_empty() && held.bytes == 0);
    }

    #[test]
    fn what_is_held_is_bounded_in_bytes_and_in_chunks() {
        let (now, mut held) = (Instant::now(), HeldChunks::default());
        held.set_aside(work(limits::HELD_BYTES_MAX - 1), now);
        assert!(!held.is_full());
        held.set_aside(work(1), now);
        assert!(held.is_full());
        let mut held = HeldChunks::default();
        (0..HELD_CHUNKS_MAX).for_each(|_| held.set_aside(work(1), now));
        assert!(held.is_full());
    }
}
