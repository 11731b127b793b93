//! A plugin in a role, with its number, circuit breaker, counters and outages. The same plugin
//! becomes another generation each time that it is loaded.

use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::counts::{PluginCounters, RoleCounters};
use super::trust::{AdmittedPlugin, Evidence, Role, Trust, Untrusted};
use super::{BatchTally, CallOutcome, CircuitBreaker, CircuitBreakerSettings, Plugin, Unavailable};

/// How often the log says that no instance of a plugin can be made.
const PLUGIN_UNAVAILABLE_LOG_INTERVAL: Duration = Duration::from_secs(30);

/// A plugin from the moment that it gets a role. The same plugin becomes another generation
/// each time.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    plugin: Plugin,
    evidence: Evidence,
    since: SystemTime,
    breaker: CircuitBreaker,
    counts: PluginCounters,
    role_counters: Arc<RoleCounters>,
    origin: String,
    outage: Mutex<PluginOutage>,
}

/// What is known of instances that could not be made.
#[derive(Debug, Default)]
struct PluginOutage {
    /// Until when no instance is expected.
    until: Option<Instant>,
    last_log: Option<Instant>,
}

impl Generation {
    /// A generation that begins now, and that so many threads call.
    pub fn new(
        number: u64,
        admitted: AdmittedPlugin,
        breaker: CircuitBreakerSettings,
        threads: NonZero<usize>,
    ) -> Self {
        let (plugin, evidence) = admitted.into_parts();
        Generation {
            number,
            plugin,
            evidence,
            since: SystemTime::now(),
            breaker: CircuitBreaker::new(breaker, threads, Instant::now().into_std()),
            counts: PluginCounters::default(),
            role_counters: Arc::default(),
            origin: String::new(),
            outage: Mutex::default(),
        }
    }

    /// Also counts its work in the counters of a role.
    #[must_use]
    pub(super) fn with_role_counters(self, counters: &Arc<RoleCounters>) -> Self {
        let breaker = self.breaker.with_changes(counters.health_changes.clone());
        Generation { breaker, role_counters: Arc::clone(counters), ..self }
    }

    /// Sets where its component is from.
    #[must_use]
    pub(super) fn with_origin(self, origin: String) -> Self {
        Generation { origin, ..self }
    }

    /// Where its component is from, for people.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Its number in this run, which rises with each generation.
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
    pub fn admit(
        &self,
        plugin: Plugin,
        trust: &Trust,
        role: Role,
    ) -> Result<AdmittedPlugin, Untrusted> {
        trust.admit(role, plugin, self.evidence.clone())
    }

    /// When it began.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Its circuit breaker.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// Counts the results of a source's events, and the CPU time that was wasted on them.
    pub fn count_batch(&self, source: &str, tally: &BatchTally, wasted: Duration) {
        self.counts.add_tally(tally);
        self.role_counters.counts.add_tally(tally);
        // Skipped events say nothing about the plugin.
        if tally.skipped() == 0 {
            let attempt = CallOutcome { events: tally.events, failed: tally.failed(), wasted };
            self.breaker.count_calls(source, &attempt, Instant::now().into_std());
        }
    }

    /// Counts the time that a batch took, and the memory of its instance.
    pub fn count_call(&self, took: Duration, memory_bytes: usize) {
        self.counts.add_call(took, memory_bytes);
        self.role_counters.counts.add_call(took, memory_bytes);
    }

    /// Notes that no instance can be started, and logs it at intervals; `role` is what the plugin
    /// is used for.
    pub fn note_unavailable(&self, role: &str, unavailable: &Unavailable) {
        let now = Instant::now();
        let mut outage = self.outage.lock();
        outage.until = outage.until.max(Some(now + unavailable.pause));
        let is_due = |last: Instant| now - last >= PLUGIN_UNAVAILABLE_LOG_INTERVAL;
        if outage.last_log.is_none_or(is_due) {
            outage.last_log = Some(now);
            tracing::error!(
                generation = self.number,
                "failed to start an instance of {role}: {}; retrying, and no event is dead-lettered for this: swap the \
                 plugin, or roll back",
                unavailable.fault
            );
        }
    }

    /// Whether the last attempt to start an instance failed.
    pub fn is_unavailable(&self) -> bool {
        let outage = self.outage.lock();
        outage.until.is_some_and(|until| Instant::now() < until)
    }

    /// What it has done so far.
    pub(super) fn counts(&self) -> &PluginCounters {
        &self.counts
    }
}
