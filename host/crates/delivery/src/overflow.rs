//! Stores batches of streams that cannot keep up on disk until they can be sent.
//!
//! The overflow extends the memory and is not a spool: its files have no names and disappear with
//! the process, like the contents of memory. All streams append to one file until it is large
//! enough, so a thousand slow streams need few descriptors. The overflow punches a hole into the
//! file for each batch that was read back, and closes a file with its last batch. So the limit of
//! stored batches is also a limit of disk use. If the file system cannot punch holes, a file counts
//! with its whole size until it is closed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::Batch;
use super::batch::ProvenanceRun;
use crate::limits;
use standpipe_core::files::punch_hole;
use standpipe_core::private;

/// Bytes of a file of records that wait for a held or slow stream. If the file system cannot punch
/// holes, a file uses disk space until all of it has been read back, so a file must be small.
const OVERFLOW_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Runs of records in such files. Each comes from one chunk of an input, and keeps an
/// acknowledgement for that chunk's events in memory. With events of usual size this is about 100
/// MB.
const OVERFLOW_RUNS_MAX: usize = 65_536;

/// Batches that are read back at once outside of [`IN_FLIGHT_BYTES_MAX`], to become dead letters.
/// Dead letters are written one after the other, so one additional batch is enough to read ahead.
const OVERFLOW_UNBUDGETED_READS: usize = 2;

/// The batches of all streams on disk.
#[derive(Debug)]
pub(super) struct Overflow {
    directory: PathBuf,
    bytes_max: u64,
    state: Mutex<OverflowState>,
    freed: Notify,
    /// Permits for batches that are read back outside of the shared memory.
    unbudgeted: Semaphore,
}

#[derive(Debug, Default)]
struct OverflowState {
    /// The disk space of the files.
    bytes: u64,
    runs: usize,
    /// The current file, and its length.
    open: Option<(Arc<SpillFile>, u64)>,
    /// When the disk last failed, until the next write.
    failed: Option<Instant>,
}

/// A file of batches. Its counts only change under the lock of [`OverflowState`].
#[derive(Debug)]
struct SpillFile {
    file: File,
    /// Number of batches in the file.
    live: AtomicUsize,
    /// Bytes of removed batches that the file system did not release.
    kept_bytes: AtomicU64,
}

/// The number of batches that one stream keeps on disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog(Arc<AtomicUsize>);

/// A batch on disk.
#[derive(Debug)]
pub(super) struct SpilledBatch {
    extent: Extent,
    /// Lengths of the records, of other texts, of compressed records, and of the index, in this
    /// order.
    lengths: [usize; 4],
    /// The provenance of the records. It stays in memory with its acknowledgements.
    runs: Vec<ProvenanceRun>,
    /// The bytes of the batch in memory.
    pub(super) held_bytes: usize,
    /// The number of its events.
    pub(super) events: usize,
    /// The number of its records.
    records: usize,
}

/// The disk space of a batch in its file. Dropping it releases the space.
#[derive(Debug)]
struct Extent {
    overflow: Arc<Overflow>,
    backlog: Backlog,
    file: Arc<SpillFile>,
    offset: u64,
    /// A multiple of the block size.
    bytes: u64,
    runs: usize,
}

/// Why a batch stays in memory.
#[derive(Debug, Error)]
pub(super) enum NotStored {
    /// The limit of disk use is reached.
    #[error("the overflow limit is reached")]
    Full,
    #[error(transparent)]
    Failed(#[from] io::Error),
    /// The disk failed a moment ago, and is not tried again yet.
    #[error("the disk failed a moment ago")]
    Resting,
}

/// The minimum unit of allocation in file systems, in bytes. Each batch starts at a multiple of it,
/// so that all of its space is released.
const BLOCK_BYTES: u64 = 4096;

impl Overflow {
    pub(super) fn new(directory: PathBuf, bytes_max: u64) -> Arc<Self> {
        Arc::new(Overflow {
            directory,
            bytes_max,
            state: Mutex::default(),
            freed: Notify::new(),
            unbudgeted: Semaphore::new(OVERFLOW_UNBUDGETED_READS),
        })
    }

