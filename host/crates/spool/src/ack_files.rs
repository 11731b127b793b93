//! The files of acknowledgements that are open.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::folder::SpoolDirectory;
use standpipe_core::private;

/// Files of acknowledgements that the spool keeps open. Entries that are under
/// way at once are from few segments.
const SPOOL_ACK_FILES_OPEN: usize = 16;

/// Those that were used last. There may be more segments than a process may have
/// files open.
#[derive(Debug, Default)]
pub(super) struct AckFiles(Mutex<VecDeque<(u64, Arc<File>)>>);

impl AckFiles {
    /// The file of a segment, which is made if it is missing.
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

    /// Close the file of a segment.
    pub(super) fn close_file(&self, segment: u64) {
        self.0.lock().retain(|(number, _)| *number != segment);
    }
}
