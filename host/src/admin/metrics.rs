//! Writes the page of metrics in the OpenMetrics text form: events, delivery streams, connections
//! and dead letters here, the collector, the plugin and the process in the submodules. The values
//! are read when the page is requested.

#[cfg(feature = "collector")]
mod collector;
mod page;
mod plugin;
mod process;

use std::fmt;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use super::View;
use page::Page;
use standpipe_delivery::StreamReport;
use standpipe_http::{ConnectionCounts, ConnectionStats};
use standpipe_plugin_host::engine_version;

/// The form of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics at this moment.
pub(super) fn encode(view: &View, own: &ConnectionStats) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Moment(view.clone(), own.clone())));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("writing into a string does not fail");
    text
}

#[derive(Debug)]
struct Moment(View, ConnectionStats);

impl Collector for Moment {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let view = &self.0;
        let mut page = Page(encoder);
        let version = env!("CARGO_PKG_VERSION");
        page.gauges(
            "standpipe_build_info",
            "The program; always 1",
            [([("version", version), ("engine", &engine_version())], 1.0)],
        )?;
        events(&mut page, view)?;
        streams(&mut page, view)?;
        if let Some(seconds) = view.aws.clock_skew_seconds() {
            page.gauges(
                "aws_clock_skew_seconds",
                "Seconds by which AWS is ahead of this machine's clock, which signatures are corrected by; 0 below 4 minutes",
                [([], seconds as f64)],
            )?;
        }
        process::resources(&mut page)?;
        letters(&mut page, view)?;
        #[cfg(feature = "collector")]
        if let Some(collector) = &view.collector {
            collector::collected(&mut page, &collector.report())?;
        }
        connections(&mut page, view.connections.as_ref(), &self.1)?;
        if let Some(lines) = &view.log_lines_dropped {
            let lines = lines.load(Ordering::Relaxed);
            page.counter(
                "log_lines_dropped",
                "Lines that were dropped, since standard error was not read or failed",
                lines,
            )?;
        }
        #[cfg(feature = "collector")]
        if let Some(spool) = &view.spool {
            collector::spooled(&mut page, &spool.status())?;
        }
        #[cfg(feature = "collector")]
        if let Some(held) = &view.held {
            page.gauges(
                "spool_held_events",
                "Events that wait since the settings do not have their source",
                [([], held.events() as f64)],
            )?;
        }
        plugin::hosted(&mut page, &view.swapper)
    }
}

fn events(page: &mut Page<'_>, view: &View) -> fmt::Result {
    let totals = view.progress.totals();
    let bytes = view.progress.bytes_read();
    page.counter("events_read", "Events read from inputs, or accepted and settled", totals.read)?;
    page.counter("read_bytes", "Bytes of events that were handed to the workers", bytes)?;
    let settled = totals.settled;
    page.counters(
        "events_settled",
        "Events by what became of them",
        [
            ([("outcome", "delivered")], settled.delivered),
            ([("outcome", "filtered")], settled.filtered),
            ([("outcome", "dead")], settled.dead),
            ([("outcome", "undelivered")], settled.undelivered),
        ],
    )
}

/// A metric's name, what it means, and its value for a stream.
type Column = (&'static str, &'static str, fn(&StreamReport) -> u64);

