//! The source of a chunk's events: its name in plugins and dead letters, whether it keeps unsettled
//! events, and what happens to undeliverable ones.

use std::fmt;
use std::sync::Arc;

/// The source of a chunk's events, as named in their dead letters.
///
/// Dereferences to its name. An event that was in the dead letters before keeps the name of its
/// original input, and has a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSource {
    name: Arc<str>,
    history: Option<Arc<str>>,
    keeps_unsettled: bool,
    on_undeliverable: OnUndeliverable,
}

/// What happens to an event that can never be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUndeliverable {
    /// The event becomes a dead letter, and counts as dead.
    DeadLetter,
    /// The event is discarded because it is the copy of a dead letter, and counts as undelivered.
    Discard,
}

impl EventSource {
    /// Creates the source of events from dead letters. The history is opaque here: it is written
    /// and read by the code for dead letters.
    pub fn with_history(name: &str, history: &str) -> Self {
        EventSource { history: Some(history.into()), ..EventSource::durable(name) }
    }

    /// Creates a source that keeps each event until it is settled.
    pub fn durable(name: &str) -> Self {
        EventSource { keeps_unsettled: true, ..name.into() }
    }

    /// Creates the source of copies of dead letters, which never become dead letters.
    pub fn of_copies() -> Self {
        EventSource {
            on_undeliverable: OnUndeliverable::Discard,
            ..EventSource::from("dead letters")
        }
    }

    /// The name of the input.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The earlier dead letters of the events, if there are any.
    pub fn history(&self) -> Option<&str> {
        self.history.as_deref()
    }

    /// Whether the source itself keeps unsettled events, like the dead letters and a durable spool.
    /// Unsettled events of other sources are lost.
    pub fn keeps_unsettled(&self) -> bool {
        self.keeps_unsettled
    }

    /// What happens to an event that can never be delivered.
    pub fn on_undeliverable(&self) -> OnUndeliverable {
        self.on_undeliverable
    }
}

impl From<&str> for EventSource {
    fn from(name: &str) -> Self {
        EventSource {
            name: name.into(),
            history: None,
            keeps_unsettled: false,
            on_undeliverable: OnUndeliverable::DeadLetter,
        }
    }
}

impl fmt::Display for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
