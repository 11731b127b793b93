//! What becomes of an event that the plugin fails on: dead letter, drop, pass through or halt; and
//! the switch that halts a run once.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Ends a run at the first event that the plugin fails on.
pub struct Halt {
    is_halted: AtomicBool,
    tell: Box<dyn Fn(String) + Send + Sync>,
}

impl Halt {
    /// Whoever is told why the run has to end brings that about.
    pub fn new(tell: impl Fn(String) + Send + Sync + 'static) -> Self {
        Halt { is_halted: AtomicBool::new(false), tell: Box::new(tell) }
    }

    pub(super) fn is_halted(&self) -> bool {
        self.is_halted.load(Ordering::Relaxed)
    }

    /// Only the first reason is told.
    pub(super) fn halt(&self, why: impl FnOnce() -> String) {
        if !self.is_halted.swap(true, Ordering::Relaxed) {
            (self.tell)(why());
        }
    }
}

impl fmt::Debug for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Halt").field("is_halted", &self.is_halted).finish_non_exhaustive()
    }
}
