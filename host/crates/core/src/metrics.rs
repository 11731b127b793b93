//! Metrics in the format of Prometheus.
//!
//! Each crate counts with the counters of `prometheus_client`, or with a [`TimeHistogram`], where
//! events happen, and [registers](register) how they are written. The summary reads the same
//! counters. Metrics whose labels change (delivery streams, sources) are written from the current
//! state, so their number stays limited.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeMetric, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Registers a function that writes metrics whenever the registry is encoded, after those that were
/// registered before.
pub fn register(
    registry: &mut Registry,
    write: impl Fn(&mut MetricsPage<'_>) -> fmt::Result + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(WrittenMetrics(write)));
}

struct WrittenMetrics<F>(F);

impl<F> fmt::Debug for WrittenMetrics<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written")
    }
}

impl<F: Fn(&mut MetricsPage<'_>) -> fmt::Result + Send + Sync + 'static> Collector
    for WrittenMetrics<F>
{
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut MetricsPage(encoder))
    }
}

/// A histogram of durations. Counting takes no lock.
#[derive(Debug)]
pub struct TimeHistogram {
    bounds: &'static [Duration],
    /// One bucket for each bound, and one for longer durations.
    buckets: Box<[AtomicU64]>,
    nanos: AtomicU64,
}

impl TimeHistogram {
    /// Creates an empty histogram with the upper bounds of its buckets, in ascending order.
    pub fn new(bounds: &'static [Duration]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        TimeHistogram { bounds, buckets, nanos: AtomicU64::new(0) }
    }

    /// Counts a duration.
    pub fn observe(&self, took: Duration) {
        let bucket = self.bounds.partition_point(|&bound| bound < took);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The sum of all durations, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.nanos.load(Ordering::Relaxed) as f64 / 1e9
    }

    /// For each upper bound in seconds, the number of durations up to this bound and above the
    /// previous one. The last bound is infinite.
    fn bucket_counts(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        bounds.zip(self.buckets.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }
}

/// A label's name and value.
type Label<'l> = (&'static str, &'l str);

/// A page of metrics that is being written.
pub struct MetricsPage<'a>(DescriptorEncoder<'a>);

impl MetricsPage<'_> {
    /// Writes a counter without labels.
    ///
    /// # Errors
    ///
    /// Fails if the page accepts no more text. The same applies to the other functions.
    pub fn counter<N: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        value: N,
    ) -> fmt::Result {
        self.counters(name, help, [([], value)])
    }

    /// Writes a counter for each of these labels.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`counter`](Self::counter).
    pub fn counters<'l, N: EncodeCounterValue, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([Label<'l>; LABELS], N)>,
    ) -> fmt::Result {
        let rows = rows.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.write_family(name, help, MetricType::Counter, rows)
    }

    /// Writes a gauge without labels.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`counter`](Self::counter).
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.gauges(name, help, [([], value)])
    }

    /// Writes a gauge for each of these labels.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`counter`](Self::counter).
    pub fn gauges<'l, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([Label<'l>; LABELS], f64)>,
    ) -> fmt::Result {
        let rows = rows.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.write_family(name, help, MetricType::Gauge, rows)
    }

    /// Writes a histogram for each of these labels.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`counter`](Self::counter).
    pub fn histograms<'l, 'h, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([Label<'l>; LABELS], &'h TimeHistogram)>,
    ) -> fmt::Result {
        self.write_family(name, help, MetricType::Histogram, rows)
    }

    /// Writes a metric for each of these labels. Without labels, there is a single metric.
    fn write_family<'l, M: EncodeMetric, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        metric_type: MetricType,
        rows: impl IntoIterator<Item = ([Label<'l>; LABELS], M)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, metric_type)?;
        for (labels, metric) in rows {
            match LABELS {
                0 => return metric.encode(family),
                _ => metric.encode(family.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }
}

impl EncodeMetric for &TimeHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let buckets = self.bucket_counts();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum_seconds(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::encoding::text;
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn what_is_registered_is_written_as_it_is_at_the_moment() {
        const BOUNDS: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(1)];
        let (events, times) = (Counter::<u64>::default(), Arc::new(TimeHistogram::new(&BOUNDS)));
        let mut registry = Registry::default();
        let (of_page, own) = (events.clone(), Arc::clone(&times));
        register(&mut registry, move |page| {
            let rows = [([("role", "active")], of_page.get()), ([("role", "canary")], 0)];
            page.counters("events", "Events", rows)?;
            page.gauge("open", "Open", 2.0)?;
            page.histograms("call_seconds", "Time", [([], &*own)])
        });
        events.inc_by(3);
        for millis in [1, 2, 2000] {
            times.observe(Duration::from_millis(millis));
        }
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        let expected = "# HELP events Events\n# TYPE events counter\n\
            events_total{role=\"active\"} 3\nevents_total{role=\"canary\"} 0\n\
            # HELP open Open\n# TYPE open gauge\nopen 2.0\n\
            # HELP call_seconds Time\n# TYPE call_seconds histogram\n\
            call_seconds_sum 2.003\ncall_seconds_count 3\n\
            call_seconds_bucket{le=\"0.001\"} 1\ncall_seconds_bucket{le=\"1.0\"} 2\n\
            call_seconds_bucket{le=\"+Inf\"} 3\n# EOF\n";
        assert_eq!(page, expected);
    }
}
