//! The directory of a spool: the names of its files, and the lock on it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::SpoolOpenError;
use super::frame::FILE_HEADER_BYTES;
use standpipe_core::files::{LOCK_TIMEOUT, lock_until};
use standpipe_core::private;

/// Digits of a segment's number in file names, enough for `u64::MAX`.
const DIGITS: usize = 20;

/// The extension of files with corrupt regions.
const SET_ASIDE: &str = "corrupt";

/// A spool's directory. It is locked while this value exists.
#[derive(Debug)]
pub(super) struct SpoolDirectory {
    path: PathBuf,
    _lock: File,
}

/// The segment numbers of the files in the directory.
#[derive(Debug, Default)]
pub(super) struct SegmentListing {
    pub(super) logs: BTreeSet<u64>,
    pub(super) acks: BTreeSet<u64>,
}

impl SpoolDirectory {
    /// Creates the directory if it does not exist, and locks it.
    pub(super) fn open(path: PathBuf) -> Result<Self, SpoolOpenError> {
        let failed = |error| SpoolOpenError::Directory { directory: path.clone(), error };
        let is_new = !path.is_dir();
        private::create_directory(&path).map_err(failed)?;
        if is_new {
            // If a power failure removes the directory, all of its files are lost.
            File::open(path.join("..")).and_then(|parent| parent.sync_all()).map_err(failed)?;
        }
        let lock = path.join("lock");
        let lock = private::file_options().write(true).create(true).truncate(false).open(lock);
        let lock = lock.map_err(failed)?;
        match lock_until(&lock, Instant::now() + LOCK_TIMEOUT) {
            Ok(()) => {
                private::narrow_files(&path).map_err(failed)?;
                Ok(Self { path, _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(SpoolOpenError::InUse { directory: path }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a segment's frames.
    pub(super) fn log_path(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{segment:0DIGITS$}.log"))
    }

    /// The file of a segment's acknowledgements.
    pub(super) fn acks_path(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{segment:0DIGITS$}.acks"))
    }

    /// The file with a corrupt region of a segment.
    pub(super) fn set_aside_path(&self, segment: u64, offset: u64) -> PathBuf {
        self.path.join(format!("{segment:0DIGITS$}-{offset}.{SET_ASIDE}"))
    }

    /// The size of all saved regions in bytes.
    pub(super) fn set_aside_bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == SET_ASIDE) {
                // A removed file uses no space.
                bytes += path.metadata().map_or(0, |metadata| metadata.len());
            }
        }
        Ok(bytes)
    }

    /// The existing segments. Files with other names do not belong to the spool.
    pub(super) fn list_segments(&self) -> io::Result<SegmentListing> {
        let mut listing = SegmentListing::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue;
            }
            match parse_name(&entry.file_name()) {
                Some((number, "log")) => listing.logs.insert(number),
                Some((number, "acks")) => listing.acks.insert(number),
                _ => false,
            };
        }
        Ok(listing)
    }

    /// Removes the files of a segment. The frames are removed first, because frames without
    /// acknowledgements would be read again. Their space is released at once, although the reader
    /// may still have the file open.
    pub(super) fn remove_segment(&self, segment: u64) -> io::Result<()> {
        let log = self.log_path(segment);
        let file = private::file_options().write(true).open(&log);
        remove_file(&log)?;
        // If this fails, the space is released when the reader continues.
        let _ = file.and_then(|file| file.set_len(0));
        remove_file(&self.acks_path(segment))
    }
}

/// Returns whether a directory has segments with entries. A directory that cannot be read has none: the process then
/// cannot use it either.
pub(super) fn holds_segments(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| {
        matches!(parse_name(&entry.file_name()), Some((_, "log")))
            && entry.metadata().is_ok_and(|file| file.len() > FILE_HEADER_BYTES as u64)
    })
}

fn parse_name(name: &OsStr) -> Option<(u64, &str)> {
    let (number, extension) = name.to_str()?.split_once('.')?;
    let is_number = number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    // Later numbers must be higher, so the maximum number is invalid.
    let number = number.parse().ok().filter(|number| is_number && *number < u64::MAX / 2)?;
    Some((number, extension))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
