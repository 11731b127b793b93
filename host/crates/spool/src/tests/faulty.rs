//! A disk that fails on purpose.

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use super::*;

/// The failing operations, each with an error number of the operating system, or 0.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) create: Fault,
    pub(super) append: Fault,
    pub(super) overwrite: Fault,
    pub(super) sync: Fault,
    pub(super) sync_folder: Fault,
    pub(super) truncate: Fault,
    /// Maximum bytes that one call writes, if it is not 0.
    pub(super) append_bytes_max: AtomicUsize,
    /// Maximum size of a file in bytes, if it is not 0.
    pub(super) file_bytes_max: AtomicUsize,
    /// Whether a failing append has written something.
    pub(super) is_torn: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Fault(AtomicI32);

impl Fault {
    pub(super) fn set(&self, error: i32) {
        self.0.store(error, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::SeqCst) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

pub(super) const EIO: i32 = 5;
pub(super) const EFBIG: i32 = 27;
pub(super) const ENOSPC: i32 = 28;
pub(super) const EDQUOT: i32 = 122;

impl Faults {
    pub(super) fn set(&self, append: bool, sync: bool, truncate: bool) {
        let error = |fails: bool| i32::from(fails) * EIO;
        self.append.set(error(append));
        self.sync.set(error(sync));
        self.truncate.set(error(truncate));
        self.is_torn.store(append, Ordering::SeqCst);
    }
}

#[derive(Debug)]
pub(super) struct Faulty(pub(super) Arc<Faults>);

impl SpoolStorage for Faulty {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.0.create.check()?;
        FileStorage.create(path)
    }

    fn append(&self, file: &File, end: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Err(error) = self.0.append.check() {
            if self.0.is_torn.load(Ordering::SeqCst) {
                // All parts except the last one are written, so headers look valid.
                FileStorage.append(file, end, &parts[..parts.len().max(2) - 1])?;
            }
            return Err(error);
        }
        let file_bytes_max = self.0.file_bytes_max.load(Ordering::SeqCst) as u64;
        if file_bytes_max > 0 && end >= file_bytes_max {
            return Err(io::Error::from_raw_os_error(EFBIG));
        }
        let most = self.0.append_bytes_max.load(Ordering::SeqCst);
        match parts.iter().find(|part| !part.is_empty()) {
            Some(part) if most > 0 => {
                let part = IoSlice::new(&part[..part.len().min(most)]);
                FileStorage.append(file, end, &[part])
            }
            _ => FileStorage.append(file, end, parts),
        }
    }

    fn overwrite(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.overwrite.check()?;
        FileStorage.overwrite(file, offset, bytes)
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        // Only its failure matters here.
        self.0.sync.check()
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.0.sync_folder.check()
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.0.truncate.check()?;
        FileStorage.truncate(file, length)
    }
}
