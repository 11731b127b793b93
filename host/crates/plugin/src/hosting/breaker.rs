//! The settings of the circuit breakers: `[plugin.breaker]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_share;
use crate::{CircuitBreakerSettings, WhenOff};
use standpipe_core::settings::TableChecker;

/// The maximum of `window` and `retry`.
const WINDOW_MAX: Duration = Duration::from_secs(3600);

/// The minimum of `failing_cpu`. With less CPU time, a source with many failing events would come
/// to a halt.
const FAILING_CPU_MIN: f64 = 0.01;

/// Circuit breakers, which limit the CPU time for failing events: the events that the plugin fails
/// on. Each source has its own circuit breaker.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawBreaker {
    /// Share of a source's events, 0 to 1. If the plugin fails on at least this share, metrics and
    /// readiness report the plugin as `degraded`. Default: 0.1.
    #[schemars(example = 0.1)]
    pub degraded_from: Option<f64>,
    /// Share of a source's events, 0 to 1. If the plugin fails on at least this share for a whole
    /// `window`, the circuit breaker of the source opens, and metrics and readiness report the
    /// plugin as `off`. Default: 0.95.
    #[schemars(example = 0.95)]
    pub off_from: Option<f64>,
    /// Period over which Standpipe measures the share of a source's events that the plugin fails
    /// on, at most `"1h"`. Default: `"10s"`.
    #[schemars(example = &"10s")]
    pub window: Option<String>,
    /// Period that replaces `window` while the circuit breaker of a source is open, at most `"1h"`.
    /// With `when_off = "fail"`, `retry` is also the time between two tests of the plugin. Default:
    /// `"5s"`.
    #[schemars(example = &"5s")]
    pub retry: Option<String>,
    /// Share of the workers' CPU time that the failing events of all sources together may use, 0.01
    /// to 1. To enforce this limit, Standpipe delays all events of the sources that have many
    /// failing events. Default: 0.5.
    #[schemars(example = 0.5)]
    pub failing_cpu: Option<f64>,
    /// What happens to the events of a source while its circuit breaker is open. `"wait"`:
    /// Standpipe calls the plugin with one event at a time, as often as `failing_cpu` allows.
    /// `"fail"`: Standpipe applies `on_failure` without a call, and tests the plugin once per
    /// `retry`. Default: `"wait"`.
    #[schemars(example = &"wait")]
    pub when_off: Option<String>,
}

impl RawBreaker {
    /// Checks the settings of the circuit breakers.
    pub fn check(&self, check: &mut TableChecker<'_>) -> CircuitBreakerSettings {
        let usual = CircuitBreakerSettings::default();
        let mut time = |key, value: &Option<String>, usual| {
            check.positive_duration(key, value.as_deref(), usual, WINDOW_MAX)
        };
        let window = time("window", &self.window, usual.window);
        let retry = time("retry", &self.retry, usual.retry);
        let failing_cpu = self.failing_cpu.unwrap_or(usual.failing_cpu);
        if !(FAILING_CPU_MIN..=1.0).contains(&failing_cpu) {
            check.add_mistake(format_args!(
                "failing_cpu is {failing_cpu}: write a share from {FAILING_CPU_MIN} to 1, such as 0.5 for half of the \
                 workers' time"
            ));
        }
        let degraded_from = self.degraded_from;
        CircuitBreakerSettings {
            degraded_from: check_share("degraded_from", degraded_from, usual.degraded_from, check),
            off_from: check_share("off_from", self.off_from, usual.off_from, check),
            window,
            retry,
            failing_cpu,
            when_off: self.check_when_off(check),
        }
    }

    fn check_when_off(&self, check: &mut TableChecker<'_>) -> WhenOff {
        match self.when_off.as_deref() {
            None | Some("wait") => WhenOff::Wait,
            Some("fail") => WhenOff::Fail,
            Some(word) => {
                check.add_mistake(format_args!("when_off is {word:?}: write \"wait\" or \"fail\""));
                WhenOff::Wait
            }
        }
    }
}
