//! The directory of dead letters: numbered files in their order, a lock on the file that a host
//! writes, and one on the directory for a process that removes dead letters. Removal replaces a
//! file by a copy that is on disk first.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use standpipe_core::clock;
use standpipe_core::private;

const LETTERS: &str = "ndjson";
/// What a file is called while it is written anew.
const UNFINISHED: &str = "unfinished";

/// Begins the name of a file that has a number.
const NUMBERED: char = 's';
/// The fewest digits of a number, so that names mostly sort as numbers do. Behind
/// [`NUMBERED`] they sort behind names of earlier versions, which began with the time.
const DIGITS: usize = 10;

/// The directory of dead letters.
///
/// Files are numbered, and their order is that of the numbers: the time in their names is for
/// people, since a clock can be set back. A host holds a lock on the file that it writes, for as
/// long as it does, and never opens one again: a file without a lock does not grow. What takes
/// dead letters out of files locks the directory first, so that only one does.
#[derive(Debug, Clone)]
pub struct DeadLetterDirectory {
    path: PathBuf,
}

/// A file of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// The right to take dead letters out of files; given back when it is dropped.
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files, oldest first. A directory that is not there has none.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn files(&self) -> io::Result<Vec<DeadLetterFile>> {
        let mut files = Vec::new();
        for path in self.list_paths(LETTERS)? {
            match path.metadata() {
                Ok(metadata) if metadata.is_file() => {
                    files.push(DeadLetterFile { path, bytes: metadata.len() });
                }
                // Somebody else has taken its last dead letter out.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        files.sort_by_cached_key(|file| (file_sequence(&file.path), file.path.clone()));
        Ok(files)
    }

    /// The highest number of a file; 0 where none has a number.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
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

    /// Lock the directory, and clear what a crash has left unfinished. None if
    /// another process has the lock.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened, or locks do not work there.
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

    /// Bring names that were added or removed to the disk.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DeadLetterFile {
    /// Whether a host may still write to it. Where locks do not work nobody
    /// knows, and it is taken for one that is written to.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn is_live(&self) -> io::Result<bool> {
        Ok(File::open(&self.path)?.try_lock().is_err())
    }
}

/// Take byte ranges out of a file that nobody writes to; a file that nothing is
/// left of is removed.
///
/// What is left goes to a second file, to the disk, and then takes the place of
/// the first: at each moment there is one of the two, whole.
///
/// # Errors
///
/// The disk failed, or is full; the file is as it was.
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

/// The number of a file. Files of earlier versions and files that somebody put there
/// have none, and are older than all that have one.
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
