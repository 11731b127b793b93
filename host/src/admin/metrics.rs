use std::fmt;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::View;
use crate::collector::CollectReport;
use crate::delivery::StreamReport;
use crate::spool::Status;

/// The form of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics at this moment.
pub(super) fn encode(view: &View) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Moment(view.clone())));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("writing into a string does not fail");
    text
}

#[derive(Debug)]
struct Moment(View);

impl Collector for Moment {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let view = &self.0;
        let mut page = Page(encoder);
        let version = env!("CARGO_PKG_VERSION");
        page.gauges(
            "standpipe_build_info",
            "The program; always 1",
            [([("version", version)], 1.0)],
        )?;
        events(&mut page, view)?;
        streams(&mut page, view)?;
        letters(&mut page, view)?;
        if let Some(collector) = &view.collector {
            collected(&mut page, &collector.report())?;
        }
        if let Some(spool) = &view.spool {
            spooled(&mut page, &spool.status())?;
        }
        Ok(())
    }
}

fn events(page: &mut Page<'_>, view: &View) -> fmt::Result {
    let totals = view.totals.snapshot();
    let bytes = view.bytes_read.load(Ordering::Relaxed);
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
    let columns: [Column; 10] = [
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
            "overflowed_events",
            "Events that went through the disk, their stream being held or slow",
            |stream| stream.overflowed,
        ),
    ];
    for (name, help, value) in columns {
        let rows =
            report.iter().map(|(stream, report)| ([("stream", stream.as_str())], value(report)));
        page.counters(name, help, rows)?;
    }
    Ok(())
}

fn letters(page: &mut Page<'_>, view: &View) -> fmt::Result {
    let letters = view.letters.report().letters;
    let rows = letters.iter().map(|(reason, letters)| ([("reason", reason.word())], *letters));
    page.counters("dead_letters", "Dead letters by their reason", rows)
}

fn collected(page: &mut Page<'_>, report: &CollectReport) -> fmt::Result {
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
    page.counter(
        "collector_unknown_write_keys",
        "Requests with a write key that no source has, or with none",
        report.unknown_keys,
    )?;
    let latency = &report.latency;
    page.histogram(
        "collector_answer_seconds",
        "Time from a request's headers to its answer",
        &latency.buckets,
        latency.sum_seconds,
    )
}

fn spooled(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let gauges = [
        ("spool_bytes", "Bytes that the spool takes", status.bytes as f64),
        ("spool_max_bytes", "Bytes that it may take", status.bytes_max as f64),
        ("spool_events", "Events that wait, or are on their way", status.items_waiting as f64),
        (
            "spool_oldest_age_seconds",
            "Age of the oldest segment with such an event",
            status.oldest.unwrap_or_default().as_secs_f64(),
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
        ("spool_corrupt_bytes", "Bytes that were found to be corrupt", status.corrupt_bytes),
        ("spool_corrupt_events", "Accepted events that were lost in them", status.corrupt_items),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    Ok(())
}

/// What is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, [([], value)])
    }

    fn counters<'l, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([(&'static str, &'l str); LABELS], u64)>,
    ) -> fmt::Result {
        let of_type = ConstCounter::new(0_u64).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, of_type)?;
        for (labels, value) in rows {
            let value = ConstCounter::new(value);
            match LABELS {
                0 => return value.encode(family),
                _ => value.encode(family.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }

    fn gauges<'l, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([(&'static str, &'l str); LABELS], f64)>,
    ) -> fmt::Result {
        let of_type = ConstGauge::new(0.0).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, of_type)?;
        for (labels, value) in rows {
            let value = ConstGauge::new(value);
            match LABELS {
                0 => return value.encode(family),
                _ => value.encode(family.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: &[(f64, u64)],
        sum: f64,
    ) -> fmt::Result {
        let of_type = prometheus_client::metrics::MetricType::Histogram;
        let mut family = self.0.encode_descriptor(name, help, None, of_type)?;
        let count = buckets.iter().map(|(_, count)| count).sum();
        family.encode_histogram::<[(&str, &str); 0]>(sum, count, buckets, None)
    }
}
