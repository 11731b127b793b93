//! The process's resource usage, under the names of Prometheus' own clients.

use std::fmt;
use std::fs;

use rustix::process::{Resource, getrlimit};

use standpipe_core::metrics::MetricsPage;

/// Ticks per second in `/proc`. Linux uses this unit on every architecture that Rust's standard
/// library supports, independent of the kernel's own tick rate.
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes the values from `/proc`. Values that cannot be read are left out.
pub(super) fn write_resources(page: &mut MetricsPage<'_>) -> fmt::Result {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let stat = stat.as_deref().and_then(Stat::parse);
    if let Some(stat) = &stat {
        page.counter(
            "process_cpu_seconds",
            "CPU time of the process, in seconds",
            stat.cpu_seconds,
        )?;
    }
    let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_seconds(&text));
    let start = stat.as_ref().zip(boot).map(|(stat, boot)| boot + stat.start_seconds);
    let memory = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // One descriptor belongs to the directory that is being read.
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64 - 1.0);
    let most = getrlimit(Resource::Nofile).current.map(|most| most as f64);
    for (name, help, value) in [
        ("process_start_time_seconds", "Start time of the process, in Unix time", start),
        (
            "process_resident_memory_bytes",
            "Memory that the process uses",
            parse_kilobytes(&memory, "VmRSS:"),
        ),
        (
            "process_virtual_memory_bytes",
            "Address space of the process, most of which uses no memory",
            parse_kilobytes(&memory, "VmSize:"),
        ),
        ("process_open_fds", "Open files and connections", open),
        ("process_max_fds", "Maximum number of open files and connections", most),
        ("process_threads", "Threads", stat.as_ref().map(|stat| stat.threads)),
    ] {
        if let Some(value) = value {
            page.gauge(name, help, value)?;
        }
    }
    Ok(())
}

/// The contents of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    /// The start time, in seconds since the machine was started.
    start_seconds: f64,
}

impl Stat {
    /// The program's name is in parentheses and may contain any characters.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        // The first field after the name is the third one in proc(5).
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Stat {
            cpu_seconds: (number(14)? + number(15)?) / TICKS_PER_SECOND,
            threads: number(20)?,
            start_seconds: number(22)? / TICKS_PER_SECOND,
        })
    }
}

/// When the machine was started, from `/proc/stat`.
fn boot_seconds(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// A size in `/proc/self/status`, in bytes.
fn parse_kilobytes(text: &str, name: &str) -> Option<f64> {
    let size = text.lines().find_map(|line| line.strip_prefix(name))?;
    let size: f64 = size.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(size * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_move_the_fields() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 7 0 12345 4096 1 2 3";
        let stat = Stat::parse(&format!("42 (a) (b c) {fields}")).unwrap();
        assert_eq!(stat, Stat { cpu_seconds: 2.0, threads: 7.0, start_seconds: 123.45 });
        assert_eq!(Stat::parse("42 (a) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn sizes_and_times_are_read() {
        assert_eq!(parse_kilobytes("VmSize:\t 10 kB\nVmRSS:\t  2 kB\n", "VmRSS:"), Some(2048.0));
        assert_eq!(parse_kilobytes("VmRSS: many", "VmRSS:"), None);
        assert_eq!(boot_seconds("cpu 1\nbtime 1700000000\n"), Some(1_700_000_000.0));
    }
}
