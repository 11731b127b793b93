//! Amazon Data Firehose through the AWS SDK, which signs and talks HTTP but retries nothing. Reads
//! each error into what delivery has to do about it; only Firehose's own codes refuse a record.

mod answer;
mod checked_answers;
mod description;

use std::error::Error;
use std::sync::{Arc, OnceLock};

use aws_config::SdkConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::StalledStreamProtectionConfig;
use aws_sdk_firehose::config::http::HttpRequest;
use aws_sdk_firehose::config::retry::RetryConfig;
use aws_sdk_firehose::config::timeout::TimeoutConfig;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ServiceError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

pub use self::answer::{AnswerDefect, InvalidAnswer, read_put_answer};

use self::checked_answers::{CheckedAnswers, Expected};
use super::port::{Describe, INVALID_ANSWER, Put, verdict_of_code};
use super::{Answer, Batch, Firehose, RequestError, Verdict, body};
use crate::limits;
use standpipe_aws::{
    AnswerTooLong, Session, advice_of_code, advice_of_failure, advice_of_refusal, is_skewed,
};
use standpipe_core::error_chain;
use standpipe_core::event::StreamName;

/// Amazon Data Firehose, through the AWS SDK.
///
/// The SDK signs, finds credentials and endpoints, and talks HTTP. It retries
/// nothing: every attempt must be counted and paced in one place.
#[derive(Debug)]
pub struct Amazon {
    client: Client,
    session: Option<Session>,
}

impl Amazon {
    /// Write with this configuration; `endpoint_url` goes before whatever the
    /// configuration and the environment say.
    pub fn new(config: &SdkConfig, endpoint_url: Option<&str>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(standpipe_aws::limits::CONNECT_TIMEOUT)
            .operation_timeout(limits::REQUEST_TIMEOUT)
            .build();
        let mut builder = aws_sdk_firehose::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(http) = config.http_client() {
            builder = builder.http_client(CheckedAnswers(http));
        }
        if let Some(url) = endpoint_url {
            builder = builder.endpoint_url(url);
        }
        Amazon { client: Client::from_conf(builder.build()), session: None }
    }

    /// Have other credentials looked for when Firehose does not take these.
    #[must_use]
    pub fn renewing(self, session: Session) -> Self {
        Amazon { session: Some(session), ..self }
    }
}

impl Firehose for Amazon {
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> Put<'a> {
        Box::pin(async move {
            let body = Bytes::from(body::encode(stream, &batch));
            let (records, request_bytes) = (batch.len(), body.len());
            drop(batch);
            let checked = Arc::<OnceLock<Answer>>::default();
            let expected = Expected::Fates { records, answer: Arc::clone(&checked) };
            let operation = self.client.put_record_batch().delivery_stream_name(stream.as_str());
            let request = operation.set_records(Some(Vec::new())).customize().mutate_request(
                move |request| {
                    request.add_extension(expected.clone());
                    replace_body(request, &body);
                },
            );
            match request.send().await {
                Ok(_) => checked.get().cloned().ok_or_else(unchecked),
                Err(error) => Err(self.read_error(&error, Some(request_bytes))),
            }
        })
    }

    fn describe<'a>(&'a self, stream: &'a StreamName) -> Describe<'a> {
        Box::pin(async move {
            let operation = self.client.describe_delivery_stream();
            let expected = Expected::Description(stream.clone());
            let request = operation
                .delivery_stream_name(stream.as_str())
                .customize()
                .mutate_request(move |request| request.add_extension(expected.clone()));
            let output = request.send().await.map_err(|error| self.read_error(&error, None))?;
            output.delivery_stream_description().map(description::read).ok_or_else(unchecked)
        })
    }
}

impl Amazon {
    /// What an error means, after a request with so many bytes of records. Credentials
    /// that AWS does not take are looked for again.
    fn read_error<E>(&self, error: &SdkError<E>, request_bytes: Option<usize>) -> RequestError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let error = read_error(error, request_bytes.unwrap_or_default());
        if let Some(session) = self.session.as_ref().filter(|_| is_about_credentials(&error.code)) {
            session.distrust();
        }
        error
    }
}

/// Codes that other credentials may be answered without.
fn is_about_credentials(code: &str) -> bool {
    matches!(
        code,
        "ExpiredTokenException"
            | "ExpiredToken"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
    )
}

/// Runs before the request is signed, so that the signature covers this body.
fn replace_body(request: &mut HttpRequest, body: &Bytes) {
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body.clone());
}

/// The client that looks at answers was not on the way.
fn unchecked() -> RequestError {
    let message = "the answer was not looked at".to_owned();
    RequestError { verdict: Verdict::RetryAmbiguous, code: INVALID_ANSWER.to_owned(), message }
}

