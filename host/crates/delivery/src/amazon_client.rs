//! Amazon Data Firehose through the AWS SDK, which signs and sends requests without retries. Each
//! error is converted to an instruction for delivery. Only a code of Firehose can reject a record.

mod answer;

use std::sync::Arc;

use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::http::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

pub use self::answer::read_put_answer;

use super::firehose_client::{DescribeFuture, PutFuture, retry_class_of_code};
use super::{Batch, FirehoseClient, RequestError, RetryClass, request_body};
use crate::limits;
use standpipe_aws::{
    AwsAccess, AwsError, AwsSession, StreamInspector, advice_of_code, firehose_client,
    send_with_reader, truncate_detail,
};
use standpipe_core::event::StreamName;

/// The body that the SDK reads in place of a response that was already read.
const READ_ANSWER: &[u8] = b"{\"FailedPutCount\":0,\"RequestResponses\":[]}";

/// Amazon Data Firehose, through the AWS SDK.
///
/// The SDK signs requests, finds credentials and endpoints, and sends HTTP requests. It does not
/// retry, because every attempt must be counted and paced in one place.
#[derive(Debug)]
pub struct AmazonClient {
    client: Client,
    session: AwsSession,
}

impl AmazonClient {
    /// Creates a client with these credentials. `endpoint_url` overrides the endpoint of the
    /// configuration and of the environment.
    pub fn new(access: &AwsAccess, endpoint_url: Option<&str>) -> Self {
        let client = firehose_client(&access.config, endpoint_url, limits::REQUEST_TIMEOUT);
        AmazonClient { client, session: access.session.clone() }
    }
}

impl FirehoseClient for AmazonClient {
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> PutFuture<'a> {
        Box::pin(async move {
            let body = Bytes::from(request_body::encode_request(stream, &batch));
            let (records, request_bytes) = (batch.len(), body.len());
            drop(batch);
            let operation = self.client.put_record_batch().delivery_stream_name(stream.as_str());
            let operation = operation.set_records(Some(Vec::new())).customize();
            let read = move |answer: &[u8]| read_put_answer(answer, records);
            let response = send_with_reader(&self.session, READ_ANSWER, read, |reader| {
                let request = operation.mutate_request(move |request| {
                    request.add_extension(reader.clone());
                    replace_body(request, &body);
                });
                request.send()
            });
            response.await.map_err(|error| request_error(error, request_bytes))
        })
    }

    fn describe<'a>(&'a self, stream: &'a StreamName) -> DescribeFuture<'a> {
        let inspector = StreamInspector::new(self.client.clone(), self.session.clone());
        Box::pin(async move {
            let described = inspector.describe(stream.as_str(), None).await;
            described.map_err(|error| request_error(error, 0))
        })
    }
}

/// Replaces the body before the request is signed, so that the signature covers this body.
fn replace_body(request: &mut HttpRequest, body: &Bytes) {
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body.clone());
}

/// The meaning of an error for a request with this number of record bytes.
fn request_error(error: AwsError, request_bytes: usize) -> RequestError {
    if let Some(status) = error.status {
        return error_of_status(status, &error.message, request_bytes);
    }
    let AwsError { code, message, advice, .. } = error;
    RequestError {
        retry_class: retry_class_of_code(&code),
        code,
        message: with_advice(&message, advice),
    }
}

/// The meaning of an error without a code: something in front of Firehose, or in its place,
/// responded.
fn error_of_status(status: u16, message: &str, request_bytes: usize) -> RequestError {
    let code = format!("HTTP {status}");
    let retry_class = retry_class_of_status(status);
    let words = if message.is_empty() { "the response is not from Firehose" } else { message };
    let message = match retry_class {
        RetryClass::TooLarge => format!(
            "{}: a proxy in front of Firehose refuses a request whose body has {request_bytes} \
             bytes: raise its limit for request bodies to 8 MiB, or check `endpoint_url` under \
             [aws]",
            truncate_detail(words)
        ),
        _ => with_advice(words, advice_of_code(&code).or_else(|| advice_of_status(status))),
    };
    RequestError { retry_class, code, message }
}

/// The retry class for a response without a code from something in front of Firehose.
///
/// No status means that the records are faulty: if Firehose rejects a record, it returns a code.
fn retry_class_of_status(status: u16) -> RetryClass {
    match status {
        413 => RetryClass::TooLarge,
        425 | 429 | 503 => RetryClass::Retry,
        // The request may have been passed on before.
        408 | 500 | 502 | 504 => RetryClass::RetryAmbiguous,
        // The request was not passed on, and the next one will not be either.
        300..=499 | 501 | 505 | 511 => RetryClass::Hold,
        _ => RetryClass::RetryAmbiguous,
    }
}

fn advice_of_status(status: u16) -> Option<&'static str> {
    Some(match status {
        300..=399 => "it redirects: check `endpoint_url` and `proxy` under [aws]",
        401 | 403 => {
            "a proxy or firewall in front of Firehose refuses the request: check `endpoint_url` \
             and `proxy` under [aws]"
        }
        400..=499 | 501 | 505 => {
            "check that `endpoint_url` under [aws] leads to Firehose, and the proxies in between"
        }
        511 => "the network asks for a login before it lets anything through",
        _ => return None,
    })
}

/// The message of an error, followed by the advice.
fn with_advice(words: &str, advice: Option<&str>) -> String {
    match advice {
        Some(advice) => format!("{}: {advice}", truncate_detail(words)),
        None => truncate_detail(words),
    }
}
