//! Metrics of the collector and of its spool, whose items are events of requests.

use std::fmt;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::source::SourceCounts;
use super::{Collector, HeldEvents};
use standpipe_core::metrics::{self, MetricsPage};
use standpipe_spool::{Spool, SpoolStatus};

impl Collector {
    /// Registers the collector's counters.
    pub fn register_metrics(self: &Arc<Self>, registry: &mut Registry) {
        let collector = Arc::clone(self);
        metrics::register(registry, move |page| write_collector(page, &collector));
    }
}

impl HeldEvents {
    /// Registers the number of held events.
    pub fn register_metrics(self: &Arc<Self>, registry: &mut Registry) {
        let held = Arc::clone(self);
        metrics::register(registry, move |page| {
            page.gauge(
                "spool_held_events",
                "Events that wait because the settings do not contain their source",
                held.events() as f64,
            )
        });
    }
}

/// Registers the state of a collector's spool.
pub fn register_spool_metrics(registry: &mut Registry, spool: Spool) {
    metrics::register(registry, move |page| write_spool(page, &spool.status()));
}

/// A metric's name, its description, and its counter.
type SourceColumn = (&'static str, &'static str, fn(&SourceCounts) -> &Counter);

fn write_collector(page: &mut MetricsPage<'_>, collector: &Collector) -> fmt::Result {
    let sources = &collector.sources;
    let counts = sources.counts.lock().clone();
    let columns: [SourceColumn; 4] = [
        ("collector_events", "Events that were accepted", |of| &of.accepted),
        ("collector_dead_lettered_events", "Accepted events that go to the dead letters", |of| {
            &of.unfit
        }),
        ("collector_bytes", "Bytes of accepted events", |of| &of.bytes),
        (
            "collector_function_requests",
            "Requests that the function of a source has handled",
            |of| &of.function_requests,
        ),
    ];
    for (name, help, counter) in columns {
        let rows =
            counts.iter().map(|(source, of)| ([("source", source.as_str())], counter(of).get()));
        page.counters(name, help, rows)?;
    }
    let responses = &collector.responses;
    let statuses = responses.statuses().map(|(status, count)| (status.to_string(), count));
    let statuses: Vec<_> = statuses.collect();
    let rows = statuses.iter().map(|(status, count)| ([("status", status.as_str())], *count));
    page.counters("collector_responses", "Requests by the status of their response", rows)?;
    let of_sources = counts.iter().map(|(source, of)| (source.as_str(), &of.refusals));
    let refused = [("", &sources.refusals)].into_iter().chain(of_sources);
    let rows = refused.flat_map(|(source, refusals)| {
        let labels = move |reason| [("source", source), ("reason", reason)];
        refusals.counts().map(move |(reason, count)| (labels(reason), count))
    });
    page.counters("collector_refused_requests", "Requests that were refused", rows)?;
    page.counter(
        "collector_function_load_failures",
        "Functions of sources that could not be loaded after a change",
        sources.function_load_failures.get(),
    )?;
    page.counter(
        "collector_unknown_write_keys",
        "Requests with an unknown write key or without one",
        sources.unknown_keys.get(),
    )?;
    page.histograms(
        "collector_request_duration_seconds",
        "Time from a request's headers to its response",
        [([], &responses.seconds)],
    )
}

fn write_spool(page: &mut MetricsPage<'_>, status: &SpoolStatus) -> fmt::Result {
    let gauges = [
        ("spool_bytes", "Bytes that the spool uses on disk or in memory", status.bytes as f64),
        ("spool_max_bytes", "The maximum size of the spool in bytes", status.bytes_max as f64),
        (
            "spool_events",
            "Events in the spool that wait or are being delivered",
            status.items_waiting as f64,
        ),
        (
            "spool_oldest_age_seconds",
            "Age of the oldest segment of the spool with an unsettled event",
            status.oldest.unwrap_or_default().as_secs_f64(),
        ),
        (
            "spool_unreadable_events",
            "Events in the spool that this version of the program cannot read and keeps",
            status.items_unreadable as f64,
        ),
        (
            "spool_set_aside_bytes",
            "Bytes of corrupt regions that are kept in files next to the segments",
            status.set_aside_bytes as f64,
        ),
        (
            "spool_failing",
            "Whether the spool cannot be written (1 or 0)",
            f64::from(u8::from(status.is_failing)),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, value)?;
    }
    let counters = [
        ("spool_requests", "Requests that the spool has stored", status.entries_appended),
        ("spool_syncs", "How often the spool was synced to the disk", status.syncs),
        ("spool_write_errors", "Groups of requests that could not be stored", status.write_errors),
        (
            "spool_corrupt_regions",
            "Corrupt regions found in the files of the spool",
            status.corrupt_regions,
        ),
        ("spool_corrupt_bytes", "Corrupt bytes found in the spool", status.corrupt_bytes),
        (
            "spool_corrupt_events",
            "Accepted events that were lost in corrupt regions of the spool",
            status.corrupt_items,
        ),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    Ok(())
}
