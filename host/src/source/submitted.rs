//! Events that an embedding program submits.
//!
//! What is accepted waits in memory, within [`SubmissionLimits`], for a [`SubmissionReader`] that makes
//! chunks of it. Handing an event in takes a lock that is held for no longer than a
//! pointer takes to be moved, and no thread ever waits: if the limits are reached, the event is
//! returned, or a task waits.

mod outcome;
mod reader;
mod stats;

pub use outcome::{OutcomeFuture, SubmitError, TrySubmitError};
pub use reader::SubmissionReader;
pub use stats::SubmissionStats;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::RwLock;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot};

use crate::limits;
use standpipe_core::event::EventOutcome;
use stats::SubmissionCounters;

/// How much may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmissionLimits {
    /// Events that have been accepted and are not settled.
    pub events: usize,
    /// Bytes of those that wait for a worker; never less than the longest event
    /// takes.
    pub bytes: usize,
}

impl Default for SubmissionLimits {
    fn default() -> Self {
        SubmissionLimits {
            events: limits::SUBMITTED_EVENTS_MAX,
            bytes: limits::SUBMITTED_BYTES_MAX,
        }
    }
}

/// Submits events to a run. Clones submit to the same run.
#[derive(Debug, Clone)]
pub struct Submitter(Arc<SubmissionState>);

/// What has been accepted, on its way to the workers.
#[derive(Debug)]
pub struct SubmissionQueue {
    queue: Receiver<Submitted>,
    shared: Arc<SubmissionState>,
}

/// An event that has been accepted.
#[derive(Debug)]
struct Submitted {
    /// The event, or the start of one that is too long.
    text: Bytes,
    /// The bytes of the whole event, where it is too long.
    too_long: Option<u64>,
    /// Receives the outcome.
    settled: oneshot::Sender<EventOutcome>,
}

#[derive(Debug)]
struct SubmissionState {
    /// None once nothing more is accepted. Its length is bounded by the room.
    queue: RwLock<Option<Sender<Submitted>>>,
    room: SubmissionLimits,
    /// SubmissionLimits for events, taken until they are settled. Semaphores and no memory budgets, since
    /// each event takes from them: a semaphore needs no lock for that.
    events: Semaphore,
    /// SubmissionLimits for bytes, taken until a worker has them.
    bytes: Semaphore,
    /// Events whose outcome may still have to be sent.
    unsettled: AtomicUsize,
    queued: AtomicUsize,
    /// Notified whenever nothing is unsettled.
    idle: Notify,
    counts: SubmissionCounters,
}

impl Submitter {
    /// A way into a run, and what the run takes from it.
    #[expect(clippy::disallowed_methods, reason = "its semaphores bound what is in the queue")]
    pub fn new(room: SubmissionLimits) -> (Self, SubmissionQueue) {
        let events = room.events.clamp(1, Semaphore::MAX_PERMITS);
        let bytes =
            room.bytes.clamp(standpipe_core::limits::EVENT_BYTES_MAX, Semaphore::MAX_PERMITS);
        let (sender, receiver) = crossbeam_channel::unbounded();
        let shared = Arc::new(SubmissionState {
            queue: RwLock::new(Some(sender)),
            room: SubmissionLimits { events, bytes },
            events: Semaphore::new(events),
            bytes: Semaphore::new(bytes),
            unsettled: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            idle: Notify::new(),
            counts: SubmissionCounters::default(),
        });
        (Submitter(Arc::clone(&shared)), SubmissionQueue { queue: receiver, shared })
    }

    /// Hand an event in, if there is room.
    ///
    /// # Errors
    ///
    /// There is none, or nothing more is accepted. The event comes back.
    pub fn try_submit(&self, event: Bytes) -> Result<OutcomeFuture, TrySubmitError> {
        self.submit_if_free(event).inspect_err(|refused| {
            self.0.counts.of_refused(refused).inc();
        })
    }

    /// Hand an event in at once if there is room, and else once the answer is
    /// awaited and there is.
    pub fn submit(
        &self,
        event: Bytes,
    ) -> impl Future<Output = Result<EventOutcome, SubmitError>> + Send + use<> {
        let (own, taken) = (self.clone(), self.submit_if_free(event));
        async move {
            let receipt = match taken {
                Err(TrySubmitError::Full(event)) => own.submit_when_free(event).await,
                taken => taken,
            };
            match receipt {
                Ok(receipt) => receipt.await,
                Err(refused) => {
                    own.0.counts.of_refused(&refused).inc();
                    Err(SubmitError::Closed(refused.into_event()))
                }
            }
        }
    }

