//! A queue in memory that injects faults, for tests: requests that fail, responses that are lost, messages that are
//! lost after they were stored, and repeated deliveries.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::{
    MessageHandle, Queue, QueueError, QueueErrorKind, QueueFuture, QueueStatus, ReceivedMessage,
    StoredMessage,
};

/// A fault of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueFault {
    /// The request has no effect, and fails.
    Refused,
    /// The request has its effect, and the response is lost.
    ResponseLost,
}

/// A queue in memory.
#[derive(Debug)]
pub struct FaultyQueue {
    ack_wait: Duration,
    message_bytes_max: usize,
    state: Mutex<FaultyQueueState>,
}

#[derive(Debug, Default)]
struct FaultyQueueState {
    messages: Vec<FaultyMessage>,
    next_sequence: u64,
    /// The ids of published messages with their attempts: a repeated publication is dropped.
    published: HashSet<(String, u32)>,
    confirmations: Option<UnboundedSender<String>>,
    faults: VecDeque<Option<QueueFault>>,
    /// The ids of messages that nobody can acknowledge.
    unacknowledgeable: HashSet<String>,
}

#[derive(Debug)]
struct FaultyMessage {
    id: String,
    sequence: u64,
    message: Bytes,
    deliveries: u64,
    hidden_until: Option<Instant>,
}

impl FaultyQueue {
    /// Creates an empty queue.
    pub fn new(ack_wait: Duration, message_bytes_max: usize) -> Self {
        FaultyQueue { ack_wait, message_bytes_max, state: Mutex::default() }
    }

    /// Has the next requests fail in this order; None is a request without a fault.
    pub fn inject(&self, faults: impl IntoIterator<Item = Option<QueueFault>>) {
        self.state.lock().faults.extend(faults);
    }

    /// Has each request fail that acknowledges the message with this id.
    pub fn refuse_acknowledgements(&self, id: &str) {
        self.state.lock().unacknowledgeable.insert(id.to_owned());
    }

    /// Ends the faults.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// Loses all stored messages, and remembers none of their ids.
    pub fn lose_messages(&self) {
        let mut state = self.state.lock();
        state.messages.clear();
        state.published.clear();
    }

    /// Returns how many messages are stored.
    pub fn len(&self) -> usize {
        self.state.lock().messages.len()
    }

    /// Returns whether no message is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn request<'a, T: Send + 'a>(
        &'a self,
        work: impl FnOnce(&mut FaultyQueueState) -> Result<T, QueueError>,
    ) -> QueueFuture<'a, T> {
        let mut state = self.state.lock();
        let result = match state.faults.pop_front().flatten() {
            Some(QueueFault::Refused) => Err(injected_error("Refused")),
            Some(QueueFault::ResponseLost) => {
                work(&mut state).and(Err(injected_error("ResponseLost")))
            }
            None => work(&mut state),
        };
        drop(state);
        Box::pin(std::future::ready(result))
    }
}

fn injected_error(code: &str) -> QueueError {
    QueueError::new(QueueErrorKind::Transient, code, "an injected fault".to_owned())
}

impl Queue for FaultyQueue {
    fn ack_wait(&self) -> Duration {
        self.ack_wait
    }

    fn publish<'a>(
        &'a self,
        id: &'a str,
        attempt: u32,
        message: Bytes,
    ) -> QueueFuture<'a, StoredMessage> {
        let limit = self.message_bytes_max;
        self.request(|state| {
            if message.len() > limit {
                let kind = QueueErrorKind::TooLarge;
                return Err(QueueError::new(kind, "TooLarge", "too large".to_owned()));
            }
            if !state.published.insert((id.to_owned(), attempt)) {
                let known = state.messages.iter().find(|stored| stored.id == id);
                return Ok(StoredMessage { sequence: known.map_or(0, |stored| stored.sequence) });
            }
            state.next_sequence += 1;
            let sequence = state.next_sequence;
            let id = id.to_owned();
            let stored = FaultyMessage { id, sequence, message, deliveries: 0, hidden_until: None };
            state.messages.push(stored);
            Ok(StoredMessage { sequence })
        })
    }

    fn contains<'a>(&'a self, id: &'a str, stored: &'a StoredMessage) -> QueueFuture<'a, bool> {
        self.request(|state| {
            let is_it = |known: &FaultyMessage| known.id == id && known.sequence == stored.sequence;
            Ok(state.messages.iter().any(is_it))
        })
    }

    #[expect(clippy::disallowed_methods, reason = "a test publishes few messages")]
    fn confirmations(&self) -> QueueFuture<'_, Option<UnboundedReceiver<String>>> {
        self.request(|state| {
            let (sender, receiver) = mpsc::unbounded_channel();
            state.confirmations = Some(sender);
            Ok(Some(receiver))
        })
    }

    fn receive(&self, messages_max: usize) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        let hidden_until = Some(Instant::now() + self.ack_wait);
        let received = self.request(|state| {
            let now = Instant::now();
            let is_visible =
                |stored: &&mut FaultyMessage| stored.hidden_until.is_none_or(|until| until <= now);
            let visible = state.messages.iter_mut().filter(is_visible).take(messages_max);
            let deliver = |stored: &mut FaultyMessage| {
                stored.deliveries += 1;
                stored.hidden_until = hidden_until;
                let confirmation = Some((String::new(), stored.id.clone()));
                ReceivedMessage {
                    id: stored.id.clone(),
                    message: stored.message.clone(),
                    handle: MessageHandle { receipt: stored.sequence.to_string(), confirmation },
                    deliveries: stored.deliveries,
                    published: None,
                }
            };
            Ok(visible.map(deliver).collect::<Vec<_>>())
        });
        Box::pin(async {
            let received = received.await?;
            if received.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(received)
        })
    }

    fn acknowledge<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()> {
        self.request(|state| {
            let ids = messages.iter().filter_map(|handle| handle.confirmation.as_ref());
            if ids.into_iter().any(|(_, id)| state.unacknowledgeable.contains(id)) {
                return Err(injected_error("Refused"));
            }
            for MessageHandle { receipt, confirmation } in messages {
                if let (Some(sender), Some((_, id))) = (&state.confirmations, confirmation) {
                    let _ = sender.send(id.clone());
                }
                state.messages.retain(|stored| stored.sequence.to_string() != *receipt);
            }
            Ok(())
        })
    }

    fn extend<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()> {
        let hidden_until = Some(Instant::now() + self.ack_wait);
        self.request(|state| {
            state.hide_messages(messages, hidden_until);
            Ok(())
        })
    }

    fn release<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()> {
        self.request(|state| {
            state.hide_messages(messages, None);
            Ok(())
        })
    }

    fn status(&self) -> QueueFuture<'_, QueueStatus> {
        self.request(|state| {
            let now = Instant::now();
            let hidden =
                state.messages.iter().filter(|it| it.hidden_until.is_some_and(|until| until > now));
            let unacknowledged = hidden.count() as u64;
            let waiting = state.messages.len() as u64 - unacknowledged;
            Ok(QueueStatus { waiting, unacknowledged, bytes: None, oldest_age: None })
        })
    }
}

impl FaultyQueueState {
    fn hide_messages(&mut self, messages: &[MessageHandle], until: Option<Instant>) {
        let is_named = |stored: &&mut FaultyMessage| {
            messages.iter().any(|handle| handle.receipt == stored.sequence.to_string())
        };
        self.messages.iter_mut().filter(is_named).for_each(|stored| stored.hidden_until = until);
    }
}
