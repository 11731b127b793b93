//! How much a plugin reads of events, and what it costs to start an instance.

use std::time::Duration;

use serde::Serialize;

use super::bindings::exports::standpipe::mapping::mapper as contract;
use super::sandbox::thread_cpu_time;
use super::{Fault, Plugin};

/// How much of each event a plugin gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// Message type, name and source, once for all equal events of a batch.
    Kind,
    /// The same, of every event.
    Envelope,
    /// The text too.
    Text,
}

/// What an instance takes before its first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartCost {
    /// Processor time for making it and for its reading the settings.
    pub cpu: Duration,
    /// Its memory then, in bytes.
    pub memory_bytes: usize,
}

impl From<contract::Reads> for Reads {
    fn from(reads: contract::Reads) -> Self {
        match reads {
            contract::Reads::Kind => Reads::Kind,
            contract::Reads::Envelope => Reads::Envelope,
            contract::Reads::Text => Reads::Text,
        }
    }
}

impl Reads {
    /// The contract's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Reads::Kind => "kind",
            Reads::Envelope => "envelope",
            Reads::Text => "text",
        }
    }
}

impl Plugin {
    /// Starts an instance as a worker would, and drops it.
    ///
    /// # Errors
    ///
    /// It could not be started.
    ///
    /// # Panics
    ///
    /// It is native code, which has no instances.
    pub fn measure_start(&self) -> Result<StartCost, Fault> {
        let before = thread_cpu_time();
        let instance = self.fresh_instance()?;
        let cpu = thread_cpu_time().saturating_sub(before);
        Ok(StartCost { cpu, memory_bytes: instance.memory_bytes() })
    }
}
