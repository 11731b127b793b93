//! The queue in Amazon SQS: a standard queue, which stores each message in several zones before it responds.
//!
//! Messages are text there, so they are in base64. A message is billed for each 64 KiB, and so is a batch of
//! messages; so each is sent alone, and those that are received and removed in one request share its price.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use md5::{Digest, Md5};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    MessageHandle, Queue, QueueError, QueueErrorKind, QueueFuture, QueueStatus, QueueUrl,
    ReceivedMessage, RequestCount, StoredMessage,
};
use crate::limits::{
    REQUEST_TIMEOUT, SQS_BATCH_MESSAGES_MAX, SQS_BILLED_BYTES, SQS_MESSAGE_BYTES_MAX,
    SQS_VISIBILITY_MAX, SQS_WAIT,
};
use standpipe_aws::{AwsError, INVALID_RESPONSE, JsonClient, JsonFields, JsonService};

/// How Amazon SQS names itself and its operations.
pub(crate) const SQS: JsonService =
    JsonService { name: "sqs", target: "AmazonSQS", version: "1.0" };

/// A queue of Amazon SQS.
#[derive(Debug)]
pub(crate) struct SqsQueue {
    client: Arc<JsonClient>,
    url: QueueUrl,
    ack_wait: Duration,
    requests: Mutex<BTreeMap<&'static str, RequestCount>>,
}

impl SqsQueue {
    /// Creates a client of the queue with this URL. The queue hides a received message for `ack_wait`.
    pub(crate) fn new(client: Arc<JsonClient>, url: QueueUrl, ack_wait: Duration) -> Self {
        SqsQueue { client, url, ack_wait, requests: Mutex::default() }
    }

    /// Counts a request with messages of so many bytes, whether it fails or not.
    fn count_request(&self, operation: &'static str, message_bytes: usize) {
        let mut requests = self.requests.lock();
        let count = requests.entry(operation).or_default();
        count.sent += 1;
        count.billed += message_bytes.div_ceil(SQS_BILLED_BYTES).max(1) as u64;
    }

    async fn call_operation(&self, operation: &str, input: Value) -> Result<Value, QueueError> {
        self.call_within(REQUEST_TIMEOUT, operation, input).await
    }

    async fn call_within(
        &self,
        patience: Duration,
        operation: &str,
        mut input: Value,
    ) -> Result<Value, QueueError> {
        input["QueueUrl"] = self.url.as_str().into();
        let response = self.client.attempt_within(patience, operation, &input).await;
        response.map_err(|error| queue_error(&error))
    }

    async fn send_message(&self, message: &[u8]) -> Result<StoredMessage, QueueError> {
        let body = base64_simd::STANDARD.encode_to_string(message);
        if body.len() > SQS_MESSAGE_BYTES_MAX {
            let text = format!(
                "the message has {} bytes in base64, and the limit is {SQS_MESSAGE_BYTES_MAX}",
                body.len()
            );
            return Err(QueueError::new(QueueErrorKind::TooLarge, "TooLarge", text));
        }
        let digest = to_hex(&Md5::digest(body.as_bytes()));
        self.count_request("SendMessage", body.len());
        let response = self.call_operation("SendMessage", json!({"MessageBody": body})).await?;
        // Something that stands in between may answer in place of the queue.
        match JsonFields::new(&response).text("MD5OfMessageBody") {
            Some(stored) if stored == digest => Ok(StoredMessage::default()),
            Some(_) => Err(incomplete_response("MD5OfMessageBody is that of another message")),
            None => Err(incomplete_response("it has no MD5OfMessageBody")),
        }
    }

