//! Counters of a plugin: events, filtered and rejected events, faults by kind, and a histogram of
//! call times. Workers update the atomics once per batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::{Decision, Decisions, Fault, Output};
use standpipe_core::metrics::TimeHistogram;

/// Upper bounds of the buckets of [`PluginCounters::calls`]. The last bucket has no bound.
const CALL_BOUNDS: [Duration; 11] = [
    Duration::from_micros(10),
    Duration::from_micros(30),
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
];

/// The counts of one generation, or of several together.
#[derive(Debug)]
pub(super) struct PluginCounters {
    /// Events that were decided or failed.
    pub(super) events: Counter,
    /// Events without an output.
    pub(super) filtered: Counter,
    /// Rejected events.
    pub(super) rejected: Counter,
    faults: [Counter; Fault::WORDS.len()],
    /// Batches by duration.
    pub(super) calls: TimeHistogram,
    memory_bytes_max: AtomicU64,
}

/// Counters of all generations in one role, which continue after a swap.
///
/// Each generation adds to them with every batch. Although workers switch at different times,
/// nothing is lost or counted twice.
#[derive(Debug, Default)]
pub(super) struct RoleCounters {
    pub(super) counts: PluginCounters,
    /// Number of health changes of all generations. Clones share the counter.
    pub(super) health_changes: Counter,
}

impl Default for PluginCounters {
    fn default() -> Self {
        PluginCounters {
            events: Counter::default(),
            filtered: Counter::default(),
            rejected: Counter::default(),
            faults: Default::default(),
            calls: TimeHistogram::new(&CALL_BOUNDS),
            memory_bytes_max: AtomicU64::new(0),
        }
    }
}

/// The results of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchTally {
    /// Events of the batch.
    pub events: u64,
    /// Events without an output.
    pub filtered: u64,
    /// Rejected events.
    pub rejected: u64,
    faults: [u64; Fault::WORDS.len()],
}

impl BatchTally {
    /// Creates the tally of a batch before its results are counted.
    pub fn of(events: usize) -> Self {
        BatchTally { events: events as u64, ..BatchTally::default() }
    }

    /// Counts the decisions about a batch.
    pub(super) fn of_decisions(decisions: &Decisions, events: usize) -> Self {
        let mut tally = BatchTally::of(events);
        for event in 0..events {
            match decisions.of(event) {
                Err(fault) => tally.add_fault(fault),
                Ok([]) => tally.filtered += 1,
                Ok([Output { decision: Decision::Reject(_), .. }]) => tally.rejected += 1,
                Ok(_) => {}
            }
        }
        tally
    }

    /// Counts an event that the plugin failed on.
    pub fn add_fault(&mut self, fault: &Fault) {
        self.faults[fault.kind()] += 1;
    }

    /// Number of failed events.
    pub fn failed(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// Events with which the plugin was not called because its circuit is open.
    pub(super) fn skipped(&self) -> u64 {
        self.faults[Fault::Skipped.kind()]
    }
}

impl PluginCounters {
    /// Adds the results of a batch.
    pub(super) fn add_tally(&self, tally: &BatchTally) {
        let add = |counter: &Counter, count| {
            if count > 0 {
                counter.inc_by(count);
            }
        };
        add(&self.events, tally.events);
        add(&self.filtered, tally.filtered);
        add(&self.rejected, tally.rejected);
        for (counter, &count) in self.faults.iter().zip(&tally.faults) {
            add(counter, count);
        }
    }

    /// Counts the duration of a batch, and the memory of its instance.
    pub(super) fn add_call(&self, took: Duration, memory_bytes: usize) {
        self.calls.observe(took);
        let memory_bytes = u64::try_from(memory_bytes).unwrap_or(u64::MAX);
        self.memory_bytes_max.fetch_max(memory_bytes, Ordering::Relaxed);
    }

    /// Number of failed events, by the word for the fault.
    pub(super) fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Fault::WORDS.into_iter().zip(self.faults.iter().map(Counter::get))
    }

    /// The maximum observed memory of one instance, in bytes.
    pub(super) fn memory_bytes_max(&self) -> u64 {
        self.memory_bytes_max.load(Ordering::Relaxed)
    }
}
