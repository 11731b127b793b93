//! The settings of what an instance may take: `[plugin.limits]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::InstanceLimits;
use standpipe_core::settings::TableChecker;

/// Processor time of a call that the settings may say.
const CPU_MAX: Duration = Duration::from_secs(60);

/// Processor time for a byte that the settings may say: a second for each kilobyte, more
/// than any mapping needs.
const BYTE_CPU_MAX: Duration = Duration::from_millis(1);

/// The age of an instance that the settings may say.
const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Bytes of memory that the settings may say: the most that a 32-bit memory has.
const MEMORY_BYTES: RangeInclusive<u64> = 1024 * 1024..=4 * 1024 * 1024 * 1024;

/// Bytes of an answer that the settings may say.
const ANSWER_BYTES: RangeInclusive<u64> = 1024 * 1024..=1024 * 1024 * 1024;

/// What an instance of the plugin may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawPluginLimits {
    /// Bytes of memory; 134,217,728 (128 MiB) by default.
    #[schemars(example = 134_217_728)]
    pub memory_bytes: Option<u64>,
    /// Bytes that the answer about one batch may take in the host's memory;
    /// 67,108,864 (64 MiB) by default.
    #[schemars(example = 67_108_864)]
    pub answer_bytes: Option<u64>,
    /// Processor time for being configured; `5s` by default.
    #[schemars(example = &"5s")]
    pub configure_cpu: Option<String>,
    /// Processor time of a call, whatever its batch; `50ms` by default.
    #[schemars(example = &"50ms")]
    pub call_cpu: Option<String>,
    /// What comes on top for each event of the batch; `2ms` by default.
    #[schemars(example = &"2ms")]
    pub event_cpu: Option<String>,
    /// What comes on top for each byte of the batch that the plugin is handed; `1us` by
    /// default.
    #[schemars(example = &"1us")]
    pub byte_cpu: Option<String>,
    /// Calls after which an instance is replaced; 20,000 by default.
    #[schemars(example = 20_000)]
    pub max_calls: Option<u64>,
    /// The age at which an instance is replaced; `1h` by default.
    #[schemars(example = &"1h")]
    pub max_age: Option<String>,
}

impl RawPluginLimits {
    /// Checks what an instance may take.
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
