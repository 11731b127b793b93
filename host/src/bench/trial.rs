//! Performs one measured run.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::process::{cpu_time, forget_peak, peak_memory_bytes};
use super::{BenchError, BenchSample};
use crate::config::Settings;
use crate::run::{Progress, Run, RunOptions, Summary};
use standpipe_delivery::dead_letters::Reason;

/// The time without progress after which a run is stopped. Without it, an endpoint that denies
/// access would hold the records forever.
const STALL_MAX: Duration = Duration::from_secs(60);

/// How long a stopped run may continue to deliver.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the bench checks for progress.
const STALL_CHECK_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn run_trial(
    settings: Settings,
    endpoint: Option<&Endpoint>,
    floor_ns_per_event: f64,
    runtime: &Handle,
) -> Result<BenchSample, BenchError> {
    if let Some(endpoint) = endpoint {
        endpoint.reset();
    }
    let peak_since = forget_peak();
    let asked = Instant::now();
    let settings = Settings { drain_timeout: DRAIN_TIMEOUT, ..settings };
    let run = Run::start(settings, RunOptions::default(), runtime);
    let run = runtime.block_on(run).map_err(Box::new)?;
    // From here on, the plugin is loaded and events are read.
    let (begun, cpu_before) = (Instant::now(), cpu_time());
    let progress = run.progress();
    let watch = runtime.spawn(stop_if_stalled(run.progress(), run.intake_stop()));
    let summary = runtime.block_on(run.finish());
    let wall_seconds = begun.elapsed().as_secs_f64();
    let cpu = cpu_time() - cpu_before;
    watch.abort();
    let peak_memory_bytes = peak_memory_bytes();
    let counts = endpoint.map(Endpoint::counts).unwrap_or_default();
    check_accounted(&summary, endpoint.is_some().then_some(counts.records))?;

    let of_streams = |count: fn(&_) -> u64| summary.streams.values().map(count).sum();
    let events = summary.read;
    let cpu_seconds = cpu.saturating_sub(counts.cpu).as_secs_f64();
    let cpu_ns_per_event = cpu_seconds * 1e9 / events as f64;
    Ok(BenchSample {
        events,
        delivered: summary.delivered,
        filtered: summary.filtered,
        dead: summary.dead,
        bytes: progress.bytes_read(),
        records: of_streams(|stream| stream.records),
        requests: of_streams(|stream| stream.requests),
        streams: summary.streams.len() as u64,
        wall_seconds,
        events_per_second: events as f64 / wall_seconds,
        cpu_seconds,
        endpoint_cpu_seconds: endpoint.map(|_| counts.cpu.as_secs_f64()),
        events_per_cpu_second: events as f64 / cpu_seconds,
        cpu_ns_per_event,
        floor_ns_per_event,
        ratio_to_floor: floor_ns_per_event / cpu_ns_per_event,
        peak_memory_bytes,
        peak_since,
        loading_seconds: (begun - asked).as_secs_f64(),
        first_record_seconds: counts.first.map(|first| (first - asked).as_secs_f64()),
    })
}

async fn stop_if_stalled(progress: Progress, intake_stop: CancellationToken) {
    let mut last = (progress.totals(), Instant::now());
    loop {
        tokio::time::sleep(STALL_CHECK_INTERVAL).await;
        let totals = progress.totals();
        if totals != last.0 {
            last = (totals, Instant::now());
        } else if last.1.elapsed() >= STALL_MAX {
            return intake_stop.cancel();
        }
    }
}

/// Checks that every event that was read has an outcome, on both sides.
fn check_accounted(summary: &Summary, arrived: Option<u64>) -> Result<(), BenchError> {
    let problems = summary.streams.iter().filter_map(|(name, stream)| {
        Some(format!("; stream {name}: {}", stream.problem.as_ref()?))
    });
    // After a stop, the remaining events become dead letters, although nothing is wrong with them.
    let given_up = summary.dead_letters.get(&Reason::GivenUp).copied().unwrap_or(0);
    let accounted = (summary.delivered + summary.filtered + summary.dead).saturating_sub(given_up);
    let is_whole = accounted == summary.read && summary.unread.is_empty();
    if !is_whole || !summary.faults.is_empty() {
        let read = summary.read;
        let faults = summary.faults.iter().map(|fault| format!("; {fault}"));
        let problems: String = problems.chain(faults).collect();
        return Err(BenchError::NotDelivered(format!(
            "{accounted} of {read} events that were read are accounted for{problems}"
        )));
    }
    let sent: u64 = summary.streams.values().map(|stream| stream.records).sum();
    match arrived {
        Some(arrived) if arrived != sent && summary.ambiguous == 0 => {
            let words = format!("{sent} records were sent, and {arrived} have arrived");
            Err(BenchError::NotDelivered(words))
        }
        _ => Ok(()),
    }
}