fn streams(page: &mut Page<'_>, view: &View) -> fmt::Result {
    let report = view.delivery.report();
    let columns: [Column; 12] = [
        ("firehose_events", "Events in accepted records", |stream| stream.events),
        ("firehose_records", "Accepted records", |stream| stream.records),
        ("firehose_bytes", "Bytes of accepted records, before base64", |stream| stream.bytes),
        ("firehose_billed_bytes", "Bytes that Firehose bills for them", |stream| {
            stream.billed_kb * 1024
        }),
        ("firehose_requests", "Requests, answered or not", |stream| stream.requests),
        ("firehose_retries", "Records that were sent again", |stream| stream.retries),
        (
            "firehose_throttled_records",
            "Records that were refused since there were too many",
            |stream| stream.throttled,
        ),
        ("firehose_partial_failures", "Answers that refused some records", |stream| {
            stream.partial_failures
        }),
        (
            "firehose_possible_duplicate_records",
            "Records that were sent again after an answer was lost",
            |stream| stream.ambiguous,
        ),
        (
            "firehose_invalid_answers",
            "Answers that did not account for every record, whose records were sent again",
            |stream| stream.invalid_answers,
        ),
        (
            "overflowed_events",
            "Events that went through the disk, their stream being held or slow",
            |stream| stream.overflowed,
        ),
        (
            "overflow_unread_events",
            "Events that could not be read back from disk, and count as not delivered",
            |stream| stream.unread,
        ),
    ];
    for (name, help, value) in columns {
        let rows =
            report.iter().map(|(stream, report)| ([("stream", stream.as_str())], value(report)));
        page.counters(name, help, rows)?;
    }
    let errors = report.iter().flat_map(|(stream, report)| {
        let labels = |kind| [("stream", stream.as_str()), ("kind", kind)];
        report.errors.iter().map(move |(kind, count)| (labels(*kind), *count))
    });
    page.counters(
        "firehose_errors",
        "Requests that failed, or of which no record was accepted, by the kind of the error",
        errors,
    )?;
    let held = report.iter().map(|(stream, report)| {
        ([("stream", stream.as_str())], f64::from(u8::from(report.is_held)))
    });
    page.gauges(
        "firehose_stream_held",
        "1 while a stream accepts nothing until somebody acts, and its events are kept",
        held,
    )?;
    let in_use = view.delivery.streams_in_use() as f64;
    page.gauges("firehose_streams_in_use", "Delivery streams in use", [([], in_use)])
}

fn connections(
    page: &mut Page<'_>,
    collector: Option<&ConnectionStats>,
    admin: &ConnectionStats,
) -> fmt::Result {
    let listeners = [("collector", collector), ("admin", Some(admin))];
    let listeners = listeners.map(|(name, stats)| (name, stats.map(ConnectionStats::counts)));
    let rows = |value: fn(&ConnectionCounts) -> u64| {
        let open = listeners.iter().filter_map(|(name, counts)| Some((*name, counts.as_ref()?)));
        open.map(|(name, counts)| ([("listener", name)], value(counts))).collect::<Vec<_>>()
    };
    let open = rows(|counts| counts.open);
    let open = open.into_iter().map(|(labels, count)| (labels, count as f64));
    page.gauges("http_connections", "Connections of clients that are open", open)?;
    page.counters(
        "http_connections_evicted",
        "Connections that were closed to make room for others",
        rows(|counts| counts.evicted),
    )?;
    page.counters(
        "http_connections_refused",
        "Connections that were closed at once, since their address had as many as it may",
        rows(|counts| counts.refused),
    )?;
    page.counters(
        "http_connections_malformed",
        "Connections that were closed for bytes that are no request, or a head that is too long",
        rows(|counts| counts.malformed),
    )
}

fn letters(page: &mut Page<'_>, view: &View) -> fmt::Result {
    let report = view.letters.report();
    let rows = report.letters.iter();
    let rows = rows.map(|(reason, letters)| ([("reason", reason.word())], *letters));
    page.counters("dead_letters", "Dead letters by their reason", rows)?;
    let gauges = [
        ("dead_letters_waiting", "Dead letters that wait to be written", report.waiting),
        (
            "dead_letters_failing",
            "1 while dead letters cannot be written, and wait for that",
            u64::from(report.trouble.is_some()),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauges(name, help, [([], value as f64)])?;
    }
    let counters = [
        (
            "dead_letters_refused",
            "Dead letters that were given up, since they could not be written",
            report.refused,
        ),
        (
            "dead_letters_write_errors",
            "Attempts to write dead letters that failed",
            report.write_errors,
        ),
        (
            "dead_letters_dropped",
            "Dead letters that were deleted to make room for newer ones",
            report.dropped.letters,
        ),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    Ok(())
}
