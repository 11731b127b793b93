//! Inputs of a run: files, pipes and standard input, plain or compressed, and dead letters. A read
//! from a pipe checks at intervals for a stop.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::lines::LineLimits;
use super::{Fill, LineReader, Replay};
use crate::limits;
use standpipe_core::gzip::GzipReader;
use standpipe_core::limits::{CHUNK_BYTES, EVENT_BYTES_MAX, STOP_POLL};
use standpipe_core::private;

/// Buffer in front of a decompressor, in bytes.
const COMPRESSED_BUFFER_BYTES: usize = 128 * 1024;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// An input with events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The process's standard input.
    Stdin,
    /// A file, or another object at the path.
    File(PathBuf),
    /// Events of dead letters. Those that are delivered, filtered or dead again are removed from
    /// the file.
    Letters(Replay),
}

/// An input that cannot be read.
#[derive(Debug, Error)]
#[error("failed to read {}: {error}: check the path and its permissions", path.display())]
pub struct InputError {
    path: PathBuf,
    error: io::Error,
}

impl Input {
    /// `-` means standard input. Everything else is a path.
    pub fn from_argument(argument: &Path) -> Self {
        if argument == Path::new("-") { Input::Stdin } else { Input::File(argument.to_owned()) }
    }

    /// The name of the source in dead letters and plugins.
    pub fn name(&self) -> String {
        self.path().map_or("stdin".into(), Path::to_string_lossy).into_owned()
    }

    /// The size in bytes of a regular file.
    pub fn size_bytes(&self) -> Option<u64> {
        let metadata = self.path()?.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Checks in advance whether the input can be read.
    ///
    /// # Errors
    ///
    /// Fails if the input is missing, is a directory, or cannot be read because of its permissions.
    pub fn check(&self) -> Result<(), InputError> {
        let Some(path) = self.path() else { return Ok(()) };
        let check = || -> io::Result<()> {
            let metadata = path.metadata()?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            // Opening a pipe would wait for its writer, so only files are opened.
            if metadata.is_file() {
                File::open(path)?;
            }
            Ok(())
        };
        check().map_err(|error| InputError { path: path.to_owned(), error })
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Input::Stdin => None,
            Input::File(path) | Input::Letters(Replay { path, .. }) => Some(path),
        }
    }

    /// Opens the input, and splits it into lines until it ends or `stop` is cancelled. gzip and
    /// Zstandard are detected by their first bytes.
    ///
    /// # Errors
    ///
    /// Fails if the input cannot be opened.
    pub fn open_lines(&self, stop: &CancellationToken) -> io::Result<LineReader<Box<dyn Read>>> {
        let file = match self.path() {
            // Opening a pipe without a writer would block.
            Some(path) => {
                let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
                private::file_options().read(true).custom_flags(nonblocking).open(path)?
            }
            None => File::from(rustix::io::dup(io::stdin())?),
        };
        let (reader, fill) = if self.path().is_some() && file.metadata()?.is_file() {
            (decompress_by_magic(file)?, Fill::Whole)
        } else {
            (decompress_by_magic(Interruptible { file, stop: stop.clone() })?, Fill::Available)
        };
        let line_limits = LineLimits {
            chunk: CHUNK_BYTES,
            line: EVENT_BYTES_MAX,
            prefix: limits::EVENT_PREFIX_BYTES,
        };
        Ok(LineReader::new(reader, fill, line_limits, stop.clone()))
    }
}

fn decompress_by_magic(mut raw: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let head = read_head(&mut raw)?;
    let (is_gzip, is_zstd) = (head.starts_with(GZIP_MAGIC), head.starts_with(ZSTD_MAGIC));
    let whole = Cursor::new(head).chain(raw);
    if is_gzip {
        let buffered = BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, whole);
        Ok(Box::new(GzipReader::new(buffered, usize::MAX)))
    } else if is_zstd {
        let buffered = BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, whole);
        Ok(Box::new(zstd::Decoder::with_buffer(buffered)?))
    } else {
        Ok(Box::new(whole))
    }
}

/// Reads the first bytes while they may be the start of a compressed stream. A pipe may contain
/// only a short line for a long time.
fn read_head(raw: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(ZSTD_MAGIC.len());
    let is_open = |head: &[u8]| {
        [GZIP_MAGIC, ZSTD_MAGIC]
            .iter()
            .any(|magic| magic.len() > head.len() && magic.starts_with(head))
    };
    while is_open(&head) && raw.take(1).read_to_end(&mut head)? > 0 {}
    Ok(head)
}

/// A pipe or terminal whose reader checks at intervals whether it should stop. It then returns the
/// end of the input.
struct Interruptible {
    file: File,
    stop: CancellationToken,
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pause = Timespec { tv_sec: 0, tv_nsec: i64::from(STOP_POLL.subsec_nanos()) };
        while !self.stop.is_cancelled() {
            let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut fds, Some(&pause)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => match self.file.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return result,
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}
