//! A journal of the appends to the files of a directory.
//!
//! The file has a slot for each concurrent append: the stream, and the lengths of its file before
//! and after. A slot is smaller than a sector and is written with one call. It is cleared when the
//! append has finished. So a file that is changed later is never mistaken for an unfinished one.
//!
//! The file is locked while the directory is in use, and removed afterwards.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use parking_lot::Mutex;

use super::path_of;
use standpipe_core::event::StreamName;
use standpipe_core::files::{LOCK_TIMEOUT, lock_until};
use standpipe_core::private;

const FILE: &str = ".standpipe-appends";

const SLOT_BYTES: usize = 128;
/// The first bytes of a used slot: the version of its format.
const MAGIC: [u8; 4] = *b"spa1";
const NAME_AT: usize = 24;
const NAME_BYTES_MAX: usize = SLOT_BYTES - 4 - NAME_AT;
const CHECKSUM_AT: usize = SLOT_BYTES - 4;

/// Maximum slots to read in a file of an earlier process. It is the maximum number of the runtime's
/// threads for blocking calls.
const SLOTS_MAX: usize = 4096;

/// The appends in progress.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    free: Vec<usize>,
    count: usize,
}

/// The contents of a slot.
#[derive(Debug, PartialEq, Eq)]
struct Note<'a> {
    stream: &'a str,
    before: u64,
    after: u64,
}

impl Journal {
    /// Locks the directory's journal, and undoes the unfinished appends of an earlier process.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(FILE);
        let mut file = lock_journal(&path)?;
        let mut slots = Vec::new();
        (&mut file).take((SLOTS_MAX * SLOT_BYTES) as u64).read_to_end(&mut slots)?;
        for note in slots.as_chunks::<SLOT_BYTES>().0.iter().filter_map(Note::parse) {
            note.undo_append(directory)?;
        }
        file.set_len(0)?;
        Ok(Journal { path, file, slots: Mutex::default() })
    }

    /// Notes that a stream's file is about to grow from one length to another. Returns the slot,
    /// for [`Journal::end`].
    pub(super) fn begin_append(
        &self,
        stream: &StreamName,
        before: u64,
        after: u64,
    ) -> io::Result<usize> {
        let slot = self.slots.lock().take();
        let note = Note { stream: stream.as_str(), before, after };
        let written = self.write(slot, &note.encode());
        written.inspect_err(|_| self.slots.lock().free.push(slot)).map(|()| slot)
    }

    /// Notes that an append has finished: the file contains all or nothing of it.
    pub(super) fn end(&self, slot: usize) {
        // A note that stays matches the file, so there is nothing to undo.
        let _ = self.write(slot, &[0; SLOT_BYTES]);
        self.slots.lock().free.push(slot);
    }

    fn write(&self, slot: usize, bytes: &[u8; SLOT_BYTES]) -> io::Result<()> {
        self.file.write_all_at(bytes, (slot * SLOT_BYTES) as u64)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let slots = self.slots.get_mut();
        if slots.free.len() == slots.count {
            // The file is removed while it is locked, so a process that waits for the lock notices
            // the removal.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Slots {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        })
    }
}

impl<'a> Note<'a> {
    fn encode(&self) -> [u8; SLOT_BYTES] {
        let name = self.stream.as_bytes();
        assert!(name.len() <= NAME_BYTES_MAX, "a stream's name is short");
        let mut slot = [0; SLOT_BYTES];
        slot[..4].copy_from_slice(&MAGIC);
        slot[4] = name.len() as u8;
        slot[8..16].copy_from_slice(&self.before.to_le_bytes());
        slot[16..24].copy_from_slice(&self.after.to_le_bytes());
        slot[NAME_AT..][..name.len()].copy_from_slice(name);
        let checksum = crc32fast::hash(&slot[..CHECKSUM_AT]);
        slot[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        slot
    }

    /// Parses a slot. Returns `None` if it is empty, or was only partly written.
    fn parse(slot: &'a [u8; SLOT_BYTES]) -> Option<Self> {
        let checksum = crc32fast::hash(&slot[..CHECKSUM_AT]).to_le_bytes();
        if slot[..4] != MAGIC || slot[CHECKSUM_AT..] != checksum {
            return None;
        }
        let name = slot[NAME_AT..CHECKSUM_AT].get(..slot[4].into())?;
        let number = |at: usize| slot[at..].first_chunk().copied().map(u64::from_le_bytes);
        Some(Note { stream: str::from_utf8(name).ok()?, before: number(8)?, after: number(16)? })
    }

    /// Cuts off a part of a batch. A complete batch stays, and so does a file that was changed
    /// since.
    fn undo_append(&self, directory: &Path) -> io::Result<()> {
        if StreamName::parse(self.stream).is_err() {
            return Ok(());
        }
        let path = path_of(directory, self.stream);
        let length = match path.metadata() {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if length <= self.before || length >= self.after {
            return Ok(());
        }
        private::file_options().write(true).open(&path)?.set_len(self.before)?;
        let (file, bytes) = (path.display(), length - self.before);
        tracing::warn!(%file, bytes, "removed a partial batch that an earlier run left");
        Ok(())
    }
}

/// Opens the file and locks it. Waits for a moment, because another process may be about to release
/// it.
#[expect(clippy::disallowed_methods, reason = "it stands beside files for users")]
fn lock_journal(path: &Path) -> io::Result<File> {
    let end = Instant::now() + LOCK_TIMEOUT;
    loop {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match lock_until(&file, end) {
            // The process with the lock may have removed the file meanwhile.
            Ok(()) if is_at(&file, path)? => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = "another process uses it";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
            }
            Err(TryLockError::Error(error)) => {
                let file_path = path.display();
                tracing::warn!(%file_path, "failed to lock a file: {error}: make sure that no other process writes to this directory");
                return Ok(file);
            }
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    let is_same = |there: fs::Metadata| there.ino() == own.ino() && there.dev() == own.dev();
    Ok(path.metadata().is_ok_and(is_same))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_no_other() {
        let note = Note { stream: &"s".repeat(64), before: 7, after: 1 << 40 };
        let slot = note.encode();
        assert_eq!(Note::parse(&slot), Some(note));
        assert_eq!(Note::parse(&[0; SLOT_BYTES]), None);
        for byte in 0..SLOT_BYTES {
            let mut other = slot;
            other[byte] ^= 4;
            assert_eq!(Note::parse(&other), None, "{byte}");
        }
    }

    #[test]
    fn slots_are_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        let stream = StreamName::parse("a").unwrap();
        for _ in 0..100 {
            let appends = [0, 1, 2].map(|at| journal.begin_append(&stream, at, at + 1).unwrap());
            appends.into_iter().for_each(|append| journal.end(append));
        }
        assert_eq!(journal.file.metadata().unwrap().len(), 3 * SLOT_BYTES as u64);
        drop(journal);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
