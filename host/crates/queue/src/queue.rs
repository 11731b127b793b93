//! The port to a queue: what collectors and mappers need of it. NATS JetStream, Amazon SQS and the tests' faulty queue
//! implement it. Each call is one attempt: callers retry, so that retries are counted and paced in one place.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;

/// The future of a request to a queue.
pub type QueueFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueueError>> + Send + 'a>>;

/// A queue of messages. It delivers each message until a receiver acknowledges it.
pub trait Queue: fmt::Debug + Send + Sync + 'static {
    /// Returns the time after which the queue delivers an unacknowledged message again.
    fn ack_wait(&self) -> Duration;

    /// Stores a message, and returns where. The id is unique to the message. `attempt` counts from 0 how often the
    /// message was lost: a queue that drops duplicates must store each attempt.
    fn publish<'a>(
        &'a self,
        id: &'a str,
        attempt: u32,
        message: Bytes,
    ) -> QueueFuture<'a, StoredMessage>;

    /// Returns whether the queue still has a message, received or not.
    fn contains<'a>(&'a self, id: &'a str, stored: &'a StoredMessage) -> QueueFuture<'a, bool>;

    /// Subscribes to the ids of messages that receivers acknowledge. None if the queue never loses a message that it
    /// has stored: publishers then need no confirmation. Called at most once.
    fn confirmations(&self) -> QueueFuture<'_, Option<UnboundedReceiver<String>>>;

    /// Receives up to this many messages. Waits for the first one, but never longer than it takes to stop.
    fn receive(&self, messages_max: usize) -> QueueFuture<'_, Vec<ReceivedMessage>>;

    /// Removes messages from the queue, and confirms them to their publishers.
    fn acknowledge<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()>;

    /// Restarts [`ack_wait`](Queue::ack_wait) for messages.
    fn extend<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()>;

    /// Returns messages to the queue, which delivers them again at once.
    fn release<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()>;

    /// Reads how much the queue contains.
    fn status(&self) -> QueueFuture<'_, QueueStatus>;

    /// Returns the requests so far by operation, if the queue costs money for each request.
    fn requests(&self) -> Vec<(&'static str, RequestCount)> {
        Vec::new()
    }
}

/// Requests to a queue that costs money for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestCount {
    /// Requests.
    pub sent: u64,
    /// Requests as they are billed: a large request counts several times.
    pub billed: u64,
}

/// Where a queue has stored a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredMessage {
    /// The sequence number in JetStream.
    pub(crate) sequence: u64,
}

/// A message that the queue has delivered.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    /// Identifies the message: the same for each delivery.
    pub id: String,
    /// The message.
    pub message: Bytes,
    /// Acknowledges the message.
    pub handle: MessageHandle,
    /// How often the queue has delivered the message, including this delivery.
    pub deliveries: u64,
    /// When the queue stored the message, if the queue reports this.
    pub published: Option<SystemTime>,
}

/// Identifies a delivery of a message in further requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageHandle {
    /// The subject of acknowledgements, or the receipt handle.
    pub(crate) receipt: String,
    /// The subject to which the publisher has subscribed, and the message's id.
    pub(crate) confirmation: Option<(String, String)>,
}

/// How much a queue contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStatus {
    /// Messages that wait for a receiver. Amazon SQS counts approximately.
    pub waiting: u64,
    /// Messages that receivers have not acknowledged yet.
    pub unacknowledged: u64,
    /// Bytes of all messages, if the queue reports them.
    pub bytes: Option<u64>,
    /// The age of the oldest message, if the queue reports it.
    pub oldest_age: Option<Duration>,
}

/// Why a request to a queue failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{code}: {message}")]
pub struct QueueError {
    /// What the caller can do.
    pub kind: QueueErrorKind,
    /// The queue's code, or a word for the transport.
    pub code: String,
    /// The details and advice, without secrets or events.
    pub message: String,
}

/// What a caller can do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueErrorKind {
    /// Try again after a pause. The queue may have stored the message.
    Transient,
    /// Try again at intervals, until a setting or a permission changes.
    Hold,
    /// The message is larger than the queue's limit.
    TooLarge,
}

impl QueueError {
    pub(crate) fn new(kind: QueueErrorKind, code: &str, message: String) -> Self {
        QueueError { kind, code: code.to_owned(), message }
    }
}
