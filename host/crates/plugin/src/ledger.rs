//! Counters of all generations in one role, so that metrics go on over a swap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::counts::AtomicCounts;
use super::{Counts, Tally};

/// What all generations in one role have done together, so that counts go on where
/// the one before has ended.
///
/// Each of them adds to it itself, at every batch: a worker may be at its last
/// batch of a generation while others are past it, and nothing is lost or counted
/// twice by that.
#[derive(Debug, Default)]
pub struct Ledger {
    counts: AtomicCounts,
    health_changes: Arc<AtomicU64>,
}

impl Ledger {
    /// What they have done so far.
    pub fn counts(&self) -> Counts {
        self.counts.load()
    }

    /// How often the health of one of them has changed.
    pub fn health_changes(&self) -> u64 {
        self.health_changes.load(Ordering::Relaxed)
    }

    pub(super) fn health_changes_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.health_changes)
    }

    pub(super) fn add(&self, tally: &Tally) {
        self.counts.add(tally);
    }

    pub(super) fn add_call(&self, took: Duration, memory_bytes: usize) {
        self.counts.add_call(took, memory_bytes);
    }
}
