//! What happens to an event that the plugin fails on: dead letter, drop, pass through or halt.

use standpipe_core::event::StreamName;

/// What happens to an event that the plugin fails on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The event becomes a dead letter, which can be replayed.
    #[default]
    DeadLetter,
    /// The event is dropped, and counts as filtered.
    Drop,
    /// The event is delivered as received, to this stream.
    PassThrough(StreamName),
    /// The run ends, and the event counts as undelivered: a durable source delivers it in the next
    /// run.
    Halt,
}