fn read_error<E>(error: &SdkError<E>, request_bytes: usize) -> RequestError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let is_success = |response: &HttpResponse| response.status().is_success();
    if error.raw_response().is_none_or(is_success)
        && let Some(message) = invalid_answer(error)
    {
        let code = INVALID_ANSWER.to_owned();
        return RequestError { verdict: Verdict::RetryAmbiguous, code, message };
    }
    let (verdict, code) = match error {
        SdkError::ServiceError(service) => return read_service_error(service, request_bytes),
        SdkError::TimeoutError(_) => (Verdict::RetryAmbiguous, "Timeout"),
        SdkError::ResponseError(response) if !response.raw().status().is_success() => {
            return error_of_status(response.raw().status().as_u16(), "", request_bytes);
        }
        SdkError::ResponseError(_) => (Verdict::RetryAmbiguous, INVALID_ANSWER),
        _ if has_source(error, |source| {
            source.is::<aws_credential_types::provider::error::CredentialsError>()
        }) =>
        {
            (Verdict::Hold, "NoCredentials")
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (Verdict::RetryAmbiguous, "Timeout")
        }
        SdkError::DispatchFailure(_) if has_source(error, is_connect_error) => {
            (Verdict::Hold, "CannotConnect")
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => {
            (Verdict::RetryAmbiguous, "ConnectionLost")
        }
        _ => (Verdict::RetryAmbiguous, "RequestFailed"),
    };
    let message = advised(&error_chain(error), advice_of_failure(error));
    RequestError { verdict, code: code.to_owned(), message }
}

/// What an answer of success lacks, where that is the error.
fn invalid_answer(error: &(dyn Error + 'static)) -> Option<String> {
    sources(error).find_map(|source| {
        let invalid = source.downcast_ref::<InvalidAnswer>().map(ToString::to_string);
        invalid.or_else(|| source.downcast_ref::<AnswerTooLong>().map(ToString::to_string))
    })
}

fn read_service_error<E: ProvideErrorMetadata>(
    error: &ServiceError<E, HttpResponse>,
    request_bytes: usize,
) -> RequestError {
    let message = error.err().message().unwrap_or_default();
    match error.err().code().unwrap_or_default() {
        "" => error_of_status(error.raw().status().as_u16(), message, request_bytes),
        code => {
            let (verdict, code) = (verdict_of_code(code), bounded(code));
            let advice = advice_of_refusal(&code, message, is_skewed(error.raw()));
            let message = advised(message, advice);
            RequestError { verdict, code, message }
        }
    }
}

/// What an error without a code means: something that stands before Firehose, or in
/// its place, has answered.
fn error_of_status(status: u16, message: &str, request_bytes: usize) -> RequestError {
    let code = format!("HTTP {status}");
    let verdict = verdict_of_status(status);
    let words = if message.is_empty() { "the answer is not one of Firehose" } else { message };
    let message = match verdict {
        Verdict::TooLarge => format!(
            "{}: a proxy before Firehose refuses a request whose body has {request_bytes} bytes: raise its limit for \
             request bodies to 8 MiB, or check `endpoint_url` under [aws]",
            bounded(words)
        ),
        _ => advised(words, advice_of_code(&code).or_else(|| advice_of_status(status))),
    };
    RequestError { verdict, code, message }
}

/// For answers of something that stands before Firehose and knows no codes.
///
/// None of them is the records' fault, whatever the status says: a record that
/// Firehose would not take is refused by Firehose, with a code.
fn verdict_of_status(status: u16) -> Verdict {
    match status {
        413 => Verdict::TooLarge,
        425 | 429 | 503 => Verdict::Retry,
        // It may have come after the request was passed on.
        408 | 500 | 502 | 504 => Verdict::RetryAmbiguous,
        // It was not passed on, and the next one will not be either.
        300..=499 | 501 | 505 | 511 => Verdict::Hold,
        _ => Verdict::RetryAmbiguous,
    }
}

fn advice_of_status(status: u16) -> Option<&'static str> {
    Some(match status {
        300..=399 => "it points elsewhere: check `endpoint_url` and `proxy` under [aws]",
        401 | 403 => {
            "something before Firehose refuses: check `endpoint_url` and `proxy` under [aws]"
        }
        400..=499 | 501 | 505 => {
            "check that `endpoint_url` under [aws] leads to Firehose, and the proxies in between"
        }
        511 => "the network asks for a login before it lets anything through",
        _ => return None,
    })
}

fn is_connect_error(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

fn has_source(error: &(dyn Error + 'static), is: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    sources(error).any(is)
}

/// An error, what caused it, and so on.
fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The words of an error, and what to change.
fn advised(words: &str, advice: Option<&str>) -> String {
    match advice {
        Some(advice) => format!("{}: {advice}", bounded(words)),
        None => bounded(words),
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(standpipe_core::limits::DETAIL_BYTES_MAX / 4).collect()
}
