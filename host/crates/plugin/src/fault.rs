//! Faults of a plugin that is in use.

use thiserror::Error;

use super::declared::DeclarationChange;
use crate::limits;
use standpipe_core::event::{InvalidStreamName, StreamName};

/// How a plugin failed on an event.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Fault {
    /// It trapped: a panic, an unreachable instruction, a stack overflow. Holds the trap's name and
    /// what the plugin printed, of bounded length: the engine's error also has the whole call stack,
    /// and there is one fault for each event.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// It used up its CPU time for a call.
    #[error(
        "the plugin did not answer within {0} ms of CPU time: fix it, or raise call_cpu, event_cpu or byte_cpu \
         under [plugin.limits]"
    )]
    Deadline(u128),
    /// It used up its CPU time for starting and reading its settings.
    #[error(
        "the plugin did not answer within {0} ms of CPU time: fix it, or raise configure_cpu under \
         [plugin.limits]"
    )]
    ConfigureDeadline(u128),
    /// It wanted more memory than it may have.
    #[error(
        "the plugin wanted more than {0} MiB of memory: fix it, or raise memory_bytes under [plugin.limits]"
    )]
    Memory(usize),
    /// Its answer breaks the contract.
    #[error("the plugin's answer is wrong: {0}")]
    Answer(#[from] WrongAnswer),
    /// Its answer takes more of the host's memory than it may.
    #[error(
        "the plugin's answer takes more than {0} MiB of the host's memory: fix the plugin, or raise answer_bytes \
         under [plugin.limits]"
    )]
    AnswerSize(usize),
    /// It was not called: its circuit is open for the source, or the run ended first.
    #[error(
        "the plugin was not called for the event: it fails on nearly all events of the source, and `when_off` is \
         \"fail\", or the run ended while the event waited for its turn"
    )]
    Skipped,
    /// No fresh instance could be configured.
    #[error("the plugin could not be started again: {0}")]
    Configure(#[from] ConfigureError),
}

/// An answer that the contract does not allow.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum WrongAnswer {
    /// It is about an event that was not in the batch.
    #[error("output for event {input} of a batch of {events}")]
    NoSuchEvent {
        /// The event's position.
        input: usize,
        /// How many there were.
        events: usize,
    },
    /// It has too many outputs for an event.
    #[error(
        "{0} outputs for one event, and the limit is {max}",
        max = limits::PLUGIN_OUTPUTS_PER_EVENT_MAX
    )]
    TooManyOutputs(usize),
    /// An event is rejected and delivered.
    #[error("an event is rejected and has another output")]
    RejectedAndMore,
    /// It names a stream by a position that the plugin has not declared.
    #[error("stream {0} was never declared")]
    UndeclaredPosition(u32),
    /// It names a stream that the plugin has not declared.
    #[error("the stream {0} was never declared")]
    UndeclaredStream(StreamName),
    /// It names a pattern in place of a stream.
    #[error("the pattern {0:?} stands in place of a stream name")]
    Pattern(String),
    /// It names a stream that cannot exist.
    #[error(transparent)]
    StreamName(#[from] InvalidStreamName),
    /// There is none: the event was left for another call.
    #[error("the plugin was not called for the event yet")]
    NotAsked,
    /// It reports too many routes.
    #[error("{0} routes, and the limit is {max}", max = limits::PLUGIN_ROUTES_MAX)]
    TooManyRoutes(usize),
    /// It reports a route to what cannot be a stream.
    #[error("a route to {0:?}, which is not a stream name")]
    Route(String),
}

/// A plugin that was configured before cannot be once more.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ConfigureError {
    /// It refuses its settings now; in its own words.
    #[error("{0}")]
    Refused(String),
    /// It does not declare what it did.
    #[error(transparent)]
    Changed(#[from] DeclarationChange),
}

impl Fault {
    /// The words for the kinds of faults.
    pub const WORDS: [&str; 6] = ["trap", "deadline", "memory", "answer", "off", "configure"];

    /// Its position among [`WORDS`](Self::WORDS).
    pub(super) fn kind(&self) -> usize {
        match self {
            Fault::Trap(_) => 0,
            Fault::Deadline(_) | Fault::ConfigureDeadline(_) => 1,
            Fault::Memory(_) => 2,
            Fault::Answer(_) | Fault::AnswerSize(_) => 3,
            Fault::Skipped => 4,
            Fault::Configure(_) => 5,
        }
    }
}
