//! What becomes of an event that the plugin fails on: dead letter, drop, pass through or halt.

use standpipe_core::event::StreamName;

/// What becomes of an event that the plugin fails on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// It goes to the dead letters, from where it can be replayed.
    #[default]
    DeadLetter,
    /// It goes nowhere, and counts as filtered.
    Drop,
    /// It is delivered as received, to this stream.
    PassThrough(StreamName),
    /// The run ends, and the event counts as not delivered: a source that keeps
    /// its events has it again at the next run.
    Halt,
}
