//! The commands for the writer.

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
    /// The entry's reservation in the memory of waiting entries.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A command for the writer.
#[derive(Debug)]
pub(super) enum WriterCommand {
    Append(PendingEntry),
    /// Remove the current segment, if it is no longer needed.
    Renew(oneshot::Sender<()>),
    /// Release disk space if it is scarce, and test whether a failed disk works again.
    Tend,
    /// Store waiting entries, and end.
    Close,
}

impl WriterCommand {
    /// The next command. While the spool is closing, only commands that are already waiting.
    pub(super) fn next(commands: &Receiver<Self>, is_closing: bool) -> Option<Self> {
        if is_closing { commands.try_recv().ok() } else { commands.recv().ok() }
    }
}
