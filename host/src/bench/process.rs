//! Reads CPU time, memory and machine from the system.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The machine of a bench.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The model of its processor.
    pub cpu: Option<String>,
    /// Processors that this process may use.
    pub cores: usize,
    /// Operating system and architecture.
    pub system: String,
}

impl Machine {
    /// The machine of this process.
    pub fn current() -> Self {
        let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = about.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = model.map(|rest| rest.trim_start_matches([':', '\t', ' ']).to_owned());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        Machine { cpu, cores, system }
    }
}

/// CPU time of all threads of the process.
pub(super) fn cpu_time() -> Duration {
    read_clock(ClockId::ProcessCPUTime)
}

/// CPU time of this thread.
pub(super) fn thread_cpu_time() -> Duration {
    read_clock(ClockId::ThreadCPUTime)
}

fn read_clock(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).expect("CPU time is not negative")
}

/// The start of the period of a memory peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeakSince {
    /// The repeat. The peak includes memory that the allocator has kept since earlier repeats.
    Repeat,
    /// The start of the process, because the system does not permit resetting the peak.
    Process,
}

/// Resets the memory peak, if the system permits it.
#[expect(
    clippy::disallowed_methods,
    reason = "it is not a file of ours, but a control of the kernel"
)]
pub(super) fn forget_peak() -> PeakSince {
    match fs::write("/proc/self/clear_refs", "5") {
        Ok(()) => PeakSince::Repeat,
        Err(_) => PeakSince::Process,
    }
}

/// The peak memory of the process in bytes. `None` if the system does not report it.
pub(super) fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_reports_time_memory_and_machine() {
        assert!(cpu_time() >= thread_cpu_time());
        assert!(peak_memory_bytes().is_none_or(|bytes| bytes > 1 << 20));
        assert!(Machine::current().cores > 0);
    }
}
