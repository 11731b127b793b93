//! Metrics of the collector and of its spool, from their reports at the moment of the request.

use std::fmt;

use super::page::{Histogram, Page};
use standpipe_collector::CollectReport;
use standpipe_spool::Status;

pub(super) fn collected(page: &mut Page<'_>, report: &CollectReport) -> fmt::Result {
    let sources =
        || report.sources.iter().map(|source| ([("source", source.name.as_str())], source));
    page.counters(
        "collector_events",
        "Events that were accepted",
        sources().map(|(label, source)| (label, source.accepted)),
    )?;
    page.counters(
        "collector_unfit_events",
        "Those among them that go to the dead letters",
        sources().map(|(label, source)| (label, source.unfit)),
    )?;
    page.counters(
        "collector_bytes",
        "Bytes of accepted events",
        sources().map(|(label, source)| (label, source.bytes)),
    )?;
    let statuses: Vec<_> =
        report.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect();
    let rows = statuses.iter().map(|(status, count)| ([("status", status.as_str())], *count));
    page.counters("collector_answers", "Requests by the status of their answer", rows)?;
    let rows = report.refused.iter().map(|refused| {
        let source = refused.source.as_deref().unwrap_or_default();
        ([("source", source), ("reason", refused.reason)], refused.count)
    });
    page.counters("collector_refused_requests", "Requests that were refused", rows)?;
    page.counter(
        "collector_unknown_write_keys",
        "Requests with a write key that no source has, or with none",
        report.unknown_keys,
    )?;
    let latency = &report.latency;
    let latency = Histogram { buckets: &latency.buckets, sum: latency.sum_seconds };
    page.histograms(
        "collector_answer_seconds",
        "Time from a request's headers to its answer",
        [([], latency)],
    )
}

pub(super) fn spooled(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let gauges = [
        ("spool_bytes", "Bytes that the spool takes", status.bytes as f64),
        ("spool_max_bytes", "Bytes that it may take", status.bytes_max as f64),
        ("spool_events", "Events that wait, or are on their way", status.items_waiting as f64),
        (
            "spool_oldest_age_seconds",
            "Age of the oldest segment with such an event",
            status.oldest.unwrap_or_default().as_secs_f64(),
        ),
        (
            "spool_unreadable_events",
            "Events in the spool that this version of the program cannot read, and keeps",
            status.items_unreadable as f64,
        ),
        (
            "spool_set_aside_bytes",
            "Bytes of corrupt regions that are kept in files beside the segments",
            status.set_aside_bytes as f64,
        ),
        ("spool_failing", "Whether it cannot be written", f64::from(u8::from(status.is_failing))),
    ];
    for (name, help, value) in gauges {
        page.gauges(name, help, [([], value)])?;
    }
    let counters = [
        ("spool_requests", "Requests that were stored", status.entries_appended),
        ("spool_syncs", "Times that the disk was synced", status.syncs),
        ("spool_write_errors", "Groups of requests that could not be stored", status.write_errors),
        (
            "spool_corrupt_regions",
            "Regions of the spool's files that were found to be corrupt",
            status.corrupt_regions,
        ),
        ("spool_corrupt_bytes", "Bytes that were found to be corrupt", status.corrupt_bytes),
        ("spool_corrupt_events", "Accepted events that were lost in them", status.corrupt_items),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    Ok(())
}
