//! The current aggregation of a stream, from its settings or from the last decision. It is read
//! once for each event, without a lock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::AggregationDecision;

/// How many events share a record.
///
/// Firehose rounds the billed size of every record up to 5 KB, so small events cost several times
/// less if they share one. The readers of the stream must then split records at newlines. Files in
/// S3 need nothing, but a search index does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// Every event is a record.
    Off,
    /// Records contain as many events as fit into this number of bytes, at most 500, separated by
    /// newlines.
    UpTo {
        /// The maximum size of a record.
        bytes_max: usize,
    },
    /// As with [`Aggregation::UpTo`], unless something in the stream's description depends on one
    /// event per record. Unknown parts count as unsafe.
    Auto,
}

/// The current aggregation of a stream: from its settings, or the last decision if the setting is
/// `auto`.
#[derive(Debug)]
pub(super) struct StreamAggregation {
    /// The maximum size of a record, or 0 without aggregation.
    bytes_max: AtomicUsize,
    /// `None` if the settings determine the aggregation.
    auto: Option<Auto>,
}

#[derive(Debug)]
struct Auto {
    decision: Mutex<AggregationDecision>,
    /// Whether an event arrived since the last wait.
    is_used: AtomicBool,
    used: Notify,
}

impl StreamAggregation {
    pub(super) fn new(setting: Aggregation) -> Self {
        let bytes_max = match setting {
            Aggregation::UpTo { bytes_max } => bytes_max,
            Aggregation::Off | Aggregation::Auto => 0,
        };
        let auto = (setting == Aggregation::Auto).then(|| Auto {
            decision: Mutex::new(AggregationDecision::off("the stream has not been described yet")),
            is_used: AtomicBool::new(false),
            used: Notify::new(),
        });
        StreamAggregation { bytes_max: AtomicUsize::new(bytes_max), auto }
    }

    /// Marks an event. Returns the maximum size of a record that it may share, or `None`.
    ///
    /// The result can change with the next event, so the caller uses the same result for all
    /// decisions about this one.
    pub(super) fn for_event(&self) -> Option<usize> {
        if let Some(auto) = &self.auto {
            auto.mark_used();
        }
        Some(self.bytes_max.load(Ordering::Relaxed)).filter(|&bytes_max| bytes_max > 0)
    }

    /// Applies a decision from the next event on. Returns whether it is new.
    pub(super) fn apply_decision(&self, decision: AggregationDecision) -> bool {
        let Some(auto) = &self.auto else { return false };
        let mut last = auto.decision.lock();
        if *last == decision {
            return false;
        }
        self.bytes_max.store(decision.bytes_max().unwrap_or(0), Ordering::Relaxed);
        *last = decision;
        true
    }

    /// The last decision, or `None` if the settings determine the aggregation.
    pub(super) fn last_decision(&self) -> Option<AggregationDecision> {
        self.auto.as_ref().map(|auto| auto.decision.lock().clone())
    }

    /// Waits for an event, unless one arrived since the last wait.
    pub(super) async fn wait_until_used(&self) {
        let Some(auto) = &self.auto else { return std::future::pending().await };
        while !auto.is_used.swap(false, Ordering::Relaxed) {
            auto.used.notified().await;
        }
    }
}

impl Auto {
    fn mark_used(&self) {
        // Usually it is already marked, and reading it does not slow down other workers.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
            self.used.notify_one();
        }
    }
}
