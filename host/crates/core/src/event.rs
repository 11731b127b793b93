//! The words that every part of the host speaks: chunks of events on their
//! way, the envelope that routing needs, the names of delivery streams, and the
//! [`Ack`] that travels back.
//!
//! Nothing here reads, writes or decides.

mod ack;
mod chunk;
mod envelope;
mod reason;
mod refusal;
mod source;
mod source_names;
mod stream_name;

pub use ack::{
    Ack, EventOutcome, EventTotals, OutputOutcome, Settled, Settlements, TotalsSnapshot,
};
pub use chunk::{Chunk, ChunkLine, LineError, Lines, NextChunk};
pub use envelope::{Envelope, Items, Malformed, Member, Outline, OutlineError, Span, scan, string};
pub use reason::Reason;
pub use refusal::EventRefusal;
pub use source::{EventSource, OnUndeliverable};
pub use source_names::{SourceNames, UnknownSources};
pub use stream_name::{InvalidStreamName, StreamName, covers};

/// One event of a chunk, ready to be mapped.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The position in its chunk, which the [`Ack`] settles by.
    pub index: u32,
    /// The line in its source, counted from 1.
    pub line: u64,
    /// The JSON text as received, without a line ending.
    pub text: &'a str,
    /// What routing needs of it.
    pub envelope: Envelope<'a>,
}
