//! The directory of dead letters: numbered files, a lock on the file that a host writes, and a lock
//! on the directory for a process that removes dead letters. A removal replaces a file by a copy
//! that was synced before.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use standpipe_core::clock;
use standpipe_core::private;

const LETTERS: &str = "ndjson";
/// The extension of a file while it is rewritten.
const UNFINISHED: &str = "unfinished";

/// The first character of the name of a numbered file.
const NUMBERED: char = 's';
/// The minimum number of digits, so that names usually sort like numbers. Names with [`NUMBERED`]
/// sort after those of earlier versions, which start with the time.
const DIGITS: usize = 10;

/// The directory of dead letters.
///
/// Files are numbered, and the numbers determine their order. The time in their names is for
/// people, because a clock can be set back. A host locks the file while it writes to it, and never
/// opens a file again: a file without a lock does not grow. A process that removes dead letters
/// locks the directory first, so that only one does so at a time.
#[derive(Debug, Clone)]
pub struct DeadLetterDirectory {
    path: PathBuf,
}

/// A file of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The size of the file.
    pub bytes: u64,
}

/// The permission to remove dead letters from files. Dropping it releases the lock.
#[derive(Debug)]
pub struct DeadLetterDirectoryLock {
    _directory: File,
}

impl DeadLetterDirectory {
    /// Returns the directory of dead letters in a data directory.
    pub fn of_data_dir(data_dir: &Path) -> Self {
        DeadLetterDirectory { path: data_dir.join("dead") }
    }