    /// Writes a batch to disk.
    pub(super) fn store_batch(
        self: &Arc<Self>,
        backlog: &Backlog,
        batch: &Batch,
    ) -> Result<SpilledBatch, NotStored> {
        let index = batch.index();
        let parts = [batch.bytes.as_slice(), &batch.texts, &batch.compressed, &index];
        let lengths = parts.map(<[u8]>::len);
        let bytes = lengths.iter().sum::<usize>() as u64;
        let extent = self.reserve_extent(backlog, bytes, batch.runs.len())?;
        let mut at = extent.offset;
        for part in parts {
            // Dropping the extent also releases bytes that were written before a failure.
            extent
                .file
                .file
                .write_all_at(part, at)
                .inspect_err(|error| self.note_failure(&mut self.state.lock(), error))?;
            at += part.len() as u64;
        }
        if self.state.lock().failed.take().is_some() {
            tracing::info!("records of slow streams are written to disk again");
        }
        let (runs, held_bytes) = (batch.runs.clone(), batch.held_bytes());
        let (events, records) = (batch.event_count(), batch.len());
        Ok(SpilledBatch { extent, lengths, runs, held_bytes, events, records })
    }

    /// Notified whenever disk space may have become free.
    pub(super) fn space_freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// Returns a permit to read a batch back outside of the shared memory. The caller holds it
    /// until the batch is out of memory again.
    pub(super) async fn unbudgeted_read(&self) -> SemaphorePermit<'_> {
        self.unbudgeted.acquire().await.expect("it is never closed")
    }

    fn reserve_extent(
        self: &Arc<Self>,
        backlog: &Backlog,
        bytes: u64,
        runs: usize,
    ) -> Result<Extent, NotStored> {
        let bytes = bytes.next_multiple_of(BLOCK_BYTES);
        let mut state = self.state.lock();
        if state.failed.is_some_and(|failed| failed.elapsed() < limits::OVERFLOW_RETRY) {
            return Err(NotStored::Resting);
        }
        if state.bytes + bytes > self.bytes_max || state.runs + runs > OVERFLOW_RUNS_MAX {
            return Err(NotStored::Full);
        }
        let extended = state.extend_file(bytes, || {
            private::create_directory(&self.directory)?;
            tempfile::tempfile_in(&self.directory)
        });
        let (file, offset) = extended.inspect_err(|error| self.note_failure(&mut state, error))?;
        state.bytes += bytes;
        state.runs += runs;
        file.live.fetch_add(1, Ordering::Relaxed);
        backlog.0.fetch_add(1, Ordering::Relaxed);
        let (overflow, backlog) = (Arc::clone(self), backlog.clone());
        Ok(Extent { overflow, backlog, file, offset, bytes, runs })
    }

    fn note_failure(&self, state: &mut OverflowState, error: &io::Error) {
        if state.failed.replace(Instant::now()).is_none() {
            tracing::warn!(
                "failed to write records of slow streams to {}: {error}: they stay in memory and may delay other streams: free disk space there, or set --data-dir",
                self.directory.display()
            );
        }
    }
}

