//! A dead letter that waits to be written.

use standpipe_core::event::{Ack, Reason};

/// Memory of a waiting dead letter besides its line, in bytes.
const OVERHEAD_BYTES: usize = 128;

/// What a dead letter survives after its event counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterDurability {
    /// A power failure: it is synced to the disk, together with all others that wait. For sources
    /// with the same guarantee.
    Synced,
    /// The end of the process, even a crash: the operating system has the data.
    Written,
}

/// A waiting dead letter, and its event.
#[derive(Debug)]
pub(super) struct QueuedDeadLetter {
    pub(super) line: Vec<u8>,
    pub(super) reason: Reason,
    pub(super) ack: Ack,
    pub(super) event: u32,
}

impl QueuedDeadLetter {
    /// The dead letter's memory.
    pub(super) fn bytes(&self) -> usize {
        self.line.len() + OVERHEAD_BYTES
    }
}
