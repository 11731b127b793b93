//! Batches of streams that cannot keep up, on disk until their turn comes.
//!
//! This is an extension of memory and not a spool: the files have no names and
//! are gone with the process, just as what is in memory is. Each stream appends
//! to files of its own, which are as short as possible, since a file takes its
//! room until the last batch in it has been read back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::Batch;
use super::batch::Run;
use crate::{limits, private};

/// What all streams together keep on disk.
#[derive(Debug)]
pub(super) struct Overflow {
    directory: PathBuf,
    bytes_max: u64,
    used: Mutex<Used>,
    /// Whether it has been said that the disk failed.
    is_mentioned: AtomicBool,
}

#[derive(Debug, Default)]
struct Used {
    bytes: u64,
    runs: usize,
}

/// What one stream keeps on disk.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    batches: Arc<AtomicUsize>,
    /// The file that is appended to, and its length.
    open: Mutex<Option<(Arc<File>, u64)>>,
}

/// A batch on disk.
#[derive(Debug)]
pub(super) struct Stored {
    file: Arc<File>,
    offset: u64,
    parts: Parts,
    /// The acknowledgements stay in memory.
    runs: Vec<Run>,
    held_bytes: usize,
    events: usize,
    _place: Place,
}

/// The lengths of what is written, one after the other.
#[derive(Debug, Clone, Copy)]
struct Parts {
    bytes: usize,
    texts: usize,
    index: usize,
}

/// What a batch takes of the bounds, given back when it is dropped.
#[derive(Debug)]
struct Place {
    overflow: Arc<Overflow>,
    batches: Arc<AtomicUsize>,
    bytes: u64,
    runs: usize,
}

/// A batch stays in memory.
#[derive(Debug, Error)]
pub(super) enum NotStored {
    /// There is as much on disk as there may be.
    #[error("as much is on disk as may be")]
    Full,
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl Overflow {
    pub(super) fn new(directory: PathBuf, bytes_max: u64) -> Arc<Self> {
        let is_mentioned = AtomicBool::new(false);
        Arc::new(Overflow { directory, bytes_max, used: Mutex::default(), is_mentioned })
    }

    /// Write a batch out.
    pub(super) fn store(
        self: &Arc<Self>,
        backlog: &Backlog,
        batch: &Batch,
    ) -> Result<Stored, NotStored> {
        let index = batch.index();
        let (bytes, texts) = (batch.all_payloads(), batch.all_texts());
        let parts = Parts { bytes: bytes.len(), texts: texts.len(), index: index.len() };
        let place = self.reserve(backlog, parts.length(), batch.runs().len())?;
        let (file, offset) = backlog
            .extend(parts.length(), || self.create())
            .inspect_err(|error| self.mention(error))?;
        let mut at = offset;
        for part in [bytes, texts, &index] {
            file.write_all_at(part, at).inspect_err(|error| self.mention(error))?;
            at += part.len() as u64;
        }
        let (runs, held_bytes) = (batch.runs().to_vec(), batch.held_bytes());
        let events = batch.event_count();
        Ok(Stored { file, offset, parts, runs, held_bytes, events, _place: place })
    }

    fn reserve(
        self: &Arc<Self>,
        backlog: &Backlog,
        bytes: u64,
        runs: usize,
    ) -> Result<Place, NotStored> {
        let mut used = self.used();
        if used.bytes + bytes > self.bytes_max || used.runs + runs > limits::OVERFLOW_RUNS_MAX {
            return Err(NotStored::Full);
        }
        used.bytes += bytes;
        used.runs += runs;
        backlog.batches.fetch_add(1, Ordering::Relaxed);
        let batches = Arc::clone(&backlog.batches);
        Ok(Place { overflow: Arc::clone(self), batches, bytes, runs })
    }

    fn create(&self) -> io::Result<File> {
        private::create_directory(&self.directory)?;
        tempfile::tempfile_in(&self.directory)
    }

    fn mention(&self, error: &io::Error) {
        if !self.is_mentioned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "records of slow streams stay in memory, and may hold up others: write to {}: {error}: make room there, or give --data-dir",
                self.directory.display()
            );
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.load(Ordering::Relaxed) == 0
    }

    /// Where so many bytes more can be written.
    fn extend(
        &self,
        bytes: u64,
        create: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<(Arc<File>, u64)> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // What has been read back altogether takes no room any more.
        let is_done = |file: &Arc<File>| Arc::strong_count(file) == 1;
        if open.as_ref().is_some_and(|(file, length)| {
            is_done(file) || length + bytes > limits::OVERFLOW_FILE_BYTES_MAX
        }) {
            *open = None;
        }
        let (file, length) = match &mut *open {
            Some(open) => open,
            none => none.insert((Arc::new(create()?), 0)),
        };
        let offset = *length;
        *length += bytes;
        Ok((Arc::clone(file), offset))
    }
}

impl Parts {
    fn length(self) -> u64 {
        (self.bytes + self.texts + self.index) as u64
    }
}

impl Stored {
    /// What the batch takes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// The number of its events.
    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// Read the batch back.
    pub(super) fn load(self) -> io::Result<Batch> {
        let mut at = self.offset;
        let mut read = |length: usize| {
            let mut part = vec![0; length];
            self.file.read_exact_at(&mut part, at)?;
            at += length as u64;
            io::Result::Ok(part)
        };
        let (bytes, texts) = (read(self.parts.bytes)?, read(self.parts.texts)?);
        Ok(Batch::from_parts(bytes, texts, &read(self.parts.index)?, self.events, self.runs))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.overflow.used();
        used.bytes -= self.bytes;
        used.runs -= self.runs;
        self.batches.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::delivery::Provenance;
    use crate::delivery::batch::Item;
    use crate::event::Ack;

    /// A batch of events, each with a text and perhaps another payload.
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
            let item = Item { event, line, text, payload, newline: b"\n" };
            match event % 3 {
                1 => batch.push_to_last_record(&current, item),
                _ => batch.push(&current, item),
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
                match overflow.store(&backlog, &batch) {
                    Ok(stored) => queue.push_back((facts(&batch), stored)),
                    Err(NotStored::Full) => prop_assert!(!queue.is_empty()),
                    Err(NotStored::Failed(error)) => panic!("{error}"),
                }
                prop_assert!(overflow.used().bytes <= 30_000);
                if is_read && let Some((expected, stored)) = queue.pop_front() {
                    prop_assert_eq!(facts(&stored.load().unwrap()), expected);
                }
                prop_assert_eq!(backlog.is_empty(), queue.is_empty());
            }
            for (expected, stored) in queue {
                prop_assert_eq!(facts(&stored.load().unwrap()), expected);
            }
            let used = overflow.used();
            prop_assert_eq!((used.bytes, used.runs), (0, 0));
        }
    }

    #[test]
    fn a_disk_that_fails_leaves_the_batch_in_memory_and_takes_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let in_the_way = directory.path().join("overflow");
        fs::write(&in_the_way, "a file").unwrap();
        let (overflow, backlog) = (Overflow::new(in_the_way, 30_000), Backlog::default());
        let stored = overflow.store(&backlog, &batch(&[(b"text".to_vec(), None)]));
        assert!(matches!(stored, Err(NotStored::Failed(_))));
        assert!(backlog.is_empty());
        assert_eq!(overflow.used().bytes, 0);
    }
}
