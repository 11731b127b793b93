//! The directory of a spool: the names of its files, and the lock on it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::SpoolOpenError;
use standpipe_core::files::{LOCK_TIMEOUT, lock_until};
use standpipe_core::private;

/// Digits of a segment's number in the names of its files: those of `u64::MAX`.
const DIGITS: usize = 20;

/// The extension of files with what was found to be corrupt.
const SET_ASIDE: &str = "corrupt";

/// A spool's directory, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct SpoolDirectory {
    path: PathBuf,
    _lock: File,
}

/// The numbers of the segments of which there are files.
#[derive(Debug, Default)]
pub(super) struct SegmentListing {
    pub(super) logs: BTreeSet<u64>,
    pub(super) acks: BTreeSet<u64>,
}

impl SpoolDirectory {
    /// Make the directory, if there is none, and lock it.
    pub(super) fn open(path: PathBuf) -> Result<Self, SpoolOpenError> {
        let failed = |error| SpoolOpenError::Directory { directory: path.clone(), error };
        let is_new = !path.is_dir();
        private::create_directory(&path).map_err(failed)?;
        if is_new {
            // A directory that a loss of power takes away takes all with it.
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

    /// The file that keeps a region of a segment that is corrupt.
    pub(super) fn set_aside_path(&self, segment: u64, offset: u64) -> PathBuf {
        self.path.join(format!("{segment:0DIGITS$}-{offset}.{SET_ASIDE}"))
    }

    /// Bytes of all regions that are kept.
    pub(super) fn set_aside_bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == SET_ASIDE) {
                // One that is gone takes no room.
                bytes += path.metadata().map_or(0, |metadata| metadata.len());
            }
        }
        Ok(bytes)
    }

    /// Which segments there are. Files with other names are somebody else's.
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

    /// Remove the files of a segment. Its frames go first: frames without
    /// acknowledgements would be handed out again. Their room is given back at once,
    /// though the reader may still have the file open.
    pub(super) fn remove_segment(&self, segment: u64) -> io::Result<()> {
        let log = self.log_path(segment);
        let file = private::file_options().write(true).open(&log);
        remove_file(&log)?;
        // Where this fails, the file's room comes back when the reader goes on.
        let _ = file.and_then(|file| file.set_len(0));
        remove_file(&self.acks_path(segment))
    }
}

fn parse_name(name: &OsStr) -> Option<(u64, &str)> {
    let (number, extension) = name.to_str()?.split_once('.')?;
    let is_number = number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    // Numbers grow from it, without end.
    let number = number.parse().ok().filter(|number| is_number && *number < u64::MAX / 2)?;
    Some((number, extension))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
