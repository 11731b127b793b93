//! Stands for the checked settings of a part that this build does not contain. Code for runs with this part then needs no
//! `cfg`, and cannot be reached.

/// Settings that do not exist, because this build does not have the feature for them.
#[derive(Debug, Clone)]
pub enum NotBuilt {}

#[cfg(not(feature = "collector"))]
impl NotBuilt {
    /// Removes the spool of a collector.
    pub(super) fn remove_spool(&mut self) {
        match *self {}
    }
}

#[cfg(not(feature = "queue"))]
impl NotBuilt {
    /// Whether the process receives events from the queue.
    pub fn is_mapper(&self) -> bool {
        match *self {}
    }

    /// Whether the process publishes events to the queue.
    pub fn is_collector(&self) -> bool {
        match *self {}
    }

    /// Whether a collector stores events in its spool until the queue has them.
    pub fn has_spool(&self) -> bool {
        match *self {}
    }
}