    /// Hand an event in once there is room. A refusal is not counted.
    ///
    /// # Errors
    ///
    /// Nothing more is accepted.
    pub async fn submit_when_free(&self, event: Bytes) -> Result<OutcomeFuture, TrySubmitError> {
        let shared = &*self.0;
        // Either fails only once it is closed.
        let Ok(place) = shared.events.acquire().await else {
            return Err(TrySubmitError::Closed(event));
        };
        let Ok(bytes) = shared.bytes.acquire_many(queue_cost(&event)).await else {
            return Err(TrySubmitError::Closed(event));
        };
        shared.queue_event(event, [place, bytes])
    }

    fn submit_if_free(&self, event: Bytes) -> Result<OutcomeFuture, TrySubmitError> {
        let shared = &*self.0;
        let place = shared.events.try_acquire();
        let room =
            place.and_then(|place| Ok((place, shared.bytes.try_acquire_many(queue_cost(&event))?)));
        match room {
            Ok((place, bytes)) => shared.queue_event(event, [place, bytes]),
            Err(_) if shared.events.is_closed() => Err(TrySubmitError::Closed(event)),
            Err(_) => Err(TrySubmitError::Full(event)),
        }
    }

    /// Accept nothing more. What has been accepted goes on its way.
    pub fn close(&self) {
        // The lock comes first: who holds room and not yet the lock is refused.
        self.0.queue.write().take();
        self.0.events.close();
        self.0.bytes.close();
    }

    /// Wait until nothing is unsettled.
    pub async fn wait_until_settled(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.0.unsettled.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// What has been done so far.
    pub fn stats(&self) -> SubmissionStats {
        let shared = &*self.0;
        SubmissionStats {
            queued: shared.queued.load(Ordering::Relaxed),
            queued_bytes: shared.room.bytes.saturating_sub(shared.bytes.available_permits()),
            ..shared.counts.snapshot()
        }
    }
}

impl SubmissionState {
    /// Queues an event in the room that was taken for it.
    fn queue_event(
        &self,
        event: Bytes,
        room: [SemaphorePermit<'_>; 2],
    ) -> Result<OutcomeFuture, TrySubmitError> {
        let queue = self.queue.read();
        let Some(queue) = &*queue else { return Err(TrySubmitError::Closed(event)) };
        let (settled, receipt) = oneshot::channel();
        let submitted = Submitted::new(event, settled);
        self.unsettled.fetch_add(1, Ordering::Relaxed);
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.counts.accepted.inc();
        queue.send(submitted).expect("the reader closes the queue first");
        room.into_iter().for_each(SemaphorePermit::forget);
        Ok(OutcomeFuture::new(receipt))
    }

    /// Give the room of so many events back, some of which were given up.
    fn settle_events(&self, ended: usize, abandoned: usize) {
        let all = ended + abandoned;
        self.counts.abandoned.inc_by(abandoned as u64);
        self.events.add_permits(all);
        if all > 0 && self.unsettled.fetch_sub(all, Ordering::AcqRel) == all {
            self.idle.notify_waiters();
        }
    }
}

/// Nobody takes what is left.
impl Drop for SubmissionQueue {
    fn drop(&mut self) {
        Submitter(Arc::clone(&self.shared)).close();
        while let Ok(submitted) = self.queue.try_recv() {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            self.shared.bytes.add_permits(submitted.text.len().max(1));
            self.shared.settle_events(0, 1);
        }
    }
}

impl Submitted {
    fn new(event: Bytes, settled: oneshot::Sender<EventOutcome>) -> Self {
        if event.len() <= standpipe_core::limits::EVENT_BYTES_MAX {
            return Submitted { text: event, too_long: None, settled };
        }
        // A copy, so that the rest is not kept.
        let text = Bytes::copy_from_slice(&event[..limits::EVENT_PREFIX_BYTES]);
        Submitted { text, too_long: Some(event.len() as u64), settled }
    }
}

/// The room that an event takes, in bytes. No event is free.
fn queue_cost(event: &Bytes) -> u32 {
    let bytes = match event.len() {
        0 => 1,
        bytes if bytes > standpipe_core::limits::EVENT_BYTES_MAX => limits::EVENT_PREFIX_BYTES,
        bytes => bytes,
    };
    u32::try_from(bytes).expect("an event is far smaller than 4 GiB")
}

#[cfg(test)]
mod tests;
