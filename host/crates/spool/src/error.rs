//! Errors of a spool.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::storage::is_lack_of_room;

/// Why a spool cannot be opened.
#[derive(Debug, Error)]
pub enum SpoolOpenError {
    /// Another process, or this one, has already opened the spool.
    #[error("the spool in {} is in use by another process: stop that process, or set another \
        `data_dir` for this one", directory.display())]
    InUse {
        /// The spool's directory.
        directory: PathBuf,
    },
    /// The directory cannot be created, locked or read.
    #[error("failed to open the spool in {}: {error}: make it a directory that this process may write to", directory.display())]
    Directory {
        /// The spool's directory.
        directory: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
    },
    /// A file cannot be read.
    #[error("failed to read {}: {error}: let this process read and write it", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
    },
    /// The spool is to be in memory, and there are entries on the disk.
    #[error("the spool in {} has events of an earlier run: start once without spool = \"off\", until they are delivered, or move the directory elsewhere", directory.display())]
    NotEmpty {
        /// The spool's directory.
        directory: PathBuf,
    },
    /// A file is of another version of this program.
    #[error("{} has version {version} of the spool's format, which this program does not know: run the newer version of the program that wrote it until the spool is empty, or move the file elsewhere", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// The version in the file.
        version: u32,
    },
    /// A file was renamed.
    #[error("{} was written as {}: it has been renamed, or belongs to another spool: give it back its name, together with its `.acks` file, or move both elsewhere", file.display(), original.display())]
    Renamed {
        /// The file.
        file: PathBuf,
        /// The original name.
        original: PathBuf,
    },
    /// The operating system could not create a thread.
    #[error("failed to start a thread of the spool: {0}")]
    Thread(#[source] io::Error),
}

/// Why an entry was not accepted. The entry is not stored, but after [`AppendError::Failed`] or
/// [`AppendError::Closed`] it may be.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum AppendError {
    /// The spool has reached its limit, or the disk is full.
    #[error("the spool is full")]
    Full,
    /// The entry is larger than an entry may be, or than the whole spool.
    #[error("an entry of {bytes} bytes and {items} items is too large")]
    TooLarge {
        /// The size of the entry in bytes.
        bytes: usize,
        /// The number of items.
        items: u32,
    },
    /// The disk fails.
    #[error("failed to store the entry: {0}")]
    Failed(#[source] DiskError),
    /// The spool has been closed.
    #[error("the spool is closed")]
    Closed,
    /// The items of the entry were not acknowledged in time. They may be acknowledged later.
    #[error("the entry was not acknowledged in time")]
    Unacknowledged,
}

/// A failed write or sync, of all entries that were written together.
#[derive(Debug, Clone, Error)]
#[error(transparent)]
pub struct DiskError(Arc<io::Error>);

/// The error for the entries of a failed write or sync.
impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        if is_lack_of_room(&error) { Self::Full } else { Self::Failed(DiskError(error.into())) }
    }
}

/// Two errors are equal if the operating system gives them the same code.
impl PartialEq for DiskError {
    fn eq(&self, other: &Self) -> bool {
        let code = |error: &Self| (error.0.kind(), error.0.raw_os_error());
        code(self) == code(other)
    }
}

impl Eq for DiskError {}
