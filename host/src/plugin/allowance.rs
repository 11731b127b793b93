use std::time::Duration;

use crate::limits;

/// What one instance of a plugin may take, and how long it is used. The default
/// stands in [`limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Memory, in bytes.
    pub memory_bytes: usize,
    /// What the answer of one call may take in the host's memory, in bytes.
    pub answer_bytes: usize,
    /// Processor time for being configured.
    pub configure_cpu: Duration,
    /// Processor time of a call, whatever its batch.
    pub call_cpu: Duration,
    /// What comes on top for each event of the batch.
    pub event_cpu: Duration,
    /// Calls after which an instance is replaced.
    pub calls: u64,
    /// The age at which an instance is replaced.
    pub age: Duration,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance {
            memory_bytes: limits::PLUGIN_MEMORY_BYTES_MAX,
            answer_bytes: limits::PLUGIN_ANSWER_BYTES_MAX,
            configure_cpu: limits::PLUGIN_CONFIGURE_CPU_MAX,
            call_cpu: limits::PLUGIN_CALL_CPU_MAX,
            event_cpu: limits::PLUGIN_EVENT_CPU_MAX,
            calls: limits::PLUGIN_CALLS_MAX,
            age: limits::PLUGIN_INSTANCE_AGE_MAX,
        }
    }
}

impl Allowance {
    /// Processor time of a call with a batch of so many events.
    pub(super) fn batch_cpu(&self, events: usize) -> Duration {
        self.call_cpu + self.event_cpu * u32::try_from(events).expect("a batch is small")
    }
}
