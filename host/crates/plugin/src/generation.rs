//! A plugin in a role, with its number, circuit breaker, counters and outages. Each time that a
//! plugin gets a role, it becomes another generation.

use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::counts::{PluginCounters, RoleCounters};
use super::trust::{AdmittedPlugin, Evidence, Role, Trust, Untrusted};
use super::{BatchTally, CallOutcome, CircuitBreaker, CircuitBreakerSettings, Plugin, Unavailable};

/// How often the log reports that no instance of a plugin can be created.
const PLUGIN_UNAVAILABLE_LOG_INTERVAL: Duration = Duration::from_secs(30);

/// A plugin in a role. Each time that a plugin gets a role, it becomes another generation.
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

/// The state of failed attempts to create instances.
#[derive(Debug, Default)]
struct PluginOutage {
    /// The time until which no instance is expected.
    until: Option<Instant>,
    last_log: Option<Instant>,
}

impl Generation {
    /// Creates a generation that starts now, and that this number of threads call.
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

    /// Also adds its counts to the counters of a role.
    #[must_use]
    pub(super) fn with_role_counters(self, counters: &Arc<RoleCounters>) -> Self {
        let breaker = self.breaker.with_changes(counters.health_changes.clone());
        Generation { breaker, role_counters: Arc::clone(counters), ..self }
    }

    /// Sets the origin of the component.
    #[must_use]
    pub(super) fn with_origin(self, origin: String) -> Self {
        Generation { origin, ..self }
    }

    /// The origin of the component, for people.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The number of the generation in this run. It increases with each generation.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Checks whether these settings permit the generation to have the role.
    ///
    /// # Errors
    ///
    /// Fails if they do not.
    pub fn check_trust(&self, trust: &Trust, role: Role) -> Result<(), Untrusted> {
        trust.check_again(role, &self.evidence)
    }

    /// Admits this plugin, or another one of the same component, for another generation, if these
    /// settings permit the role.
    ///
    /// # Errors
    ///
    /// Fails if they do not, or if the plugin has another component.
    pub fn admit(
        &self,
        plugin: Plugin,
        trust: &Trust,
        role: Role,
    ) -> Result<AdmittedPlugin, Untrusted> {
        trust.admit(role, plugin, self.evidence.clone())
    }

    /// When the generation began.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// The circuit breaker of the generation.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// Counts the results of a source's events, and the CPU time wasted on them.
    pub fn count_batch(&self, source: &str, tally: &BatchTally, wasted: Duration) {
        self.counts.add_tally(tally);
        self.role_counters.counts.add_tally(tally);
        // Skipped events say nothing about the plugin.
        if tally.skipped() == 0 {
            let attempt = CallOutcome { events: tally.events, failed: tally.failed(), wasted };
            self.breaker.count_calls(source, &attempt, Instant::now().into_std());
        }
    }

    /// Counts the duration of a batch, and the memory of its instance.
    pub fn count_call(&self, took: Duration, memory_bytes: usize) {
        self.counts.add_call(took, memory_bytes);
        self.role_counters.counts.add_call(took, memory_bytes);
    }

    /// Notes that no instance can be started, and logs it at intervals. `role` is the role of the
    /// plugin.
    pub fn note_unavailable(&self, role: &str, unavailable: &Unavailable) {
        let now = Instant::now();
        let mut outage = self.outage.lock();
        outage.until = outage.until.max(Some(now + unavailable.pause));
        let is_due = |last: Instant| now - last >= PLUGIN_UNAVAILABLE_LOG_INTERVAL;
        if outage.last_log.is_none_or(is_due) {
            outage.last_log = Some(now);
            tracing::error!(
                generation = self.number,
                "failed to start an instance of {role}: {}; retrying, and no event becomes a dead \
                 letter because of this: swap the plugin, or roll back",
                unavailable.fault
            );
        }
    }

    /// Whether the last attempt to start an instance failed.
    pub fn is_unavailable(&self) -> bool {
        let outage = self.outage.lock();
        outage.until.is_some_and(|until| Instant::now() < until)
    }

    /// The counts so far.
    pub(super) fn counts(&self) -> &PluginCounters {
        &self.counts
    }
}
