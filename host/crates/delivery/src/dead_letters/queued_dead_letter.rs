//! A dead letter that waits to be written.

use standpipe_core::event::{Ack, Reason};

/// Memory that a waiting dead letter takes beside its line, in bytes.
const OVERHEAD_BYTES: usize = 128;

/// What a dead letter survives once its event counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterDurability {
    /// A loss of power: it is synced to the disk, with all that wait at the same
    /// time. For sources that promise as much themselves.
    Synced,
    /// The end of the process, however sudden: the operating system has it.
    Written,
}

/// A dead letter that waits, and the event that it is about.
#[derive(Debug)]
pub(super) struct QueuedDeadLetter {
    pub(super) line: Vec<u8>,
    pub(super) reason: Reason,
    pub(super) ack: Ack,
    pub(super) event: u32,
}

impl QueuedDeadLetter {
    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.line.len() + OVERHEAD_BYTES
    }
}
