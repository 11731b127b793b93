//! A page of metrics in the making: counters, gauges and histograms with labels, in the form that
//! `prometheus-client` encodes.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// How values are distributed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Histogram<'a> {
    /// How many values are in each bucket, with its upper bound.
    pub(super) buckets: &'a [(f64, u64)],
    /// All values together.
    pub(super) sum: f64,
}

/// What is being written.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, [([], value)])
    }

    pub(super) fn counters<'l, const LABELS: usize>(
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

    /// A counter of time, which is no whole number.
    pub(super) fn seconds_counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let value = ConstCounter::new(value);
        value.encode(self.0.encode_descriptor(name, help, None, value.metric_type())?)
    }

    pub(super) fn gauges<'l, const LABELS: usize>(
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

    pub(super) fn histograms<'l, 'b, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([(&'static str, &'l str); LABELS], Histogram<'b>)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, Histogram { buckets, sum }) in rows {
            let count = buckets.iter().map(|(_, count)| count).sum();
            match LABELS {
                0 => {
                    return family.encode_histogram::<[(&str, &str); 0]>(sum, count, buckets, None);
                }
                _ => family
                    .encode_family(&labels)?
                    .encode_histogram::<[(&str, &str); 0]>(sum, count, buckets, None)?,
            }
        }
        Ok(())
    }
}
