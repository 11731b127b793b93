//! The types that all parts of the host share: chunks of events, the envelope that routing needs,
//! the names of delivery streams, and the [`Ack`] that settles events.
//!
//! This module does no input or output, and decides nothing.

mod ack;
mod chunk;
mod entry;
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
pub use entry::{
    EntryEvent, EventEntry, UnknownRefusal, UnreadableEntry, encode_entry, entry_head_bytes,
};
pub use envelope::{Envelope, Items, Malformed, Member, Outline, OutlineError, Span, scan, string};
pub use reason::Reason;
pub use refusal::EventRefusal;
pub use source::{EventSource, OnUndeliverable};
pub use source_names::{SourceNames, UnknownSources};
pub use stream_name::{InvalidStreamName, StreamName, covers};

/// An event of a chunk, ready to be mapped.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The event's position in its chunk, by which the [`Ack`] settles it.
    pub index: u32,
    /// The event's line in its source, counted from 1.
    pub line: u64,
    /// The JSON text as received, without a line ending.
    pub text: &'a str,
    /// The parts that routing needs.
    pub envelope: Envelope<'a>,
}
