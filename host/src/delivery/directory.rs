use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::port::{Describe, Put};
use super::{Answer, Batch, Description, Firehose, RequestError, Target, TargetKind, Verdict};
use crate::event::StreamName;

/// A local directory in Firehose's place: each stream is a file
/// `STREAM.ndjson`, to which records are appended.
///
/// A batch is in the file whole or not at all, also where the disk is full.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// One lock for each stream's file.
    files: Mutex<HashMap<StreamName, Arc<Mutex<()>>>>,
}

impl Directory {
    /// Use a directory, and make it where it does not exist.
    ///
    /// # Errors
    ///
    /// It can be neither used nor made.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        Ok(Directory { path, files: Mutex::default() })
    }

    fn lock_of(&self, stream: &StreamName) -> Arc<Mutex<()>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(files.entry(stream.clone()).or_default())
    }
}

impl Firehose for Directory {
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> Put<'a> {
        let path = self.path.join(format!("{stream}.ndjson"));
        let lock = self.lock_of(stream);
        Box::pin(async move {
            let write = tokio::task::spawn_blocking(move || {
                let _alone = lock.lock().unwrap_or_else(PoisonError::into_inner);
                append(&path, &batch).map_err(|error| failed(&path, &error))
            });
            write.await.expect("writing a file does not panic")?;
            Ok(Answer::default())
        })
    }

    fn describe<'a>(&'a self, _stream: &'a StreamName) -> Describe<'a> {
        let target = Target { kind: TargetKind::LocalFile, steps: Vec::new() };
        Box::pin(std::future::ready(Ok(Description {
            targets: vec![target],
            ..Description::default()
        })))
    }
}

/// The file is opened for each batch, so that thousands of streams do not need
/// thousands of open files.
fn append(path: &Path, batch: &Batch) -> io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    write_records(&file, batch).inspect_err(|_| {
        // Nothing can be done if this fails too; the batch is written again.
        let _ = file.set_len(length);
    })
}

fn write_records(mut file: &File, batch: &Batch) -> io::Result<()> {
    file.write_all(batch.all_payloads())
}

fn failed(path: &Path, error: &io::Error) -> RequestError {
    RequestError {
        verdict: Verdict::Hold,
        code: "LocalFile".to_owned(),
        message: format!("append to {}: {error}", path.display()),
    }
}
