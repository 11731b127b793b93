//! Publishes messages, and keeps each message until no fault of the queue can lose it.
//!
//! Amazon SQS stores a message in several zones before it responds: the response ends the publisher's work. JetStream
//! can lose a message that it has acknowledged. Then the publisher waits until a receiver confirms the message. It
//! checks at intervals that the queue still has unconfirmed messages, and publishes those again that are gone.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::link::Link;
use crate::{Queue, QueueErrorKind, StoredMessage, limits};
use standpipe_core::memory_budget::{MemoryBudget, Reservation, Sharing};
use standpipe_core::metrics;

/// What happened to a message.
#[derive(Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The queue has it, or had it until a receiver acknowledged it.
    Published,
    /// The message is larger than the queue's limit.
    TooLarge(Bytes),
    /// The publisher was aborted. The queue may have the message.
    Aborted(Bytes),
}

/// Publishes messages. Clones are the same publisher.
#[derive(Clone)]
pub struct MessagePublisher(Arc<MessagePublisherInner>);

struct MessagePublisherInner {
    queue: Arc<dyn Queue>,
    /// Distinguishes this process's message ids from those of all others.
    name: String,
    next_number: AtomicU64,
    /// Memory for messages until they are published and confirmed.
    memory: MemoryBudget,
    unconfirmed: Mutex<HashMap<String, Unconfirmed>>,
    /// Whether receivers confirm messages.
    confirms: bool,
    abort: CancellationToken,
    runtime: Handle,
    /// How many tasks publish.
    tasks: watch::Sender<usize>,
    link: Link,
    counts: PublisherCounts,
}

/// A message that is not published, or not confirmed.
struct Unconfirmed {
    since: Instant,
    bytes: usize,
    confirmed: Option<oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
struct PublisherCounts {
    messages: Counter,
    bytes: Counter,
    republished: Counter,
}

/// The state of a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessagePublisherStatus {
    /// Messages that the queue has stored.
    pub published: u64,
    /// Messages that the queue had lost, and that were published again.
    pub republished: u64,
    /// Messages that are not published, or not confirmed.
    pub unconfirmed: u64,
    /// Their bytes.
    pub unconfirmed_bytes: u64,
    /// The age of the oldest of them.
    pub oldest: Option<Duration>,
}

impl MessagePublisher {
    /// Starts a publisher. It gives up when `abort` is cancelled. `name` is unique to this process.
    pub async fn start(
        queue: Arc<dyn Queue>,
        name: String,
        abort: CancellationToken,
        runtime: &Handle,
    ) -> Self {
        let link = Link::new("publish events to the queue");
        let confirmations = loop {
            match queue.confirmations().await {
                Ok(confirmations) => break confirmations,
                Err(error) => link.fail(&error),
            }
            tokio::time::sleep(limits::RETRY.pause_after(1)).await;
        };
        let publisher = MessagePublisher(Arc::new(MessagePublisherInner {
            queue,
            name,
            next_number: AtomicU64::new(1),
            memory: MemoryBudget::new(limits::UNCONFIRMED_BYTES_MAX, Sharing::InOrder),
            unconfirmed: Mutex::default(),
            confirms: confirmations.is_some(),
            abort,
            runtime: runtime.clone(),
            tasks: watch::Sender::new(0),
            link,
            counts: PublisherCounts::default(),
        }));
        if let Some(mut confirmations) = confirmations {
            let inner = Arc::downgrade(&publisher.0);
            runtime.spawn(async move {
                while let (Some(id), Some(inner)) = (confirmations.recv().await, inner.upgrade()) {
                    inner.mark_confirmed(&id);
                }
            });
        }
        publisher
    }

    /// Publishes a message, and calls `done` when its outcome is known. Waits for memory: not for the threads of a
    /// runtime.
    pub fn publish_blocking(
        &self,
        message: Bytes,
        done: impl FnOnce(PublishOutcome) + Send + 'static,
    ) {
        let inner = &self.0;
        let Some(reservation) = inner.runtime.block_on(inner.reserve(&message)) else {
            return done(PublishOutcome::Aborted(message));
        };
        self.spawn(Arc::clone(inner).publish_until_ended(message, reservation, done));
    }

