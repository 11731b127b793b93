//! Where events come from: files and standard input, newline-delimited,
//! plain or compressed, the dead letters that are to be replayed, and a program
//! that this library is part of.
//!
//! A source ([`ChunkSource`]) makes chunks of whole lines and gives each an
//! [`Ack`](standpipe_core::event::Ack). It looks at line ends and nothing else: whether a
//! line is an event is for those above. One [`Chunker`] hands the chunks of all sources to
//! the workers. A file of any size passes through a few buffers of fixed size; the queue to
//! the workers is bounded, so that reading goes no faster than delivery.

mod chunker;
mod input;
mod lines;
mod reader;
mod replay;
mod submitted;

pub use chunker::{ChunkSource, Chunker, Progress};
pub use input::{Input, InputError};
pub use lines::{Fill, LineLimits, LineReader};
pub use reader::{InputReader, ReadReport};
pub use replay::{LeftLetters, Removal, Replay, ReplayCompactor, UnreadInput};
pub use submitted::{
    OutcomeFuture, SubmissionLimits, SubmissionQueue, SubmissionReader, SubmissionStats,
    SubmitError, Submitter, TrySubmitError,
};
