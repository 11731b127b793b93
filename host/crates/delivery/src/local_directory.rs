//! A local directory that replaces Firehose.
//!
//! A batch is in its file completely or not at all, however the process ends. Before an append, the
//! [`Journal`] notes the start and the end. The next process that uses the directory cuts off the
//! part of an unfinished batch. This works for records of any form, with or without newlines. Only
//! one process at a time uses a directory.
//!
//! A journal contains nothing about an append by an earlier version, and may be lost in a power
//! failure. If records end with newlines, an incomplete last line of a file is therefore checked
//! too: see [`last_line`].

mod journal;
mod last_line;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::firehose_client::{DescribeFuture, PutFuture};
use super::{Batch, FirehoseClient, PutResponse, RequestError, RetryClass};
use journal::Journal;
use standpipe_aws::{Destination, DestinationKind, StreamDescription};
use standpipe_core::event::StreamName;

/// A local directory that replaces Firehose: each stream is a file `STREAM.ndjson`, to which
/// records are appended.
///
/// A batch is in the file completely or not at all, even if the disk is full. After the process was
/// killed, this is true once the directory is used again.
#[derive(Debug)]
pub struct LocalDirectory {
    path: PathBuf,
    journal: Arc<Journal>,
    /// One lock for each stream's file.
    files: Mutex<HashMap<StreamName, Arc<Mutex<StreamFile>>>>,
}

/// The state of a stream's file. The file is opened for each batch, so that thousands of streams do
/// not need thousands of open files.
#[derive(Debug, Default)]
struct StreamFile {
    /// Whether the end of the file from before this process has been checked.
    has_checked_end: bool,
    /// The file and the start of a partial batch that could not be cut off.
    unfinished: Option<(u64, u64)>,
}

impl LocalDirectory {
    /// Uses a directory, and creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails if the directory can be neither used nor created, or if another process uses it.
    #[expect(clippy::disallowed_methods, reason = "the directory is for the user who asked for it")]
    pub fn new(path: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        let journal = Arc::new(Journal::open(&path)?);
        Ok(LocalDirectory { path, journal, files: Mutex::default() })
    }
}

impl FirehoseClient for LocalDirectory {
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> PutFuture<'a> {
        let path = path_of(&self.path, stream.as_str());
        let journal = Arc::clone(&self.journal);
        let stream_file = Arc::clone(self.files.lock().entry(stream.clone()).or_default());
        Box::pin(async move {
            let name = stream.clone();
            let write = tokio::task::spawn_blocking(move || {
                let mut stream_file = stream_file.lock();
                stream_file
                    .append(&path, &name, &journal, &batch.bytes)
                    .map_err(|error| append_error(&path, &error))
            });
            write.await.expect("writing a file does not panic")?;
            Ok(PutResponse::default())
        })
    }

    fn describe<'a>(&'a self, stream: &'a StreamName) -> DescribeFuture<'a> {
        let file = Destination::stand_in(DestinationKind::LocalFile);
        let described = StreamDescription::stand_in(stream.as_str(), vec![file]);
        Box::pin(std::future::ready(Ok(described)))
    }
}

impl StreamFile {
    #[expect(clippy::disallowed_methods, reason = "the file is for the user who asked for it")]
    fn append(
        &mut self,
        path: &Path,
        stream: &StreamName,
        journal: &Journal,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            // Nothing can be cut off a pipe or a device.
            return file.write_all(bytes);
        }
        self.cut_unfinished(&file)?;
        if !self.has_checked_end && bytes.ends_with(b"\n") {
            last_line::end_last_line(path, &mut file)?;
            self.has_checked_end = true;
        }
        let length = file.metadata()?.len();
        let slot = journal.begin_append(stream, length, length + bytes.len() as u64)?;
        let written = file.write_all(bytes);
        if written.is_err() && file.set_len(length).is_err() {
            // The journal's note also stays, in case no further batch arrives.
            self.unfinished = Some((metadata.ino(), length));
            return written;
        }
        journal.end(slot);
        written
    }

    /// Cuts off the rest of an earlier batch, if it still exists.
    fn cut_unfinished(&mut self, file: &File) -> io::Result<()> {
        if let Some((inode, length)) = self.unfinished {
            let metadata = file.metadata()?;
            if metadata.ino() == inode && metadata.len() > length {
                file.set_len(length)?;
            }
            self.unfinished = None;
        }
        Ok(())
    }
}

fn path_of(directory: &Path, stream: &str) -> PathBuf {
    directory.join(format!("{stream}.ndjson"))
}

fn append_error(path: &Path, error: &io::Error) -> RequestError {
    RequestError {
        retry_class: RetryClass::Hold,
        code: "LocalFile".to_owned(),
        message: format!("append to {}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests;
