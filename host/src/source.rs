//! The sources of events: files and standard input, newline-delimited, plain or compressed, dead
//! letters to replay, and a program that embeds the library.
//!
//! A source ([`ChunkSource`]) creates chunks of whole lines and gives each an
//! [`Ack`](standpipe_core::event::Ack). It only looks at line ends: higher layers decide whether a
//! line is an event. One [`Chunker`] passes the chunks of all sources to the workers. A file of any
//! size is read through a few buffers of fixed size. The queue to the workers is limited, so
//! reading is not faster than delivery.

mod chunker;
mod input;
mod lines;
#[cfg(feature = "queue")]
mod queued;
mod reader;
mod replay;
mod submitted;

pub use chunker::{ChunkSource, Chunker, Progress};
pub use input::{Input, InputError};
pub use lines::{Fill, LineLimits, LineReader};
#[cfg(feature = "queue")]
pub use queued::QueueReader;
pub use reader::{InputReader, ReadReport};
pub use replay::{LeftLetters, Removal, Replay, ReplayCompactor, UnreadInput};
pub use submitted::{
    OutcomeFuture, SubmissionLimits, SubmissionQueue, SubmissionReader, SubmissionStats,
    SubmitError, Submitter, TrySubmitError,
};
