//! Receives messages, and acknowledges each when its events are settled. Extends messages that take longer, and
//! returns unfinished messages to the queue at the end.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use crossbeam_channel::RecvTimeoutError;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::link::Link;
use crate::{Gate, MessageHandle, Queue, ReceivedMessage, limits};
use standpipe_core::metrics;

/// The receiving end of a queue. Clones are the same receiver.
#[derive(Clone)]
pub struct MessageReceiver(Arc<MessageReceiverInner>);

struct MessageReceiverInner {
    queue: Arc<dyn Queue>,
    state: Mutex<ReceiverState>,
    receive_link: Link,
    acknowledge_link: Link,
    counts: ReceiverCounts,
}

#[derive(Default)]
struct ReceiverState {
    /// Messages that are being processed, by their ids.
    in_progress: HashMap<String, InProgress>,
    acknowledged: RememberedIds,
}

struct InProgress {
    /// The latest delivery.
    handle: MessageHandle,
    since: Instant,
}

/// The ids of the last messages that were processed.
#[derive(Default)]
struct RememberedIds {
    /// Whether the queue has accepted an acknowledgement of the message.
    ids: HashMap<Arc<str>, bool>,
    order: VecDeque<Arc<str>>,
}

/// Processed messages that are acknowledged together.
#[derive(Default)]
struct ProcessedMessages {
    ids: Vec<String>,
    handles: Vec<MessageHandle>,
}

#[derive(Debug, Default)]
struct ReceiverCounts {
    received: Counter,
    redelivered: Counter,
    duplicates: Counter,
    acknowledged: Counter,
    released: Counter,
}

/// The messages that a receiver hands out, one after the other.
pub struct Messages {
    queue: crossbeam_channel::Receiver<PendingMessage>,
    gate: Gate,
}

/// The next message of a receiver.
#[derive(Debug)]
pub enum NextMessage {
    /// A message.
    Message(PendingMessage),
    /// None yet.
    Nothing,
    /// There are no more messages.
    End,
}

/// A message that must be completed. If it is dropped before, it returns to the queue.
#[derive(Debug)]
pub struct PendingMessage {
    /// The message.
    pub message: Bytes,
    /// When the queue stored it, if the queue reports this.
    pub published: Option<SystemTime>,
    /// Acknowledges the message.
    pub completion: Completion,
    /// Limits the messages that wait here.
    _slot: OwnedSemaphorePermit,
}

/// Acknowledges a message, or returns it to the queue when dropped.
pub struct Completion {
    id: Option<String>,
    ended: UnboundedSender<EndedMessage>,
}

/// A message that is no longer processed.
#[derive(Debug)]
struct EndedMessage {
    id: String,
    is_complete: bool,
}

/// The tasks of a receiver.
#[derive(Debug)]
pub struct ReceiverTasks {
    settling: JoinHandle<()>,
    extending: JoinHandle<()>,
}

/// The state of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageReceiverStatus {
    /// Messages received, without repeated deliveries of a message.
    pub received: u64,
    /// Deliveries of messages that had been delivered before, here or to another mapper.
    pub redelivered: u64,
    /// Of these, deliveries of messages that this process had processed or was processing.
    pub duplicates: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Messages returned to the queue.
    pub released: u64,
    /// Messages that are being processed.
    pub in_progress: u64,
    /// The age of the oldest of them, since it was received.
    pub oldest: Option<Duration>,
}

