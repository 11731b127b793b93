//! What is being appended to the files of a directory.
//!
//! The file has a slot for each append that is under way at a time: the stream, and
//! the lengths of its file before and after. A slot is smaller than a sector and is
//! written with one call. It is emptied when the append has come to its end, so
//! that files which somebody changes later are never taken for unfinished ones.
//!
//! The file is locked for as long as the directory is used, and removed afterwards.

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
/// What a slot in use begins with: its form.
const MAGIC: [u8; 4] = *b"spa1";
const NAME_AT: usize = 24;
const NAME_BYTES_MAX: usize = SLOT_BYTES - 4 - NAME_AT;
const CHECKSUM_AT: usize = SLOT_BYTES - 4;

/// Slots that are read of a file that an earlier process left. There are at most as
/// many as the runtime has threads for blocking calls.
const SLOTS_MAX: usize = 4096;

/// The appends that are under way.
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

/// What a slot says.
#[derive(Debug, PartialEq, Eq)]
struct Note<'a> {
    stream: &'a str,
    before: u64,
    after: u64,
}

impl Journal {
    /// Lock the directory's journal, and undo what an earlier process did not finish.
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

    /// Note that a stream's file is about to grow from one length to another. Returns the
    /// note's slot, for [`Journal::end`].
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

    /// Note that an append has come to its end: all of it is in the file, or nothing.
    pub(super) fn end(&self, slot: usize) {
        // A note that stays agrees with the file: there is nothing to undo.
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
            // Still locked: a process that waits for it sees that it is gone.
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

    /// None for a slot that is empty, or that was being written.
    fn parse(slot: &'a [u8; SLOT_BYTES]) -> Option<Self> {
        let checksum = crc32fast::hash(&slot[..CHECKSUM_AT]).to_le_bytes();
        if slot[..4] != MAGIC || slot[CHECKSUM_AT..] != checksum {
            return None;
        }
        let name = slot[NAME_AT..CHECKSUM_AT].get(..slot[4].into())?;
        let number = |at: usize| slot[at..].first_chunk().copied().map(u64::from_le_bytes);
        Some(Note { stream: str::from_utf8(name).ok()?, before: number(8)?, after: number(16)? })
    }

    /// Cut off a part of a batch. What is whole stays, and so does a file that has
    /// been changed since.
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

/// Open the file and lock it, and wait a moment for who is about to let go of it.
#[expect(clippy::disallowed_methods, reason = "it stands beside files for users")]
fn lock_journal(path: &Path) -> io::Result<File> {
    let end = Instant::now() + LOCK_TIMEOUT;
    loop {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match lock_until(&file, end) {
            // The process that had it may have removed it meanwhile.
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
