//! What the writer is asked for.

use crossbeam_channel::Receiver;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::AppendError;

/// An entry that waits to be stored.
#[derive(Debug)]
pub(super) struct PendingEntry {
    pub(super) items: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) checksum: u32,
    pub(super) answer: oneshot::Sender<Result<(), AppendError>>,
    /// Its part of the memory for what waits.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A thing to do.
#[derive(Debug)]
pub(super) enum WriterCommand {
    Append(PendingEntry),
    /// Remove the segment that is being written, if nobody needs any of it.
    Renew(oneshot::Sender<()>),
    /// Give room back if some is missing, and try whether a disk that failed works
    /// again.
    Tend,
    /// Store what waits, and end.
    Close,
}

impl WriterCommand {
    /// The next one; once the spool is closing, only what waits already.
    pub(super) fn next(commands: &Receiver<Self>, is_closing: bool) -> Option<Self> {
        if is_closing { commands.try_recv().ok() } else { commands.recv().ok() }
    }
}
