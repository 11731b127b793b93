use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use super::JobEvent;

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
    replace(path, events).map_err(|cause| FileError { path: path.to_owned(), cause })
}

fn replace(path: &Path, events: &[JobEvent]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let file = NamedTempFile::new_in(directory)?;
    let mut writer = BufWriter::new(&file);
    for event in events {
        serde_json::to_writer(&mut writer, event)?;
        writer.write_all(b"\n")?;
    }
    writer.flush()?;
    drop(writer);
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failure| failure.error)?;
    File::open(directory)?.sync_all()
}
