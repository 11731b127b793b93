//! Counters of the collector: responses by status and their latency histogram, and the report that
//! metrics and the summary read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;

use super::{RefusedCount, SourceReport};

/// The statuses that requests are answered with.
const STATUSES: [u16; 15] =
    [200, 204, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 500, 503, 0];

/// Bounds of the times that answers take, in seconds.
const BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What a collector has done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CollectReport {
    /// For each source.
    pub sources: Vec<SourceReport>,
    /// Answers by their status.
    pub statuses: Vec<StatusCount>,
    /// Refused requests by source and reason, where there are some.
    pub refused: Vec<RefusedCount>,
    /// Requests with a write key that no source has, or with none.
    pub unknown_keys: u64,
    /// How long answers took.
    pub latency: Latency,
}

/// How often a status was answered.
pub type StatusCount = (Status, u64);

/// A status of HTTP; 0 stands for all that have no count of their own.
pub type Status = u16;

/// A histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latency {
    /// For each upper bound in seconds, how many answers took at most so long
    /// and longer than the bound before. The last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all, in seconds.
    pub sum_seconds: f64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    statuses: [AtomicU64; STATUSES.len()],
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl Counts {
    /// Count an answer.
    pub(super) fn answered(&self, status: StatusCode, took: Duration) {
        let place = STATUSES.iter().position(|known| *known == status.as_u16());
        self.statuses[place.unwrap_or(STATUSES.len() - 1)].fetch_add(1, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(super) fn report(
        &self,
        sources: Vec<SourceReport>,
        refused: Vec<RefusedCount>,
        unknown_keys: u64,
    ) -> CollectReport {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let statuses = STATUSES.iter().zip(&self.statuses);
        let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]);
        CollectReport {
            sources,
            statuses: statuses.map(|(status, count)| (*status, load(count))).collect(),
            refused,
            unknown_keys,
            latency: Latency {
                buckets: bounds.zip(self.buckets.iter().map(load)).collect(),
                sum_seconds: load(&self.sum_us) as f64 / 1e6,
            },
        }
    }
}
