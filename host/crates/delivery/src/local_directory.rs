//! A local directory in Firehose's place.
//!
//! A batch is in its file whole or not at all, whatever ends the process: before it
//! is appended, the [`Journal`] notes where it begins and ends, and the next process
//! that uses the directory cuts off what is there of a batch that was not finished. That is
//! exact for records of any form, with or without newlines. One process at a time
//! uses a directory.
//!
//! A journal says nothing of what an earlier version left, or a loss of power. Where
//! records end with newlines, a file's last line that has none is looked at too: see
//! [`last_line`].

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

/// A local directory in Firehose's place: each stream is a file
/// `STREAM.ndjson`, to which records are appended.
///
/// A batch is in the file whole or not at all, also where the disk is full, and after
/// the process was killed: then from when the directory is used next.
#[derive(Debug)]
pub struct LocalDirectory {
    path: PathBuf,
    journal: Arc<Journal>,
    /// One lock for each stream's file.
    files: Mutex<HashMap<StreamName, Arc<Mutex<StreamFile>>>>,
}

/// What is known of a stream's file. It is opened for each batch, so that thousands
/// of streams do not need thousands of open files.
#[derive(Debug, Default)]
struct StreamFile {
    /// The end that was there before this process has been looked at.
    has_checked_end: bool,
    /// Where a part of a batch begins that could not be cut off, and in which file.
    unfinished: Option<(u64, u64)>,
}

impl LocalDirectory {
    /// Use a directory, and make it where it does not exist.
    ///
    /// # Errors
    ///
    /// It can be neither used nor made, or another process uses it.
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
            // A pipe or a device, which nothing can be cut off of.
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
            // The journal's note stays, in case there is no next batch.
            self.unfinished = Some((metadata.ino(), length));
            return written;
        }
        journal.end(slot);
        written
    }

    /// Cut off what an earlier batch left, if it is still there.
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
