//! A delivery stream in use: its settings, queue, counters and problems. It stays in use while it
//! has an open batch, and is retired when it is idle.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::aggregation::{Aggregation, StreamAggregation};
use super::log_limit::{LogKind, LogLimit};
use super::overflow::Backlog;
use super::send_queue::QueuedBatch;
use super::{AggregationDecision, Batch, ErrorKind, FirehoseClient};
use crate::limits;
use standpipe_core::event::StreamName;
use standpipe_core::memory_budget::Usage;

/// Settings of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// Whether each record ends with a newline. Firehose adds nothing between records, so they are
    /// joined in the destination without it.
    pub newline: bool,
    /// Maximum number of requests in flight at once.
    pub concurrency: usize,
    /// Whether several events may share a record.
    pub aggregation: Aggregation,
}

/// Defines the counters of a stream once, for the report and for the stream in use.
macro_rules! stream_counts {
    ($($(#[$attribute:meta])* $count:ident,)*) => {
        /// The counts of a stream.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
        pub struct StreamReport {
            $($(#[$attribute])* pub $count: u64,)*
            /// The decision of automatic aggregation, if it is enabled.
            #[serde(rename = "pack", skip_serializing_if = "Option::is_none")]
            pub aggregation: Option<AggregationDecision>,
            /// Requests that failed, or of which no record was accepted, by kind of error.
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            pub errors: BTreeMap<&'static str, u64>,
            /// The last problem of the stream, if it is not solved.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub problem: Option<String>,
            /// Whether the stream is held.
            #[serde(skip)]
            pub is_held: bool,
        }

        #[derive(Debug, Default)]
        pub(super) struct StreamCounters {
            $(pub(super) $count: Counter,)*
            errors: [Counter; ErrorKind::ALL.len()],
        }

        impl StreamReport {
            /// Adds later counts of the same stream.
            pub(super) fn add(&mut self, later: StreamReport) {
                $(self.$count += later.$count;)*
                for (kind, count) in later.errors {
                    *self.errors.entry(kind).or_default() += count;
                }
                self.aggregation = later.aggregation.or(self.aggregation.take());
                self.problem = later.problem;
                self.is_held |= later.is_held;
            }
        }

        impl DeliveryStream {
            pub(super) fn report(&self) -> StreamReport {
                StreamReport {
                    $($count: self.counts.$count.get(),)*
                    errors: self.counts.error_counts(),
                    aggregation: self.aggregation.last_decision(),
                    is_held: self.is_held(),
                    problem: self.problem(),
                }
            }
        }
    };
}

stream_counts! {
    /// Events in accepted records.
    events,
    /// Accepted records.
    records,
    /// Bytes of accepted records, before base64.
    bytes,
    /// Requests, with or without a response.
    requests,
    /// Records that were sent again. Each repetition counts.
    retries,
    /// Records that were sent again after a lost response or an internal error of the service. They
    /// may be stored twice.
    ambiguous,
    /// Successful responses that did not account for every record, or were too long. Their records
    /// were sent again.
    #[serde(skip_serializing_if = "is_zero")]
    invalid_answers,
    /// Records that were throttled.
    #[serde(skip_serializing_if = "is_zero")]
    throttled,
    /// Responses that rejected some records and accepted others.
    #[serde(skip_serializing_if = "is_zero")]
    partial_failures,
    /// Events that were on disk because the stream was held or slow.
    #[serde(skip_serializing_if = "is_zero")]
    overflowed,
    /// Events that could not be read back from disk, and count as undelivered.
    #[serde(skip_serializing_if = "is_zero")]
    unread,
    /// What Firehose bills for the accepted records, in kilobytes.
    billed_kb,
    /// The billed size without aggregation.
    #[serde(rename = "billed_kb_unpacked")]
    billed_kb_unaggregated,
}

/// A delivery stream that records have been sent to.
pub(super) struct DeliveryStream {
    pub(super) name: StreamName,
    pub(super) port: Arc<dyn FirehoseClient>,
    pub(super) settings: StreamSettings,
    pub(super) aggregation: Arc<StreamAggregation>,
    pub(super) counts: StreamCounters,
    /// The memory of the stream's batches.
    pub(super) memory: Usage,
    /// The stream's batches on disk.
    pub(super) backlog: Backlog,
    is_held: AtomicBool,
    trouble: Mutex<Trouble>,
    queue: Mutex<StreamQueue>,
    log: Arc<LogLimit>,
}

/// The queue to the task of a stream.
#[derive(Debug)]
struct StreamQueue {
    /// `None` once no more records will arrive.
    batches: Option<UnboundedSender<QueuedBatch>>,
    /// Batches that are open, or closed but not in the queue yet.
    open: usize,
    /// Whether new batches go to another [`DeliveryStream`] of the same name.
    is_superseded: bool,
}

/// Keeps a stream in use. Batches are filled and submitted through it.
pub(super) struct StreamLease(Arc<DeliveryStream>);

impl StreamCounters {
    /// Counts a request that failed, or of which no record was accepted.
    pub(super) fn add_error(&self, kind: ErrorKind) {
        self.errors[kind as usize].inc();
    }

    fn error_counts(&self) -> BTreeMap<&'static str, u64> {
        let count = |kind: ErrorKind| self.errors[kind as usize].get();
        let counts = ErrorKind::ALL.into_iter().map(|(kind, word)| (word, count(kind)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Counts records that Firehose accepted.
    pub(super) fn add_accepted(&self, batch: &Batch, records: impl Iterator<Item = usize>) {
        let (mut events, mut count, mut bytes) = (0, 0, 0);
        let (mut billed, mut billed_unaggregated) = (0, 0);
        for record in records {
            let record_bytes = batch.payload(record).len();
            let record_events = batch.events_of(record);
            count += 1;
            bytes += record_bytes;
            events += record_events.len();
            billed += billed_kb(record_bytes);
            billed_unaggregated +=
                record_events.map(|event| billed_kb(batch.event_bytes(event))).sum::<usize>();
        }
        for (counter, amount) in [
            (&self.events, events),
            (&self.records, count),
            (&self.bytes, bytes),
            (&self.billed_kb, billed),
            (&self.billed_kb_unaggregated, billed_unaggregated),
        ] {
            counter.inc_by(amount as u64);
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The billed size of a record, in kilobytes of 1,024 bytes.
fn billed_kb(record_bytes: usize) -> usize {
    record_bytes.div_ceil(limits::BILLED_STEP_BYTES) * (limits::BILLED_STEP_BYTES / 1024)
}

#[derive(Debug, Default)]
struct Trouble {
    missing_since: Option<Instant>,
    mentioned: Option<(String, Instant)>,
    /// The number of the latest request with accepted records.
    accepted: Option<u64>,
    /// Different records that were rejected alone since the last accepted record.
    refused_alone: u32,
}

impl DeliveryStream {
    pub(super) fn new(
        name: StreamName,
        port: Arc<dyn FirehoseClient>,
        settings: StreamSettings,
        batches: UnboundedSender<QueuedBatch>,
        log: Arc<LogLimit>,
    ) -> Self {
        DeliveryStream {
            name,
            port,
            aggregation: Arc::new(StreamAggregation::new(settings.aggregation)),
            settings,
            counts: StreamCounters::default(),
            memory: Usage::default(),
            backlog: Backlog::default(),
            is_held: AtomicBool::new(false),
            trouble: Mutex::default(),
            queue: Mutex::new(StreamQueue {
                batches: Some(batches),
                open: 0,
                is_superseded: false,
            }),
            log,
        }
    }

    /// Puts a batch into the queue. Returns the batch if the stream has no task any more.
    #[expect(clippy::result_large_err, reason = "the batch is moved in, and is moved back")]
    pub(super) fn send(&self, queued: QueuedBatch) -> Result<(), QueuedBatch> {
        match &self.queue.lock().batches {
            Some(batches) => batches.send(queued).map_err(|refused| refused.0),
            None => Err(queued),
        }
    }

    /// Whether the stream is held.
    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    pub(super) fn set_held(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    /// Closes the queue: no more records will arrive.
    pub(super) fn close(&self) {
        self.queue.lock().batches = None;
    }

    /// Retires the stream unless a batch for it is open. Returns whether the stream was retired.
    /// Its queue is then empty, because all leases have submitted their batches before.
    pub(super) fn retire(&self, queue_is_empty: impl FnOnce() -> bool) -> bool {
        let mut queue = self.queue.lock();
        if queue.open > 0 || !queue_is_empty() {
            return false;
        }
        queue.batches = None;
        true
    }

    /// Whether no records can be sent any more because the stream was retired or closed.
    pub(super) fn is_retired(&self) -> bool {
        self.queue.lock().batches.is_none()
    }

    /// Accepts no new batches. Open batches are still submitted and delivered. For streams whose
    /// settings have changed.
    pub(super) fn supersede(&self) {
        self.queue.lock().is_superseded = true;
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.queue.lock().is_superseded
    }

    /// Records that a request had accepted records, which ends any problem of the stream. Requests
    /// are numbered from 0.
    pub(super) fn records_accepted(&self, request: u64) {
        let mut trouble = self.trouble.lock();
        trouble.accepted = trouble.accepted.max(Some(request));
        trouble.refused_alone = 0;
        if let Some((problem, _)) = trouble.mentioned.take()
            && self.log.admits(LogKind::Recovered)
        {
            tracing::info!(stream = %self.name, "accepts records again after: {problem}");
        }
        trouble.missing_since = None;
    }

    /// Records that the stream exists: a request got a response, although no record was accepted.
    pub(super) fn confirm_existence(&self) {
        self.trouble.lock().missing_since = None;
    }

    /// Whether a request at or after this number of requests had accepted records.
    pub(super) fn has_accepted_since(&self, requests: u64) -> bool {
        self.trouble.lock().accepted.is_some_and(|request| request >= requests)
    }

    /// Counts a record that was rejected alone for the first time. Returns the number of such
    /// different records since the last accepted one.
    pub(super) fn add_refused_alone(&self) -> u32 {
        let mut trouble = self.trouble.lock();
        trouble.refused_alone = trouble.refused_alone.saturating_add(1);
        trouble.refused_alone
    }

    /// The number of different records that were rejected alone since the last accepted one.
    pub(super) fn refused_alone(&self) -> u32 {
        self.trouble.lock().refused_alone
    }

    /// Discards a problem that the stream did not cause.
    pub(super) fn forget_trouble(&self) {
        self.trouble.lock().mentioned = None;
    }

    /// Logs a problem of the stream, but not at every attempt.
    pub(super) fn log_problem(&self, problem: &str) {
        let mut trouble = self.trouble.lock();
        let said = trouble.mentioned.as_ref();
        if said.is_some_and(|(last, at)| {
            last == problem && at.elapsed() < standpipe_aws::limits::WAIT_REMINDER
        }) {
            return;
        }
        if self.log.admits(LogKind::Trouble) {
            tracing::warn!(stream = %self.name, "records are kept and sent again later: {problem}");
        }
        trouble.mentioned = Some((problem.to_owned(), Instant::now()));
    }

    /// When to log the current problem again, if there is one.
    pub(super) fn reminder_due(&self) -> Option<Instant> {
        self.trouble
            .lock()
            .mentioned
            .as_ref()
            .map(|(_, at)| *at + standpipe_aws::limits::WAIT_REMINDER)
    }

    /// The current problem, if there is one.
    pub(super) fn problem(&self) -> Option<String> {
        self.trouble.lock().mentioned.as_ref().map(|(problem, _)| problem.clone())
    }

    /// Logs the current problem again.
    pub(super) fn log_reminder(&self) {
        self.problem().iter().for_each(|problem| self.log_problem(problem));
    }

    /// Counts events that are lost for this run because they could not be read back.
    pub(super) fn add_unread(&self, events: usize, error: &io::Error) {
        self.counts.unread.inc_by(events as u64);
        if self.log.admits(LogKind::Unread) {
            tracing::error!(stream = %self.name, "failed to read {events} events back from disk: {error}: they count as not delivered");
        }
    }

    /// The reason why records were not delivered before the run ended.
    pub(super) fn why_given_up(&self) -> String {
        self.with_problem("the run ended before the stream took it".to_owned())
    }

    /// The reason why the stream is held.
    pub(super) fn why_held(&self) -> String {
        self.with_problem(format!("the stream {} accepts no records", self.name))
    }

    fn with_problem(&self, text: String) -> String {
        match self.problem() {
            Some(problem) => format!("{text}: {problem}"),
            None => text,
        }
    }

    /// How long Firehose has been reporting that the stream does not exist.
    pub(super) fn missing_for(&self) -> Duration {
        self.trouble.lock().missing_since.get_or_insert_with(Instant::now).elapsed()
    }
}

impl StreamLease {
    /// Starts using a stream. Returns `None` if the stream has been retired or superseded.
    pub(super) fn begin(stream: &Arc<DeliveryStream>) -> Option<Self> {
        let mut queue = stream.queue.lock();
        if queue.is_superseded || queue.batches.is_none() {
            return None;
        }
        queue.open += 1;
        Some(StreamLease(Arc::clone(stream)))
    }

    /// Another lease of the same stream.
    pub(super) fn share(&self) -> Self {
        self.0.queue.lock().open += 1;
        StreamLease(Arc::clone(&self.0))
    }

    pub(super) fn stream(&self) -> &Arc<DeliveryStream> {
        &self.0
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        self.0.queue.lock().open -= 1;
    }
}
