//! A piece of a source: whole lines in one buffer, those that are damaged, and the promise to
//! account for each.

use super::{Ack, Refusal, Source};

/// A piece of a source: whole lines in one buffer, and the promise to account
/// for each of them.
#[derive(Debug)]
pub struct Chunk {
    /// The bytes that the lines point into.
    pub bytes: Vec<u8>,
    /// The lines that hold an event, in their order. Blank lines are not here.
    pub lines: Vec<Line>,
    /// The lines that could not be read whole, by their position in `lines`.
    pub damaged: Vec<(u32, Damage)>,
    /// The number of the chunk's first line in its source, counted from 1.
    pub first_line: u64,
    /// Settles each line.
    pub ack: Ack,
}

/// One line of a chunk, without its line ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Where it starts in the chunk's bytes.
    pub start: u32,
    /// Where it ends there.
    pub end: u32,
    /// Its distance from the chunk's first line, in lines.
    pub offset: u32,
}

/// Why a line could not be read whole; its bytes are the part that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
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
    Refused(Refusal),
}

impl Chunk {
    /// The source.
    pub fn source(&self) -> &Source {
        self.ack.source()
    }

    /// The bytes of a line.
    pub fn text(&self, line: Line) -> &[u8] {
        &self.bytes[line.start as usize..line.end as usize]
    }

    /// The number of a line in its source, counted from 1.
    pub fn number(&self, line: Line) -> u64 {
        self.first_line + u64::from(line.offset)
    }
}
