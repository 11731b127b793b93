//! How many events share a record at present, as set or as decided last. Read once for each event,
//! without a lock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::AggregationDecision;

/// How many events go into one record.
///
/// Firehose bills every record rounded up to 5 KB, so that small events cost
/// several times less when they share one. What reads the stream must then
/// split records at newlines: files in S3 need nothing, a search index does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// One: every event is a record.
    Off,
    /// As many as fit into this many bytes, at most 500, newline-separated.
    UpTo {
        /// The size of the record.
        bytes_max: usize,
    },
    /// As many as in [`Aggregation::UpTo`] wherever the stream's description shows
    /// nothing that depends on one event in a record, and otherwise one. What is
    /// not known counts as unsafe.
    Auto,
}

/// How a stream's events go into records at this moment: as its settings say, or
/// as was decided last where they say `auto`.
#[derive(Debug)]
pub(super) struct StreamAggregation {
    /// The size of a record; 0 where every event is one.
    bytes_max: AtomicUsize,
    /// None where the settings have decided.
    auto: Option<Auto>,
}

#[derive(Debug)]
struct Auto {
    decision: Mutex<AggregationDecision>,
    /// Whether an event came since somebody waited for one.
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

    /// An event has come: the size of a record that it may share, if it may.
    ///
    /// Another answer can come with the next event, so the caller decides
    /// everything about this one by the same answer.
    pub(super) fn for_event(&self) -> Option<usize> {
        if let Some(auto) = &self.auto {
            auto.mark_used();
        }
        Some(self.bytes_max.load(Ordering::Relaxed)).filter(|&bytes_max| bytes_max > 0)
    }

    /// From the next event on, do as was decided. Returns whether that is new.
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

    /// What was decided last; none where the settings have decided.
    pub(super) fn last_decision(&self) -> Option<AggregationDecision> {
        self.auto.as_ref().map(|auto| auto.decision.lock().clone())
    }

    /// Wait for an event, unless one came since the last time.
    pub(super) async fn wait_until_used(&self) {
        let Some(auto) = &self.auto else { return std::future::pending().await };
        while !auto.is_used.swap(false, Ordering::Relaxed) {
            auto.used.notified().await;
        }
    }
}

impl Auto {
    fn mark_used(&self) {
        // Mostly it is marked already, and reading that disturbs no other worker.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
            self.used.notify_one();
        }
    }
}
