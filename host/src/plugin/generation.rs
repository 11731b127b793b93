use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::counts::AtomicCounts;
use super::{Breaker, BreakerSettings, Counts, Ledger, Plugin, Tally};

/// A plugin in use, from the moment that it is taken. The same plugin that is taken
/// again is another generation.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    plugin: Plugin,
    since: SystemTime,
    breaker: Breaker,
    counts: AtomicCounts,
    ledger: Arc<Ledger>,
}

impl Generation {
    /// The generation with this number, from now on.
    pub fn new(number: u64, plugin: Plugin, breaker: BreakerSettings) -> Self {
        Generation {
            number,
            plugin,
            since: SystemTime::now(),
            breaker: Breaker::new(breaker, Instant::now()),
            counts: AtomicCounts::default(),
            ledger: Arc::default(),
        }
    }

    /// Have what it does be counted here too.
    #[must_use]
    pub fn with_ledger(mut self, ledger: &Arc<Ledger>) -> Self {
        self.breaker = self.breaker.with_changes(ledger.health_changes_counter());
        Generation { ledger: Arc::clone(ledger), ..self }
    }

    /// Its number: each one that is taken has a higher one.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// When it was taken.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// What watches over it.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Count what came of a batch.
    pub fn count(&self, tally: &Tally) {
        self.counts.add(tally);
        self.ledger.add(tally);
        // A plugin that was off was not asked.
        if tally.off() == 0 {
            self.breaker.count(tally.events, tally.failed(), Instant::now());
        }
    }

    /// Count the time that a batch took, and the memory that its instance has.
    pub fn count_call(&self, took: Duration, memory_bytes: usize) {
        self.counts.add_call(took, memory_bytes);
        self.ledger.add_call(took, memory_bytes);
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.counts.load()
    }
}