impl OverflowState {
    /// Returns the file and the position for this number of additional bytes.
    fn extend_file(
        &mut self,
        bytes: u64,
        create: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<(Arc<SpillFile>, u64)> {
        let has_room = |length: u64| length + bytes <= OVERFLOW_FILE_BYTES_MAX;
        let (file, length) = match self.open.take_if(|(_, length)| has_room(*length)) {
            Some(open) => open,
            None => {
                let (live, kept_bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
                (Arc::new(SpillFile { file: create()?, live, kept_bytes }), 0)
            }
        };
        self.open = Some((Arc::clone(&file), length + bytes));
        Ok((file, length))
    }
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl SpilledBatch {
    /// Reads the batch back. An error contains the number of events that it loses.
    pub(super) fn load(self) -> Result<Batch, (usize, io::Error)> {
        let events = self.events;
        self.read().map_err(|error| (events, error))
    }

    fn read(self) -> io::Result<Batch> {
        let mut at = self.extent.offset;
        let mut read = |length: usize| {
            let mut part = vec![0; length];
            self.extent.file.file.read_exact_at(&mut part, at)?;
            at += length as u64;
            io::Result::Ok(part)
        };
        let [bytes, texts, compressed, index] = self.lengths;
        let buffers = [read(bytes)?, read(texts)?, read(compressed)?];
        Ok(Batch::from_parts(buffers, &read(index)?, (self.events, self.records), self.runs))
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        let is_punched = punch_hole(&self.file.file, self.offset, self.bytes).is_ok();
        let closed = {
            let mut state = self.overflow.state.lock();
            if is_punched {
                state.bytes -= self.bytes;
            } else {
                self.file.kept_bytes.fetch_add(self.bytes, Ordering::Relaxed);
            }
            state.runs -= self.runs;
            self.backlog.0.fetch_sub(1, Ordering::Relaxed);
            let is_last = self.file.live.fetch_sub(1, Ordering::Relaxed) == 1;
            if is_last {
                state.bytes -= self.file.kept_bytes.swap(0, Ordering::Relaxed);
            }
            state.open.take_if(|(open, _)| is_last && Arc::ptr_eq(open, &self.file))
        };
        drop(closed);
        self.overflow.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::Provenance;
    use crate::Record;
    use standpipe_core::event::Ack;

    /// A batch of events, each with a text and optionally another payload.
    fn batch(events: &[(Vec<u8>, Option<Vec<u8>>)]) -> Batch {
        let provenance = || {
            let ack = Ack::new("test".into(), events.len(), |_| ());
            Provenance { ack, plugin: "digest".into(), generation: 0 }
        };
        let (mut batch, mut current) = (Batch::default(), provenance());
        for (event, (text, payload)) in (0..).zip(events) {
            if event % 5 == 4 {
                current = provenance();
            }
            let (line, payload) = (u64::from(event) << 33, payload.as_deref());
            let record = Record { event, line, text, payload };
            match event % 3 {
                1 => batch.push_to_last_record(&current, record, b"\n"),
                _ => batch.push(&current, record, b"\n"),
            }
            // Some records are compressed, with one byte before the text as the compressed form.
            if event % 4 == 2 && batch.uncompressed_bytes().is_some() {
                batch.compress_last_record(usize::MAX, |record, to| {
                    to.push(b'z');
                    to.extend_from_slice(record);
                });
            }
        }
        batch
    }

    /// A record's payload, and the texts and lines of its events.
    type Facts = (Vec<u8>, Vec<Vec<u8>>, Vec<u64>);

    fn facts(batch: &Batch) -> Vec<Facts> {
        let of_record = |record| {
            let events = batch.events_of(record);
            let texts = events.clone().map(|event| batch.text(event).to_vec()).collect();
            let lines = events.map(|event| batch.line(event)).collect();
            (batch.payload(record).to_vec(), texts, lines)
        };
        (0..batch.len()).map(of_record).collect()
    }

    fn events() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        prop::collection::vec((bytes(), prop::option::of(bytes())), 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_read_back_is_what_was_written(
            steps in prop::collection::vec((events(), any::<bool>()), 1..20),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let (overflow, backlog) =
                (Overflow::new(directory.path().join("new"), 30_000), Backlog::default());
            let mut queue = VecDeque::new();
            for (events, is_read) in steps {
                let batch = batch(&events);
                match overflow.store_batch(&backlog, &batch) {
                    Ok(stored) => queue.push_back((facts(&batch), stored)),
                    Err(NotStored::Full) => prop_assert!(!queue.is_empty()),
                    Err(error) => panic!("{error}"),
                }
                prop_assert!(overflow.state.lock().bytes <= 30_000);
                if is_read && let Some((expected, stored)) = queue.pop_front() {
                    prop_assert_eq!(facts(&stored.load().unwrap()), expected);
                }
                prop_assert_eq!(backlog.is_empty(), queue.is_empty());
            }
            for (expected, stored) in queue {
                prop_assert_eq!(facts(&stored.load().unwrap()), expected);
            }
            let state = overflow.state.lock();
            prop_assert_eq!((state.bytes, state.runs), (0, 0));
            prop_assert!(state.open.is_none(), "a file without batches is open");
        }
    }

    #[test]
    fn a_disk_that_fails_leaves_the_batch_in_memory_and_takes_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let in_the_way = directory.path().join("overflow");
        fs::write(&in_the_way, "a file").unwrap();
        let (overflow, backlog) = (Overflow::new(in_the_way, 30_000), Backlog::default());
        let stored = overflow.store_batch(&backlog, &batch(&[(b"text".to_vec(), None)]));
        assert!(matches!(stored, Err(NotStored::Failed(_))));
        assert!(backlog.is_empty());
        assert_eq!(overflow.state.lock().bytes, 0);
    }

    /// The disk space of a batch's file, in bytes.
    fn allocated(file: &File) -> u64 {
        use std::os::unix::fs::MetadataExt;
        file.metadata().unwrap().blocks() * 512
    }

    #[test]
    fn the_disk_is_given_back_batch_by_batch() {
        let directory = tempfile::tempdir().unwrap();
        let overflow = Overflow::new(directory.path().to_owned(), 1 << 30);
        let (one, other) = (Backlog::default(), Backlog::default());
        let text = vec![b'x'; 100_000];
        let store =
            |backlog| overflow.store_batch(backlog, &batch(&[(text.clone(), None)])).unwrap();
        let stored = [&one, &other, &one, &other].map(store);
        let file = stored[0].extent.file.file.try_clone().unwrap();
        let whole = overflow.state.lock().bytes;
        assert_eq!(allocated(&file), whole, "what is counted is what is taken");
        let mut left = whole;
        for stored in stored {
            let bytes = stored.extent.bytes;
            stored.load().unwrap();
            left -= bytes;
            assert_eq!((overflow.state.lock().bytes, allocated(&file)), (left, left));
        }
        assert!(one.is_empty() && other.is_empty() && overflow.state.lock().open.is_none());
    }

    #[test]
    fn a_disk_that_was_full_is_written_to_again_and_keeps_no_torn_batch() {
        let directory = tempfile::tempdir().unwrap();
        let overflow = Overflow::new(directory.path().to_owned(), 1 << 30);
        let backlog = Backlog::default();
        let small = batch(&[(vec![b'x'; 10], None)]);
        let first = overflow.store_batch(&backlog, &small).unwrap();
        // Simulates a failure of the disk on the next batch.
        overflow.note_failure(&mut overflow.state.lock(), &io::ErrorKind::StorageFull.into());
        assert!(matches!(overflow.store_batch(&backlog, &small), Err(NotStored::Resting)));
        overflow.state.lock().failed = Some(Instant::now() - limits::OVERFLOW_RETRY);
        let second = overflow.store_batch(&backlog, &small).unwrap();
        assert!(overflow.state.lock().failed.is_none());
        assert_eq!(facts(&first.load().unwrap()), facts(&small));
        assert_eq!(facts(&second.load().unwrap()), facts(&small));
    }

    #[test]
    fn what_cannot_be_read_back_is_an_error_and_takes_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let overflow = Overflow::new(directory.path().to_owned(), 1 << 30);
        let backlog = Backlog::default();
        let stored = overflow.store_batch(&backlog, &batch(&[(vec![b'x'; 10_000], None)])).unwrap();
        stored.extent.file.file.set_len(100).unwrap();
        assert!(stored.load().is_err());
        assert!(backlog.is_empty());
        assert_eq!(overflow.state.lock().bytes, 0);
    }
}
