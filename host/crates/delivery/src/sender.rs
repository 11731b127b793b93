//! The task of one stream: it alone decides what is sent next, holds the stream, moves batches
//! between memory and disk, and ends when the stream is idle or closed.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::Batch;
use super::firehose_client::RequestError;
use super::lane::Lane;
use super::overflow::{Overflow, SpilledBatch};
use super::pacer::Feedback;
use super::request_runner::{RemainingRecords, RequestRunner, fault_of_stream};
use super::send_queue::{Attempts, PendingBatch, QueuedBatch, SendQueue, Suspicion};
use super::stream::DeliveryStream;
use crate::dead_letters::Reason;
use crate::limits;
use standpipe_core::blocking;
use standpipe_core::memory_budget::{MemoryBudget, Reservation};

/// Sends one stream's batches until its queue is closed and empty, and every record is accepted,
/// dead-lettered or given up.
///
/// It alone decides what is sent next. Batches are sent in the order of their arrival, but may
/// overtake a batch that is sent again.
pub(super) struct Sender {
    pub(super) stream: Arc<DeliveryStream>,
    pub(super) runner: Arc<RequestRunner>,
    pub(super) memory: MemoryBudget,
    pub(super) overflow: Arc<Overflow>,
    pub(super) lane: Lane,
    pub(super) send_queue: SendQueue,
    /// Requests in flight, each with the time when it was sent.
    pub(super) under_way: JoinSet<(Instant, Feedback, RemainingRecords)>,
    pub(super) loading: Option<Loading>,
    /// The time after which the task of a stream without records ends.
    pub(super) idle_timeout: Duration,
    /// Whether more records may arrive.
    pub(super) is_open: bool,
}

/// How often a held stream is tested before a run that fails fast ends: once more, because the
/// first response may have corrected the clock, or credentials may have been renewed.
const HELD_ATTEMPTS_BEFORE_FAILURE: u32 = 1;

/// The time without records after which the task of a superseded stream ends. The workers' last
/// batches for it may still be open.
const SUPERSEDED_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the task of a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SenderEnd {
    /// No more records will arrive, or the run has given up.
    Closed,
    /// The stream was idle. It starts again if it is needed.
    Retired,
}

/// A batch that is moving from disk back to memory.
pub(super) enum Loading {
    /// The batch waits for memory, and can return to disk.
    Memory(Pin<Box<dyn Future<Output = Reservation> + Send>>, SpilledBatch, Attempts),
    /// The batch is being read.
    Disk(JoinHandle<Option<PendingBatch>>),
}

