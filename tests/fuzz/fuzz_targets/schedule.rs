//! Any schedule: its due times increase. Any history of runs: reading it ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_catalog::schedule::{RunHistory, Schedule};
use standpipe_core::clock;

fuzz_target!(|bytes: &[u8]| {
    let _ = RunHistory::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.splitn(3, '|');
    let (rhythm, start, end) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let Ok(schedule) = Schedule::parse(rhythm, start, end) else { return };
    let mut now = clock::parse_rfc3339("2026-01-01T00:00:00Z").expect("a time");
    for _ in 0..20 {
        let Some(next) = schedule.next_after(now) else { return };
        assert!(next > now);
        now = next;
    }
});
