//! A disk that fails on request, and knows the data that would survive a power failure.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::super::storage::{Files, Storage};
use super::*;

pub(super) const EIO: i32 = 5;
pub(super) const ENOSPC: i32 = 28;

/// The duration of a sync, during which other dead letters arrive.
const SYNC_TIME: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Default)]
pub(super) struct PowerLossDisk(Arc<PowerLossState>);

#[derive(Debug, Default)]
pub(super) struct PowerLossState {
    /// Error numbers of the failing operations, or 0.
    append: AtomicI32,
    truncate: AtomicI32,
    sync: AtomicI32,
    sync_folder: AtomicI32,
    syncs: AtomicU64,
    durable: Mutex<Durable>,
}

/// The data that survives a power failure.
#[derive(Debug, Default)]
struct Durable {
    /// The durable length of each file, by inode number.
    bytes: HashMap<u64, u64>,
    /// The names in a directory.
    names: HashMap<PathBuf, BTreeSet<PathBuf>>,
}

impl PowerLossDisk {
    /// From now on, appends, truncations and syncs fail with these errors.
    pub(super) fn fail(&self, append: i32, truncate: i32, sync: i32, sync_folder: i32) {
        let PowerLossState { append: a, truncate: t, sync: s, sync_folder: f, .. } = &*self.0;
        for (fault, error) in [(a, append), (t, truncate), (s, sync), (f, sync_folder)] {
            fault.store(error, Ordering::SeqCst);
        }
    }

    pub(super) fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::SeqCst)
    }

    /// The events whose dead letters would survive a power failure now.
    pub(super) fn survivors(&self, directory: &Path) -> BTreeSet<usize> {
        let durable = self.0.durable.lock();
        let has = |path: &Path| {
            let names = durable.names.get(path.parent().unwrap());
            names.is_some_and(|names| names.contains(path))
        };
        if !has(directory) {
            return BTreeSet::new();
        }
        let files = DeadLetterDirectory::new(directory.to_owned()).files().unwrap();
        let files = files.into_iter().map(|file| file.path).filter(|path| has(path));
        let texts = files.filter_map(|path| {
            let inode = path.metadata().ok()?.ino();
            let mut text = fs::read(&path).ok()?;
            text.truncate(*durable.bytes.get(&inode).unwrap_or(&0) as usize);
            Some(text)
        });
        numbers(texts).into_iter().collect()
    }
}

fn check(fault: &AtomicI32) -> io::Result<()> {
    match fault.load(Ordering::SeqCst) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

impl Storage for PowerLossDisk {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = check(&self.0.append) {
            // A failed append may still write a part.
            Files.append(file, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        Files.append(file, bytes)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        check(&self.0.truncate)?;
        Files.truncate(file, length)?;
        let inode = file.metadata()?.ino();
        let mut durable = self.0.durable.lock();
        if let Some(bytes) = durable.bytes.get_mut(&inode) {
            *bytes = length.min(*bytes);
        }
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        check(&self.0.sync)?;
        let metadata = file.metadata()?;
        thread::sleep(SYNC_TIME);
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        self.0.durable.lock().bytes.insert(metadata.ino(), metadata.len());
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        check(&self.0.sync_folder)?;
        let path = path.canonicalize()?;
        let names = fs::read_dir(&path)?.map(|entry| entry.map(|entry| entry.path()));
        let names = names.collect::<io::Result<_>>()?;
        self.0.durable.lock().names.insert(path, names);
        Ok(())
    }
}
