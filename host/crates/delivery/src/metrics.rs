//! Metrics of delivery streams and of dead letters.

use std::fmt;
use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::dead_letters::{DeadLetterReport, DeadLetterWriter};
use super::{Delivery, StreamReport};
use standpipe_core::metrics::{self, MetricsPage};

impl Delivery {
    /// Registers the metrics of all streams. The number of retired streams is limited as in
    /// [`report`](Delivery::report).
    pub fn register_metrics(&self, registry: &mut Registry) {
        let delivery = self.clone();
        metrics::register(registry, move |page| write_streams(page, &delivery));
    }
}

impl DeadLetterWriter {
    /// Registers the metrics of dead letters.
    pub fn register_metrics(self: &Arc<Self>, registry: &mut Registry) {
        let dead_letters = Arc::clone(self);
        metrics::register(registry, move |page| write_dead_letters(page, &dead_letters.report()));
    }
}

/// A metric's name, its description, and its value for a stream.
type StreamColumn = (&'static str, &'static str, fn(&StreamReport) -> u64);

fn write_streams(page: &mut MetricsPage<'_>, delivery: &Delivery) -> fmt::Result {
    let report = delivery.report();
    let columns: [StreamColumn; 12] = [
        ("firehose_events", "Events in accepted records", |stream| stream.events),
        ("firehose_records", "Accepted records", |stream| stream.records),
        ("firehose_bytes", "Bytes of accepted records, before base64", |stream| stream.bytes),
        ("firehose_billed_bytes", "Bytes that Firehose bills for accepted records", |stream| {
            stream.billed_kb * 1024
        }),
        ("firehose_requests", "Requests, with or without a response", |stream| stream.requests),
        ("firehose_records_retried", "Records that were sent again", |stream| stream.retries),
        (
            "firehose_records_throttled",
            "Records that a partly successful response refused and that are sent again",
            |stream| stream.throttled,
        ),
        (
            "firehose_partial_failures",
            "Responses that refused some records and accepted others",
            |stream| stream.partial_failures,
        ),
        (
            "firehose_records_possibly_duplicated",
            "Records that were sent again after a response was lost",
            |stream| stream.ambiguous,
        ),
        (
            "firehose_invalid_responses",
            "Successful responses without a result for every record; the records were sent again",
            |stream| stream.invalid_answers,
        ),
        (
            "overflow_events",
            "Events that were written to disk because their stream was held or slow",
            |stream| stream.overflowed,
        ),
        (
            "overflow_unread_events",
            "Events that could not be read back from disk and are not delivered in this run",
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
        "Requests that failed or had no accepted record, by the kind of the error",
        errors,
    )?;
    let held = report.iter().map(|(stream, report)| {
        ([("stream", stream.as_str())], f64::from(u8::from(report.is_held)))
    });
    page.gauges(
        "firehose_stream_held",
        "Whether a stream accepts nothing until somebody acts, and its events are kept (1 or 0)",
        held,
    )?;
    let in_use = delivery.streams_in_use() as f64;
    page.gauge("firehose_streams_in_use", "Delivery streams in use", in_use)
}

fn write_dead_letters(page: &mut MetricsPage<'_>, report: &DeadLetterReport) -> fmt::Result {
    let rows = report.dead_letters.iter();
    let rows = rows.map(|(reason, dead_letters)| ([("reason", reason.word())], *dead_letters));
    page.counters("dead_letters", "Dead letters by reason", rows)?;
    let waiting = report.waiting as f64;
    page.gauge("dead_letters_waiting", "Dead letters that wait to be written", waiting)?;
    page.gauge(
        "dead_letters_failing",
        "Whether dead letters wait because they cannot be written (1 or 0)",
        f64::from(u8::from(report.trouble.is_some())),
    )?;
    page.counter(
        "dead_letters_refused",
        "Dead letters that were discarded because they could not be written",
        report.refused,
    )?;
    page.counter(
        "dead_letters_write_errors",
        "Attempts to write dead letters that failed",
        report.write_errors,
    )?;
    page.counter(
        "dead_letters_dropped",
        "Dead letters that were deleted to make room for newer ones",
        report.dropped.dead_letters,
    )
}
