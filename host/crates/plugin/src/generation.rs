//! A plugin in use, from the moment that it is taken: its number, breaker, counters and outages.
//! The same plugin taken again is another generation.

use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::counts::{Counts, RoleCounters};
use super::trust::{Admitted, Evidence, Role, Trust, Untrusted};
use super::{Attempt, Breaker, BreakerSettings, Plugin, Tally, Unavailable};

/// How often the log says that no instance of a plugin can be made.
const PLUGIN_UNAVAILABLE_LOG_INTERVAL: Duration = Duration::from_secs(30);

/// A plugin in use, from the moment that it is taken. The same plugin that is taken
/// again is another generation.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    plugin: Plugin,
    evidence: Evidence,
    since: SystemTime,
    breaker: Breaker,
    counts: Counts,
    role_counters: Arc<RoleCounters>,
    origin: String,
    outage: Mutex<Outage>,
}

/// What is known of instances that could not be made.
#[derive(Debug, Default)]
struct Outage {
    /// Until when no instance is expected.
    until: Option<Instant>,
    last_log: Option<Instant>,
}

impl Generation {
    /// The generation with this number, from now on, which so many threads ask.
    pub fn new(
        number: u64,
        admitted: Admitted,
        breaker: BreakerSettings,
        threads: NonZero<usize>,
    ) -> Self {
        let (plugin, evidence) = admitted.into_parts();
        Generation {
            number,
            plugin,
            evidence,
            since: SystemTime::now(),
            breaker: Breaker::new(breaker, threads, Instant::now().into_std()),
            counts: Counts::default(),
            role_counters: Arc::default(),
            origin: String::new(),
            outage: Mutex::default(),
        }
    }

    /// Have what it does be counted here too.
    #[must_use]
    pub(super) fn with_role_counters(self, counters: &Arc<RoleCounters>) -> Self {
        let breaker = self.breaker.with_changes(counters.health_changes.clone());
        Generation { breaker, role_counters: Arc::clone(counters), ..self }
    }

    /// Say where its component is from.
    #[must_use]
    pub(super) fn with_origin(self, origin: String) -> Self {
        Generation { origin, ..self }
    }

    /// Where its component is from, for people.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Its number: each one that is taken has a higher one.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Whether these settings let it be in a role.
    ///
    /// # Errors
    ///
    /// They do not.
    pub fn check_trust(&self, trust: &Trust, role: Role) -> Result<(), Untrusted> {
        trust.check_again(role, &self.evidence)
    }

    /// This or another plugin of its component for another generation, if these settings let that
    /// be in the role.
    ///
    /// # Errors
    ///
    /// They do not, or it is another component's.
    pub fn admit(&self, plugin: Plugin, trust: &Trust, role: Role) -> Result<Admitted, Untrusted> {
        trust.admit(role, plugin, self.evidence.clone())
    }

    /// When it was taken.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// What watches over it.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Count what came of events of a source, and the processor time that was wasted on
    /// them.
    pub fn count(&self, source: &str, tally: &Tally, wasted: Duration) {
        self.counts.add(tally);
        self.role_counters.counts.add(tally);
        // A plugin that was off was not asked.
        if tally.off() == 0 {
            let attempt = Attempt { events: tally.events, failed: tally.failed(), wasted };
            self.breaker.count(source, &attempt, Instant::now().into_std());
        }
    }

    /// Count the time that a batch took, and the memory that its instance has.
    pub fn count_call(&self, took: Duration, memory_bytes: usize) {
        self.counts.add_call(took, memory_bytes);
        self.role_counters.counts.add_call(took, memory_bytes);
    }

    /// Tell now and then that no instance of it can be made, so that it is not asked; `role`
    /// is what it is used for.
    pub fn note_unavailable(&self, role: &str, unavailable: &Unavailable) {
        let now = Instant::now();
        let mut outage = self.outage.lock();
        outage.until = outage.until.max(Some(now + unavailable.pause));
        let is_due = |last: Instant| now - last >= PLUGIN_UNAVAILABLE_LOG_INTERVAL;
        if outage.last_log.is_none_or(is_due) {
            outage.last_log = Some(now);
            tracing::error!(
                generation = self.number,
                "failed to start an instance of {role}: {}; it is tried again, and no event is dead-lettered for \
                 this: give another plugin, or go back to the one before",
                unavailable.fault
            );
        }
    }

    /// Whether an instance of it could not be made when that was tried last.
    pub fn is_unavailable(&self) -> bool {
        let outage = self.outage.lock();
        outage.until.is_some_and(|until| Instant::now() < until)
    }

    /// What it has done so far.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }
}
