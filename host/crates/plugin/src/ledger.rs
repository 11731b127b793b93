//! Counters of all generations in one role, so that metrics go on over a swap.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::Tally;
use super::counts::Counts;

/// What all generations in one role have done together, so that counts go on where
/// the one before has ended.
///
/// Each of them adds to it itself, at every batch: a worker may be at its last
/// batch of a generation while others are past it, and nothing is lost or counted
/// twice by that.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    counts: Counts,
    health_changes: Counter,
}

impl Ledger {
    /// What they have done so far.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How often the health of one of them has changed; clones are the same counter.
    pub(super) fn health_changes(&self) -> &Counter {
        &self.health_changes
    }

    pub(super) fn add(&self, tally: &Tally) {
        self.counts.add(tally);
    }

    pub(super) fn add_call(&self, took: Duration, memory_bytes: usize) {
        self.counts.add_call(took, memory_bytes);
    }
}
