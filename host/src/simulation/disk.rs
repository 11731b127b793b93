//! The spool's disk in the world: it fills up, fails, recovers, tears frames, and loses unsynced
//! data.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use standpipe_spool::{FileStorage, SpoolStorage};

/// How the disk behaves for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskFault {
    /// Every write fails because the disk is full.
    Full,
    /// The next write succeeds in part, then every write fails.
    TornFull,
    /// Syncing written data fails.
    SyncFails,
    /// Overwriting files in place fails.
    OverwriteFails,
}

/// The faults of the disk, each with its time range.
pub(super) type DiskPlan = Vec<(std::ops::Range<Duration>, DiskFault)>;

#[derive(Debug, Clone)]
pub(super) struct Disk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    plan: DiskPlan,
    born: (Duration, Instant),
    /// The process has ended: the disk accepts no more writes.
    is_dead: AtomicBool,
    synced: Mutex<Synced>,
}

#[derive(Debug, Default)]
struct Synced {
    /// The synced length of each file, by inode number.
    lengths: BTreeMap<u64, u64>,
    /// Files whose directory entry is not synced yet.
    new: Vec<PathBuf>,
}

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

impl Disk {
    pub(super) fn new(plan: DiskPlan, born: (Duration, Instant)) -> Self {
        let (is_dead, synced) = (AtomicBool::new(false), Mutex::default());
        Disk(Arc::new(Shared { plan, born, is_dead, synced }))
    }

    /// Marks the end of the process.
    pub(super) fn die(&self) {
        self.0.is_dead.store(true, Ordering::Relaxed);
    }

    /// Loses unsynced data: file names, and some of the bytes.
    pub(super) fn lose_power(&self, directory: &Path, rng: &mut fastrand::Rng) -> io::Result<()> {
        let synced = self.synced();
        for path in &synced.new {
            if rng.bool() && path.exists() {
                std::fs::remove_file(path)?;
            }
        }
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            let metadata = path.metadata()?;
            // Data from before this life is synced.
            let Some(&safe) = synced.lengths.get(&metadata.ino()) else { continue };
            if metadata.len() > safe {
                let length = rng.u64(safe..=metadata.len());
                File::options().write(true).open(&path)?.set_len(length)?;
            }
        }
        Ok(())
    }

    fn synced(&self) -> MutexGuard<'_, Synced> {
        self.0.synced.lock()
    }

    fn fails(&self, fault: DiskFault) -> bool {
        let at = self.0.born.0 + self.0.born.1.elapsed();
        self.0.plan.iter().any(|(when, planned)| *planned == fault && when.contains(&at))
    }

    fn check(&self, faults: &[DiskFault], error: i32) -> io::Result<()> {
        if self.0.is_dead.load(Ordering::Relaxed) || faults.iter().any(|fault| self.fails(*fault)) {
            return Err(io::Error::from_raw_os_error(error));
        }
        Ok(())
    }
}

impl SpoolStorage for Disk {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.check(&[DiskFault::Full, DiskFault::TornFull], ENOSPC)?;
        let file = FileStorage.create(path)?;
        let mut synced = self.synced();
        synced.lengths.insert(file.metadata()?.ino(), 0);
        synced.new.push(path.to_owned());
        Ok(file)
    }

    fn append(&self, file: &File, end: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.check(&[DiskFault::Full], ENOSPC)?;
        if self.fails(DiskFault::TornFull) {
            let first = parts.iter().find(|part| !part.is_empty());
            if let Some(first) = first.filter(|first| first.len() > 1) {
                FileStorage.append(file, end, &[IoSlice::new(&first[..first.len() / 2])])?;
            }
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        FileStorage.append(file, end, parts)
    }

    fn overwrite(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(&[DiskFault::OverwriteFails], EIO)?;
        FileStorage.overwrite(file, offset, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.check(&[DiskFault::SyncFails], EIO)?;
        let metadata = file.metadata()?;
        self.synced().lengths.insert(metadata.ino(), metadata.len());
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.check(&[DiskFault::SyncFails], EIO)?;
        self.synced().new.clear();
        Ok(())
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.check(&[], EIO)?;
        FileStorage.truncate(file, length)
    }
}
