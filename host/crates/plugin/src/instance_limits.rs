//! The limits of one instance: memory, size of the result, CPU time, calls and age. The time
//! limit of a call grows with the events and bytes of the batch.

use std::time::Duration;

use crate::limits;

/// Memory of one plugin instance, in bytes. JavaScript and Python interpreters need some tens of
/// megabytes.
const PLUGIN_MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Calls after which an instance is replaced, because the memory of a guest never shrinks.
const PLUGIN_CALLS_MAX: u64 = 20_000;

/// The age at which an instance is replaced, even if it is busy. A replacement frees what a plugin
/// leaks.
const PLUGIN_INSTANCE_AGE_MAX: Duration = Duration::from_secs(3600);

/// CPU time for configuring a plugin instance.
const PLUGIN_CONFIGURE_CPU_MAX: Duration = Duration::from_secs(5);

/// CPU time of a call for each byte that the plugin gets. The slowest action of the built-in
/// plugin on the worst text found, `redact` with all detectors on addresses, takes 74 ns (AMD
/// EPYC). So a chain of a dozen such actions fits.
const PLUGIN_BYTE_CPU_MAX: Duration = Duration::from_nanos(1000);

/// The limits of one instance of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceLimits {
    /// Memory, in bytes.
    pub memory_bytes: usize,
    /// The result of one call, in bytes of the host's memory.
    pub answer_bytes: usize,
    /// CPU time of `configure`.
    pub configure_cpu: Duration,
    /// CPU time of a call, independent of its batch.
    pub call_cpu: Duration,
    /// Additional CPU time for each event of the batch.
    pub event_cpu: Duration,
    /// Additional CPU time for each byte that the plugin gets.
    pub byte_cpu: Duration,
    /// Calls after which an instance is replaced.
    pub calls: u64,
    /// The age at which an instance is replaced.
    pub age: Duration,
}

impl Default for InstanceLimits {
    fn default() -> Self {
        InstanceLimits {
            memory_bytes: PLUGIN_MEMORY_BYTES_MAX,
            answer_bytes: limits::PLUGIN_ANSWER_BYTES_MAX,
            configure_cpu: PLUGIN_CONFIGURE_CPU_MAX,
            call_cpu: limits::PLUGIN_CALL_CPU_MAX,
            event_cpu: limits::PLUGIN_EVENT_CPU_MAX,
            byte_cpu: PLUGIN_BYTE_CPU_MAX,
            calls: PLUGIN_CALLS_MAX,
            age: PLUGIN_INSTANCE_AGE_MAX,
        }
    }
}

impl InstanceLimits {
    /// The CPU time limit of a call with this number of events and bytes.
    pub fn call_cpu_for(&self, events: usize, bytes: usize) -> Duration {
        let times = |cpu: Duration, count: usize| {
            cpu.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
        };
        self.call_cpu
            .saturating_add(times(self.event_cpu, events))
            .saturating_add(times(self.byte_cpu, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_grows_with_events_and_bytes() {
        let instance_limits = InstanceLimits {
            call_cpu: Duration::from_millis(50),
            event_cpu: Duration::from_millis(2),
            byte_cpu: Duration::from_nanos(1000),
            ..InstanceLimits::default()
        };
        assert_eq!(instance_limits.call_cpu_for(1, 0), Duration::from_millis(52));
        assert_eq!(
            instance_limits.call_cpu_for(500, 300_000),
            Duration::from_millis(50 + 1000 + 300)
        );
        let endless = InstanceLimits { byte_cpu: Duration::MAX, ..instance_limits };
        assert_eq!(endless.call_cpu_for(1, 2), Duration::MAX);
    }
}
