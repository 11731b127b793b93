//! What waits to be sent to one stream: records to be sent again, suspects of a refused request,
//! and new batches, some of them on disk; and which of them is next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Batch;
use super::overflow::SpilledBatch;
use crate::limits;
use standpipe_core::memory_budget::Reservation;

/// How long records that are to be sent again wait for others, to share a
/// request with: under partial failures each request leaves a few.
const COMPANY_WAIT: Duration = Duration::from_millis(250);

/// Records that are to be sent, perhaps again.
#[derive(Debug)]
pub(super) struct PendingBatch {
    pub(super) batch: Arc<Batch>,
    /// What it takes of the memory of all streams.
    pub(super) memory: Reservation,
    pub(super) attempts: Attempts,
}

/// How records have fared so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    /// How often they have been sent.
    pub(super) count: u32,
    /// How often in a row none of a request's records was accepted.
    pub(super) consecutive_failures: u32,
    /// Whether one of them may be why a request was refused as invalid.
    pub(super) suspicion: Option<Suspicion>,
}

/// A request with these records was refused as invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspicion {
    /// How many requests had gone to the stream by then: what is accepted of a later one
    /// shows that it is not the stream that is at fault.
    pub(super) since: u64,
    /// Whether it was a request with one record.
    pub(super) is_alone: bool,
}

/// A batch in a stream's queue.
#[derive(Debug)]
pub(super) enum QueuedBatch {
    /// It is in memory.
    InMemory(PendingBatch),
    /// It is on disk.
    Spilled(SpilledBatch, Attempts),
}

/// What waits to be sent to one stream.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    /// Parts of requests that were invalid because of some record: they must
    /// stay apart.
    pub(super) suspects: Vec<PendingBatch>,
    /// Records that were refused as invalid, each alone in its request, before it is
    /// known whether the stream accepts others.
    pub(super) accused: VecDeque<PendingBatch>,
    /// Records that are to be sent again, and from when.
    pub(super) again: Vec<(Instant, PendingBatch)>,
    /// Batches in the order in which they came.
    fresh: VecDeque<QueuedBatch>,
    /// How many of these are in memory.
    fresh_in_memory: usize,
}

impl SendQueue {
    pub(super) fn push(&mut self, queued: QueuedBatch) {
        self.fresh_in_memory += usize::from(queued.is_in_memory());
        self.fresh.push_back(queued);
    }

    /// What was read back, or was to be, is the next in turn.
    pub(super) fn push_front(&mut self, queued: QueuedBatch) {
        self.fresh_in_memory += usize::from(queued.is_in_memory());
        self.fresh.push_front(queued);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.has_only_fresh() && self.fresh.is_empty()
    }

    /// Whether nothing waits that has not been refused alone.
    pub(super) fn has_only_accused(&self) -> bool {
        self.suspects.is_empty()
            && self.again.is_empty()
            && self.fresh.iter().all(QueuedBatch::is_accused)
    }

    /// Whether everything that waits is on disk.
    pub(super) fn is_on_disk(&self) -> bool {
        self.has_only_fresh() && self.fresh_in_memory == 0
    }

    fn has_only_fresh(&self) -> bool {
        self.suspects.is_empty() && self.accused.is_empty() && self.again.is_empty()
    }

    /// Since when the record is suspected that was refused alone first of those that wait.
    pub(super) fn accused_since(&self) -> Option<u64> {
        self.accused.front()?.attempts.suspicion.map(|suspicion| suspicion.since)
    }

    /// Whether nothing else may be sent than records that were refused alone, now or
    /// later, unless it is read back from disk first.
    pub(super) fn is_left_with_accused(&self) -> bool {
        self.suspects.is_empty() && self.again.is_empty() && self.fresh_in_memory == 0
    }

    /// What is to be sent now. What is in memory does not wait for what stands before
    /// it on disk: that may wait for this memory.
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

    /// The batch on disk that is next in turn, to be read back.
    pub(super) fn next_stored(&mut self) -> Option<(SpilledBatch, Attempts)> {
        match self.fresh.pop_front_if(|queued| !queued.is_in_memory())? {
            QueuedBatch::Spilled(stored, attempts) => Some((stored, attempts)),
            QueuedBatch::InMemory(_) => unreachable!("it is on disk"),
        }
    }

    /// When there may be something to be sent, if there is not now.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let due = self.again.iter().map(|(due, _)| *due);
        due.map(|due| if due > now { due } else { due + COMPANY_WAIT }).min()
    }

    /// Everything, in the order of its turn. What was refused alone comes last, so that
    /// a stream that is held is tried with each record in turn.
    pub(super) fn take_all(&mut self) -> Vec<QueuedBatch> {
        let again = self.again.drain(..).map(|(_, pending)| pending);
        let held = self.suspects.drain(..).chain(again).map(QueuedBatch::InMemory);
        self.fresh_in_memory = 0;
        let accused = self.accused.drain(..).map(QueuedBatch::InMemory);
        held.chain(self.fresh.drain(..)).chain(accused).collect()
    }

    /// Whether it is time for what is due again: if there is enough of it, if
    /// nothing will join it, or if it has waited for long enough.
    fn again_is_urgent(&self, now: Instant) -> bool {
        let due = || self.again.iter().filter(|(due, _)| *due <= now);
        let records: usize = due().map(|(_, pending)| pending.batch.len()).sum();
        let bytes: usize = due().map(|(_, pending)| pending.batch.payload_bytes()).sum();
        records >= limits::REQUEST_RECORDS_MAX / 2
            || bytes >= limits::REQUEST_BYTES_ENOUGH / 2
            || due().any(|(due, _)| *due + COMPANY_WAIT <= now)
            || self.fresh.is_empty() && due().count() == self.again.len()
    }

    /// As much of what is due again as goes into a request.
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

    /// Whether it is a record that was refused alone.
    fn is_accused(&self) -> bool {
        let (QueuedBatch::InMemory(PendingBatch { attempts, .. })
        | QueuedBatch::Spilled(_, attempts)) = self;
        attempts.suspicion.is_some_and(|suspicion| suspicion.is_alone)
    }
}

impl PendingBatch {
    /// Both, to be sent in one request.
    fn join_with(mut self, other: PendingBatch) -> PendingBatch {
        // The batch may still be referred to by who sent it last.
        let mut batch =
            Arc::try_unwrap(self.batch).unwrap_or_else(|batch| batch.select(0..batch.len()));
        batch.append(&other.batch);
        self.batch = Arc::new(batch);
        self.memory.merge(other.memory);
        let Attempts { count, consecutive_failures, .. } = other.attempts;
        self.attempts.count = self.attempts.count.max(count);
        self.attempts.consecutive_failures =
            self.attempts.consecutive_failures.max(consecutive_failures);
        // What is said of some records is not said of all.
        self.attempts.suspicion = None;
        self
    }
}
