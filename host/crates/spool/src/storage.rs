//! The interface to the disk: the spool writes only through it, so that tests can make it fail.

use std::fs::File;
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::limits;
use standpipe_core::private;

/// Writes to files.
pub trait SpoolStorage: std::fmt::Debug + Send + Sync {
    /// Creates a file that does not exist yet.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Appends some of these bytes at the given end of a file. Returns the number of written bytes.
    fn append(&self, file: &File, end: u64, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Overwrites these bytes of a file.
    fn overwrite(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Waits until the bytes of a file are durable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Waits until the names of a folder's files are durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Truncates a file.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()>;
}

/// Files of the operating system.
#[derive(Debug)]
pub struct FileStorage;

impl SpoolStorage for FileStorage {
    fn create(&self, path: &Path) -> io::Result<File> {
        private::file_options().read(true).write(true).create_new(true).open(path)
    }

    fn append(&self, mut file: &File, end: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        file.seek(SeekFrom::Start(end))?;
        file.write_vectored(parts)
    }

    fn overwrite(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }
}

/// Whether a file system, a quota or a limit of this process has no space left. Another file may
/// have space, or the same one after others were removed.
pub(super) fn is_lack_of_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Appends all of these bytes, with as few calls as possible.
pub(super) fn append_all(
    storage: &dyn SpoolStorage,
    file: &File,
    mut end: u64,
    mut parts: &mut [IoSlice<'_>],
) -> io::Result<()> {
    // Removes empty parts. With only empty parts, a write would look as if it failed.
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match storage.append(file, end, parts) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                end += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a range of a file in pieces, as long as `each` returns true. Returns whether the whole
/// range was read.
pub(super) fn for_each_piece(
    file: &File,
    range: Range<u64>,
    mut each: impl FnMut(&[u8]) -> io::Result<bool>,
) -> io::Result<bool> {
    let mut buffer = vec![0; limits::SPOOL_READ_BYTES];
    let mut offset = range.start;
    while offset < range.end {
        let length = (range.end - offset).min(buffer.len() as u64) as usize;
        let piece = &mut buffer[..length];
        file.read_exact_at(piece, offset)?;
        if !each(piece)? {
            return Ok(false);
        }
        offset += length as u64;
    }
    Ok(true)
}