    async fn fetch_messages(
        &self,
        messages_max: usize,
    ) -> Result<Vec<ReceivedMessage>, QueueError> {
        let input = json!({
            "MaxNumberOfMessages": messages_max.clamp(1, SQS_BATCH_MESSAGES_MAX),
            "WaitTimeSeconds": SQS_WAIT.as_secs(),
            "VisibilityTimeout": self.ack_wait.min(SQS_VISIBILITY_MAX).as_secs(),
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
        });
        let response = self.call_within(REQUEST_TIMEOUT + SQS_WAIT, "ReceiveMessage", input).await;
        // A response without messages has no list of them.
        let received = response.and_then(|response| match response.get("Messages") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(messages)) => messages.iter().map(read_message).collect(),
            Some(_) => Err(incomplete_response("Messages is not a list")),
        });
        let messages = received.iter().flatten();
        let bytes = messages.map(|received| encoded_bytes(received.message.len())).sum();
        self.count_request("ReceiveMessage", bytes);
        received
    }

    /// Calls an operation for batches of messages, each of which can fail alone.
    async fn call_for_each(
        &self,
        operation: &'static str,
        messages: &[MessageHandle],
        visibility_seconds: Option<u64>,
    ) -> Result<(), QueueError> {
        let mut failure = None;
        for batch in messages.chunks(SQS_BATCH_MESSAGES_MAX) {
            let entry = |(index, handle): (usize, &MessageHandle)| match visibility_seconds {
                None => json!({"Id": index.to_string(), "ReceiptHandle": handle.receipt}),
                Some(seconds) => json!({
                    "Id": index.to_string(), "ReceiptHandle": handle.receipt, "VisibilityTimeout": seconds,
                }),
            };
            let entries: Vec<_> = batch.iter().enumerate().map(entry).collect();
            self.count_request(operation, 0);
            let result = match self.call_operation(operation, json!({"Entries": entries})).await {
                Ok(response) => read_batch_response(&response, batch.len()),
                Err(error) => Err(error),
            };
            failure = failure.or(result.err());
        }
        failure.map_or(Ok(()), Err)
    }

    async fn read_attributes(&self, names: &[&str]) -> Result<Value, QueueError> {
        self.count_request("GetQueueAttributes", 0);
        let mut response =
            self.call_operation("GetQueueAttributes", json!({"AttributeNames": names})).await?;
        match response.get_mut("Attributes").map(Value::take) {
            Some(attributes @ Value::Object(_)) => Ok(attributes),
            _ => Err(incomplete_response("it has no Attributes")),
        }
    }

    async fn read_status(&self) -> Result<QueueStatus, QueueError> {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let attributes = self.read_attributes(&names).await?;
        Ok(QueueStatus {
            waiting: read_number(&attributes, names[0])?,
            unacknowledged: read_number(&attributes, names[1])?,
            bytes: None,
            oldest_age: None,
        })
    }
}

impl Queue for SqsQueue {
    fn ack_wait(&self) -> Duration {
        self.ack_wait
    }

    fn publish<'a>(&'a self, _: &'a str, _: u32, message: Bytes) -> QueueFuture<'a, StoredMessage> {
        Box::pin(async move { self.send_message(&message).await })
    }

    /// Amazon SQS stores messages in several zones before it responds.
    fn contains<'a>(&'a self, _: &'a str, _: &'a StoredMessage) -> QueueFuture<'a, bool> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn confirmations(&self) -> QueueFuture<'_, Option<UnboundedReceiver<String>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn receive(&self, messages_max: usize) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        Box::pin(self.fetch_messages(messages_max))
    }

    fn acknowledge<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()> {
        Box::pin(self.call_for_each("DeleteMessageBatch", messages, None))
    }

    fn extend<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()> {
        let seconds = self.ack_wait.min(SQS_VISIBILITY_MAX).as_secs();
        Box::pin(self.call_for_each("ChangeMessageVisibilityBatch", messages, Some(seconds)))
    }

    fn release<'a>(&'a self, messages: &'a [MessageHandle]) -> QueueFuture<'a, ()> {
        Box::pin(self.call_for_each("ChangeMessageVisibilityBatch", messages, Some(0)))
    }

    fn status(&self) -> QueueFuture<'_, QueueStatus> {
        Box::pin(self.read_status())
    }

    fn requests(&self) -> Vec<(&'static str, RequestCount)> {
        self.requests.lock().iter().map(|(operation, count)| (*operation, *count)).collect()
    }
}

