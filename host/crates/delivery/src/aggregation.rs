//! The current aggregation of a stream, from its settings or from the last decision. It is read
//! once for each event, without a lock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::compression::RecordCompression;
use super::{AggregationChoice, AggregationDecision};

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
    /// Records contain as many events as fit into this number of bytes after compression, separated
    /// by newlines. Only objects in S3 are then still readable, so the description of the stream is
    /// checked first.
    Compressed {
        /// The maximum size of a compressed record.
        bytes_max: usize,
        /// How a record is compressed.
        compression: RecordCompression,
    },
    /// As with [`Aggregation::UpTo`], unless something in the stream's description depends on one
    /// event per record. Unknown parts count as unsafe.
    Auto,
}

impl Aggregation {
    /// Whether the description of the stream decides.
    pub fn needs_description(self) -> bool {
        matches!(self, Aggregation::Auto | Aggregation::Compressed { .. })
    }
}

/// The record that an event may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordLimit {
    /// The maximum size of the record, after compression if it is compressed.
    pub(super) bytes_max: usize,
    /// How the record is compressed, if it is.
    pub(super) compression: Option<RecordCompression>,
}

/// The current aggregation of a stream: from its settings, or the last decision if the description
/// of the stream decides.
#[derive(Debug)]
pub(super) struct StreamAggregation {
    /// The maximum size of a record, or 0 without aggregation.
    bytes_max: AtomicUsize,
    /// The size and the compression in the settings.
    compressed: Option<RecordLimit>,
    /// `None` if the settings determine the aggregation.
    described: Option<DescribedAggregation>,
}

/// The aggregation of a stream whose description decides.
#[derive(Debug)]
struct DescribedAggregation {
    decision: Mutex<AggregationDecision>,
    /// Whether the stream has been described, or could not be described.
    is_decided: AtomicBool,
    decided: Notify,
    /// Whether the last decision forbids compression.
    forbids_compression: AtomicBool,
    /// Whether an event arrived since the last wait.
    is_used: AtomicBool,
    used: Notify,
}

impl StreamAggregation {
    pub(super) fn new(setting: Aggregation) -> Self {
        let (bytes_max, compression) = match setting {
            Aggregation::UpTo { bytes_max } => (bytes_max, None),
            Aggregation::Compressed { bytes_max, compression } => (bytes_max, Some(compression)),
            Aggregation::Off | Aggregation::Auto => (0, None),
        };
        let compressed = compression.map(|_| RecordLimit { bytes_max, compression });
        let described = setting.needs_description().then(|| DescribedAggregation {
            decision: Mutex::new(AggregationDecision::off("the stream has not been described yet")),
            is_decided: AtomicBool::new(false),
            decided: Notify::new(),
            forbids_compression: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
            used: Notify::new(),
        });
        StreamAggregation { bytes_max: AtomicUsize::new(bytes_max), compressed, described }
    }

    /// Marks an event. Returns the limits of a record that it may share, or `None`.
    ///
    /// The result can change with the next event, so the caller uses the same result for all
    /// decisions about this one.
    pub(super) fn for_event(&self) -> Option<RecordLimit> {
        if let Some(described) = &self.described {
            described.mark_used();
        }
        let bytes_max = Some(self.bytes_max.load(Ordering::Relaxed)).filter(|&max| max > 0)?;
        match self.compressed {
            Some(limit) if self.allows_compression() => Some(limit),
            _ => Some(RecordLimit { bytes_max, compression: None }),
        }
    }

    /// The maximum size of records, or 0, if the last decision forbids compression.
    pub(super) fn uncompressed_bytes_max(&self) -> Option<usize> {
        (!self.allows_compression()).then(|| self.bytes_max.load(Ordering::Relaxed))
    }

    fn allows_compression(&self) -> bool {
        let forbids = |it: &DescribedAggregation| it.forbids_compression.load(Ordering::Relaxed);
        !self.described.as_ref().is_some_and(forbids)
    }

    /// Whether the setting is to compress records.
    pub(super) fn is_compressed(&self) -> bool {
        self.compressed.is_some()
    }

    /// Applies a decision from the next event on. Returns whether it is new.
    pub(super) fn apply_decision(&self, decision: AggregationDecision) -> bool {
        let Some(described) = &self.described else { return false };
        let is_new = {
            let mut last = described.decision.lock();
            let is_new = *last != decision;
            let is_off = decision.decision == AggregationChoice::Off;
            let bytes_max = match self.compressed {
                Some(limit) if !is_off => limit.bytes_max,
                _ => decision.bytes_max().unwrap_or(0),
            };
            self.bytes_max.store(bytes_max, Ordering::Relaxed);
            let forbids = decision.decision != AggregationChoice::Compressed;
            described.forbids_compression.store(forbids, Ordering::Relaxed);
            *last = decision;
            is_new
        };
        described.is_decided.store(true, Ordering::Release);
        described.decided.notify_waiters();
        is_new
    }

    /// The last decision, or `None` if the settings determine the aggregation.
    pub(super) fn last_decision(&self) -> Option<AggregationDecision> {
        self.described.as_ref().map(|described| described.decision.lock().clone())
    }

    /// Whether the stream has been described, or could not be described.
    pub(super) fn is_decided(&self) -> bool {
        self.described.as_ref().is_none_or(|described| described.is_decided.load(Ordering::Acquire))
    }

    /// Waits until it is known whether records may be compressed.
    pub(super) async fn wait_until_decided(&self) {
        let Some(described) = self.described.as_ref().filter(|_| self.is_compressed()) else {
            return;
        };
        loop {
            let decided = described.decided.notified();
            if self.is_decided() {
                return;
            }
            decided.await;
        }
    }

    /// Waits for an event, unless one arrived since the last wait.
    pub(super) async fn wait_until_used(&self) {
        let Some(described) = &self.described else { return std::future::pending().await };
        while !described.is_used.swap(false, Ordering::Relaxed) {
            described.used.notified().await;
        }
    }
}

impl DescribedAggregation {
    fn mark_used(&self) {
        // Usually it is already marked, and reading it does not slow down other workers.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
            self.used.notify_one();
        }
    }
}
