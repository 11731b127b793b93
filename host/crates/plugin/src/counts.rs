//! Counters of a plugin: events, filtered, rejected, faults by kind, and a histogram of call times.
//! Workers add to atomics once for each batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Decision, Decisions, Fault, Output};

/// Upper bounds of the buckets of [`Counts::calls`], in microseconds; the last
/// bucket has none.
const CALL_BOUNDS_MICROS: [u64; 11] =
    [10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000];

/// [`Counts`] that workers add to.
#[derive(Debug, Default)]
pub(super) struct AtomicCounts {
    events: AtomicU64,
    filtered: AtomicU64,
    rejected: AtomicU64,
    faults: [AtomicU64; Fault::WORDS.len()],
    calls: [AtomicU64; CALL_BOUNDS_MICROS.len() + 1],
    call_nanos: AtomicU64,
    memory_bytes_max: AtomicU64,
}

/// What a generation has done, or many of them together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Events that it decided about, or failed on.
    pub events: u64,
    /// Those without an output.
    pub filtered: u64,
    /// Those that it rejected.
    pub rejected: u64,
    /// Those that it failed on, by the word for the fault.
    pub faults: [(&'static str, u64); Fault::WORDS.len()],
    /// Batches by the time that they took, with the buckets' upper bounds in seconds.
    pub calls: [(f64, u64); CALL_BOUNDS_MICROS.len() + 1],
    /// The time of all of them together, in seconds.
    pub call_seconds: f64,
    /// The most memory that one instance was seen with, in bytes.
    pub memory_bytes_max: u64,
}

/// What a batch came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Its events.
    pub events: u64,
    /// Those without an output.
    pub filtered: u64,
    /// Those that were rejected.
    pub rejected: u64,
    faults: [u64; Fault::WORDS.len()],
}

impl Tally {
    /// What a batch of so many events begins with.
    pub fn of(events: usize) -> Self {
        Tally { events: events as u64, ..Tally::default() }
    }

    /// What these decisions came to.
    pub(super) fn of_decisions(decisions: &Decisions, events: usize) -> Self {
        let mut tally = Tally::of(events);
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

    /// Count an event that the plugin failed on.
    pub fn add_fault(&mut self, fault: &Fault) {
        self.faults[fault.kind()] += 1;
    }

    /// The events that it failed on.
    pub fn failed(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// Those that it was not asked about, being off.
    pub(super) fn off(&self) -> u64 {
        self.faults[Fault::Off.kind()]
    }
}

impl Counts {
    /// Events that it failed on.
    pub fn failed(&self) -> u64 {
        self.faults.iter().map(|(_, count)| count).sum()
    }
}

impl AtomicCounts {
    /// Count what came of a batch.
    pub(super) fn add(&self, tally: &Tally) {
        let add = |counter: &AtomicU64, count| {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        };
        add(&self.events, tally.events);
        add(&self.filtered, tally.filtered);
        add(&self.rejected, tally.rejected);
        for (counter, &count) in self.faults.iter().zip(&tally.faults) {
            add(counter, count);
        }
    }

    /// Count the time that a batch took, and the memory that its instance has.
    pub(super) fn add_call(&self, took: Duration, memory_bytes: usize) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = CALL_BOUNDS_MICROS.partition_point(|&bound| bound < micros);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.calls[bucket].fetch_add(1, Ordering::Relaxed);
        self.call_nanos.fetch_add(nanos, Ordering::Relaxed);
        let memory_bytes = u64::try_from(memory_bytes).unwrap_or(u64::MAX);
        self.memory_bytes_max.fetch_max(memory_bytes, Ordering::Relaxed);
    }

    /// The counts at this moment.
    pub(super) fn load(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let bounds = CALL_BOUNDS_MICROS.iter().map(|&micros| micros as f64 / 1e6);
        let mut bounds = bounds.chain([f64::INFINITY]);
        Counts {
            events: load(&self.events),
            filtered: load(&self.filtered),
            rejected: load(&self.rejected),
            faults: std::array::from_fn(|kind| (Fault::WORDS[kind], load(&self.faults[kind]))),
            calls: std::array::from_fn(|bucket| {
                (bounds.next().expect("a bound for each bucket"), load(&self.calls[bucket]))
            }),
            call_seconds: load(&self.call_nanos) as f64 / 1e9,
            memory_bytes_max: load(&self.memory_bytes_max),
        }
    }
}
