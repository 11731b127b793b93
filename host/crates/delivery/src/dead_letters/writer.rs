//! Appends dead letters to numbered files within a limit of disk space, and syncs them. A file is
//! never used again after a failed sync. The writer also notices if someone removed its file.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::settings::{DeadLetterLimit, WhenFull};
use super::storage::Storage;
use super::{DeadLetterDirectory, DeadLetterDurability, directory};
use standpipe_core::private;

/// How often a full directory of dead letters is scanned again.
const DEAD_COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// Appends lines to a file, starts the next file, and enforces the limit.
#[derive(Debug)]
pub(super) struct DeadLetterFileWriter {
    folder: DeadLetterDirectory,
    bound: DeadLetterLimit,
    storage: Box<dyn Storage>,
    /// `None` before the first dead letter.
    open: Option<OpenDeadLetterFile>,
    /// The highest number of a file of this writer.
    last_sequence: u64,
    /// Directories whose names may not be synced. At the start, this is the writer's own one.
    unsynced_folders: Vec<PathBuf>,
    /// The last known size of the directory, plus what this writer has added.
    used: u64,
    counted: Option<Instant>,
    pub(super) dropped: DroppedDeadLetters,
    /// Number of losses of written dead letters before they were durable: the disk failed to sync
    /// them, or someone removed their file.
    pub(super) losses: u64,
    /// Durable dead letters only count after a sync. If it fails, all of them are written again, so
    /// the writer cuts them off the old file. Other dead letters stay in their file as far as
    /// possible.
    pub(super) durability: DeadLetterDurability,
}

/// Dead letters that were deleted to make room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DroppedDeadLetters {
    /// Number of files.
    pub files: u64,
    /// Number of lines in them, each a dead letter.
    pub dead_letters: u64,
}

/// The current file. It is locked while it is open.
#[derive(Debug)]
struct OpenDeadLetterFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// The number of durable bytes.
    synced: u64,
    is_name_synced: bool,
    /// When the writer last verified that the file is in its place.
    seen: Instant,
}

/// Whether the limit of the settings, and not the disk, refused a dead letter.
pub(super) fn is_bound_reached(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::QuotaExceeded && error.raw_os_error().is_none()
}

/// Whether a dead letter is refused permanently because it alone exceeds the limit.
pub(super) fn is_too_large(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge && error.raw_os_error().is_none()
}

impl DeadLetterFileWriter {
    pub(super) fn new(
        folder: DeadLetterDirectory,
        bound: DeadLetterLimit,
        storage: Box<dyn Storage>,
        durability: DeadLetterDurability,
    ) -> Self {
        DeadLetterFileWriter {
            unsynced_folders: vec![folder.path().to_owned()],
            folder,
            bound,
            storage,
            open: None,
            last_sequence: 0,
            used: 0,
            counted: None,
            dropped: DroppedDeadLetters::default(),
            losses: 0,
            durability,
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|open| open.path.as_path())
    }

    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let bytes = line.len() as u64;
        let file_bytes_max = self.bound.file_bytes_max();
        if self.open.as_ref().is_some_and(|open| open.bytes + bytes > file_bytes_max) {
            self.sync()?;
            self.open = None;
        }
        let is_due = |open: &OpenDeadLetterFile| open.seen.elapsed() >= DEAD_COUNT_INTERVAL;
        if self.open.as_ref().is_some_and(is_due) {
            // The loss is counted, and this dead letter goes to another file.
            let _ = self.verify_in_place();
        }
        self.make_room(bytes)?;
        if self.open.is_none() {
            self.open = Some(self.create()?);
        }
        let open = self.open.as_mut().expect("it was created where there was none");
        if let Err(error) = self.storage.append(&open.file, line) {
            // A partial line must not precede the next one.
            if self.storage.truncate(&open.file, open.bytes).is_err() {
                self.abandon_file();
                self.losses += u64::from(self.durability == DeadLetterDurability::Synced);
            }
            return Err(error);
        }
        open.bytes += bytes;
        self.used += bytes;
        Ok(())
    }

    /// Syncs the file and its name. Costs nothing if nothing was written since the last sync.
    ///
    /// # Errors
    ///
    /// Fails if the disk failed, or if the file was removed. Everything written since the last sync
    /// is lost, and the next dead letter starts another file. After a failed sync, a second sync
    /// says nothing about the bytes, so the file is never used again.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.open.as_ref().is_none_or(OpenDeadLetterFile::is_durable) {
            return Ok(());
        }
        self.verify_in_place()?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let synced = self.storage.sync(&open.file).and_then(|()| match open.is_name_synced {
            true => Ok(()),
            false => self.storage.sync_folder(self.folder.path()),
        });
        match synced {
            Ok(()) => {
                open.synced = open.bytes;
                open.is_name_synced = true;
            }
            Err(_) => {
                self.losses += 1;
                self.abandon_file();
            }
        }
        synced
    }

    /// Verifies that the file is still in its place. If someone removed the file, later writes
    /// would be lost without an error.
    ///
    /// # Errors
    ///
    /// Fails if the file was removed. The next dead letter starts another file.
    pub(super) fn verify_in_place(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let in_place = open.is_in_place();
        match &in_place {
            Ok(()) => open.seen = Instant::now(),
            Err(_) => {
                self.losses += u64::from(!open.is_durable());
                self.open = None;
                self.counted = None;
            }
        }
        in_place
    }

    /// Stops writing to the file.
    fn abandon_file(&mut self) {
        let Some(open) = self.open.take() else { return };
        // The used space must be counted again.
        self.counted = None;
        if self.durability == DeadLetterDurability::Written {
            return;
        }
        // If this fails, some dead letters exist twice.
        let is_cut_off = self.storage.truncate(&open.file, open.synced).is_ok();
        if is_cut_off && open.synced == 0 {
            // A file that cannot be removed is empty and does no harm.
            let _ = fs::remove_file(&open.path);
        }
    }

    /// Makes sure that this number of bytes fits into the limit.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.bound.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let is_due = |counted: Instant| counted.elapsed() >= DEAD_COUNT_INTERVAL;
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
            // A file that cannot be examined counts as removed.
            if file.is_live().unwrap_or(true) {
                continue;
            }
            let dead_letters = count_lines(&file.path)?;
            fs::remove_file(&file.path)?;
            tracing::warn!("dropped {dead_letters} dead letters: {}", file.path.display());
            self.used -= file.bytes;
            self.dropped.files += 1;
            self.dropped.dead_letters += dead_letters;
        }
        Ok(())
    }

    /// Starts the next file.
    fn create(&mut self) -> io::Result<OpenDeadLetterFile> {
        self.create_folder()?;
        // The number must be higher than those in files of other hosts, and in files from before a
        // change of the clock.
        let sequence = self.folder.last_sequence()?.max(self.last_sequence).saturating_add(1);
        self.last_sequence = sequence;
        OpenDeadLetterFile::create(&self.folder, sequence)
    }

    /// Creates the directory if it is missing, and syncs its name: a power failure would otherwise
    /// remove its files.
    fn create_folder(&mut self) -> io::Result<()> {
        let path = self.folder.path();
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.is_dir();
        let missing: Vec<_> = path.ancestors().take_while(is_missing).map(Path::to_owned).collect();
        private::create_directory(path)?;
        self.unsynced_folders.extend(missing);
        while let Some(folder) = self.unsynced_folders.last() {
            self.storage.sync_folder(&folder.join(".."))?;
            self.unsynced_folders.pop();
        }
        Ok(())
    }
}

