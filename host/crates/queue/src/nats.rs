//! The queue in NATS JetStream.
//!
//! JetStream acknowledges a message before it is safe against every fault: a server that crashes, or that loses its
//! disk, can lose it. So mappers confirm each message to the collector that has published it, and the collector
//! keeps its events until then. A lost confirmation costs a duplicate, never an event.

use std::error::Error;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::{self, BatchError};
use async_nats::jetstream::context::{Context, ContextBuilder, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{AckKind, Message};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures_util::{StreamExt, future};
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

use super::{
    Custody, MessageHandle, NatsSettings, Queue, QueueError, QueueErrorKind, QueueFuture,
    QueueStatus, ReceivedMessage, StoredMessage,
};
use crate::limits;
use standpipe_core::error_chain;

/// The header with the subject on which the publisher waits for confirmations.
const CONFIRM_TO: &str = "Standpipe-Confirm-To";

/// The header with the id of a message. `Nats-Msg-Id` differs if a lost message is published again, since JetStream
/// drops a message with a known `Nats-Msg-Id`.
const MESSAGE_ID: &str = "Standpipe-Message-Id";

/// The subjects of confirmations, without the name of the publisher at the end.
pub(crate) const CONFIRMATIONS: &str = "standpipe.confirmations";

/// A stream of JetStream, and its durable consumer.
#[derive(Debug)]
pub(crate) struct JetStreamQueue {
    context: Context,
    settings: NatsSettings,
    ack_wait: Duration,
    /// Where this process waits for confirmations of what it has published.
    confirm_to: String,
    /// The consumer, once it was found.
    consumer: Mutex<Option<PullConsumer>>,
}

impl JetStreamQueue {
    /// A queue on a connection. `publisher` names this process, different from every other one.
    pub(crate) fn new(
        client: Client,
        settings: NatsSettings,
        ack_wait: Duration,
        publisher: &str,
    ) -> Self {
        let context = ContextBuilder::new()
            .timeout(limits::REQUEST_TIMEOUT)
            .ack_timeout(limits::REQUEST_TIMEOUT)
            .build(client);
        let confirm_to = format!("{CONFIRMATIONS}.{publisher}");
        JetStreamQueue { context, settings, ack_wait, confirm_to, consumer: Mutex::new(None) }
    }

    async fn store_message(
        &self,
        id: &str,
        attempt: u32,
        message: Bytes,
    ) -> Result<StoredMessage, QueueError> {
        let bytes_max = self.message_bytes_max();
        if message.len() > bytes_max {
            let text =
                format!("the message has {} bytes, and the limit is {bytes_max}", message.len());
            return Err(QueueError::new(QueueErrorKind::TooLarge, "TooLarge", text));
        }
        let unique_id = match attempt {
            0 => id.to_owned(),
            _ => format!("{id}-{attempt}"),
        };
        let message = PublishMessage::build()
            .payload(message)
            .message_id(unique_id)
            .header(MESSAGE_ID, id)
            .header(CONFIRM_TO, self.confirm_to.as_str())
            .expected_stream(&self.settings.stream);
        let subject = self.settings.subject();
        let stored = async { self.context.send_publish(subject, message).await?.await };
        // Without a connection, the client queues requests for an unlimited time.
        let stored = timeout(limits::REQUEST_TIMEOUT, stored).await;
        let Ok(stored) = stored else {
            return Err(timeout_error("publish a message", limits::REQUEST_TIMEOUT));
        };
        let stored = stored.map_err(|error| {
            let kind = match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => QueueErrorKind::TooLarge,
                PublishErrorKind::StreamNotFound => QueueErrorKind::Hold,
                _ => QueueErrorKind::Transient,
            };
            QueueError::new(kind, &format!("{:?}", error.kind()), error_chain(&error))
        })?;
        Ok(StoredMessage { sequence: stored.sequence })
    }

    /// Asks the leader of the stream: another replica may be behind.
    async fn has_message(&self, id: &str, stored: &StoredMessage) -> Result<bool, QueueError> {
        let found = async {
            let stream = self.context.get_stream_no_info(&self.settings.stream).await;
            let stream = stream.map_err(|error| transient_error("Stream", &error))?;
            match stream.get_raw_message(stored.sequence).await {
                // A stream that has lost its last messages gives their sequence numbers to others.
                Ok(found) => Ok(header_of(Some(&found.headers), MESSAGE_ID).as_deref() == Some(id)),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
                Err(error) => Err(transient_error("GetMessage", &error)),
            }
        };
        match timeout(limits::REQUEST_TIMEOUT, found).await {
            Ok(found) => found,
            Err(_) => Err(timeout_error("look for a message", limits::REQUEST_TIMEOUT)),
        }
    }

    fn message_bytes_max(&self) -> usize {
        let bytes = match self.context.client().max_payload() {
            0 => limits::NATS_MESSAGE_BYTES_MAX,
            bytes => bytes,
        };
        bytes.saturating_sub(limits::NATS_HEADER_BYTES)
    }

    #[expect(clippy::disallowed_methods, reason = "the publisher takes each id at once")]
    async fn subscribe_to_confirmations(&self) -> Result<UnboundedReceiver<String>, QueueError> {
        let subscribed = self.context.client().subscribe(self.confirm_to.clone()).await;
        let mut subscribed = subscribed.map_err(|error| transient_error("Subscribe", &error))?;
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(message) = subscribed.next().await {
                let ids = String::from_utf8_lossy(&message.payload);
                // The receiver is gone at the end of the process alone.
                if ids.lines().any(|id| sender.send(id.to_owned()).is_err()) {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    async fn fetch_messages(
        &self,
        messages_max: usize,
    ) -> Result<Vec<ReceivedMessage>, QueueError> {
        let consumer = self.open_consumer().await?;
        let waiting =
            collect_messages(consumer.fetch().max_messages(messages_max).messages()).await?;
        if !waiting.is_empty() {
            return Ok(waiting);
        }
        // Only one message, so that the request ends as soon as there is one.
        collect_messages(consumer.batch().max_messages(1).expires(limits::NATS_WAIT).messages())
            .await
    }

    /// Forgets the consumer after an error, since it may have been created again.
    fn forget_consumer(&self) {
        *self.consumer.lock() = None;
    }

    async fn open_consumer(&self) -> Result<PullConsumer, QueueError> {
        if let Some(consumer) = &*self.consumer.lock() {
            return Ok(consumer.clone());
        }
        let found = self.find_consumer().await?;
        *self.consumer.lock() = Some(found.clone());
        Ok(found)
    }

    /// Asks the server for the consumer, which may have been deleted or created since.
    async fn find_consumer(&self) -> Result<PullConsumer, QueueError> {
        let NatsSettings { stream, consumer, .. } = &self.settings;
        let found = self.context.get_consumer_from_stream::<pull::Config, _, _>(consumer, stream);
        let found = timeout(limits::REQUEST_TIMEOUT, found).await;
        let Ok(found) = found else {
            return Err(timeout_error("open the consumer", limits::REQUEST_TIMEOUT));
        };
        found.map_err(|error| {
            let message = format!(
                "failed to open consumer {consumer:?} of stream {stream:?}: {}: create both with `host queue create`",
                error_chain(&error)
            );
            QueueError::new(QueueErrorKind::Hold, "Consumer", message)
        })
    }

    /// Sends an acknowledgement of each message. The server responds to those that end a message.
    async fn send_acks(&self, messages: &[MessageHandle], kind: AckKind) -> Result<(), QueueError> {
        let client = self.context.client();
        let is_final = matches!(kind, AckKind::Ack);
        let send = |handle: &MessageHandle| {
            let (client, subject) = (client.clone(), handle.receipt.clone());
            let payload = Bytes::from(kind);
            async move {
                match is_final {
                    true => client
                        .request(subject, payload)
                        .await
                        .map(drop)
                        .map_err(|error| transient_error("Ack", &error)),
                    false => client
                        .publish(subject, payload)
                        .await
                        .map_err(|error| transient_error("Ack", &error)),
                }
            }
        };
        let sent = future::try_join_all(messages.iter().map(send));
        // Another attempt can succeed before the server delivers the messages again.
        let patience = limits::REQUEST_TIMEOUT.min(self.ack_wait / 3);
        match timeout(patience, sent).await {
            Ok(sent) => sent.map(drop),
            Err(_) => Err(timeout_error("acknowledge messages", patience)),
        }
    }

    /// Reports to publishers which of their messages are processed.
    async fn confirm_messages(&self, messages: &[MessageHandle]) -> Result<(), QueueError> {
        let client = self.context.client();
        let confirmed = async {
            for (subject, id) in messages.iter().filter_map(|handle| handle.confirmation.clone()) {
                let sent = client.publish(subject, id.into()).await;
                sent.map_err(|error| transient_error("Confirm", &error))?;
            }
            client.flush().await.map_err(|error| transient_error("Confirm", &error))
        };
        match timeout(limits::REQUEST_TIMEOUT, confirmed).await {
            Ok(confirmed) => confirmed,
            Err(_) => Err(timeout_error("confirm messages", limits::REQUEST_TIMEOUT)),
        }
    }

    async fn read_status(&self) -> Result<QueueStatus, QueueError> {
        let consumer = self.find_consumer().await?;
        let info = consumer.cached_info();
        let stream = self.context.get_stream(&self.settings.stream).await;
        let stream = stream.map_err(|error| transient_error("Stream", &error))?;
        let state = &stream.cached_info().state;
        let oldest = SystemTime::from(state.first_timestamp);
        Ok(QueueStatus {
            waiting: info.num_pending,
            unacknowledged: info.num_ack_pending as u64,
            bytes: Some(state.bytes),
            oldest_age: (state.messages > 0).then(|| oldest.elapsed().unwrap_or_default()),
        })
    }
}

impl Queue for JetStreamQueue {
    fn ack_wait(&self) -> Duration {
        self.ack_wait
    }

    fn publish<'a>(
        &'a self,
        id: &'a str,
        attempt: u32,
        message: Bytes,
    ) -> QueueFuture<'a, StoredMessage> {
        Box::pin(self.store_message(id, attempt, message))
    }

    fn contains<'a>(&'a self, id: &'a str, stored: &'a StoredMessage) -> QueueFuture<'a, bool> {
        Box::pin(self.has_message(id, stored))
    }

    fn confirmations(&self) -> QueueFuture<'_, Option<UnboundedReceiver<String>>> {
        match self.settings.custody {
            Custody::UntilStored => Box::pin(future::ok(None)),
            Custody::UntilProcessed => {
                Box::pin(async { self.subscribe_to_confirmations().await.map(Some) })
            }
        }
    }

    fn receive(&self, messages_max: usize) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        Box::pin(async move {
            let fetched = self.fetch_messages(messages_max).await;
            fetched.inspect_err(|_| self.forget_consumer())
        })
    }

    fn acknowledge<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()> {
        Box::pin(async {
            // The events have ended, whether or not the server hears of it.
            let confirmed = self.confirm_messages(messages).await;
            self.send_acks(messages, AckKind::Ack).await.and(confirmed)
        })
    }

    fn extend<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()> {
        Box::pin(self.send_acks(messages, AckKind::Progress))
    }

    fn release<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()> {
        Box::pin(async {
            self.send_acks(messages, AckKind::Nak(None)).await?;
            // The process may end next.
            let client = self.context.client();
            match timeout(limits::REQUEST_TIMEOUT, client.flush()).await {
                Ok(flushed) => flushed.map_err(|error| transient_error("Release", &error)),
                Err(_) => Err(timeout_error("release messages", limits::REQUEST_TIMEOUT)),
            }
        })
    }

    fn status(&self) -> QueueFuture<'_, QueueStatus> {
        Box::pin(self.read_status())
    }
}