impl Sender {
    pub(super) async fn serve(mut self, mut queue: UnboundedReceiver<QueuedBatch>) -> SenderEnd {
        let runner = Arc::clone(&self.runner);
        let mut aborted = pin!(runner.abort.cancelled());
        let mut idle_since = None;
        // An uncompressed record would damage the objects with compressed ones, and the reverse.
        tokio::select! {
            biased;
            () = &mut aborted => {}
            () = self.stream.aggregation.wait_until_decided() => {}
        }
        loop {
            let wake = self.send_due();
            let is_idle = self.is_idle();
            if !self.is_open && is_idle {
                return SenderEnd::Closed;
            }
            idle_since = is_idle.then(|| idle_since.unwrap_or_else(Instant::now));
            let idle_timeout = match self.stream.is_superseded() {
                true => SUPERSEDED_IDLE_TIMEOUT,
                false => self.idle_timeout,
            };
            let retire_at = idle_since.map(|since| since + idle_timeout);
            let is_held = self.lane.is_held();
            let remind_at = if is_held { self.stream.reminder_due() } else { None };
            tokio::select! {
                biased;
                () = &mut aborted => break,
                Some(done) = self.under_way.join_next(), if !self.under_way.is_empty() => {
                    self.take_back(done).await;
                }
                loaded = load_on(&mut self.loading, &self.stream), if self.loading.is_some() => {
                    self.take_loaded(loaded);
                }
                queued = queue.recv(), if self.is_open => match queued {
                    Some(queued) => self.send_queue.push(queued),
                    None => self.is_open = false,
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = sleep_until(remind_at.unwrap_or_else(Instant::now)), if remind_at.is_some() => {
                    self.stream.log_reminder();
                }
                () = sleep_until(retire_at.unwrap_or_else(Instant::now)), if retire_at.is_some() => {
                    if self.stream.retire(|| queue.is_empty()) {
                        return SenderEnd::Retired;
                    }
                    // A batch for the stream is open.
                    idle_since = None;
                }
            }
        }
        queue.close();
        while let Some(queued) = queue.recv().await {
            self.send_queue.push(queued);
        }
        self.give_up().await;
        SenderEnd::Closed
    }

    /// Sends what can be sent now. Returns the time of the next send, if it only depends on time.
    fn send_due(&mut self) -> Option<Instant> {
        loop {
            let now = Instant::now();
            if !self.lane.is_held() {
                self.load_next();
            }
            if self.send_queue.is_empty() {
                return None;
            }
            let at = self.lane.next(now)?;
            if at > now {
                return Some(at);
            }
            if self.lane.is_held() && self.send_queue.is_on_disk() {
                self.load_next();
            }
            let Some(pending) = self.next_pending(now) else {
                return self.send_queue.next_due(now);
            };
            let pending = self.apply_decision(pending);
            self.lane.sent(now, &pending.batch);
            let (runner, stream) = (Arc::clone(&self.runner), Arc::clone(&self.stream));
            self.under_way.spawn(async move {
                let (feedback, rest) = runner.send_request(&stream, pending).await;
                (now, feedback, rest)
            });
        }
    }

    /// Undoes the compression of records that were compressed before the stream's description
    /// forbade it.
    fn apply_decision(&mut self, pending: PendingBatch) -> PendingBatch {
        match self.stream.aggregation.uncompressed_bytes_max() {
            Some(bytes_max) if pending.batch.has_compressed() => {
                let mut parts = pending.without_compression(bytes_max).into_iter();
                let first = parts.next().expect("a batch is not empty");
                for part in parts.rev() {
                    self.send_queue.push_front(QueuedBatch::InMemory(part));
                }
                first
            }
            _ => pending,
        }
    }

    /// Returns the next batch to send. A record that was rejected alone is sent again after the
    /// stream has accepted another one, or if there is nothing else to send.
    fn next_pending(&mut self, now: Instant) -> Option<PendingBatch> {
        let since = self.send_queue.accused_since();
        if since.is_some_and(|since| self.stream.has_accepted_since(since)) {
            return self.send_queue.accused.pop_front();
        }
        let next = self.send_queue.next(now);
        let is_reading = matches!(self.loading, Some(Loading::Disk(_)));
        let is_last =
            || self.send_queue.is_left_with_accused() && self.under_way.is_empty() && !is_reading;
        if next.is_none() && is_last() { self.send_queue.accused.pop_front() } else { next }
    }

    fn is_idle(&self) -> bool {
        self.send_queue.is_empty() && self.under_way.is_empty() && self.loading.is_none()
    }

    /// Starts to read the next batch back if it is on disk. A held stream only does so for a test,
    /// and leaves the memory to others until then.
    fn load_next(&mut self) {
        if self.loading.is_none()
            && let Some((stored, attempts)) = self.send_queue.next_stored()
        {
            let memory = self.memory.reservation_of(&self.stream.memory);
            let reserved = Box::pin(memory.grown(stored.held_bytes));
            self.loading = Some(Loading::Memory(reserved, stored, attempts));
        }
    }

    fn take_loaded(&mut self, loaded: Option<PendingBatch>) {
        match loaded {
            // A held stream is tested with a single record.
            Some(pending) if self.lane.is_held() && pending.batch.len() > 1 => {
                let [first, others] = pending.split_at(1);
                self.send_queue.push_front(QueuedBatch::InMemory(others));
                self.send_queue.push_front(QueuedBatch::InMemory(first));
            }
            Some(pending) => self.send_queue.push_front(QueuedBatch::InMemory(pending)),
            None => {}
        }
    }

    /// Returns a batch that waits for memory to the disk.
    fn stop_loading(&mut self) {
        match self.loading.take() {
            Some(Loading::Memory(_, stored, attempts)) => {
                self.send_queue.push_front(QueuedBatch::Spilled(stored, attempts));
            }
            other => self.loading = other,
        }
    }

    async fn take_back(&mut self, done: Result<(Instant, Feedback, RemainingRecords), JoinError>) {
        let (sent, feedback, rest) = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(stream = %self.stream.name, "failed to deliver a batch: {error}");
                self.lane.request_lost();
                return;
            }
        };
        let (feedback, rest) = match rest {
            RemainingRecords::Accused(pending, error) => {
                (self.suspect_record(feedback, pending, &error).await, RemainingRecords::Nothing)
            }
            rest => (feedback, rest),
        };
        self.lane.learn(sent, feedback);
        self.stream.set_held(self.lane.is_held());
        if let Some(error) = self.take_rest(rest) {
            self.dead_letter_waiting(Reason::StreamNotFound, error.to_string()).await;
        }
        if self.lane.is_held() {
            if self.lane.attempts_while_held() > HELD_ATTEMPTS_BEFORE_FAILURE {
                self.runner.fail_fast(&self.stream);
            }
            self.put_aside().await;
        }
    }

    /// Handles a record that was rejected alone, if the stream has accepted no record since the
    /// first rejected request with this record. Either the record or the stream is faulty. The task
    /// tries other records, and holds the stream if it rejects them too.
    async fn suspect_record(
        &mut self,
        feedback: Feedback,
        mut pending: PendingBatch,
        error: &RequestError,
    ) -> Feedback {
        let (stream, suspicion) = (Arc::clone(&self.stream), pending.attempts.suspicion);
        let is_repeated = suspicion.is_some_and(|suspicion| suspicion.is_alone);
        let requests = stream.counts.requests.get();
        let since = suspicion.map_or(requests, |suspicion| suspicion.since);
        pending.attempts.suspicion = Some(Suspicion { since, is_alone: true });
        let provenance = pending.batch.provenance(0);
        let source = provenance.ack.source();
        // A spool reads the record again at the next start of the program, with others.
        let comes_again = source.keeps_unsettled() && source.history().is_none();
        self.send_queue.accused.push_back(pending);
        let refused = if is_repeated { stream.refused_alone() } else { stream.add_refused_alone() };
        let are_many = refused >= limits::REFUSED_ALONE_MAX;
        let is_last = self.send_queue.has_only_accused()
            && self.under_way.is_empty()
            && self.loading.is_none();
        // No further record will arrive to show the cause. Only a few records were rejected by a
        // stream that has accepted others, so the records are faulty.
        if is_last && !self.is_open && !are_many && !comes_again && stream.has_accepted_since(0) {
            self.dead_letter_waiting(Reason::RecordRefused, error.to_string()).await;
            stream.forget_trouble();
            return feedback;
        }
        if are_many || is_last || is_repeated {
            stream.log_problem(&fault_of_stream(error));
            return Feedback::Held;
        }
        feedback
    }

    /// Puts the rest of a request back into the queue. Returns the error if the stream has been
    /// missing for too long.
    fn take_rest(&mut self, rest: RemainingRecords) -> Option<RequestError> {
        match rest {
            RemainingRecords::Nothing => {}
            RemainingRecords::Again(pending, pause) => {
                self.send_queue.again.push((Instant::now() + pause, pending));
            }
            RemainingRecords::Halves(halves) => self.send_queue.suspects.extend(halves),
            RemainingRecords::Accused(pending, _) => self.send_queue.accused.push_back(pending),
            RemainingRecords::Missing(error) => return Some(error),
        }
        None
    }

    /// Moves all batches to disk, because a held stream leaves the memory to others. Its first
    /// record stays separate: the test of the stream then reads and sends only a little.
    async fn put_aside(&mut self) {
        self.stop_loading();
        let mut is_first = true;
        for queued in self.send_queue.take_all() {
            match queued {
                QueuedBatch::InMemory(pending) if is_first && pending.batch.len() > 1 => {
                    for part in pending.split_at(1) {
                        let queued = self.store_batch(part).await;
                        self.send_queue.push(queued);
                    }
                }
                QueuedBatch::InMemory(pending) => {
                    let queued = self.store_batch(pending).await;
                    self.send_queue.push(queued);
                }
                queued @ QueuedBatch::Spilled(..) => self.send_queue.push(queued),
            }
            is_first = false;
        }
    }

    async fn store_batch(&mut self, mut pending: PendingBatch) -> QueuedBatch {
        if pending.batch.len() > 1 {
            // The batch is sent whole again, and may be accepted.
            pending.attempts.suspicion = None;
        }
        let (overflow, stream) = (Arc::clone(&self.overflow), Arc::clone(&self.stream));
        let store = move || match overflow.store_batch(&stream.backlog, &pending.batch) {
            Ok(stored) => QueuedBatch::Spilled(stored, pending.attempts),
            Err(_) => QueuedBatch::InMemory(pending),
        };
        blocking::run(store).await
    }

    /// Ends delivery after its time is over.
    async fn give_up(&mut self) {
        while let Some(done) = self.under_way.join_next().await {
            if let Ok((_, _, rest)) = done {
                self.take_rest(rest);
            }
        }
        self.stop_loading();
        if let Some(Loading::Disk(loading)) = self.loading.take()
            && let Ok(Some(pending)) = loading.await
        {
            self.send_queue.push_front(QueuedBatch::InMemory(pending));
        }
        self.dead_letter_waiting(Reason::GivenUp, self.stream.why_given_up()).await;
    }

    /// Writes the dead letters of all waiting batches. Batches on disk are read back one by one
    /// outside of the shared memory, so this does not wait for the delivery of others.
    async fn dead_letter_waiting(&mut self, reason: Reason, detail: String) {
        self.stop_loading();
        let detail: Arc<str> = detail.into();
        let overflow = Arc::clone(&self.overflow);
        for queued in self.send_queue.take_all() {
            let _permission = match &queued {
                QueuedBatch::InMemory(_) => None,
                QueuedBatch::Spilled(..) => Some(overflow.unbudgeted_read().await),
            };
            let (batch, attempts) = match queued {
                QueuedBatch::InMemory(PendingBatch { batch, attempts, .. }) => (batch, attempts),
                QueuedBatch::Spilled(stored, attempts) => {
                    match load_batch(Arc::clone(&self.stream), stored).await {
                        Some(batch) => (Arc::new(batch), attempts),
                        None => continue,
                    }
                }
            };
            self.runner.dead_letters.wait_for_room().await;
            let (runner, stream) = (Arc::clone(&self.runner), Arc::clone(&self.stream));
            let detail = Arc::clone(&detail);
            let dead_letter =
                move || runner.dead_letter_batch(&stream, &batch, reason, &detail, attempts.count);
            blocking::run(dead_letter).await;
        }
    }
}

/// Reads a batch back once there is memory for it. Returns `None` if it could not be read. Nothing
/// is lost if this future is dropped.
async fn load_on(
    loading: &mut Option<Loading>,
    stream: &Arc<DeliveryStream>,
) -> Option<PendingBatch> {
    if let Some(Loading::Memory(reserved, ..)) = loading {
        let memory = reserved.await;
        if let Some(Loading::Memory(_, stored, attempts)) = loading.take() {
            let load = load_batch(Arc::clone(stream), stored);
            *loading = Some(Loading::Disk(tokio::spawn(async move {
                let batch = Arc::new(load.await?);
                Some(PendingBatch { batch, memory, attempts })
            })));
        }
    }
    let Some(Loading::Disk(reading)) = loading else { return std::future::pending().await };
    let read = reading.await.ok().flatten();
    *loading = None;
    read
}

/// Reads a batch back. If the disk fails, its events are undelivered.
async fn load_batch(stream: Arc<DeliveryStream>, stored: SpilledBatch) -> Option<Batch> {
    let loaded = blocking::run(move || stored.load()).await;
    loaded.inspect_err(|(events, error)| stream.add_unread(*events, error)).ok()
}
