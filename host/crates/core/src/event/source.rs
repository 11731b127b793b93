//! Where the events of a chunk came from: its name for plugins and dead letters, whether it keeps
//! unsettled events, and what becomes of dead ones.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Where the events of a chunk came from, as their dead letters tell it.
///
/// Reads as its name. An event that was in the dead letters before keeps the
/// name of the input that it first came from, and brings its history along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    history: Option<Arc<str>>,
    keeps_unsettled: bool,
    on_death: OnDeath,
}

/// What becomes of an event that can never be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeath {
    /// It is written to the dead letters, and counts as dead.
    Bury,
    /// Nothing: it is the copy of a dead letter, and counts as not delivered.
    LetGo,
}

impl Source {
    /// The source of events that come out of the dead letters. The history is
    /// opaque here: it is written and read where dead letters are.
    pub fn with_history(name: &str, history: &str) -> Self {
        let (name, history) = (name.into(), Some(history.into()));
        Source { name, history, keeps_unsettled: true, on_death: OnDeath::Bury }
    }

    /// A source that keeps each event until it is settled.
    pub fn durable(name: &str) -> Self {
        Source { keeps_unsettled: true, ..name.into() }
    }

    /// The source of copies of dead letters, about which there are no letters.
    pub fn of_copies() -> Self {
        Source { on_death: OnDeath::LetGo, ..Source::from("dead letters") }
    }

    /// The name of the input.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How often and why the events were dead before, if they were.
    pub fn history(&self) -> Option<&str> {
        self.history.as_deref()
    }

    /// Whether the source itself keeps events that nobody settles, as the dead
    /// letters and a durable spool do; those of any other one would be gone.
    pub fn keeps_unsettled(&self) -> bool {
        self.keeps_unsettled
    }

    /// What becomes of an event that can never be delivered.
    pub fn on_death(&self) -> OnDeath {
        self.on_death
    }
}

impl From<&str> for Source {
    fn from(name: &str) -> Self {
        let (name, history) = (name.into(), None);
        Source { name, history, keeps_unsettled: false, on_death: OnDeath::Bury }
    }
}

impl Deref for Source {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
