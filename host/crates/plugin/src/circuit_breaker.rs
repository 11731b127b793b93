//! Limits the CPU time that failing events of a source can use.
//!
//! A failing event is expensive: an event that loops uses its whole time limit, and an event that
//! traps costs an instance. Therefore the circuit breaker keeps an account of wasted time for each
//! source with failing events. Below [`BREAKER_BURST_CPU`], the plugin is called with every event.
//! Above, the source's events wait while the account is paid back at a share of the workers' time.
//! Each failing event still had its whole time limit: no event is given up because of other events,
//! unless the settings require that ([`WhenOff::Fail`]).
//!
//! Sources without failures have no account and cost nothing here, so a flood of bad events in one
//! source does not affect other sources. All accounts together are paid back at one rate, so a
//! plugin that fails for all sources does not use more than its share either.
//!
//! This module does not read a clock: callers pass every time.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use schemars::JsonSchema;
use serde::Serialize;

/// The default share of a source's events that fail at which the plugin counts as degraded.
const BREAKER_DEGRADED_FROM: f64 = 0.1;

/// The default share at which the circuit opens for the source.
const BREAKER_OFF_FROM: f64 = 0.95;

/// How long a source's failures are counted together, and how long the plugin must fail before the
/// circuit opens.
const BREAKER_WINDOW: Duration = Duration::from_secs(10);

/// How long the circuit stays open before the source is judged again.
const BREAKER_RETRY: Duration = Duration::from_secs(5);

/// The minimum number of events to judge a window.
const BREAKER_EVENTS_MIN: u64 = 100;

/// The default share of the workers' CPU time that failing events may use in the long run.
/// The other half is left for all other events.
const BREAKER_FAILING_CPU: f64 = 0.5;

/// CPU time that failing events of one source may use at once before they wait. It is enough
/// for a batch of maximum size that loops, and for some tens of its events in separate calls.
const BREAKER_BURST_CPU: Duration = Duration::from_secs(2);

/// The minimum CPU time that a waiting source waits for. A looping event uses more than this,
/// and a shorter pause would make workers poll constantly.
const BREAKER_PAUSE_CPU_MIN: Duration = Duration::from_millis(10);

/// Maximum number of sources with an account. In practice, there are as many sources as write keys
/// or files. Above the limit, the source without calls for the longest time is dropped.
const BREAKER_SOURCES_MAX: usize = 1000;

/// Events of a half-open probe. The number is small because a looping plugin uses its whole limit
/// for each.
const BREAKER_PROBE_EVENTS: usize = 20;

/// Longer than the time to pay back any debt. The account ignores time beyond it.
const MONTH_SECONDS: f64 = 30.0 * 24.0 * 3600.0;

/// The health of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The plugin fails on few events or none.
    Healthy,
    /// The plugin fails on many events.
    Degraded,
    /// The plugin fails on nearly all events: its circuit is open.
    #[serde(rename = "off")]
    Open,
}

/// What happens to the events of a source if the plugin fails on nearly all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenOff {
    /// The events wait. The plugin is called with each of them, within the share of CPU time
    /// for failures. No event is lost because of other failures, but a source whose events all loop
    /// becomes slow.
    #[default]
    Wait,
    /// The events count as failed without a call, except for a half-open probe at intervals. This
    /// is fast, but an event that would have succeeded can be among them.
    Fail,
}

/// When a plugin counts as failing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CircuitBreakerSettings {
    /// The share of a source's events that fail, from 0 to 1, at which the plugin counts as
    /// degraded.
    pub degraded_from: f64,
    /// The share at which the circuit opens for that source, after a whole window.
    pub off_from: f64,
    /// How long events are counted together.
    pub window: Duration,
    /// How long the circuit stays open before the source is judged again.
    pub retry: Duration,
    /// The share of the workers' CPU time, above 0 and at most 1, that failing events may
    /// use.
    pub failing_cpu: f64,
    /// What happens to the events of a source while its circuit is open.
    pub when_off: WhenOff,
}

