//! The settings of the limits of a plugin instance: `[plugin.limits]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::InstanceLimits;
use standpipe_core::settings::TableChecker;

/// The maximum of `configure_cpu`, `call_cpu` and `event_cpu`.
const CPU_MAX: Duration = Duration::from_secs(60);

/// The maximum of `byte_cpu`: one second for each kilobyte, more than any plugin needs.
const BYTE_CPU_MAX: Duration = Duration::from_millis(1);

/// The maximum of `max_age`.
const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The range of `memory_bytes`. A 32-bit memory has at most 4 GiB.
const MEMORY_BYTES: RangeInclusive<u64> = 1024 * 1024..=4 * 1024 * 1024 * 1024;

/// The range of `answer_bytes`.
const ANSWER_BYTES: RangeInclusive<u64> = 1024 * 1024..=1024 * 1024 * 1024;

/// Limits of a plugin instance: memory, CPU time and age.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawPluginLimits {
    /// Maximum memory of a plugin instance in bytes, 1048576 to 4294967296. Default: 134217728 (128
    /// MiB).
    #[schemars(example = 134_217_728)]
    pub memory_bytes: Option<u64>,
    /// Maximum memory in bytes that Standpipe uses for the result of one call of the plugin,
    /// 1048576 to 1073741824. Default: 67108864 (64 MiB).
    #[schemars(example = 67_108_864)]
    pub answer_bytes: Option<u64>,
    /// Maximum CPU time to configure an instance, at most `"1m"`. Default: `"5s"`.
    #[schemars(example = &"5s")]
    pub configure_cpu: Option<String>,
    /// Maximum CPU time of a call with a batch of events, at most `"1m"`. `event_cpu` and
    /// `byte_cpu` increase this maximum. Default: `"50ms"`.
    #[schemars(example = &"50ms")]
    pub call_cpu: Option<String>,
    /// Increase of the maximum CPU time of a call for each event of the batch, at most `"1m"`.
    /// Default: `"2ms"`.
    #[schemars(example = &"2ms")]
    pub event_cpu: Option<String>,
    /// Increase of the maximum CPU time of a call for each byte of the batch, at most `"1ms"`.
    /// Default: `"1us"`.
    #[schemars(example = &"1us")]
    pub byte_cpu: Option<String>,
    /// Number of calls after which Standpipe replaces an instance, at least 1. Default: 20000.
    #[schemars(example = 20_000)]
    pub max_calls: Option<u64>,
    /// Age at which Standpipe replaces an instance, at most `"7d"`. Default: `"1h"`.
    #[schemars(example = &"1h")]
    pub max_age: Option<String>,
}

impl RawPluginLimits {
    /// Checks the limits of an instance.
    pub fn check(&self, check: &mut TableChecker<'_>) -> InstanceLimits {
        let usual = InstanceLimits::default();
        let mut time = |key, value: &Option<String>, usual, longest| {
            check.positive_duration(key, value.as_deref(), usual, longest)
        };
        let configure_cpu =
            time("configure_cpu", &self.configure_cpu, usual.configure_cpu, CPU_MAX);
        let call_cpu = time("call_cpu", &self.call_cpu, usual.call_cpu, CPU_MAX);
        let event_cpu = time("event_cpu", &self.event_cpu, usual.event_cpu, CPU_MAX);
        let byte_cpu = time("byte_cpu", &self.byte_cpu, usual.byte_cpu, BYTE_CPU_MAX);
        let age = time("max_age", &self.max_age, usual.age, AGE_MAX);
        let mut bytes = |key, value: Option<u64>, usual, bounds| {
            let bytes = value.and_then(|value| check.number(key, value, bounds));
            bytes.map_or(usual, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
        };
        let memory_bytes =
            bytes("memory_bytes", self.memory_bytes, usual.memory_bytes, MEMORY_BYTES);
        let answer_bytes =
            bytes("answer_bytes", self.answer_bytes, usual.answer_bytes, ANSWER_BYTES);
        let calls = self.max_calls.unwrap_or(usual.calls);
        if calls == 0 {
            check.add_mistake("max_calls is 0: write 1 or more");
        }
        InstanceLimits {
            memory_bytes,
            answer_bytes,
            configure_cpu,
            call_cpu,
            event_cpu,
            byte_cpu,
            calls,
            age,
        }
    }
}
