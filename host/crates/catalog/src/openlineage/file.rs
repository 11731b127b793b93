//! Writes OpenLineage events to a file, one on each line. The whole file is replaced, so readers
//! see either this run or the previous one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::JobEvent;
use crate::atomic_file;

/// The file could not be written. Its previous contents are unchanged.
#[derive(Debug, Error)]
#[error("write {}: {cause}", path.display())]
pub struct FileError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// Writes events to a file, one on each line.
///
/// The whole file is replaced after the new one is synced: a reader always sees all events of one
/// run.
///
/// # Errors
///
/// Fails if the directory is missing or not writable, or if the disk is full.
pub fn write_file(path: &Path, events: &[JobEvent]) -> Result<(), FileError> {
    let written = atomic_file::replace_file(path, |file| {
        for event in events {
            serde_json::to_writer(&mut *file, event)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    });
    written.map_err(|cause| FileError { path: path.to_owned(), cause })
}