/// Whether the plugin may be called with events of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The plugin may be called.
    Ask(Patience),
    /// The source has used up its time. Try again after this time.
    Wait(Duration),
    /// Treat the events as failed.
    Refuse,
}

/// Limits of the calls for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Maximum number of events, from the first one on.
    pub events_max: usize,
    /// Whether the events share a call. A batch that fails as a whole costs more than the events
    /// that cause it.
    pub grouping: Grouping,
    /// When failures have used this much CPU time, the remaining events wait for another
    /// call.
    pub wasted_max: Duration,
}

/// How the events of a batch are grouped into calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// All events in one call. If the call fails, smaller groups.
    Together,
    /// Each event in its own call.
    Alone,
}

/// The outcome of calls with some events of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallOutcome {
    /// Events that succeeded or failed.
    pub events: u64,
    /// Events that failed.
    pub failed: u64,
    /// CPU time of failed calls, and of replacing the instances that they destroyed.
    pub wasted: Duration,
}

/// Keeps the accounts of wasted CPU time by source, and admits calls.
#[derive(Debug)]
pub struct CircuitBreaker {
    settings: CircuitBreakerSettings,
    /// Wasted time that is paid back per second.
    rate: f64,
    /// Number of sources with an account. If it is 0, no worker takes the lock.
    tracked: AtomicUsize,
    changes: Counter,
    accounts: Mutex<Accounts>,
}

#[derive(Debug)]
struct Accounts {
    of: HashMap<Box<str>, SourceAccount>,
    paid_until: Instant,
}

/// The account of a source whose events have failed.
#[derive(Debug)]
struct SourceAccount {
    /// Wasted time that is not paid back.
    debt: Duration,
    health: Health,
    window_start: Instant,
    last_count: Instant,
    events: u64,
    failed: u64,
    next_probe: Instant,
}

impl Default for CircuitBreakerSettings {
    fn default() -> Self {
        CircuitBreakerSettings {
            degraded_from: BREAKER_DEGRADED_FROM,
            off_from: BREAKER_OFF_FROM,
            window: BREAKER_WINDOW,
            retry: BREAKER_RETRY,
            failing_cpu: BREAKER_FAILING_CPU,
            when_off: WhenOff::Wait,
        }
    }
}

impl Health {
    /// All states, the best first.
    pub const ALL: [Health; 3] = [Health::Healthy, Health::Degraded, Health::Open];

    /// The state's label in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Open => "off",
        }
    }
}

impl Patience {
    /// No limit: the calls continue until every event is decided.
    pub const ENDLESS: Patience = Patience {
        events_max: usize::MAX,
        grouping: Grouping::Together,
        wasted_max: Duration::MAX,
    };
}

impl CircuitBreaker {
    /// Creates the circuit breaker of a plugin that this number of workers call.
    pub fn new(settings: CircuitBreakerSettings, workers: NonZero<usize>, now: Instant) -> Self {
        let accounts = Accounts { of: HashMap::new(), paid_until: now };
        CircuitBreaker {
            settings,
            rate: settings.failing_cpu * workers.get() as f64,
            tracked: AtomicUsize::new(0),
            changes: Counter::default(),
            accounts: Mutex::new(accounts),
        }
    }

    /// Counts changes of health in this counter, which several circuit breakers may share.
    #[must_use]
    pub(super) fn with_changes(self, changes: Counter) -> Self {
        CircuitBreaker { changes, ..self }
    }

    /// What happens to the events of a source while its circuit is open.
    pub fn when_off(&self) -> WhenOff {
        self.settings.when_off
    }

    /// The plugin's health with its worst source.
    pub fn health(&self, now: Instant) -> Health {
        let sources = self.failing_sources(now);
        sources.first().map_or(Health::Healthy, |(_, health)| *health)
    }

