use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Folder;
use crate::{clock, limits, private};

/// What the letters of a directory may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// All files together, in bytes.
    pub bytes_max: u64,
    /// What happens to the letter that does not fit.
    pub when_full: WhenFull,
}

/// What happens to a letter that does not fit in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused, and the event counts as not delivered. Nothing is lost
    /// behind anybody's back, but the run ends with a fault.
    Stop,
    /// The oldest files make room for it. The run goes on, and events are lost
    /// for good; they are counted.
    DropOldest,
}

impl Default for Bound {
    fn default() -> Self {
        Bound { bytes_max: limits::DEAD_BYTES_MAX, when_full: WhenFull::Stop }
    }
}

impl Bound {
    /// The size beyond which a file is followed by another one: a part of the
    /// whole, so that there is an oldest file to drop.
    fn file_bytes_max(&self) -> u64 {
        (self.bytes_max / 8).min(limits::DEAD_FILE_BYTES_MAX)
    }
}

/// Appends lines to a file, begins the next one, and keeps to the bound.
#[derive(Debug)]
pub(super) struct Writer {
    folder: Folder,
    bound: Bound,
    /// Made with the first letter.
    open: Option<Open>,
    /// What the directory was last found to hold, and this writer has added.
    used: u64,
    counted: Option<Instant>,
    pub(super) dropped: Dropped,
}

/// What was dropped to make room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Files.
    pub files: u64,
    /// Lines in them, each a letter.
    pub letters: u64,
}

/// The file that is written. It is locked for as long.
#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Writer {
    pub(super) fn new(folder: Folder, bound: Bound) -> Self {
        let dropped = Dropped::default();
        Writer { folder, bound, open: None, used: 0, counted: None, dropped }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|open| open.path.as_path())
    }

    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let bytes = line.len() as u64;
        let file_bytes_max = self.bound.file_bytes_max();
        if self.open.as_ref().is_some_and(|open| open.bytes + bytes > file_bytes_max) {
            self.close()?;
        }
        self.make_room(bytes)?;
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::create(&self.folder)?),
        };
        if let Err(error) = open.file.write_all(line) {
            // What was written of the line must not stand before the next one.
            if open.file.set_len(open.bytes).is_err() {
                self.open = None;
            }
            return Err(error);
        }
        open.bytes += bytes;
        self.used += bytes;
        Ok(())
    }

    /// Bring the file, and its name, to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        open.file.sync_all()?;
        self.folder.sync()
    }

    fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        self.open = None;
        Ok(())
    }

    /// See that so many bytes more are within the bound.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let is_due = |counted: Instant| counted.elapsed() >= limits::DEAD_COUNT_INTERVAL;
        let is_counted =
            self.counted.is_some_and(|counted| self.has_room(bytes) || !is_due(counted));
        if !is_counted {
            self.used = self.folder.files()?.iter().map(|file| file.bytes).sum();
            self.counted = Some(Instant::now());
        }
        if !self.has_room(bytes) && self.bound.when_full == WhenFull::DropOldest {
            self.drop_oldest(bytes)?;
        }
        if self.has_room(bytes) { Ok(()) } else { Err(io::ErrorKind::QuotaExceeded.into()) }
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.used + bytes <= self.bound.bytes_max
    }

    fn drop_oldest(&mut self, bytes: u64) -> io::Result<()> {
        let files = self.folder.files()?;
        self.used = files.iter().map(|file| file.bytes).sum();
        for file in files {
            if self.has_room(bytes) {
                break;
            }
            // One that cannot be looked at is one that is gone.
            if file.is_live().unwrap_or(true) {
                continue;
            }
            let letters = count_lines(&file.path)?;
            fs::remove_file(&file.path)?;
            tracing::warn!("dropped {letters} dead letters: {}", file.path.display());
            self.used -= file.bytes;
            self.dropped.files += 1;
            self.dropped.letters += letters;
        }
        Ok(())
    }
}

impl Open {
    /// A new file, locked before anybody can take it for one that is done with.
    fn create(folder: &Folder) -> io::Result<Self> {
        private::create_directory(folder.path())?;
        for attempt in 0.. {
            let time = clock::now_for_file_name();
            let name = format!("{time}-{}-{attempt}.ndjson", std::process::id());
            let path = folder.path().join(name);
            let file = match private::file_options().append(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            match file.try_lock() {
                // Somebody looks at it right now; it stays empty.
                Err(TryLockError::WouldBlock) => continue,
                // Where locks do not work, nobody takes letters out of files.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(Open { path, file, bytes: 0 }),
            }
        }
        unreachable!("there is always another name")
    }
}

fn count_lines(path: &Path) -> io::Result<u64> {
    let mut file = BufReader::new(File::open(path)?);
    let (mut piece, mut lines) = (vec![0; 256 * 1024], 0);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(lines);
        }
        lines += memchr::memchr_iter(b'\n', &piece[..read]).count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(directory: &Path, bytes_max: u64, when_full: WhenFull) -> Writer {
        Writer::new(Folder::new(directory.to_owned()), Bound { bytes_max, when_full })
    }

    fn sizes(directory: &Path) -> Vec<u64> {
        let files = Folder::new(directory.to_owned()).files().unwrap();
        files.iter().map(|file| file.bytes).collect()
    }

    #[test]
    fn a_file_that_is_large_enough_is_followed_by_another() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = writer(directory.path(), 800, WhenFull::Stop);
        for _ in 0..5 {
            writer.append(&[b'x'; 40]).unwrap();
        }
        writer.append(&[b'x'; 300]).unwrap();
        writer.append(&[b'x'; 10]).unwrap();
        assert_eq!(sizes(directory.path()), [80, 80, 40, 300, 10]);
    }

    #[test]
    fn a_full_directory_refuses_what_does_not_fit() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("0.ndjson"), [b'x'; 750]).unwrap();
        let mut writer = writer(directory.path(), 800, WhenFull::Stop);
        writer.append(&[b'x'; 50]).unwrap();
        let error = writer.append(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        assert_eq!(sizes(directory.path()), [750, 50]);
    }

    #[test]
    fn room_is_found_once_there_is_some() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory.path().join("0.ndjson");
        fs::write(&old, [b'x'; 800]).unwrap();
        let mut writer = writer(directory.path(), 800, WhenFull::Stop);
        assert!(writer.append(b"x").is_err());
        fs::remove_file(old).unwrap();
        writer.counted = None;
        writer.append(b"x").unwrap();
    }

    #[test]
    fn the_oldest_files_make_room_but_not_those_of_others() {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("0.ndjson");
        fs::write(&live, [b'x'; 100]).unwrap();
        let other = File::open(&live).unwrap();
        other.lock().unwrap();
        fs::write(directory.path().join("1.ndjson"), "a\nb\n").unwrap();
        fs::write(directory.path().join("3.ndjson"), [b'x'; 690]).unwrap();
        let mut writer = writer(directory.path(), 800, WhenFull::DropOldest);
        writer.append(b"xxxxxxxxxx").unwrap();
        assert_eq!(sizes(directory.path()), [100, 10, 690]);
        assert_eq!(writer.dropped, Dropped { files: 1, letters: 2 });
        writer.append(&[b'x'; 690]).unwrap();
        assert_eq!(sizes(directory.path()), [100, 690]);
        assert!(writer.append(&[b'x'; 701]).is_err(), "there is no room beside another's");
    }
}
