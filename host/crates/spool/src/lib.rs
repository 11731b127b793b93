//! A durable queue of bytes: an append returns once the entry is safe, and the entry is
//! handed out until each of its items has been acknowledged.
//!
//! On disk it is a log of segments, in one directory that one process has at a
//! time. Beside each segment is a file with a bit for each item; a segment all of
//! whose items are acknowledged is removed. An entry is handed out once in the
//! life of a process, in the order of appending, and again after a restart if
//! items of it are not acknowledged: never lost, seldom twice.
//!
//! What bounds it is [`SpoolSettings::bytes_max`], beyond which nothing is taken.
//! Memory does not grow with what waits, but for a bit for each item: the reader
//! reads from the disk.
//!
//! No error of the disk ends anything: what could not be stored is answered with
//! an error, and the next entry is tried again. What turns out to be corrupt is
//! counted, reported by place, never by content, kept in a file beside the
//! segments and passed over.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod ack_files;
mod acks;
mod chore;
mod disk;
mod error;
mod folder;
mod frame;
mod janitor;
pub mod limits;
mod log;
mod memory;
mod reader;
mod recover;
mod segment;
mod settings;
mod status;
#[cfg(any(test, feature = "testing"))]
mod stepped;
mod storage;
#[cfg(test)]
mod tests;
mod waiting;
mod walk;
mod window;
mod writer;

pub use error::{AppendError, DiskError, SpoolOpenError};
pub use settings::{Durability, RawSpool, SpoolSettings};
pub use status::{Recovered, SpoolStatus};

use std::sync::Arc;
use std::time::Duration;

#[cfg(any(test, feature = "testing"))]
pub use stepped::SpoolSteps;
pub use storage::{FileStorage, SpoolStorage};

use disk::DiskSpool;
use memory::MemorySpool;
use reader::{SegmentReader, deadline_after};

/// The side of a spool that takes entries. Dropping the last clone closes the
/// spool, and waits until what was taken is stored.
#[derive(Debug, Clone)]
pub struct Spool(Arc<SpoolKind>);

#[derive(Debug)]
enum SpoolKind {
    Disk(DiskSpool),
    Memory(Arc<MemorySpool>),
}

/// The side that hands them out. The spool's directory is free for another
/// process once this and all clones of the [`Spool`] are dropped.
#[derive(Debug)]
pub struct Consumer(ConsumerKind);

#[derive(Debug)]
enum ConsumerKind {
    Disk(Box<SegmentReader>),
    Memory(Arc<MemorySpool>),
}

/// An entry as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolEntry {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many items it has.
    pub items: u32,
    /// What acknowledges it.
    pub place: EntryPosition,
    /// The positions of the items that were acknowledged before a restart, in
    /// order. They must not be delivered again.
    pub acked: Vec<u32>,
}

/// Where an entry is, for as long as the spool is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryPosition {
    segment: u64,
    first: u32,
    items: u32,
}

/// What waiting for an entry came to.
#[derive(Debug, PartialEq, Eq)]
pub enum NextEntry {
    /// It came.
    Entry(SpoolEntry),
    /// Nothing came in time.
    Nothing,
    /// Nothing will come: the spool is closed, and everything was handed out.
    End,
}

impl Spool {
    /// Open a spool, and find what an earlier process left in it.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, is in use, or holds files of another version.
    pub fn open(settings: SpoolSettings) -> Result<(Self, Consumer, Recovered), SpoolOpenError> {
        let segment_bytes = (settings.bytes_max / limits::SPOOL_SEGMENTS_MIN)
            .clamp(limits::SPOOL_SEGMENT_BYTES_MIN, limits::SPOOL_SEGMENT_BYTES);
        Self::open_on(settings, segment_bytes, Box::new(FileStorage))
    }

    fn open_on(
        settings: SpoolSettings,
        segment_bytes: u64,
        storage: Box<dyn SpoolStorage>,
    ) -> Result<(Self, Consumer, Recovered), SpoolOpenError> {
        if settings.durability == Durability::Memory {
            let memory = Arc::new(MemorySpool::new(settings.bytes_max));
            let spool = Self(Arc::new(SpoolKind::Memory(Arc::clone(&memory))));
            return Ok((spool, Consumer(ConsumerKind::Memory(memory)), Recovered::default()));
        }
        let (disk, reader, recovered) = DiskSpool::open(settings, segment_bytes, storage)?;
        let consumer = Consumer(ConsumerKind::Disk(Box::new(reader)));
        Ok((Self(Arc::new(SpoolKind::Disk(disk))), consumer, recovered))
    }

    /// Whether it outlives the process.
    pub fn is_durable(&self) -> bool {
        matches!(*self.0, SpoolKind::Disk(_))
    }

    /// Append an entry of so many items, and wait until it is durable.
    ///
    /// An entry without items needs no acknowledgement, so nothing is kept of it. When the future is dropped, the entry may still be stored.
    ///
    /// # Errors
    ///
    /// The entry was not taken, or nobody knows.
    pub async fn append(&self, items: u32, bytes: Vec<u8>) -> Result<(), AppendError> {
        if items == 0 {
            return Ok(());
        }
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.append(items, bytes).await,
            SpoolKind::Memory(memory) => memory.append(items, bytes),
        }
    }

    /// Acknowledge the items of an entry at these positions, counted from 0. Those that are
    /// acknowledged already stay so.
    ///
    /// It survives the end of the process at once. Where it cannot be written, it
    /// is tried again, and counted in [`SpoolStatus::tend_errors`].
    pub fn acknowledge(&self, place: EntryPosition, positions: impl Iterator<Item = u32>) {
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.log.acknowledge(place, positions),
            SpoolKind::Memory(memory) => memory.acknowledge(place, positions),
        }
    }

    /// Counts items of an entry as unreadable: whole, but of a form that the consumer does not
    /// know. Unless they are acknowledged they stay in the spool, and are handed out again after
    /// a restart, perhaps to a version that can read them.
    pub fn count_unreadable(&self, items: u32) {
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.log.count_unreadable(items),
            SpoolKind::Memory(memory) => memory.count_unreadable(items),
        }
    }

    /// What it holds and has done.
    pub fn status(&self) -> SpoolStatus {
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.log.status(),
            SpoolKind::Memory(memory) => memory.status(),
        }
    }

    /// Take no more entries. What was taken is stored and handed out, and then
    /// comes [`NextEntry::End`]; acknowledging goes on.
    pub fn close(&self) {
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.close(),
            SpoolKind::Memory(memory) => memory.close(),
        }
    }
}

impl Drop for SpoolKind {
    fn drop(&mut self) {
        // A disk closes itself.
        if let Self::Memory(memory) = self {
            memory.close();
        }
    }
}

impl Consumer {
    /// The next entry in the order of appending, once it is durable. Blocks the
    /// thread for up to this long.
    pub fn next(&mut self, patience: Duration) -> NextEntry {
        match &mut self.0 {
            ConsumerKind::Disk(reader) => reader.next(deadline_after(patience)),
            ConsumerKind::Memory(memory) => memory.next(deadline_after(patience)),
        }
    }
}