/// Reads a message. One whose body is damaged is handed out too, so that it becomes a dead letter.
fn read_message(message: &Value) -> Result<ReceivedMessage, QueueError> {
    let fields = JsonFields::new(message);
    let body = fields.text("Body").ok_or_else(|| incomplete_response("a message has no Body"))?;
    let id = fields
        .owned("MessageId")
        .ok_or_else(|| incomplete_response("a message has no MessageId"))?;
    let receipt = fields.owned("ReceiptHandle");
    let receipt = receipt.ok_or_else(|| incomplete_response("a message has no ReceiptHandle"))?;
    if let Some(digest) = fields.text("MD5OfBody")
        && digest != to_hex(&Md5::digest(body.as_bytes()))
    {
        return Err(incomplete_response("MD5OfBody is not that of the message"));
    }
    let attributes = fields.inner("Attributes");
    let attribute = |name| attributes.text(name)?.parse::<u64>().ok();
    let sent = attribute("SentTimestamp").map(Duration::from_millis);
    Ok(ReceivedMessage {
        id,
        message: decode_body(body),
        handle: MessageHandle { receipt, confirmation: None },
        deliveries: attribute("ApproximateReceiveCount").unwrap_or(1),
        published: sent.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
    })
}

/// Decodes base64; other text stays as it is, and cannot be decoded as a message.
fn decode_body(body: &str) -> Bytes {
    match base64_simd::STANDARD.decode_to_vec(body) {
        Ok(bytes) => bytes.into(),
        Err(_) => Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// Codes of a failure for a message that the queue has deleted, or has delivered again with another receipt handle.
/// Another attempt cannot succeed.
const ENDED: [&str; 3] = ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"];

/// Every message of a batch must stand in the response, as done or as failed.
fn read_batch_response(response: &Value, messages: usize) -> Result<(), QueueError> {
    let fields = JsonFields::new(response);
    let list = |key| match fields.has(key) {
        true => fields
            .all_objects(key)
            .ok_or_else(|| incomplete_response(&format!("{key} is not a list of objects"))),
        false => Ok(Vec::new()),
    };
    let (done, failed) = (list("Successful")?, list("Failed")?);
    if done.len() + failed.len() != messages {
        return Err(incomplete_response("it does not account for every message"));
    }
    let is_ended = |failure: &&JsonFields<'_>| {
        let code = failure.text("Code").unwrap_or_default();
        ENDED.iter().any(|ended| code.ends_with(ended))
    };
    match failed.iter().find(|failure| !is_ended(failure)) {
        None => Ok(()),
        Some(failure) => {
            let code = failure.text("Code").unwrap_or("Failed");
            let message = failure.text("Message").unwrap_or_default().to_owned();
            Err(QueueError::new(QueueErrorKind::Transient, code, message))
        }
    }
}

/// Returns the length in base64.
fn encoded_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

fn read_number(attributes: &Value, name: &str) -> Result<u64, QueueError> {
    let text = JsonFields::new(attributes).text(name);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| incomplete_response(&format!("it has no number {name}")))
}

fn queue_error(error: &AwsError) -> QueueError {
    let kind = match error.is_passing {
        true => QueueErrorKind::Transient,
        false if error.message.contains("must be shorter than") => QueueErrorKind::TooLarge,
        false => QueueErrorKind::Hold,
    };
    let advice = error.advice.map(|advice| format!(": {advice}")).unwrap_or_default();
    let message = format!("{}{advice}; check `url` under [queue]", error.message);
    QueueError::new(kind, &error.code, message)
}

fn incomplete_response(problem: &str) -> QueueError {
    let message = format!(
        "incomplete response of the queue: {problem}: check [queue] url, and the proxies in between"
    );
    QueueError::new(QueueErrorKind::Transient, INVALID_RESPONSE, message)
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fails_only_if_another_attempt_can_succeed() {
        let failed = |code: &str| {
            let failed = json!([{"Id": "1", "SenderFault": true, "Code": code}]);
            json!({"Successful": [{"Id": "0"}], "Failed": failed})
        };
        for code in ["ReceiptHandleIsInvalid", "AWS.SimpleQueueService.MessageNotInflight"] {
            assert_eq!(read_batch_response(&failed(code), 2), Ok(()));
        }
        let error = read_batch_response(&failed("RequestThrottled"), 2).unwrap_err();
        assert_eq!((error.kind, &*error.code), (QueueErrorKind::Transient, "RequestThrottled"));
        assert!(read_batch_response(&json!({"Successful": [{"Id": "0"}]}), 2).is_err());
    }
}