    /// Publishes a message, and returns its outcome.
    pub async fn publish(&self, message: Bytes) -> PublishOutcome {
        let inner = &self.0;
        let Some(reservation) = inner.reserve(&message).await else {
            return PublishOutcome::Aborted(message);
        };
        let (sender, outcome) = oneshot::channel();
        let done = move |outcome| drop(sender.send(outcome));
        Arc::clone(inner).publish_until_ended(message, reservation, done).await;
        outcome.await.expect("the outcome is known")
    }

    /// Spawns a task that publishes, and that [`drain`](Self::drain) waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.send_modify(|tasks| *tasks += 1);
        let counted = CountedTask(self.clone());
        self.0.runtime.spawn(async move {
            task.await;
            drop(counted);
        });
    }

    /// Waits until the outcome of each message is known, and spawned tasks have ended.
    pub async fn drain(&self) {
        let mut tasks = self.0.tasks.subscribe();
        // The sender lives as long as this publisher.
        let _ = tasks.wait_for(|tasks| *tasks == 0).await;
    }

    /// Returns the last error if publishing has failed for some time.
    pub fn problem(&self) -> Option<String> {
        self.0.link.problem(limits::LINK_PATIENCE)
    }

    /// Returns the counts so far.
    pub fn status(&self) -> MessagePublisherStatus {
        let unconfirmed = self.0.unconfirmed.lock();
        MessagePublisherStatus {
            published: self.0.counts.messages.get(),
            republished: self.0.counts.republished.get(),
            unconfirmed: unconfirmed.len() as u64,
            unconfirmed_bytes: unconfirmed.values().map(|message| message.bytes as u64).sum(),
            oldest: unconfirmed.values().map(|message| message.since.elapsed()).max(),
        }
    }

    /// Registers the metrics of publishing.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let publisher = self.clone();
        metrics::register(registry, move |page| {
            let MessagePublisherStatus {
                published,
                republished,
                unconfirmed,
                unconfirmed_bytes,
                oldest,
            } = publisher.status();
            let help = "Messages that the queue has stored";
            page.counter("queue_published_messages", help, published)?;
            let help = "Bytes of messages that the queue has stored, after compression";
            page.counter("queue_published_bytes", help, publisher.0.counts.bytes.get())?;
            let help = "Messages that the queue had lost, and that were published again";
            page.counter("queue_republished_messages", help, republished)?;
            let help = "Failed requests to publish";
            page.counter("queue_publish_errors", help, publisher.0.link.errors.get())?;
            let help = "Messages that are not published or not confirmed yet";
            page.gauge("queue_unconfirmed_messages", help, unconfirmed as f64)?;
            let help = "Bytes of messages that are not published or not confirmed yet";
            page.gauge("queue_unconfirmed_bytes", help, unconfirmed_bytes as f64)?;
            let help = "Age of the oldest message that is not published or not confirmed yet";
            let oldest = oldest.unwrap_or_default().as_secs_f64();
            page.gauge("queue_oldest_unconfirmed_seconds", help, oldest)
        });
    }
}

impl MessagePublisherInner {
    /// Waits for memory for a message. None if the publisher is aborted meanwhile.
    async fn reserve(&self, message: &Bytes) -> Option<Reservation> {
        let mut reservation = self.memory.reservation();
        let reserved = reservation.grow(message.len().max(limits::UNCONFIRMED_MESSAGE_BYTES_MIN));
        self.abort.run_until_cancelled(reserved).await?;
        Some(reservation)
    }