impl MessageReceiver {
    /// Receives messages until `stop` is cancelled. Up to `prefetch` messages wait to be taken. While the gate is
    /// closed, no messages are received, and those that wait return to the queue, for other mappers.
    #[expect(clippy::disallowed_methods, reason = "each message in progress ends once")]
    pub fn start(
        queue: Arc<dyn Queue>,
        prefetch: usize,
        gate: Gate,
        stop: CancellationToken,
        runtime: &Handle,
    ) -> (Self, Messages, ReceiverTasks) {
        let inner = Arc::new(MessageReceiverInner {
            queue,
            state: Mutex::default(),
            receive_link: Link::new("receive events from the queue"),
            acknowledge_link: Link::new("acknowledge events to the queue"),
            counts: ReceiverCounts::default(),
        });
        let (ended, ends) = mpsc::unbounded_channel();
        // Each message in the channel has a slot, so that sending never waits.
        let (sender, messages) = crossbeam_channel::bounded(prefetch);
        let receiving =
            Arc::clone(&inner).receive_until(stop, (prefetch, gate.clone()), sender, ended);
        runtime.spawn(receiving);
        let settling = runtime.spawn(Arc::clone(&inner).settle_all(ends));
        let extending = runtime.spawn(Arc::clone(&inner).extend_all());
        let tasks = ReceiverTasks { settling, extending };
        (MessageReceiver(inner), Messages { queue: messages, gate }, tasks)
    }

    /// Returns the last error if requests have failed for some time.
    pub fn problem(&self) -> Option<String> {
        let MessageReceiverInner { receive_link, acknowledge_link, .. } = &*self.0;
        let patience = limits::LINK_PATIENCE;
        receive_link.problem(patience).or_else(|| acknowledge_link.problem(patience))
    }

    /// Returns the counts so far.
    pub fn status(&self) -> MessageReceiverStatus {
        let ReceiverCounts { received, redelivered, duplicates, acknowledged, released } =
            &self.0.counts;
        let state = self.0.state.lock();
        MessageReceiverStatus {
            received: received.get(),
            redelivered: redelivered.get(),
            duplicates: duplicates.get(),
            acknowledged: acknowledged.get(),
            released: released.get(),
            in_progress: state.in_progress.len() as u64,
            oldest: state.in_progress.values().map(|message| message.since.elapsed()).max(),
        }
    }

    /// Registers the metrics of receiving.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let receiver = self.clone();
        metrics::register(registry, move |page| {
            let status = receiver.status();
            let help = "Messages received from the queue, without repeated deliveries";
            page.counter("queue_received_messages", help, status.received)?;
            let help = "Deliveries of messages that the queue had delivered before";
            page.counter("queue_redelivered_messages", help, status.redelivered)?;
            let help = "Repeated deliveries that this process recognized and did not process again";
            page.counter("queue_duplicate_messages", help, status.duplicates)?;
            let help = "Messages that were processed and acknowledged";
            page.counter("queue_acknowledged_messages", help, status.acknowledged)?;
            let help = "Messages that were returned to the queue";
            page.counter("queue_released_messages", help, status.released)?;
            let help = "Failed requests to receive or acknowledge messages";
            let errors =
                receiver.0.receive_link.errors.get() + receiver.0.acknowledge_link.errors.get();
            page.counter("queue_receive_errors", help, errors)?;
            let help = "Messages that are being processed";
            page.gauge("queue_in_progress_messages", help, status.in_progress as f64)?;
            let help = "Age of the oldest message that is being processed, since it was received";
            let oldest = status.oldest.unwrap_or_default().as_secs_f64();
            page.gauge("queue_oldest_in_progress_seconds", help, oldest)
        });
    }
}

