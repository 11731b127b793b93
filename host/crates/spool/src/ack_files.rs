//! The open acknowledgement files.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::folder::SpoolDirectory;
use standpipe_core::private;

/// Maximum number of acknowledgement files that the spool keeps open. Concurrent entries belong to
/// few segments.
const SPOOL_ACK_FILES_OPEN: usize = 16;

/// The files that were used last. There may be more segments than files that a process may open.
#[derive(Debug, Default)]
pub(super) struct AckFiles(Mutex<VecDeque<(u64, Arc<File>)>>);

impl AckFiles {
    /// The file of a segment. It is created if it is missing.
    pub(super) fn open_file(&self, folder: &SpoolDirectory, segment: u64) -> io::Result<Arc<File>> {
        let mut open = self.0.lock();
        if let Some((_, file)) = open.iter().rev().find(|(number, _)| *number == segment) {
            return Ok(Arc::clone(file));
        }
        let mut options = private::file_options();
        let file =
            options.write(true).create(true).truncate(false).open(folder.acks_path(segment))?;
        let file = Arc::new(file);
        if open.len() >= SPOOL_ACK_FILES_OPEN {
            open.pop_front();
        }
        open.push_back((segment, Arc::clone(&file)));
        Ok(file)
    }

    /// Closes the file of a segment.
    pub(super) fn close_file(&self, segment: u64) {
        self.0.lock().retain(|(number, _)| *number != segment);
    }
}
