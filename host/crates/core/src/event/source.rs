//! Where the events of a chunk came from: its name for plugins and dead letters, whether it keeps
//! unsettled events, and what becomes of dead ones.

use std::fmt;
use std::sync::Arc;

/// Where the events of a chunk came from, as their dead letters name it.
///
/// Reads as its name. An event that was in the dead letters before keeps the
/// name of the input that it first came from, and brings its history along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSource {
    name: Arc<str>,
    history: Option<Arc<str>>,
    keeps_unsettled: bool,
    on_undeliverable: OnUndeliverable,
}

/// What becomes of an event that can never be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUndeliverable {
    /// It becomes a dead letter, and counts as dead.
    DeadLetter,
    /// It is discarded, since it is the copy of a dead letter, and counts as not delivered.
    Discard,
}

impl EventSource {
    /// The source of events that come out of the dead letters. The history is
    /// opaque here: it is written and read where dead letters are.
    pub fn with_history(name: &str, history: &str) -> Self {
        EventSource { history: Some(history.into()), ..EventSource::durable(name) }
    }

    /// A source that keeps each event until it is settled.
    pub fn durable(name: &str) -> Self {
        EventSource { keeps_unsettled: true, ..name.into() }
    }

    /// The source of copies of dead letters, about which there are no dead letters.
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

    /// How often and why the events were dead letters before, if they were.
    pub fn history(&self) -> Option<&str> {
        self.history.as_deref()
    }

    /// Whether the source itself keeps events that nobody settles, as the dead
    /// letters and a durable spool do; those of any other one would be gone.
    pub fn keeps_unsettled(&self) -> bool {
        self.keeps_unsettled
    }

    /// What becomes of an event that can never be delivered.
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