impl MessageReceiverInner {
    async fn receive_until(
        self: Arc<Self>,
        stop: CancellationToken,
        (prefetch, gate): (usize, Gate),
        messages: crossbeam_channel::Sender<PendingMessage>,
        ended: UnboundedSender<EndedMessage>,
    ) {
        let slots = Arc::new(Semaphore::new(prefetch));
        let mut failures = 0;
        loop {
            let slot = stop.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await;
            let Some(Ok(slot)) = slot else { return };
            if stop.run_until_cancelled(wait_for(&gate)).await.is_none() {
                return;
            }
            let mut free = vec![slot];
            while let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                free.push(slot);
            }
            // Not cancelled by the stop: the queue may deliver messages meanwhile.
            match self.queue.receive(free.len()).await {
                Ok(received) => {
                    failures = 0;
                    self.receive_link.succeed();
                    for message in received {
                        let Some(id) = self.begin(&message) else { continue };
                        let slot = match free.pop() {
                            Some(slot) => slot,
                            // More than requested: they wait for the others.
                            None => match Arc::clone(&slots).acquire_owned().await {
                                Ok(slot) => slot,
                                Err(_) => return,
                            },
                        };
                        let ReceivedMessage { message, published, .. } = message;
                        let completion = Completion { id: Some(id), ended: ended.clone() };
                        let pending =
                            PendingMessage { message, published, completion, _slot: slot };
                        // If nobody takes it any more, it is dropped here, and so returned.
                        let _ = messages.send(pending);
                    }
                }
                Err(error) => {
                    failures += 1;
                    self.receive_link.fail(&error);
                    let pause = tokio::time::sleep(limits::RETRY.pause_after(failures));
                    if stop.run_until_cancelled(pause).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Registers a delivery. Returns the id of the message if it must be processed.
    fn begin(self: &Arc<Self>, delivery: &ReceivedMessage) -> Option<String> {
        let ReceivedMessage { id, handle, deliveries, .. } = delivery;
        let counts = &self.counts;
        if *deliveries > 1 {
            counts.redelivered.inc();
        }
        let mut state = self.state.lock();
        if state.acknowledged.contains(id) {
            counts.duplicates.inc();
            drop(state);
            // Its last acknowledgement did not arrive.
            let processed =
                ProcessedMessages { ids: vec![id.clone()], handles: vec![handle.clone()] };
            let inner = Arc::clone(self);
            tokio::spawn(async move { inner.acknowledge(processed).await });
            return None;
        }
        if let Some(in_progress) = state.in_progress.get_mut(id) {
            counts.duplicates.inc();
            in_progress.handle = handle.clone();
            return None;
        }
        counts.received.inc();
        let in_progress = InProgress { handle: handle.clone(), since: Instant::now() };
        state.in_progress.insert(id.clone(), in_progress);
        Some(id.clone())
    }

    /// Acknowledges or returns messages as they end. A request that waits for its response, or fails, does not delay the
    /// requests for other messages.
    async fn settle_all(self: Arc<Self>, mut ends: UnboundedReceiver<EndedMessage>) {
        let mut ended = Vec::new();
        let mut requests = JoinSet::new();
        while ends.recv_many(&mut ended, limits::ACKNOWLEDGED_TOGETHER_MAX).await > 0 {
            while requests.len() >= limits::ACKNOWLEDGING_REQUESTS_MAX {
                requests.join_next().await;
            }
            while requests.try_join_next().is_some() {}
            let (complete, unfinished) = self.remove_ended(&mut ended);
            let inner = Arc::clone(&self);
            requests.spawn(async move {
                if !unfinished.is_empty() {
                    inner.release(&unfinished).await;
                }
                if !complete.ids.is_empty() {
                    inner.acknowledge(complete).await;
                }
            });
        }
        requests.join_all().await;
    }

    /// Returns complete messages, and the handles of unfinished ones.
    fn remove_ended(
        &self,
        ended: &mut Vec<EndedMessage>,
    ) -> (ProcessedMessages, Vec<MessageHandle>) {
        let (mut complete, mut unfinished) = (ProcessedMessages::default(), Vec::new());
        let mut state = self.state.lock();
        for EndedMessage { id, is_complete } in ended.drain(..) {
            let Some(InProgress { handle, .. }) = state.in_progress.remove(&id) else {
                continue;
            };
            match is_complete {
                true => {
                    state.acknowledged.insert(id.clone());
                    complete.ids.push(id);
                    complete.handles.push(handle);
                }
                false => unfinished.push(handle),
            }
        }
        (complete, unfinished)
    }

    /// Acknowledges messages, with retries until the queue would deliver them again. Then their next delivery is
    /// recognized.
    async fn acknowledge(&self, processed: ProcessedMessages) {
        let ProcessedMessages { ids, handles } = processed;
        let deadline = Instant::now() + self.queue.ack_wait();
        for failures in 1.. {
            match self.queue.acknowledge(&handles).await {
                Ok(()) => {
                    self.acknowledge_link.succeed();
                    let mut state = self.state.lock();
                    let is_first = |id: &&String| state.acknowledged.mark_acknowledged(id);
                    self.counts.acknowledged.inc_by(ids.iter().filter(is_first).count() as u64);
                    return;
                }
                Err(error) => self.acknowledge_link.fail(&error),
            }
            let pause = limits::RETRY.pause_after(failures);
            if Instant::now() + pause > deadline {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn release(&self, handles: &[MessageHandle]) {
        match self.queue.release(handles).await {
            Ok(()) => drop(self.counts.released.inc_by(handles.len() as u64)),
            // The queue delivers them again after `ack_wait`.
            Err(error) => self.acknowledge_link.fail(&error),
        }
    }

    /// Extends the messages that are being processed, as long as this task lives.
    async fn extend_all(self: Arc<Self>) {
        let interval = self.queue.ack_wait() / 3;
        loop {
            tokio::time::sleep(interval).await;
            let handles: Vec<_> = {
                let state = self.state.lock();
                let held = state.in_progress.values();
                let held = held.filter(|message| message.since.elapsed() >= interval / 2);
                held.map(|message| message.handle.clone()).collect()
            };
            for handles in handles.chunks(limits::ACKNOWLEDGED_TOGETHER_MAX) {
                match self.queue.extend(handles).await {
                    Ok(()) => self.acknowledge_link.succeed(),
                    Err(error) => self.acknowledge_link.fail(&error),
                }
            }
        }
    }
}

impl RememberedIds {
    fn contains(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    /// Returns whether this is the first acknowledgement of a message that the queue has accepted. A message that is
    /// delivered again is acknowledged again, and counts once.
    fn mark_acknowledged(&mut self, id: &str) -> bool {
        self.ids.get_mut(id).is_none_or(|is_acknowledged| !std::mem::replace(is_acknowledged, true))
    }

    fn insert(&mut self, id: String) {
        let id: Arc<str> = id.into();
        if self.ids.insert(Arc::clone(&id), false).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > limits::REMEMBERED_MESSAGES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

/// Waits until the gate is open.
async fn wait_for(gate: &Gate) {
    while !gate.is_open() {
        tokio::time::sleep(limits::GATE_POLL).await;
    }
}

impl Messages {
    /// Returns the next message. Waits up to `patience` for it.
    pub fn next(&self, patience: Duration) -> NextMessage {
        match self.queue.recv_timeout(patience) {
            Ok(message) if self.gate.wait(patience) => NextMessage::Message(message),
            // The message is dropped, and so returns to the queue.
            Ok(_) => NextMessage::Nothing,
            Err(RecvTimeoutError::Timeout) => NextMessage::Nothing,
            Err(RecvTimeoutError::Disconnected) => NextMessage::End,
        }
    }
}

impl Completion {
    /// Acknowledges the message.
    pub fn complete(mut self) {
        self.end(true);
    }

    fn end(&mut self, is_complete: bool) {
        if let Some(id) = self.id.take() {
            // The task ends only with the process.
            let _ = self.ended.send(EndedMessage { id, is_complete });
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl ReceiverTasks {
    /// Waits until every message is acknowledged or returned, or the queue does not respond. All messages must have been
    /// completed or dropped.
    pub async fn finish(self) {
        let ReceiverTasks { mut settling, extending } = self;
        // A panic has been logged.
        let settled = timeout(limits::LAST_ACKNOWLEDGEMENTS_PATIENCE, &mut settling).await;
        if settled.is_err() {
            tracing::warn!("the queue did not acknowledge all messages; it delivers some again");
            settling.abort();
        }
        extending.abort();
    }
}

impl fmt::Debug for MessageReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageReceiver").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("waiting", &self.queue.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
