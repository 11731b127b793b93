//! Decides whether a mapper may take messages from its queue.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits;

/// Decides whether a mapper may take messages. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Gate {
    /// A gate that is always open.
    pub fn open() -> Self {
        Gate(None)
    }

    /// A gate that is open whenever this function says so.
    pub fn new(is_open: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Gate(Some(Arc::new(is_open)))
    }

    /// Whether messages may be taken now.
    pub fn is_open(&self) -> bool {
        self.0.as_ref().is_none_or(|is_open| is_open())
    }

    /// Waits on this thread until the gate is open, but no longer than `patience`. Returns whether it is open.
    pub fn wait(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.is_open() {
            if Instant::now() >= deadline {
                return false;
            }
            // Whether a gate is open can depend on time alone, so nothing could wake the thread.
            let _ = crossbeam_channel::after(limits::GATE_POLL).recv();
        }
        true
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.is_open()).finish()
    }
}
