//! A durable queue of bytes: an append returns once the entry is durable, and the entry is returned
//! to the consumer until each of its items is acknowledged.
//!
//! On disk, the spool is a log of segments in a directory that only one process uses at a time.
//! Each segment has a second file with one bit per item. A segment is removed when all of its items
//! are acknowledged. The consumer gets each entry once in the life of a process, in the order of
//! appending, and again after a restart if some of its items are not acknowledged. So entries are
//! never lost, and rarely duplicated.
//!
//! [`SpoolSettings::bytes_max`] limits the size. Above it, the spool accepts no entries. Memory
//! does not grow with waiting entries, except for one bit per item: the reader reads from the disk.
//!
//! No disk error stops the spool: if an entry cannot be stored, the caller gets an error, and the
//! next entry is tried again. A corrupt region is counted, reported by position but never by
//! content, saved in a file next to the segments, and skipped.

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
use folder::holds_segments;
use memory::MemorySpool;
use reader::{SegmentReader, deadline_after};

/// The side of a spool that accepts entries. Dropping the last clone closes the spool, and waits
/// until accepted entries are stored.
#[derive(Debug, Clone)]
pub struct Spool(Arc<SpoolKind>);

#[derive(Debug)]
enum SpoolKind {
    Disk(DiskSpool),
    Memory(Arc<MemorySpool>),
}

/// The side that reads entries. The spool's directory is free for another process after this and
/// all clones of the [`Spool`] are dropped.
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
    /// The entry's bytes.
    pub bytes: Vec<u8>,
    /// The number of its items.
    pub items: u32,
    /// The position, to acknowledge its items.
    pub place: EntryPosition,
    /// The positions of the items that were acknowledged before a restart, in
    /// order. They must not be delivered again.
    pub acked: Vec<u32>,
}

/// The position of an entry while the spool is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryPosition {
    segment: u64,
    first: u32,
    items: u32,
}

/// The result of waiting for an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum NextEntry {
    /// The next entry.
    Entry(SpoolEntry),
    /// No entry arrived in time.
    Nothing,
    /// No entry will arrive: the spool is closed, and all entries were read.
    End,
}

impl Spool {
    /// Opens a spool, and recovers what an earlier process left in it.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be used, is in use, or contains files of another version.
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
        let SpoolSettings { directory, durability, .. } = &settings;
        if *durability == Durability::Acknowledged && holds_segments(directory) {
            return Err(SpoolOpenError::NotEmpty { directory: directory.clone() });
        }
        if matches!(durability, Durability::Memory | Durability::Acknowledged) {
            let memory = Arc::new(MemorySpool::new(settings.bytes_max, *durability));
            let spool = Self(Arc::new(SpoolKind::Memory(Arc::clone(&memory))));
            return Ok((spool, Consumer(ConsumerKind::Memory(memory)), Recovered::default()));
        }
        let (disk, reader, recovered) = DiskSpool::open(settings, segment_bytes, storage)?;
        let consumer = Consumer(ConsumerKind::Disk(Box::new(reader)));
        Ok((Self(Arc::new(SpoolKind::Disk(disk))), consumer, recovered))
    }

    /// Returns whether unacknowledged entries survive the process: on the disk, or with whoever waits for the end of
    /// the append.
    pub fn is_durable(&self) -> bool {
        match &*self.0 {
            SpoolKind::Disk(_) => true,
            SpoolKind::Memory(memory) => memory.waits(),
        }
    }

    /// Returns whether entries are on the disk, and so are there for the next process.
    pub fn is_on_disk(&self) -> bool {
        matches!(*self.0, SpoolKind::Disk(_))
    }

    /// Appends an entry with this number of items, and waits until it is durable.
    ///
    /// An entry without items needs no acknowledgement, so it is not stored. If the future is
    /// dropped, the entry may still be stored.
    ///
    /// # Errors
    ///
    /// Fails if the entry was not stored, or if that is unknown.
    pub async fn append(&self, items: u32, bytes: Vec<u8>) -> Result<(), AppendError> {
        if items == 0 {
            return Ok(());
        }
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.append(items, bytes).await,
            SpoolKind::Memory(memory) => memory.append(items, bytes).await,
        }
    }

    /// Acknowledges the items of an entry at these positions, counted from 0. Items that are
    /// already acknowledged stay so.
    ///
    /// The acknowledgement survives the end of the process at once. If it cannot be written, it is
    /// retried, and counted in [`SpoolStatus::tend_errors`].
    pub fn acknowledge(&self, place: EntryPosition, positions: impl Iterator<Item = u32>) {
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.log.acknowledge(place, positions),
            SpoolKind::Memory(memory) => memory.acknowledge(place, positions),
        }
    }

    /// Counts items of an entry as unreadable: complete, but in a format that the consumer does not
    /// know. They stay in the spool unless they are acknowledged. The consumer gets them again
    /// after a restart, perhaps in a version that can read them.
    pub fn count_unreadable(&self, items: u32) {
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.log.count_unreadable(items),
            SpoolKind::Memory(memory) => memory.count_unreadable(items),
        }
    }

    /// The contents and the counts of the spool.
    pub fn status(&self) -> SpoolStatus {
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.log.status(),
            SpoolKind::Memory(memory) => memory.status(),
        }
    }

    /// Accepts no more entries. Accepted entries are stored and read, followed by
    /// [`NextEntry::End`]. Acknowledging is still possible.
    pub fn close(&self) {
        match &*self.0 {
            SpoolKind::Disk(disk) => disk.close(),
            SpoolKind::Memory(memory) => memory.close(),
        }
    }
}

impl Drop for SpoolKind {
    fn drop(&mut self) {
        // A spool on disk closes itself when it is dropped.
        if let Self::Memory(memory) = self {
            memory.close();
        }
    }
}

impl Consumer {
    /// Returns the next entry in the order of appending, once it is durable. Blocks the thread for
    /// up to this time.
    pub fn next(&mut self, patience: Duration) -> NextEntry {
        match &mut self.0 {
            ConsumerKind::Disk(reader) => reader.next(deadline_after(patience)),
            ConsumerKind::Memory(memory) => memory.next(deadline_after(patience)),
        }
    }
}