    /// The sources that the plugin fails on, the worst first, then by name.
    pub fn failing_sources(&self, now: Instant) -> Vec<(String, Health)> {
        if self.is_idle() {
            return Vec::new();
        }
        let accounts = self.accounts.lock();
        let accounts = accounts.of.iter().filter(|(_, account)| !self.is_over(account, now));
        let failing = accounts.filter(|(_, account)| account.health > Health::Healthy);
        let mut sources: Vec<_> =
            failing.map(|(source, account)| (source.to_string(), account.health)).collect();
        sources.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        sources
    }

    /// Whether the plugin may be called with events of this source now, and with which limits.
    pub fn admit(&self, source: &str, now: Instant) -> Admission {
        let burst = BREAKER_BURST_CPU;
        let free =
            Patience { events_max: usize::MAX, grouping: Grouping::Together, wasted_max: burst };
        if self.is_idle() {
            return Admission::Ask(free);
        }
        let mut accounts = self.accounts.lock();
        self.pay_back(&mut accounts, now);
        let indebted = accounts.count_indebted();
        let Some(account) = accounts.of.get_mut(source) else { return Admission::Ask(free) };
        let is_off = account.health == Health::Open && !self.is_over(account, now);
        if is_off && self.settings.when_off == WhenOff::Fail {
            if now < account.next_probe {
                return Admission::Refuse;
            }
            account.next_probe = now + self.settings.retry;
            return Admission::Ask(Patience {
                events_max: BREAKER_PROBE_EVENTS,
                grouping: Grouping::Alone,
                // The time that is paid back until the next probe.
                wasted_max: self.settings.retry.mul_f64(self.rate),
            });
        }
        if account.debt >= burst {
            // The pause ends only when some time is available again, so that workers do not poll
            // constantly.
            let excess = account.debt - burst + BREAKER_PAUSE_CPU_MIN;
            let pause = excess.as_secs_f64() * indebted as f64 / self.rate;
            return Admission::Wait(Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX));
        }
        let is_suspect = is_off || account.debt >= burst / 2;
        Admission::Ask(Patience {
            grouping: if is_suspect { Grouping::Alone } else { Grouping::Together },
            wasted_max: burst - account.debt,
            ..free
        })
    }

    /// Counts the outcome of calls with events of a source.
    pub fn count_calls(&self, source: &str, attempt: &CallOutcome, now: Instant) {
        let is_clean = attempt.failed == 0 && attempt.wasted.is_zero();
        if is_clean && self.is_idle() {
            return;
        }
        let mut accounts = self.accounts.lock();
        self.pay_back(&mut accounts, now);
        self.forget_silent_sources(&mut accounts, now);
        if !accounts.of.contains_key(source) {
            if is_clean {
                return;
            }
            accounts.make_room();
            accounts.of.insert(source.into(), SourceAccount::new(now));
        }
        let account = accounts.of.get_mut(source).expect("it was inserted");
        account.debt = account.debt.saturating_add(attempt.wasted);
        account.last_count = now;
        account.events += attempt.events;
        account.failed += attempt.failed;
        let before = account.health;
        let share = self.judge_source(account, now);
        let after = account.health;
        let is_settled = after == Health::Healthy && account.failed == 0;
        if is_settled && account.debt.is_zero() {
            accounts.of.remove(source);
        }
        self.tracked.store(accounts.of.len(), Ordering::Relaxed);
        drop(accounts);
        if before != after {
            self.changes.inc();
            let (before, after, percent) = (before.word(), after.word(), (share * 100.0).round());
            tracing::warn!(
                source,
                "the plugin was {before} and is {after}: it fails on {percent} % of the source's events"
            );
        }
    }

    /// Judges a source at the end of its window, or sooner if the plugin fails at once. Returns the
    /// share of failures.
    fn judge_source(&self, account: &mut SourceAccount, now: Instant) -> f64 {
        let settings = &self.settings;
        let was_off = account.health == Health::Open;
        let window = if was_off { settings.retry } else { settings.window };
        let share = account.failed as f64 / account.events.max(1) as f64;
        let is_over = now.saturating_duration_since(account.window_start) >= window;
        // Events that loop prove a failure even if they are few, because each uses much time.
        let is_enough =
            account.events >= BREAKER_EVENTS_MIN || account.debt >= BREAKER_BURST_CPU / 2;
        if was_off && !is_over && share >= settings.off_from {
            return share;
        }
        account.health = if share >= settings.off_from && is_over && (is_enough || was_off) {
            Health::Open
        } else if share >= settings.degraded_from && (is_enough || is_over || was_off) {
            Health::Degraded
        } else if is_over || was_off && share < settings.degraded_from && is_enough {
            Health::Healthy
        } else {
            return share;
        };
        if is_over {
            (account.window_start, account.events, account.failed) = (now, 0, 0);
        }
        if account.health == Health::Open {
            account.next_probe = now + settings.retry;
        }
        share
    }

    /// Drops the accounts of sources without a debt and without recent calls.
    fn forget_silent_sources(&self, accounts: &mut Accounts, now: Instant) {
        let is_kept =
            |account: &SourceAccount| !account.debt.is_zero() || !self.is_over(account, now);
        let gone = accounts.of.extract_if(|_, account| !is_kept(account));
        let recovered = gone.filter(|(_, account)| account.health > Health::Healthy).count();
        self.changes.inc_by(recovered as u64);
        self.tracked.store(accounts.of.len(), Ordering::Relaxed);
    }

    /// Whether a source had no calls for so long that its account says nothing about the present.
    fn is_over(&self, account: &SourceAccount, now: Instant) -> bool {
        let silence = now.saturating_duration_since(account.last_count);
        silence > self.settings.window + self.settings.retry
    }

    /// Pays back the time since the last call, divided among the sources with a debt.
    fn pay_back(&self, accounts: &mut Accounts, now: Instant) {
        let elapsed = now.saturating_duration_since(accounts.paid_until);
        accounts.paid_until = accounts.paid_until.max(now);
        let mut paid = elapsed.as_secs_f64().min(MONTH_SECONDS) * self.rate;
        // If the share of a source exceeds its debt, the rest goes to the other sources.
        loop {
            let indebted = accounts.count_indebted();
            if paid <= 0.0 || indebted == 0 {
                return;
            }
            let each = Duration::try_from_secs_f64(paid / indebted as f64).unwrap_or(Duration::MAX);
            if each.is_zero() {
                return;
            }
            let mut unused = Duration::ZERO;
            for account in accounts.of.values_mut().filter(|account| !account.debt.is_zero()) {
                unused += each.saturating_sub(account.debt);
                account.debt = account.debt.saturating_sub(each);
            }
            paid = unused.as_secs_f64();
        }
    }

    fn is_idle(&self) -> bool {
        self.tracked.load(Ordering::Relaxed) == 0
    }
}

impl Accounts {
    fn count_indebted(&self) -> usize {
        self.of.values().filter(|account| !account.debt.is_zero()).count()
    }

    /// Makes room for another source: drops the source without calls for the longest time.
    fn make_room(&mut self) {
        if self.of.len() < BREAKER_SOURCES_MAX {
            return;
        }
        let oldest = self.of.iter().min_by_key(|(_, account)| account.last_count);
        if let Some(oldest) = oldest.map(|(source, _)| source.clone()) {
            self.of.remove(&oldest);
        }
    }
}

impl SourceAccount {
    fn new(now: Instant) -> Self {
        SourceAccount {
            debt: Duration::ZERO,
            health: Health::Healthy,
            window_start: now,
            last_count: now,
            events: 0,
            failed: 0,
            next_probe: now,
        }
    }
}

#[cfg(test)]
mod tests;
