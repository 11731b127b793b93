//! A durable queue of bytes: whoever appends an entry is answered once it is safe,
//! and it is handed out until each of its items has been acknowledged.
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

pub use error::{AppendError, DiskError, OpenError};
pub use settings::{Durability, RawSpool, SpoolSettings};
pub use status::{Recovered, Status};

use std::sync::Arc;
use std::time::Duration;

#[cfg(any(test, feature = "testing"))]
pub use stepped::Steps;
pub use storage::{Files, Storage};

use disk::Disk;
use memory::Memory;
use reader::{Reader, until};

/// The side of a spool that takes entries. Dropping the last clone closes the
/// spool, and waits until what was taken is stored.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Disk(Disk),
    Memory(Arc<Memory>),
}

/// The side that hands them out. The spool's directory is free for another
/// process once this and all clones of the [`Spool`] are dropped.
#[derive(Debug)]
pub struct Outlet(OutletKind);

#[derive(Debug)]
enum OutletKind {
    Disk(Box<Reader>),
    Memory(Arc<Memory>),
}

/// An entry as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many items it has.
    pub items: u32,
    /// What acknowledges it.
    pub place: Place,
    /// The positions of the items that were acknowledged before a restart, in
    /// order. They must not be delivered again.
    pub acked: Vec<u32>,
}

/// Where an entry is, for as long as the spool is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    segment: u64,
    first: u32,
    items: u32,
}

/// What waiting for an entry came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// It came.
    Entry(Entry),
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
    pub fn open(settings: SpoolSettings) -> Result<(Self, Outlet, Recovered), OpenError> {
        let segment_bytes = (settings.bytes_max / limits::SPOOL_SEGMENTS_MIN)
            .clamp(limits::SPOOL_SEGMENT_BYTES_MIN, limits::SPOOL_SEGMENT_BYTES);
        Self::open_on(settings, segment_bytes, Box::new(Files))
    }

    fn open_on(
        settings: SpoolSettings,
        segment_bytes: u64,
        storage: Box<dyn Storage>,
    ) -> Result<(Self, Outlet, Recovered), OpenError> {
        if settings.durability == Durability::Memory {
            let memory = Arc::new(Memory::new(settings.bytes_max));
            let spool = Self(Arc::new(Kind::Memory(Arc::clone(&memory))));
            return Ok((spool, Outlet(OutletKind::Memory(memory)), Recovered::default()));
        }
        let (disk, reader, recovered) = Disk::open(settings, segment_bytes, storage)?;
        let outlet = Outlet(OutletKind::Disk(Box::new(reader)));
        Ok((Self(Arc::new(Kind::Disk(disk))), outlet, recovered))
    }

    /// Whether it outlives the process.
    pub fn is_durable(&self) -> bool {
        matches!(*self.0, Kind::Disk(_))
    }

    /// Append an entry of so many items, and wait until it is durable.
    ///
    /// An entry without items has nothing that anybody would wait for, so nothing
    /// is kept of it. When the future is dropped, the entry may still be stored.
    ///
    /// # Errors
    ///
    /// The entry was not taken, or nobody knows.
    pub async fn append(&self, items: u32, bytes: Vec<u8>) -> Result<(), AppendError> {
        if items == 0 {
            return Ok(());
        }
        match &*self.0 {
            Kind::Disk(disk) => disk.append(items, bytes).await,
            Kind::Memory(memory) => memory.append(items, bytes),
        }
    }

    /// Acknowledge the items of an entry at these positions, counted from 0. Those that are
    /// acknowledged already stay so.
    ///
    /// It survives the end of the process at once. Where it cannot be written, it
    /// is tried again, and counted in [`Status::tend_errors`].
    pub fn acknowledge(&self, place: Place, positions: impl Iterator<Item = u32>) {
        match &*self.0 {
            Kind::Disk(disk) => disk.log.acknowledge(place, positions),
            Kind::Memory(memory) => memory.acknowledge(place, positions),
        }
    }

    /// Count so many items of an entry as unreadable: whole, but not to be made out
    /// by whoever reads. Where nobody acknowledges them they stay in the spool, and
    /// are handed out again after a restart, perhaps to a version that can read them.
    pub fn keep(&self, items: u32) {
        match &*self.0 {
            Kind::Disk(disk) => disk.log.keep(items),
            Kind::Memory(memory) => memory.keep(items),
        }
    }

    /// What it holds and has done.
    pub fn status(&self) -> Status {
        match &*self.0 {
            Kind::Disk(disk) => disk.log.status(),
            Kind::Memory(memory) => memory.status(),
        }
    }

    /// Take no more entries. What was taken is stored and handed out, and then
    /// comes [`Next::End`]; acknowledging goes on.
    pub fn close(&self) {
        match &*self.0 {
            Kind::Disk(disk) => disk.close(),
            Kind::Memory(memory) => memory.close(),
        }
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        // A disk closes itself.
        if let Self::Memory(memory) = self {
            memory.close();
        }
    }
}

impl Outlet {
    /// The next entry in the order of appending, once it is durable. Blocks the
    /// thread for up to this long.
    pub fn next(&mut self, patience: Duration) -> Next {
        match &mut self.0 {
            OutletKind::Disk(reader) => reader.next(until(patience)),
            OutletKind::Memory(memory) => memory.next(until(patience)),
        }
    }
}
