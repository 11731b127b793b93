//! The queue of a stream: records to send again, suspects of a rejected request, and new batches,
//! some of them on disk. It determines which of them is next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Batch;
use super::overflow::SpilledBatch;
use crate::limits;
use standpipe_core::memory_budget::Reservation;

/// How long records to send again wait for others to share a request. With partial failures, each
/// request leaves only a few of them.
const COMPANY_WAIT: Duration = Duration::from_millis(250);

/// Records to send, perhaps again.
#[derive(Debug)]
pub(super) struct PendingBatch {
    pub(super) batch: Arc<Batch>,
    /// The reservation in the memory of all streams.
    pub(super) memory: Reservation,
    pub(super) attempts: Attempts,
}

/// The earlier attempts to send records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    /// How often the records were sent.
    pub(super) count: u32,
    /// Number of consecutive requests without an accepted record.
    pub(super) consecutive_failures: u32,
    /// Set if one of the records may be the reason why a request was rejected as invalid.
    pub(super) suspicion: Option<Suspicion>,
}

/// A request with these records was rejected as invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspicion {
    /// The number of earlier requests to the stream. If a later request has accepted records, the
    /// stream is not faulty.
    pub(super) since: u64,
    /// Whether the request had only one record.
    pub(super) is_alone: bool,
}

/// A batch in a stream's queue.
#[derive(Debug)]
pub(super) enum QueuedBatch {
    /// The batch is in memory.
    InMemory(PendingBatch),
    /// The batch is on disk.
    Spilled(SpilledBatch, Attempts),
}

/// What waits to be sent to one stream.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    /// Parts of requests that were rejected because of some record. They must stay separate.
    pub(super) suspects: Vec<PendingBatch>,
    /// Records that were rejected as invalid, each alone in its request, before it is known whether
    /// the stream accepts others.
    pub(super) accused: VecDeque<PendingBatch>,
    /// Records to send again, with the earliest time.
    pub(super) again: Vec<(Instant, PendingBatch)>,
    /// Batches in the order of arrival.
    fresh: VecDeque<QueuedBatch>,
    /// The number of these batches that are in memory.
    fresh_in_memory: usize,
}

impl SendQueue {
    pub(super) fn push(&mut self, queued: QueuedBatch) {
        self.fresh_in_memory += usize::from(queued.is_in_memory());
        self.fresh.push_back(queued);
    }

    /// Puts a batch back at the front, after it was read back or should have been.
    pub(super) fn push_front(&mut self, queued: QueuedBatch) {
        self.fresh_in_memory += usize::from(queued.is_in_memory());
        self.fresh.push_front(queued);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.has_only_fresh() && self.fresh.is_empty()
    }

    /// Whether all waiting records were rejected alone.
    pub(super) fn has_only_accused(&self) -> bool {
        self.suspects.is_empty()
            && self.again.is_empty()
            && self.fresh.iter().all(QueuedBatch::is_accused)
    }

    /// Whether all waiting batches are on disk.
    pub(super) fn is_on_disk(&self) -> bool {
        self.has_only_fresh() && self.fresh_in_memory == 0
    }

    fn has_only_fresh(&self) -> bool {
        self.suspects.is_empty() && self.accused.is_empty() && self.again.is_empty()
    }

    /// Since when the first waiting record that was rejected alone has been suspected.
    pub(super) fn accused_since(&self) -> Option<u64> {
        self.accused.front()?.attempts.suspicion.map(|suspicion| suspicion.since)
    }

    /// Whether only records that were rejected alone can be sent, now or later, unless a batch is
    /// read back from disk first.
    pub(super) fn is_left_with_accused(&self) -> bool {
        self.suspects.is_empty() && self.again.is_empty() && self.fresh_in_memory == 0
    }

    /// Returns the next records to send. Batches in memory do not wait for earlier batches on disk,
    /// because those may wait for this memory.
    pub(super) fn next(&mut self, now: Instant) -> Option<PendingBatch> {
        if let Some(suspect) = self.suspects.pop() {
            return Some(suspect);
        }
        if self.again_is_urgent(now) {
            return self.take_again(now);
        }
        if self.fresh_in_memory == 0 {
            return None;
        }
        let at = self.fresh.iter().position(QueuedBatch::is_in_memory)?;
        self.fresh_in_memory -= 1;
        match self.fresh.remove(at) {
            Some(QueuedBatch::InMemory(pending)) => Some(pending),
            _ => unreachable!("it is in memory"),
        }
    }