    /// Publishes a message until its outcome is known.
    async fn publish_until_ended(
        self: Arc<Self>,
        message: Bytes,
        reservation: Reservation,
        done: impl FnOnce(PublishOutcome) + Send + 'static,
    ) {
        let id = format!("{}-{}", self.name, self.next_number.fetch_add(1, Ordering::Relaxed));
        let (sender, confirmed) = oneshot::channel();
        let entry =
            Unconfirmed { since: Instant::now(), bytes: message.len(), confirmed: Some(sender) };
        self.unconfirmed.lock().insert(id.clone(), entry);
        let outcome = tokio::select! {
            biased;
            // A receiver can confirm a message before the response to its publisher arrives.
            Ok(()) = confirmed => PublishOutcome::Published,
            outcome = self.publish_and_watch(&id, &message) => match outcome {
                Ok(()) => PublishOutcome::Published,
                Err(MessageTooLarge) => PublishOutcome::TooLarge(message),
            },
            () = self.abort.cancelled() => PublishOutcome::Aborted(message),
        };
        done(outcome);
        self.unconfirmed.lock().remove(&id);
        drop(reservation);
    }

    /// Publishes a message, and publishes it again whenever the queue has lost it. Returns only if the queue cannot
    /// lose it, or does not accept it.
    async fn publish_and_watch(&self, id: &str, message: &Bytes) -> Result<(), MessageTooLarge> {
        for attempt in 0.. {
            let stored = self.publish_until_stored(id, attempt, message).await?;
            self.counts.messages.inc();
            self.counts.bytes.inc_by(message.len() as u64);
            if !self.confirms {
                return Ok(());
            }
            self.wait_until_lost(id, attempt, &stored).await;
            self.counts.republished.inc();
            tracing::warn!(
                attempts = attempt + 1,
                "the queue no longer has a message, and no mapper has confirmed it; publishing it again: if this goes \
                 on, check that mappers may publish to the subjects standpipe.confirmations.*"
            );
        }
        unreachable!("the queue loses no message so often")
    }

    async fn publish_until_stored(
        &self,
        id: &str,
        attempt: u32,
        message: &Bytes,
    ) -> Result<StoredMessage, MessageTooLarge> {
        for failures in 1.. {
            match self.queue.publish(id, attempt, message.clone()).await {
                Ok(stored) => {
                    self.link.succeed();
                    return Ok(stored);
                }
                Err(error) if error.kind == QueueErrorKind::TooLarge => {
                    return Err(MessageTooLarge);
                }
                Err(error) => self.link.fail(&error),
            }
            tokio::time::sleep(limits::RETRY.pause_after(failures)).await;
        }
        unreachable!("the range has no end")
    }

    /// Returns when the queue no longer has a message that no receiver has confirmed. Waits longer after each attempt:
    /// if receivers cannot confirm anything, each attempt causes duplicates.
    async fn wait_until_lost(&self, id: &str, attempt: u32, stored: &StoredMessage) {
        let interval = self.queue.ack_wait() * 2_u32.pow(attempt.min(limits::DOUBLINGS_MAX));
        loop {
            tokio::time::sleep(interval).await;
            // A receiver confirms a message before it removes the message: the confirmation may still be on its way.
            if let Ok(false) = self.queue.contains(id, stored).await {
                tokio::time::sleep(limits::CONFIRMATION_PATIENCE).await;
                return;
            }
        }
    }

    fn mark_confirmed(&self, id: &str) {
        let sender = self.unconfirmed.lock().get_mut(id).and_then(|entry| entry.confirmed.take());
        // Nobody waits for the confirmation of a message that was delivered twice.
        let _ = sender.map(|sender| sender.send(()));
    }
}

/// Counts a task until it ends, however it ends.
struct CountedTask(MessagePublisher);

impl Drop for CountedTask {
    fn drop(&mut self) {
        self.0.0.tasks.send_modify(|tasks| *tasks -= 1);
    }
}

/// The queue refuses the size of a message.
#[derive(Debug)]
struct MessageTooLarge;

impl fmt::Debug for MessagePublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessagePublisher").field("name", &self.0.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
