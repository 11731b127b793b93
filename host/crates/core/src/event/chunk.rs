//! Chunks of a source's lines, and how they come to be.

use std::ops::Range;

use super::{Ack, EventRefusal, EventSource};

/// A piece of a source: whole lines in one buffer, and the promise to account
/// for each of them.
#[derive(Debug)]
pub struct Chunk {
    /// The bytes that the lines point into.
    pub bytes: Vec<u8>,
    /// The lines that hold an event, in their order. Blank lines are not here.
    pub lines: Vec<ChunkLine>,
    /// Why lines could not be read whole, by their ascending positions in `lines`.
    pub errors: Vec<(u32, LineError)>,
    /// The number of the chunk's first line in its source, counted from 1.
    pub first_line: u64,
    /// Settles each line.
    pub ack: Ack,
}

/// Lines of a source in one buffer: a [`Chunk`] in the making, without an ack.
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

/// What looking for the next chunk of a source came to.
#[derive(Debug)]
pub enum NextChunk {
    /// Its events wait for a worker.
    Chunk(Chunk),
    /// There is none yet.
    Nothing,
    /// There will be no more.
    End,
}

/// One line of a chunk, without its line ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLine {
    /// Where it starts in the chunk's bytes.
    pub start: u32,
    /// Where it ends there.
    pub end: u32,
    /// Its distance from the chunk's first line, in lines.
    pub offset: u32,
}

/// Why a line could not be read whole; its bytes are the part that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineError {
    /// It is longer than an event may be.
    TooLong {
        /// The whole length, in bytes.
        bytes: u64,
    },
    /// The source ended or failed inside the line; all that may have followed
    /// is missing.
    CutOff {
        /// What happened to the source.
        detail: String,
    },
    /// It was refused where it came in.
    Refused(EventRefusal),
}

impl Chunk {
    /// The source.
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
    /// No lines yet, in a buffer that is used again.
    pub fn in_buffer(mut bytes: Vec<u8>, first_line: u64) -> Self {
        bytes.clear();
        Lines { bytes, first_line, ..Lines::default() }
    }

    /// How many lines there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a line that stands at these bytes, so many lines after the first one.
    #[inline]
    pub fn push(&mut self, bytes: Range<usize>, offset: u32) {
        self.lines.push(ChunkLine {
            start: offset_u32(bytes.start),
            end: offset_u32(bytes.end),
            offset,
        });
    }

    /// Adds a line that could not be read whole, with the reason.
    pub fn push_error(&mut self, bytes: Range<usize>, offset: u32, error: LineError) {
        self.errors.push((offset_u32(self.len()), error));
        self.push(bytes, offset);
    }

    /// The chunk of these lines, each of which is accounted for by `ack`.
    pub fn into_chunk(self, ack: Ack) -> Chunk {
        let Lines { bytes, lines, errors, first_line } = self;
        Chunk { bytes, lines, errors, first_line, ack }
    }
}

#[inline]
fn offset_u32(number: usize) -> u32 {
    u32::try_from(number).expect("a chunk is far smaller than 4 GiB")
}
