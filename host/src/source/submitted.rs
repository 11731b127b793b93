//! Events that an embedding program submits.
//!
//! Accepted events wait in memory, within [`SubmissionLimits`], for a [`SubmissionReader`] that
//! creates chunks. Submitting an event only locks for as long as it takes to move a pointer, and no
//! thread ever waits: if the limits are reached, the event is returned, or a task waits.

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

/// Limits of submitted events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmissionLimits {
    /// Accepted events that are not settled.
    pub events: usize,
    /// Bytes of events that wait for a worker. The minimum is the size of the longest event.
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

/// Accepted events that wait for the workers.
#[derive(Debug)]
pub struct SubmissionQueue {
    queue: Receiver<Submitted>,
    shared: Arc<SubmissionState>,
}

/// An accepted event.
#[derive(Debug)]
struct Submitted {
    /// The event, or the start of one that is too long.
    text: Bytes,
    /// The bytes of the whole event, if it is too long.
    too_long: Option<u64>,
    /// Receives the outcome.
    settled: oneshot::Sender<EventOutcome>,
}

#[derive(Debug)]
struct SubmissionState {
    /// `None` once no more events are accepted. The limits also bound its length.
    queue: RwLock<Option<Sender<Submitted>>>,
    room: SubmissionLimits,
    /// Permits for events, held until they are settled. Semaphores are used instead of memory
    /// budgets, because each event takes from them: a semaphore needs no lock for that.
    events: Semaphore,
    /// Permits for bytes, held until a worker takes them.
    bytes: Semaphore,
    /// Events whose outcome may still have to be sent.
    unsettled: AtomicUsize,
    queued: AtomicUsize,
    /// Notified when no event is unsettled.
    idle: Notify,
    counts: SubmissionCounters,
}

impl Submitter {
    /// Creates a submitter, and the queue from which the run reads.
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

    /// Submits an event if there is room.
    ///
    /// # Errors
    ///
    /// Fails if there is no room, or if no more events are accepted. The error returns the event.
    pub fn try_submit(&self, event: Bytes) -> Result<OutcomeFuture, TrySubmitError> {
        self.submit_if_free(event).inspect_err(|refused| {
            self.0.counts.of_refused(refused).inc();
        })
    }

    /// Submits an event at once if there is room. Otherwise, submits it when the outcome is awaited
    /// and there is room.
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

    /// Submits an event once there is room. A refusal is not counted.
    ///
    /// # Errors
    ///
    /// Fails if no more events are accepted.
    pub async fn submit_when_free(&self, event: Bytes) -> Result<OutcomeFuture, TrySubmitError> {
        let shared = &*self.0;
        // Acquiring only fails after the semaphores are closed.
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

    /// Accepts no more events. Accepted ones are still processed.
    pub fn close(&self) {
        // The queue is closed first: a submitter with permits but without the lock is refused.
        self.0.queue.write().take();
        self.0.events.close();
        self.0.bytes.close();
    }

    /// Waits until no event is unsettled.
    pub async fn wait_until_settled(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.0.unsettled.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// The statistics so far.
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
    /// Queues an event, whose permits are already taken.
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

    /// Releases the permits of this number of events, some of which were abandoned.
    fn settle_events(&self, ended: usize, abandoned: usize) {
        let all = ended + abandoned;
        self.counts.abandoned.inc_by(abandoned as u64);
        self.events.add_permits(all);
        if all > 0 && self.unsettled.fetch_sub(all, Ordering::AcqRel) == all {
            self.idle.notify_waiters();
        }
    }
}

/// Nothing reads the remaining events.
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
        // The prefix is copied, so that the rest is freed.
        let text = Bytes::copy_from_slice(&event[..limits::EVENT_PREFIX_BYTES]);
        Submitted { text, too_long: Some(event.len() as u64), settled }
    }
}

/// The bytes that an event counts for. Even an empty event counts.
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
