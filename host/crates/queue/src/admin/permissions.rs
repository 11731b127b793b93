//! Tests what a user of NATS may do, by requests that change nothing: a message that the stream refuses, a malformed
//! request for messages, and a request for a message and an acknowledgement of one that do not exist.

use async_nats::{Client, HeaderMap, RequestErrorKind, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::timeout;

use super::finding::QueueFindings;
use super::server_errors::ServerErrors;
use crate::nats::CONFIRMATIONS;
use crate::{Custody, NatsSettings, QueueSettings, limits};
use standpipe_core::error_chain;

/// The header by which a stream refuses messages that are meant for another one.
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// A name that no stream can have.
const NO_STREAM: &str = "standpipe.check";

/// A request for messages that JetStream refuses: `batch` is a number.
const MALFORMED_PULL: &str = r#"{"batch":"check"}"#;

/// A request for a message with a number that JetStream does not reach.
const NO_MESSAGE: &str = r#"{"seq":9223372036854775807}"#;

/// An acknowledgement that asks for more time, for the stream's message 0, which does not exist.
const PROGRESS: &str = "+WPI";

/// A connection whose permissions are tested.
#[derive(Debug)]
pub(super) struct NatsProbe<'a> {
    pub(super) client: Client,
    pub(super) settings: &'a QueueSettings,
    pub(super) nats: &'a NatsSettings,
    pub(super) errors: &'a ServerErrors,
}

impl NatsProbe<'_> {
    pub(super) async fn check(&self, findings: &mut QueueFindings) {
        let NatsSettings { stream, consumer, .. } = self.nats;
        let confirmations = format!("{CONFIRMATIONS}.check");
        if self.settings.is_collector() {
            self.check_publish(findings).await;
            if self.nats.custody == Custody::UntilProcessed {
                let subscribed = self.client.subscribe(confirmations.clone()).await.map(drop);
                let result = self.refusal_of(&confirmations, subscribed.err()).await;
                report_permission("receive confirmations", &confirmations, result, findings);
                self.check_lookup(findings).await;
            }
        }
        if self.settings.is_mapper() {
            self.check_pull(findings).await;
            let acks = format!("$JS.ACK.{stream}.{consumer}.1.0.0.0.0");
            let sent = self.client.publish(acks.clone(), Bytes::from_static(PROGRESS.as_bytes()));
            let result = self.refusal_of(&acks, sent.await.err()).await;
            let shown = format!("$JS.ACK.{stream}.{consumer}.>");
            report_permission("acknowledge messages", &shown, result, findings);
            let sent = self.client.publish(confirmations.clone(), Bytes::new()).await;
            let result = self.refusal_of(&confirmations, sent.err()).await;
            report_permission("confirm messages", &format!("{CONFIRMATIONS}.>"), result, findings);
        }
    }

    /// Publishes a message that the stream refuses, since it is meant for another one.
    async fn check_publish(&self, findings: &mut QueueFindings) {
        let subject = self.nats.subject();
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_STREAM, NO_STREAM);
        let request = async_nats::Request::new().headers(headers);
        let result = match self.request(&subject, request).await {
            Ok(response) if read_refusal(&response.payload) => Ok(()),
            Ok(_) => Err("the response is not that of a stream".to_owned()),
            Err(problem) => Err(problem),
        };
        report_permission("publish messages", &subject, result, findings);
    }

    /// Looks for a message that does not exist.
    async fn check_lookup(&self, findings: &mut QueueFindings) {
        let subject = format!("$JS.API.STREAM.MSG.GET.{}", self.nats.stream);
        let request = async_nats::Request::new().payload(Bytes::from_static(NO_MESSAGE.as_bytes()));
        let result = match self.request(&subject, request).await {
            Ok(response) if read_refusal(&response.payload) => Ok(()),
            Ok(_) => Err("the response is not that of a stream".to_owned()),
            Err(problem) => Err(problem),
        };
        report_permission("look for messages", &subject, result, findings);
    }

    /// Requests messages with a request that JetStream refuses.
    async fn check_pull(&self, findings: &mut QueueFindings) {
        let NatsSettings { stream, consumer, .. } = self.nats;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let request =
            async_nats::Request::new().payload(Bytes::from_static(MALFORMED_PULL.as_bytes()));
        let result = match self.request(&subject, request).await {
            Ok(response) if response.status == StatusCode::from_u16(400).ok() => Ok(()),
            Ok(response) => Err(format!("unexpected status {:?}", response.status)),
            Err(problem) => Err(problem),
        };
        report_permission("receive messages", &subject, result, findings);
    }

    async fn request(
        &self,
        subject: &str,
        request: async_nats::Request,
    ) -> Result<async_nats::Message, String> {
        tokio::select! {
            response = self.client.send_request(subject.to_owned(), request) => {
                response.map_err(|error| match error.kind() {
                    RequestErrorKind::NoResponders => "nothing on the servers receives the subject".to_owned(),
                    _ => error_chain(&error),
                })
            }
            refusal = self.errors.refusal(subject) => Err(refusal),
        }
    }

    /// Returns why the server refused what was just sent about a subject. It responds to none of it, so its refusal is
    /// waited for.
    async fn refusal_of<E: std::error::Error + 'static>(
        &self,
        subject: &str,
        error: Option<E>,
    ) -> Result<(), String> {
        if let Some(error) = error {
            return Err(error_chain(&error));
        }
        match timeout(limits::REQUEST_TIMEOUT, self.client.flush()).await {
            Ok(flushed) => flushed.map_err(|error| error_chain(&error))?,
            Err(_) => return Err(format!("no response within {:?}", limits::REQUEST_TIMEOUT)),
        }
        match self.errors.refusal_within(limits::NATS_REFUSAL_WAIT, subject).await {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }
}

fn report_permission(
    action: &str,
    subject: &str,
    result: Result<(), String>,
    findings: &mut QueueFindings,
) {
    let property = format!("permission to {action}");
    match result {
        Ok(()) => findings.ok(&property, subject),
        Err(problem) => {
            let advice = "allow this user of NATS the subject, or use another user in [queue]";
            findings.failed(&property, format!("{subject}: {problem}"), advice);
        }
    }
}

/// Whether a stream has refused a message.
fn read_refusal(payload: &[u8]) -> bool {
    let response: Option<Value> = serde_json::from_slice(payload).ok();
    response.is_some_and(|response| response.get("error").is_some_and(Value::is_object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_counts() {
        assert!(read_refusal(br#"{"error":{"code":400,"err_code":10060},"stream":"s","seq":0}"#));
        for other in
            [&b""[..], b"{}", br#"{"stream":"s","seq":1}"#, br#"{"error":1}"#, b"[]", b"\xff"]
        {
            assert!(!read_refusal(other), "{other:?}");
        }
    }
}
