//! A delivery stream at work: its settings, queue, counters and trouble. It stays in use while a
//! batch for it is open, and is retired when it is idle.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::log_limit::{LogKind, LogLimit};
use super::overflow::Backlog;
use super::packing::{Pack, Packing};
use super::waiting::Parcel;
use super::{Batch, ErrorKind, Firehose, PackDecision, RequestError};
use crate::limits;
use standpipe_core::event::StreamName;
use standpipe_core::memory_budget::Usage;

/// What can be set for each stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// Whether each record ends with a newline. Firehose itself adds nothing
    /// between records, so without it they run together in their file.
    pub newline: bool,
    /// Requests that may be under way at once.
    pub concurrency: usize,
    /// Whether several events may share a record.
    pub pack: Pack,
}

/// What went to a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// Events in accepted records.
    pub events: u64,
    /// Accepted records.
    pub records: u64,
    /// Bytes of accepted records, before base64.
    pub bytes: u64,
    /// Requests, answered or not.
    pub requests: u64,
    /// Records that were sent again, each time counted.
    pub retries: u64,
    /// Records that were sent again after a request whose answer was lost or
    /// was a fault of the service: what may have been written twice.
    pub ambiguous: u64,
    /// Answers with a status of success that did not account for every record, or
    /// were too long: their records were sent again.
    #[serde(skip_serializing_if = "is_zero")]
    pub invalid_answers: u64,
    /// Records that were refused since there were too many of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled: u64,
    /// Answers that refused some records and took others.
    #[serde(skip_serializing_if = "is_zero")]
    pub partial_failures: u64,
    /// Events that went through the disk, since the stream was held or slow.
    #[serde(skip_serializing_if = "is_zero")]
    pub overflowed: u64,
    /// Events that could not be read back from disk, and count as not delivered.
    #[serde(skip_serializing_if = "is_zero")]
    pub unread: u64,
    /// What Firehose bills for the accepted records, in kilobytes.
    pub billed_kb: u64,
    /// What it would bill if every event were a record of its own.
    pub billed_kb_unpacked: u64,
    /// What automatic packing came to, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackDecision>,
    /// Requests that failed, or of which no record was accepted, by the kind of the error.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<&'static str, u64>,
    /// What is wrong with the stream, if it was at last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether its records are kept until somebody acts.
    #[serde(skip)]
    pub is_held: bool,
}

impl StreamReport {
    /// Add what went to the same stream later.
    pub(super) fn add(&mut self, later: StreamReport) {
        for (count, more) in [
            (&mut self.events, later.events),
            (&mut self.records, later.records),
            (&mut self.bytes, later.bytes),
            (&mut self.requests, later.requests),
            (&mut self.retries, later.retries),
            (&mut self.ambiguous, later.ambiguous),
            (&mut self.invalid_answers, later.invalid_answers),
            (&mut self.throttled, later.throttled),
            (&mut self.partial_failures, later.partial_failures),
            (&mut self.overflowed, later.overflowed),
            (&mut self.unread, later.unread),
            (&mut self.billed_kb, later.billed_kb),
            (&mut self.billed_kb_unpacked, later.billed_kb_unpacked),
        ] {
            *count += more;
        }
        for (kind, count) in later.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.pack = later.pack.or(self.pack.take());
        self.problem = later.problem;
        self.is_held |= later.is_held;
    }
}

/// A delivery stream that records have been sent to.
pub(super) struct Stream {
    pub(super) name: StreamName,
    pub(super) port: Arc<dyn Firehose>,
    pub(super) settings: StreamSettings,
    pub(super) packing: Arc<Packing>,
    pub(super) counts: Counts,
    /// What it holds in memory.
    pub(super) memory: Usage,
    /// What it holds on disk.
    pub(super) backlog: Backlog,
    is_held: AtomicBool,
    trouble: Mutex<Trouble>,
    queue: Mutex<Queue>,
    log: Arc<LogLimit>,
}

/// The way to who serves a stream.
#[derive(Debug)]
struct Queue {
    /// None once no more records will come.
    parcels: Option<UnboundedSender<Parcel>>,
    /// Batches that are open, or closed and not in the queue yet.
    open: usize,
    /// Whether new batches go to another [`Stream`] of the same name.
    is_superseded: bool,
}

/// A stream that stays in use for as long as this is kept: what a batch is filled and
/// handed over with.
#[derive(Debug)]
pub(super) struct InUse(Arc<Stream>);

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) events: Counter,
    pub(super) records: Counter,
    pub(super) bytes: Counter,
    pub(super) requests: Counter,
    pub(super) retries: Counter,
    pub(super) ambiguous: Counter,
    pub(super) invalid_answers: Counter,
    pub(super) throttled: Counter,
    pub(super) partial_failures: Counter,
    pub(super) overflowed: Counter,
    pub(super) unread: Counter,
    pub(super) billed_kb: Counter,
    pub(super) billed_kb_unpacked: Counter,
    errors: [Counter; ErrorKind::ALL.len()],
}