/// Sends a request, and collects its messages. A server that is gone sends neither messages nor an end.
async fn collect_messages(
    request: impl Future<Output = Result<pull::Batch, BatchError>>,
) -> Result<Vec<ReceivedMessage>, QueueError> {
    let patience = limits::NATS_WAIT + limits::NATS_RESPONSE_TIMEOUT;
    let no_response = || timeout_error("fetch messages", patience);
    let batch = timeout(patience, request).await.map_err(|_| no_response())?;
    let mut batch = std::pin::pin!(batch.map_err(|error| transient_error("Fetch", &error))?);
    let mut received = Vec::new();
    loop {
        let error = match timeout(patience, batch.next()).await {
            Ok(Some(Ok(message))) => {
                received.extend(read_message(&message));
                continue;
            }
            Ok(None) => return Ok(received),
            Ok(Some(Err(error))) => transient_error("Fetch", &*error),
            Err(_) => no_response(),
        };
        // What came before the error is handed out, and the next request meets it again.
        return if received.is_empty() { Err(error) } else { Ok(received) };
    }
}

/// Reads the headers of a message. None if the message has no subject for acknowledgements, which JetStream always
/// adds.
fn read_message(message: &Message) -> Option<ReceivedMessage> {
    let info = message.info().ok()?;
    let deliveries = u64::try_from(info.delivered).unwrap_or(1);
    let published = Some(SystemTime::from(info.published));
    let headers = message.headers.as_ref();
    let own_id = header_of(headers, MESSAGE_ID);
    // Another program may publish, too. A stream that was created again gives sequence numbers away again.
    let time = info.published.unix_timestamp_nanos();
    let id =
        own_id.clone().unwrap_or_else(|| format!("sequence {} of {time}", info.stream_sequence));
    let confirmation = header_of(headers, CONFIRM_TO).zip(own_id);
    let receipt = message.reply.as_ref()?.to_string();
    let handle = MessageHandle { receipt, confirmation };
    Some(ReceivedMessage { id, message: message.payload.clone(), handle, deliveries, published })
}

fn header_of(headers: Option<&HeaderMap>, name: &str) -> Option<String> {
    Some(headers?.get(name)?.as_str().to_owned())
}

fn transient_error(code: &str, error: &(dyn Error + 'static)) -> QueueError {
    QueueError::new(QueueErrorKind::Transient, code, error_chain(error))
}

fn timeout_error(action: &str, patience: Duration) -> QueueError {
    let message = format!("failed to {action}: no response within {patience:?}");
    QueueError::new(QueueErrorKind::Transient, "Timeout", message)
}
