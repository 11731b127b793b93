//! Reads a file ahead, from any position.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::limits;

/// A part of a file in memory.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    start: u64,
    bytes: Vec<u8>,
}

impl ReadAhead {
    /// Returns these bytes of the file. Nothing from `end` on is read.
    ///
    /// At most [`limits::SPOOL_READ_BYTES`] can be requested.
    pub(super) fn get(
        &mut self,
        file: &File,
        offset: u64,
        length: usize,
        end: u64,
    ) -> io::Result<&[u8]> {
        self.at_least(file, offset, length, end).map(|bytes| &bytes[..length])
    }

    /// Returns at least this number of bytes from this position, and the bytes in memory after
    /// them.
    pub(super) fn at_least(
        &mut self,
        file: &File,
        offset: u64,
        least: usize,
        end: u64,
    ) -> io::Result<&[u8]> {
        let held = self.start..self.start + self.bytes.len() as u64;
        if offset < held.start || offset + least as u64 > held.end {
            let ahead = end.saturating_sub(offset).min(limits::SPOOL_READ_BYTES as u64);
            self.read_file(file, offset, ahead as usize, least)?;
        }
        Ok(&self.bytes[(offset - self.start) as usize..])
    }

    /// Reads this number of bytes. At the file's end and after an error, it may read fewer, if they
    /// are enough.
    fn read_file(
        &mut self,
        file: &File,
        offset: u64,
        ahead: usize,
        enough: usize,
    ) -> io::Result<()> {
        self.start = offset;
        self.bytes.resize(ahead, 0);
        let mut filled = 0;
        while filled < ahead {
            let read = file.read_at(&mut self.bytes[filled..], offset + filled as u64);
            match read {
                Ok(read) if read > 0 => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) if filled >= enough => break,
                other => {
                    self.bytes.clear();
                    return Err(other.err().unwrap_or(io::ErrorKind::UnexpectedEof.into()));
                }
            }
        }
        self.bytes.truncate(filled);
        if filled < enough { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
