//! Writes OpenLineage events to a file, one on each line. The file is replaced as a whole, so
//! readers see one run or the one before.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::JobEvent;
use crate::atomic_file;

/// The file could not be written. What it held before, it holds still.
#[derive(Debug, Error)]
#[error("write {}: {cause}", path.display())]
pub struct FileError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// Write events to a file, one on each line.
///
/// The file is replaced as a whole, when the new one is on disk: a reader sees the
/// events of one run, all of them, at any time.
///
/// # Errors
///
/// The directory is not there or not writable, or the disk is full.
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
