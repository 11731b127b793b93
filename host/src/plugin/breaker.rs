use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits;

/// How well a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It fails on few events or on none.
    Healthy,
    /// It fails on many.
    Degraded,
    /// It fails on nearly all, and is not asked, except now and then for a trial.
    Off,
}

/// From where on a plugin does badly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerSettings {
    /// The share of events, from 0 to 1, from which it counts as degraded.
    pub degraded_from: f64,
    /// The share from which it is switched off, for as long as a window.
    pub off_from: f64,
    /// For how long events are counted together.
    pub window: Duration,
    /// The time from one trial to the next, once it is off.
    pub retry: Duration,
}

/// Watches the share of events that a plugin fails on, and switches it off where
/// asking it is in vain: an event that loops costs milliseconds of a processor, and
/// one that traps a new instance.
///
/// Events are counted in windows that follow each other; what a plugin is comes out
/// at the end of each, and sooner where it does badly at once.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    /// What can be read without the lock.
    health: AtomicU8,
    changes: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window_start: Instant,
    events: u64,
    failed: u64,
    next_trial: Instant,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings {
            degraded_from: limits::BREAKER_DEGRADED_FROM,
            off_from: limits::BREAKER_OFF_FROM,
            window: limits::BREAKER_WINDOW,
            retry: limits::BREAKER_RETRY,
        }
    }
}

impl Health {
    /// All of them.
    pub const ALL: [Health; 3] = [Health::Healthy, Health::Degraded, Health::Off];

    /// The word that stands in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Off => "off",
        }
    }
}

impl Breaker {
    /// A breaker of a plugin that has done nothing yet.
    pub fn new(settings: BreakerSettings, now: Instant) -> Self {
        let state = State { window_start: now, events: 0, failed: 0, next_trial: now };
        Breaker {
            settings,
            health: AtomicU8::new(Health::Healthy as u8),
            changes: Arc::default(),
            state: Mutex::new(state),
        }
    }

    /// Count changes of health in this counter, which others may share.
    #[must_use]
    pub(super) fn with_changes(self, changes: Arc<AtomicU64>) -> Self {
        Breaker { changes, ..self }
    }

    /// How the plugin does.
    pub fn health(&self) -> Health {
        Health::ALL[usize::from(self.health.load(Ordering::Relaxed))]
    }

    /// How often that has changed, of this plugin and of those that it shares the
    /// counter with.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// How many events of a batch the plugin may be asked about, the first ones;
    /// none while it is off, but for a trial now and then.
    pub fn admits(&self, events: usize, now: Instant) -> usize {
        if self.health() != Health::Off {
            return events;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now < state.next_trial {
            return 0;
        }
        state.next_trial = now + self.settings.retry;
        events.min(limits::BREAKER_TRIAL_EVENTS)
    }

    /// Count a batch that the plugin was asked about.
    pub fn count(&self, events: u64, failed: u64, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.events += events;
        state.failed += failed;
        let share = state.failed as f64 / state.events.max(1) as f64;
        let is_over = now.duration_since(state.window_start) >= self.settings.window;
        let is_enough = state.events >= limits::BREAKER_EVENTS_MIN;
        let is_off = self.health() == Health::Off;
        let next = if share >= self.settings.off_from && (is_off || is_over && is_enough) {
            Health::Off
        } else if share >= self.settings.degraded_from && (is_enough || is_over || is_off) {
            Health::Degraded
        } else if is_over || is_off {
            Health::Healthy
        } else {
            return;
        };
        if is_over || is_off {
            (state.window_start, state.events, state.failed) = (now, 0, 0);
        }
        if next == Health::Off {
            state.next_trial = now + self.settings.retry;
        }
        self.turn(next, share);
    }

    fn turn(&self, next: Health, share: f64) {
        let before = self.health();
        if before == next {
            return;
        }
        self.health.store(next as u8, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
        let (before, next, percent) = (before.word(), next.word(), (share * 100.0).round());
        tracing::warn!("the plugin was {before} and is {next}: it fails on {percent} % of events");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker(now: Instant) -> Breaker {
        Breaker::new(BreakerSettings::default(), now)
    }

    #[test]
    fn one_in_a_thousand_is_healthy() {
        let start = Instant::now();
        let breaker = breaker(start);
        for second in 0..100 {
            breaker.count(1000, 1, start + SECOND * second);
            assert_eq!(breaker.health(), Health::Healthy);
        }
        assert_eq!(breaker.changes(), 0);
    }

    #[test]
    fn many_failures_degrade_at_once_and_nearly_all_switch_off_after_a_window() {
        let start = Instant::now();
        let breaker = breaker(start);
        breaker.count(1000, 1000, start);
        assert_eq!(breaker.health(), Health::Degraded);
        assert_eq!(breaker.admits(500, start), 500);
        for second in 1..10 {
            breaker.count(1000, 1000, start + SECOND * second);
        }
        assert_eq!(breaker.health(), Health::Degraded);
        breaker.count(1000, 1000, start + SECOND * 10);
        assert_eq!(breaker.health(), Health::Off);
        assert_eq!(breaker.changes(), 2);
    }

    #[test]
    fn a_plugin_that_is_off_is_tried_now_and_then_until_it_does_well() {
        let start = Instant::now();
        let breaker = breaker(start);
        let off = start + limits::BREAKER_WINDOW;
        breaker.count(1000, 1000, off);
        assert_eq!(breaker.health(), Health::Off);
        assert_eq!(breaker.admits(500, off + SECOND), 0);
        let trial = off + limits::BREAKER_RETRY;
        assert_eq!(breaker.admits(500, trial), limits::BREAKER_TRIAL_EVENTS);
        assert_eq!(breaker.admits(500, trial), 0, "another worker tries it already");
        breaker.count(20, 20, trial);
        assert_eq!(breaker.health(), Health::Off);
        let trial = trial + limits::BREAKER_RETRY;
        assert_eq!(breaker.admits(7, trial), 7);
        breaker.count(7, 2, trial);
        assert_eq!(breaker.health(), Health::Degraded);
        breaker.count(500, 0, trial + limits::BREAKER_WINDOW);
        assert_eq!(breaker.health(), Health::Healthy);
    }

    #[test]
    fn few_events_say_little() {
        let start = Instant::now();
        let breaker = breaker(start);
        breaker.count(1, 1, start);
        assert_eq!(breaker.health(), Health::Healthy);
        breaker.count(1, 1, start + limits::BREAKER_WINDOW);
        assert_eq!(breaker.health(), Health::Degraded);
    }
}
