//! The interface to the disk: the dead letter writer changes files only through it, so that tests
//! can make it fail, or lose unsynced data.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Writes dead letters to files.
pub(super) trait Storage: Debug + Send + Sync {
    /// Appends these bytes to a file that was opened for appending.
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()>;
    /// Truncates a file.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()>;
    /// Waits until the bytes of a file are durable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Waits until the names in a directory are durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// Files of the operating system.
#[derive(Debug)]
pub(super) struct Files;

impl Storage for Files {
    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}