impl OpenDeadLetterFile {
    /// Creates a file and locks it before a reader can mistake it for a completed one.
    fn create(folder: &DeadLetterDirectory, sequence: u64) -> io::Result<Self> {
        for attempt in 0.. {
            let path = folder.path().join(directory::file_name(sequence, attempt));
            let file = match private::file_options().append(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            match file.try_lock() {
                // A reader is examining the file, so it stays empty and unused.
                Err(TryLockError::WouldBlock) => continue,
                // If locks do not work, no program removes dead letters from files.
                Ok(()) | Err(TryLockError::Error(_)) => {
                    let (bytes, synced, is_name_synced) = (0, 0, false);
                    let seen = Instant::now();
                    return Ok(OpenDeadLetterFile {
                        path,
                        file,
                        bytes,
                        synced,
                        is_name_synced,
                        seen,
                    });
                }
            }
        }
        unreachable!("there is always another name")
    }

    fn is_durable(&self) -> bool {
        self.synced == self.bytes
    }

    fn is_in_place(&self) -> io::Result<()> {
        let (named, own) = (fs::metadata(&self.path)?, self.file.metadata()?);
        match (named.dev(), named.ino()) == (own.dev(), own.ino()) {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "its file was replaced while it was being written",
            )),
        }
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
    use super::super::storage::Files;
    use super::*;

    fn writer(directory: &Path, bytes_max: u64, when_full: WhenFull) -> DeadLetterFileWriter {
        let (folder, bound) = (
            DeadLetterDirectory::new(directory.to_owned()),
            DeadLetterLimit { bytes_max, when_full },
        );
        DeadLetterFileWriter::new(folder, bound, Box::new(Files), DeadLetterDurability::Written)
    }

    fn sizes(directory: &Path) -> Vec<u64> {
        let files = DeadLetterDirectory::new(directory.to_owned()).files().unwrap();
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
    fn the_oldest_files_make_room_whatever_the_clock_said() {
        let directory = tempfile::tempdir().unwrap();
        // The clock was in the future before, so the time in the names is not their order.
        let future = "20991231T235959.999Z-1-0.ndjson";
        for (name, bytes) in [(format!("s0000000001-{future}"), 300), (future.to_owned(), 300)] {
            fs::write(directory.path().join(name), vec![b'\n'; bytes]).unwrap();
        }
        let mut writer = writer(directory.path(), 800, WhenFull::DropOldest);
        writer.append(&[b'a'; 100]).unwrap();
        writer.append(&[b'b'; 100]).unwrap();
        assert_eq!(sizes(directory.path()), [300, 300, 100, 100]);
        writer.append(&[b'c'; 100]).unwrap();
        writer.append(&[b'd'; 100]).unwrap();
        assert_eq!(sizes(directory.path()), [300, 100, 100, 100, 100]);
        assert!(!directory.path().join(future).exists(), "what has no number is the oldest");
        writer.append(&[b'e'; 100]).unwrap();
        writer.append(&[b'f'; 100]).unwrap();
        assert_eq!(sizes(directory.path()), [100; 6]);
        assert_eq!(writer.dropped, DroppedDeadLetters { files: 2, dead_letters: 600 });
        let files = DeadLetterDirectory::new(directory.path().to_owned()).files().unwrap();
        let first = files.iter().map(|file| fs::read(&file.path).unwrap()[0]);
        assert_eq!(first.collect::<Vec<_>>(), b"abcdef");
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
        assert_eq!(sizes(directory.path()), [100, 690, 10]);
        assert_eq!(writer.dropped, DroppedDeadLetters { files: 1, dead_letters: 2 });
        writer.append(&[b'x'; 690]).unwrap();
        assert_eq!(sizes(directory.path()), [100, 10, 690]);
        assert!(writer.append(&[b'x'; 701]).is_err(), "there is no room beside another's");
    }
}
