//! The settings of when a plugin counts as failing: `[plugin.breaker]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_share;
use crate::{CircuitBreakerSettings, WhenOff};
use standpipe_core::settings::TableChecker;

/// The longest window, and the longest time to the next trial, that the settings may say.
const WINDOW_MAX: Duration = Duration::from_secs(3600);

/// The least share of processor time that the settings may say: with less, a source whose
/// events fail would stand still.
const FAILING_CPU_MIN: f64 = 0.01;

/// When the plugin counts as failing, and what its failures may cost.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawBreaker {
    /// The share of a source's events that it fails on, from 0 to 1, from which it is
    /// degraded; 0.1 by default.
    #[schemars(example = 0.1)]
    pub degraded_from: Option<f64>,
    /// The share from which it is off for the source after a window; 0.95 by default.
    #[schemars(example = 0.95)]
    pub off_from: Option<f64>,
    /// For how long events are counted together; `10s` by default.
    #[schemars(example = &"10s")]
    pub window: Option<String>,
    /// How long a source stays off before it is judged anew, and the time from one
    /// trial to the next where `when_off` is `"fail"`; `5s` by default.
    #[schemars(example = &"5s")]
    pub retry: Option<String>,
    /// The share of the workers' processor time, from 0.01 to 1, that events may take
    /// which it fails on. A source whose events take more waits for its turn; 0.5 by
    /// default.
    #[schemars(example = 0.5)]
    pub failing_cpu: Option<f64>,
    /// What happens to the events of a source that it is off for: `"wait"`, the
    /// default: each is asked about in its turn; or `"fail"`: they are treated as
    /// `on_failure` says without being asked about, but for a trial now and then.
    #[schemars(example = &"wait")]
    pub when_off: Option<String>,
}

impl RawBreaker {
    /// Checks from where on a plugin does badly.
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
