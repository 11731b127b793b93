//! Faults of a plugin in use.

use thiserror::Error;

use super::declared::DeclarationChange;
use crate::limits;
use standpipe_core::event::{InvalidStreamName, StreamName};

/// How a plugin failed on an event.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Fault {
    /// The plugin trapped: a panic, an unreachable instruction, or a stack overflow. Contains the
    /// trap's name and the printed text of the plugin, of limited length: the engine's error also
    /// contains the whole call stack, and there is one fault for each event.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// The plugin exceeded the CPU time of a call.
    #[error(
        "the plugin did not answer within {0} ms of CPU time: fix it, or raise call_cpu, event_cpu or byte_cpu \
         under [plugin.limits]"
    )]
    Deadline(u128),
    /// The plugin exceeded the CPU time for starting and reading its settings.
    #[error(
        "the plugin did not answer within {0} ms of CPU time: fix it, or raise configure_cpu under \
         [plugin.limits]"
    )]
    ConfigureDeadline(u128),
    /// The plugin needed more memory than permitted.
    #[error(
        "the plugin wanted more than {0} MiB of memory: fix it, or raise memory_bytes under [plugin.limits]"
    )]
    Memory(usize),
    /// The plugin's result violates the contract.
    #[error("the plugin's answer is wrong: {0}")]
    Answer(#[from] WrongAnswer),
    /// The plugin's result takes more of the host's memory than permitted.
    #[error(
        "the plugin's answer uses more than {0} MiB of the host's memory: fix the plugin, or raise \
         answer_bytes under [plugin.limits]"
    )]
    AnswerSize(usize),
    /// The plugin was not called: its circuit is open for the source, or the run ended first.
    #[error(
        "the plugin was not called for the event: it fails on nearly all events of the source, and `when_off` is \
         \"fail\", or the run ended while the event waited for its turn"
    )]
    Skipped,
    /// No new instance could be configured.
    #[error("the plugin could not be started again: {0}")]
    Configure(#[from] ConfigureError),
}

/// A result that violates the contract.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum WrongAnswer {
    /// The result is about an event that was not in the batch.
    #[error("output for event {input} of a batch of {events}")]
    NoSuchEvent {
        /// The event's position.
        input: usize,
        /// The number of events.
        events: usize,
    },
    /// An event has too many outputs.
    #[error(
        "{0} outputs for one event, and the limit is {max}",
        max = limits::PLUGIN_OUTPUTS_PER_EVENT_MAX
    )]
    TooManyOutputs(usize),
    /// An event is both rejected and delivered.
    #[error("an event is rejected and has another output")]
    RejectedAndMore,
    /// The result names a stream by a position that the plugin has not declared.
    #[error("stream {0} was never declared")]
    UndeclaredPosition(u32),
    /// The result names a stream that the plugin has not declared.
    #[error("the stream {0} was never declared")]
    UndeclaredStream(StreamName),
    /// The result names a pattern instead of a stream.
    #[error("the pattern {0:?} is not a stream name")]
    Pattern(String),
    /// The result names an invalid stream.
    #[error(transparent)]
    StreamName(#[from] InvalidStreamName),
    /// There is no result: the event was left for another call.
    #[error("the plugin was not called for the event yet")]
    NotAsked,
    /// The plugin reports too many routes.
    #[error("{0} routes, and the limit is {max}", max = limits::PLUGIN_ROUTES_MAX)]
    TooManyRoutes(usize),
    /// The plugin reports a route to an invalid stream.
    #[error("a route to {0:?}, which is not a stream name")]
    Route(String),
}

/// Why a plugin that was configured before cannot be configured again.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ConfigureError {
    /// The plugin now rejects its settings, with this message.
    #[error("{0}")]
    Refused(String),
    /// The plugin declares other streams than before.
    #[error(transparent)]
    Changed(#[from] DeclarationChange),
}

impl Fault {
    /// The words for the kinds of faults.
    pub const WORDS: [&str; 6] = ["trap", "deadline", "memory", "answer", "off", "configure"];

    /// The position of the fault's word in [`WORDS`](Self::WORDS).
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
