//! Chunks of events between machines: collectors publish them to a queue, mappers receive them.
//!
//! The queue is NATS JetStream or Amazon SQS. A message contains one chunk of events of one source. It is acknowledged
//! when all of these events are settled. This crate knows messages and queues; it does not know what a message
//! contains, or what happens to events.
//!
//! Mappers on NATS can be a fleet that changes its plugins together: see [`fleet`].

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod admin;
mod connect;
mod deduplicator;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
pub mod fleet;
mod gate;
pub mod limits;
mod link;
mod message;
mod monitor;
mod nats;
mod publisher;
mod queue;
mod queue_url;
mod receiver;
mod settings;
mod sqs;

pub use connect::{ConnectQueueError, connect_queue};
pub use deduplicator::{EventDeduplicator, EventIdHash};
pub use gate::Gate;
pub use message::{MessageEncoder, MessageError, decode_message};
pub use monitor::QueueMonitor;
pub use publisher::{MessagePublisher, MessagePublisherStatus, PublishOutcome};
pub use queue::{
    MessageHandle, Queue, QueueError, QueueErrorKind, QueueFuture, QueueStatus, ReceivedMessage,
    RequestCount, StoredMessage,
};
pub use queue_url::{InvalidQueueUrl, QueueUrl};
pub use receiver::{
    Completion, MessageReceiver, MessageReceiverStatus, Messages, NextMessage, PendingMessage,
    ReceiverTasks,
};
pub use settings::{
    Custody, NatsLogin, NatsSettings, QueueKind, QueueRole, QueueSettings, RawQueue, SqsSettings,
};