impl Counts {
    /// Count a request that failed, or of which no record was accepted.
    pub(super) fn add_error(&self, kind: ErrorKind) {
        self.errors[kind as usize].inc();
    }

    fn errors(&self) -> BTreeMap<&'static str, u64> {
        let count = |kind: ErrorKind| self.errors[kind as usize].get();
        let counts = ErrorKind::ALL.into_iter().map(|kind| (kind.word(), count(kind)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Count records that may have been accepted.
    pub(super) fn add_ambiguous(&self, batch: &Batch) {
        self.ambiguous.inc_by(batch.len() as u64);
    }

    /// Count an answer that said nothing about its records.
    pub(super) fn add_invalid_answer(&self, error: &RequestError) {
        self.invalid_answers.inc_by(u64::from(error.is_invalid_answer()));
    }

    /// Count records of a request that are to be sent again, since they were too
    /// many at once.
    pub(super) fn add_refused(&self, refused: usize, records: usize) {
        self.throttled.inc_by(refused as u64);
        self.partial_failures.inc_by(u64::from(refused < records));
    }

    /// Count records that Firehose has taken.
    pub(super) fn add_accepted(&self, batch: &Batch, records: impl Iterator<Item = usize>) {
        let (mut events, mut count, mut bytes) = (0, 0, 0);
        let (mut billed, mut billed_unpacked) = (0, 0);
        for record in records {
            let record_bytes = batch.payload(record).len();
            let record_events = batch.events_of(record);
            count += 1;
            bytes += record_bytes;
            events += record_events.len();
            billed += billed_kb(record_bytes);
            billed_unpacked +=
                record_events.map(|event| billed_kb(batch.event_bytes(event))).sum::<usize>();
        }
        for (counter, amount) in [
            (&self.events, events),
            (&self.records, count),
            (&self.bytes, bytes),
            (&self.billed_kb, billed),
            (&self.billed_kb_unpacked, billed_unpacked),
        ] {
            counter.inc_by(amount as u64);
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What Firehose bills for a record, in kilobytes of 1,024 bytes.
fn billed_kb(record_bytes: usize) -> usize {
    record_bytes.div_ceil(limits::BILLED_STEP_BYTES) * (limits::BILLED_STEP_BYTES / 1024)
}

#[derive(Debug, Default)]
struct Trouble {
    missing_since: Option<Instant>,
    mentioned: Option<(String, Instant)>,
    /// The latest request of which records were accepted, by its number.
    accepted: Option<u64>,
    /// Different records that were refused alone since any was accepted.
    refused_alone: u32,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn new(
        name: StreamName,
        port: Arc<dyn Firehose>,
        settings: StreamSettings,
        parcels: UnboundedSender<Parcel>,
        log: Arc<LogLimit>,
    ) -> Self {
        Stream {
            name,
            port,
            packing: Arc::new(Packing::new(settings.pack)),
            settings,
            counts: Counts::default(),
            memory: Usage::default(),
            backlog: Backlog::default(),
            is_held: AtomicBool::new(false),
            trouble: Mutex::default(),
            queue: Mutex::new(Queue { parcels: Some(parcels), open: 0, is_superseded: false }),
            log,
        }
    }

    /// Put a batch in the queue. It comes back if nobody serves it any more.
    #[expect(clippy::result_large_err, reason = "the parcel is moved in, and is moved back")]
    pub(super) fn send(&self, parcel: Parcel) -> Result<(), Parcel> {
        match &self.queue().parcels {
            Some(parcels) => parcels.send(parcel).map_err(|refused| refused.0),
            None => Err(parcel),
        }
    }

    /// Whether nothing can be written to the stream for now.
    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    pub(super) fn set_held(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    /// No more records will come.
    pub(super) fn close(&self) {
        self.queue().parcels = None;
    }

    /// Take the stream out of use, unless somebody fills a batch for it. Returns whether it
    /// is, and then nothing is in its queue: what is in use has been handed over before.
    pub(super) fn retire(&self, queue_is_empty: impl FnOnce() -> bool) -> bool {
        let mut queue = self.queue();
        if queue.open > 0 || !queue_is_empty() {
            return false;
        }
        queue.parcels = None;
        true
    }

    /// Whether no records can be sent any more, since it was retired or closed.
    pub(super) fn is_retired(&self) -> bool {
        self.queue().parcels.is_none()
    }

    /// Take no new batches; what is open is still handed over and delivered. For streams
    /// whose settings have changed.
    pub(super) fn supersede(&self) {
        self.queue().is_superseded = true;
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.queue().is_superseded
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    /// Records of a request were accepted: whatever was wrong with the stream is over.
    /// Requests are counted from 0.
    pub(super) fn accepted(&self, request: u64) {
        let mut trouble = self.trouble();
        trouble.accepted = trouble.accepted.max(Some(request));
        trouble.refused_alone = 0;
        if let Some((problem, _)) = trouble.mentioned.take()
            && self.log.admits(LogKind::Recovered)
        {
            tracing::info!(stream = %self.name, "accepts records again after: {problem}");
        }
        trouble.missing_since = None;
    }

    /// A request was answered, so that the stream exists, and none of its records accepted.
    pub(super) fn exists(&self) {
        self.trouble().missing_since = None;
    }

    /// Whether records of a request were accepted before which there were so many.
    pub(super) fn has_accepted_since(&self, requests: u64) -> bool {
        self.trouble().accepted.is_some_and(|request| request >= requests)
    }

    /// Count a record that was refused alone for the first time. Tells how many different
    /// ones there were since any was accepted.
    pub(super) fn add_refused_alone(&self) -> u32 {
        let mut trouble = self.trouble();
        trouble.refused_alone = trouble.refused_alone.saturating_add(1);
        trouble.refused_alone
    }

    /// How many different records were refused alone since any was accepted.
    pub(super) fn refused_alone(&self) -> u32 {
        self.trouble().refused_alone
    }

    /// What was wrong was not the stream's fault.
    pub(super) fn forget_trouble(&self) {
        self.trouble().mentioned = None;
    }

    /// Tell the operator what is wrong, but not at every attempt.
    pub(super) fn mention(&self, problem: &str) {
        let mut trouble = self.trouble();
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

    /// When the operator is to be told again what is wrong, if anything is.
    pub(super) fn reminder_due(&self) -> Option<Instant> {
        self.trouble().mentioned.as_ref().map(|(_, at)| *at + standpipe_aws::limits::WAIT_REMINDER)
    }

    /// Tell the operator again what is wrong.
    pub(super) fn remind(&self) {
        let problem = self.trouble().mentioned.as_ref().map(|(problem, _)| problem.clone());
        problem.iter().for_each(|problem| self.mention(problem));
    }

    /// Count events that are lost to this run, since they could not be read back.
    pub(super) fn add_unread(&self, events: usize, error: &io::Error) {
        self.counts.unread.inc_by(events as u64);
        if self.log.admits(LogKind::Unread) {
            tracing::error!(stream = %self.name, "failed to read {events} events back from disk: {error}: they count as not delivered");
        }
    }

    /// Why records were not delivered before the run ended.
    pub(super) fn why_given_up(&self) -> String {
        match &self.trouble().mentioned {
            Some((problem, _)) => format!("the run ended before the stream took it: {problem}"),
            None => "the run ended before the stream took it".to_owned(),
        }
    }

    /// Why nothing can be written to it.
    pub(super) fn why_held(&self) -> String {
        match &self.trouble().mentioned {
            Some((problem, _)) => format!("the stream {} accepts no records: {problem}", self.name),
            None => format!("the stream {} accepts no records", self.name),
        }
    }

    /// For how long Firehose has been saying that the stream does not exist.
    pub(super) fn missing_for(&self) -> Duration {
        self.trouble().missing_since.get_or_insert_with(Instant::now).elapsed()
    }

    pub(super) fn report(&self) -> StreamReport {
        StreamReport {
            events: self.counts.events.get(),
            records: self.counts.records.get(),
            bytes: self.counts.bytes.get(),
            requests: self.counts.requests.get(),
            retries: self.counts.retries.get(),
            ambiguous: self.counts.ambiguous.get(),
            invalid_answers: self.counts.invalid_answers.get(),
            throttled: self.counts.throttled.get(),
            partial_failures: self.counts.partial_failures.get(),
            overflowed: self.counts.overflowed.get(),
            unread: self.counts.unread.get(),
            billed_kb: self.counts.billed_kb.get(),
            billed_kb_unpacked: self.counts.billed_kb_unpacked.get(),
            errors: self.counts.errors(),
            pack: self.packing.decision(),
            is_held: self.is_held(),
            problem: self.trouble().mentioned.as_ref().map(|(problem, _)| problem.clone()),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock()
    }
}

impl InUse {
    /// Begin to use a stream; none if it has been retired or superseded.
    pub(super) fn begin(stream: &Arc<Stream>) -> Option<Self> {
        let mut queue = stream.queue();
        if queue.is_superseded || queue.parcels.is_none() {
            return None;
        }
        queue.open += 1;
        Some(InUse(Arc::clone(stream)))
    }

    pub(super) fn stream(&self) -> &Arc<Stream> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.queue().open -= 1;
    }
}