    /// Returns the next batch on disk, to be read back.
    pub(super) fn next_stored(&mut self) -> Option<(SpilledBatch, Attempts)> {
        match self.fresh.pop_front_if(|queued| !queued.is_in_memory())? {
            QueuedBatch::Spilled(stored, attempts) => Some((stored, attempts)),
            QueuedBatch::InMemory(_) => unreachable!("it is on disk"),
        }
    }

    /// When something may be ready to send, if nothing is ready now.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let due = self.again.iter().map(|(due, _)| *due);
        due.map(|due| if due > now { due } else { due + COMPANY_WAIT }).min()
    }

    /// Takes everything, in order. Records that were rejected alone come last, so that a held
    /// stream is tested with each record in turn.
    pub(super) fn take_all(&mut self) -> Vec<QueuedBatch> {
        let again = self.again.drain(..).map(|(_, pending)| pending);
        let held = self.suspects.drain(..).chain(again).map(QueuedBatch::InMemory);
        self.fresh_in_memory = 0;
        let accused = self.accused.drain(..).map(QueuedBatch::InMemory);
        held.chain(self.fresh.drain(..)).chain(accused).collect()
    }

    /// Whether the due records should be sent now: if there are enough of them, if nothing will
    /// join them, or if they have waited for long enough.
    fn again_is_urgent(&self, now: Instant) -> bool {
        let due = || self.again.iter().filter(|(due, _)| *due <= now);
        let records: usize = due().map(|(_, pending)| pending.batch.len()).sum();
        let bytes: usize = due().map(|(_, pending)| pending.batch.payload_bytes()).sum();
        records >= limits::REQUEST_RECORDS_MAX / 2
            || bytes >= limits::REQUEST_BYTES_ENOUGH / 2
            || due().any(|(due, _)| *due + COMPANY_WAIT <= now)
            || self.fresh.is_empty() && due().count() == self.again.len()
    }

    /// Takes the due records that fit into one request.
    fn take_again(&mut self, now: Instant) -> Option<PendingBatch> {
        self.again.sort_by_key(|(due, _)| *due);
        let (mut together, mut records, mut bytes) = (0, 0, 0);
        for (due, PendingBatch { batch, .. }) in &self.again {
            records += batch.len();
            bytes += batch.payload_bytes();
            let fits = records <= limits::REQUEST_RECORDS_MAX && bytes <= limits::REQUEST_BYTES_MAX;
            if *due > now || !(fits || together == 0) {
                break;
            }
            together += 1;
        }
        let mut all = self.again.drain(..together).map(|(_, pending)| pending);
        let first = all.next()?;
        Some(all.fold(first, PendingBatch::join_with))
    }
}

impl QueuedBatch {
    fn is_in_memory(&self) -> bool {
        matches!(self, QueuedBatch::InMemory(_))
    }

    /// Whether this is a record that was rejected alone.
    fn is_accused(&self) -> bool {
        let (QueuedBatch::InMemory(PendingBatch { attempts, .. })
        | QueuedBatch::Spilled(_, attempts)) = self;
        attempts.suspicion.is_some_and(|suspicion| suspicion.is_alone)
    }
}

impl PendingBatch {
    /// Joins two batches, to send them in one request.
    fn join_with(mut self, other: PendingBatch) -> PendingBatch {
        // The task that sent the batch last may still hold a reference to it.
        let mut batch =
            Arc::try_unwrap(self.batch).unwrap_or_else(|batch| batch.select(0..batch.len()));
        batch.append(&other.batch);
        self.batch = Arc::new(batch);
        self.memory.merge(other.memory);
        let Attempts { count, consecutive_failures, .. } = other.attempts;
        self.attempts.count = self.attempts.count.max(count);
        self.attempts.consecutive_failures =
            self.attempts.consecutive_failures.max(consecutive_failures);
        // A suspicion about some records does not apply to all of them.
        self.attempts.suspicion = None;
        self
    }
}
