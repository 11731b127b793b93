//! Chunks of a source's lines, and how they are created.

use std::ops::Range;

use super::{Ack, EventRefusal, EventSource};

/// A part of a source: whole lines in one buffer, and the acknowledgement for each of them.
#[derive(Debug)]
pub struct Chunk {
    /// The bytes that contain the lines.
    pub bytes: Vec<u8>,
    /// The lines with events, in order. Blank lines are left out.
    pub lines: Vec<ChunkLine>,
    /// Why lines could not be read completely, by their ascending positions in `lines`.
    pub errors: Vec<(u32, LineError)>,
    /// The number of the chunk's first line in its source, counted from 1.
    pub first_line: u64,
    /// The acknowledgement that settles each line.
    pub ack: Ack,
}

/// Lines of a source in one buffer: a [`Chunk`] without an ack.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// See [`Chunk`].
    pub bytes: Vec<u8>,
    /// See [`Chunk`].
    pub lines: Vec<ChunkLine>,
    /// See [`Chunk`].
    pub errors: Vec<(u32, LineError)>,
    /// See [`Chunk`].
    pub first_line: u64,
}

/// The result of looking for the next chunk of a source.
#[derive(Debug)]
pub enum NextChunk {
    /// The next chunk.
    Chunk(Chunk),
    /// There is no chunk yet.
    Nothing,
    /// There will be no more chunks.
    End,
}

/// One line of a chunk, without its line ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLine {
    /// The line's start in the chunk's bytes.
    pub start: u32,
    /// The line's end in the chunk's bytes.
    pub end: u32,
    /// The number of lines between the chunk's first line and this one.
    pub offset: u32,
}

/// Why a line could not be read completely. Its bytes are the kept part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineError {
    /// The line is longer than an event may be.
    TooLong {
        /// The whole length in bytes.
        bytes: u64,
    },
    /// The source ended or failed inside the line. Everything after it is missing.
    CutOff {
        /// The error of the source.
        detail: String,
    },
    /// The collector refused the event.
    Refused(EventRefusal),
    /// It is a message of a queue that cannot be decoded.
    Unreadable {
        /// Why.
        detail: String,
    },
    /// Its source is not in the settings.
    UnknownSource,
}

impl Chunk {
    /// The source of the chunk.
    pub fn source(&self) -> &EventSource {
        self.ack.source()
    }

    /// The bytes of a line.
    pub fn line_text(&self, line: ChunkLine) -> &[u8] {
        &self.bytes[line.start as usize..line.end as usize]
    }

    /// The number of a line in its source, counted from 1.
    pub fn line_number(&self, line: ChunkLine) -> u64 {
        self.first_line + u64::from(line.offset)
    }
}

impl Lines {
    /// Creates an empty list of lines in a reused buffer.
    pub fn in_buffer(mut bytes: Vec<u8>, first_line: u64) -> Self {
        bytes.clear();
        Lines { bytes, first_line, ..Lines::default() }
    }

    /// The number of lines.
    #[inline]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no lines.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds the line at these bytes. `offset` is the number of lines since the first one.
    #[inline]
    pub fn push(&mut self, bytes: Range<usize>, offset: u32) {
        self.lines.push(ChunkLine {
            start: offset_u32(bytes.start),
            end: offset_u32(bytes.end),
            offset,
        });
    }

    /// Adds a line that could not be read completely, with the reason.
    pub fn push_error(&mut self, bytes: Range<usize>, offset: u32, error: LineError) {
        self.errors.push((offset_u32(self.len()), error));
        self.push(bytes, offset);
    }

    /// Creates a chunk of these lines, which `ack` settles.
    pub fn into_chunk(self, ack: Ack) -> Chunk {
        let Lines { bytes, lines, errors, first_line } = self;
        Chunk { bytes, lines, errors, first_line, ack }
    }
}

#[inline]
fn offset_u32(number: usize) -> u32 {
    u32::try_from(number).expect("a chunk is far smaller than 4 GiB")
}