    pub(super) fn new(path: PathBuf) -> Self {
        DeadLetterDirectory { path }
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files, oldest first. Empty if the directory is missing.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be read.
    pub fn files(&self) -> io::Result<Vec<DeadLetterFile>> {
        let mut files = Vec::new();
        for path in self.list_paths(LETTERS)? {
            match path.metadata() {
                Ok(metadata) if metadata.is_file() => {
                    files.push(DeadLetterFile { path, bytes: metadata.len() });
                }
                // Another process has removed the file's last dead letter.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        files.sort_by_cached_key(|file| (file_sequence(&file.path), file.path.clone()));
        Ok(files)
    }

    /// The highest number of a file, or 0 if no file has a number.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be read.
    pub(super) fn last_sequence(&self) -> io::Result<u64> {
        Ok(self.files()?.last().and_then(|file| file_sequence(&file.path)).unwrap_or(0))
    }

    fn list_paths(&self, extension: &str) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let paths = entries.map(|entry| Ok(entry?.path()));
        let ours = |path: &PathBuf| path.extension().is_some_and(|own| own == extension);
        paths.filter(|path: &io::Result<PathBuf>| path.as_ref().map_or(true, ours)).collect()
    }

    /// Locks the directory, and removes unfinished files from a crash. Returns `None` if another
    /// process has the lock.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be opened, or if locks do not work there.
    pub fn lock(&self) -> io::Result<Option<DeadLetterDirectoryLock>> {
        let directory = File::open(&self.path)?;
        match directory.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        for path in self.list_paths(UNFINISHED)? {
            fs::remove_file(path)?;
        }
        Ok(Some(DeadLetterDirectoryLock { _directory: directory }))
    }

    /// Syncs the directory, and so added and removed names.
    ///
    /// # Errors
    ///
    /// Fails if the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DeadLetterFile {
    /// Whether a host may still write to the file. If locks do not work, that is unknown, and the
    /// file counts as live.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened.
    pub fn is_live(&self) -> io::Result<bool> {
        Ok(File::open(&self.path)?.try_lock().is_err())
    }
}

/// Removes byte ranges from a file that is not being written. A file that becomes empty is removed.
///
/// The rest is written to a second file and synced, which then replaces the first one. So one
/// complete file exists at every moment.
///
/// # Errors
///
/// Fails if the disk fails or is full. The file is then unchanged.
pub fn remove_dead_letters(path: &Path, mut ranges: Vec<Range<u64>>) -> io::Result<()> {
    ranges.sort_by_key(|range| range.start);
    let mut file = File::open(path)?;
    let unfinished = path.with_extension(UNFINISHED);
    let mut options = private::file_options();
    let mut rest = options.write(true).create(true).truncate(true).open(&unfinished)?;
    let (mut offset, mut kept) = (0, 0);
    for range in ranges {
        kept += copy_range(&mut file, offset..range.start, &mut rest)?;
        offset = range.end;
    }
    kept += copy_range(&mut file, offset..u64::MAX, &mut rest)?;
    if kept == 0 {
        fs::remove_file(&unfinished)?;
        fs::remove_file(path)?;
    } else {
        rest.sync_all()?;
        fs::rename(&unfinished, path)?;
    }
    DeadLetterDirectory::new(path.parent().unwrap_or(Path::new(".")).to_owned()).sync()
}

/// The name of a new file.
pub(super) fn file_name(sequence: u64, attempt: u32) -> String {
    let (time, process) = (clock::now_for_file_name(), std::process::id());
    format!("{NUMBERED}{sequence:0DIGITS$}-{time}-{process}-{attempt}.{LETTERS}")
}

/// The number of a file. Files of earlier versions and foreign files have no number, and count as
/// older than all numbered ones.
fn file_sequence(path: &Path) -> Option<u64> {
    let (digits, _) = path.file_name()?.to_str()?.strip_prefix(NUMBERED)?.split_once('-')?;
    let is_number = digits.len() >= DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn copy_range(from: &mut File, range: Range<u64>, to: &mut File) -> io::Result<u64> {
    if range.is_empty() {
        return Ok(0);
    }
    from.seek(SeekFrom::Start(range.start))?;
    io::copy(&mut from.take(range.end - range.start), to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_taken_out_and_an_empty_file_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.ndjson");
        fs::write(&path, "0123456789").unwrap();
        remove_dead_letters(&path, vec![6..8, 0..1, 2..4]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"14589");
        remove_dead_letters(&path, vec![3..5, 0..3]).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers_whatever_the_clock_said() {
        let directory = tempfile::tempdir().unwrap();
        let names = [
            "20991231T235959.999Z-1-0.ndjson",
            "from-elsewhere.ndjson",
            "s3-object.ndjson",
            "s0000000001-20991231T235959.999Z-7-0.ndjson",
            "s0000000002-20260101T000000.000Z-7-0.ndjson",
            "s9999999999-20250101T000000.000Z-7-0.ndjson",
            "s10000000000-20240101T000000.000Z-7-0.ndjson",
        ];
        for name in names.iter().rev() {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        let folder = DeadLetterDirectory::new(directory.path().to_owned());
        let files = folder.files().unwrap();
        let found: Vec<_> = files.iter().map(|file| file.path.file_name().unwrap()).collect();
        assert_eq!(found, names);
        assert_eq!(folder.last_sequence().unwrap(), 10_000_000_000);
        let next = file_name(10_000_000_001, 0);
        assert_eq!(file_sequence(Path::new(&next)), Some(10_000_000_001), "{next}");
        assert_eq!(file_sequence(Path::new("s99999999999999999999-x.ndjson")), None);
    }

    #[test]
    fn only_one_has_the_lock_and_what_a_crash_left_is_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let folder = DeadLetterDirectory::new(directory.path().to_owned());
        fs::write(directory.path().join("b.ndjson"), "x").unwrap();
        fs::write(directory.path().join("a.ndjson"), "").unwrap();
        fs::write(directory.path().join("a.unfinished"), "x").unwrap();
        let lock = folder.lock().unwrap().expect("nobody else has it");
        assert!(folder.lock().unwrap().is_none());
        drop(lock);
        assert!(folder.lock().unwrap().is_some());
        let files = folder.files().unwrap();
        let sizes: Vec<_> = files.iter().map(|file| file.bytes).collect();
        assert_eq!(sizes, [0, 1]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_is_written_to_is_live() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.ndjson");
        let writer = File::create(&path).unwrap();
        let file = DeadLetterFile { path, bytes: 0 };
        assert!(!file.is_live().unwrap());
        writer.try_lock().unwrap();
        assert!(file.is_live().unwrap());
    }
}
