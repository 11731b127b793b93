//! The seam to the disk: what the writer of dead letters does to its files goes
//! through it, so that tests can let it fail, or lose what was not synced.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// What writes dead letters to files.
pub(super) trait Storage: Debug + Send + Sync {
    /// Append these bytes to a file that was opened for appending.
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()>;
    /// Cut a file off.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()>;
    /// Wait until a file's bytes are durable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Wait until the names in a directory are durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// Files as the operating system gives them.
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
