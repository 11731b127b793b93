mod description;
mod short_answers;

use std::error::Error;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::StalledStreamProtectionConfig;
use aws_sdk_firehose::config::http::HttpRequest;
use aws_sdk_firehose::config::retry::RetryConfig;
use aws_sdk_firehose::config::timeout::TimeoutConfig;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::operation::put_record_batch::PutRecordBatchOutput;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use self::short_answers::ShortAnswers;
use super::port::{Describe, Put, verdict_of_code};
use super::{Answer, Batch, Description, Firehose, Refusal, RequestError, Verdict, body};
use crate::aws::{Session, advice_of_code, advice_of_failure, error_chain};
use crate::event::StreamName;
use crate::limits;

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
            .connect_timeout(limits::CONNECT_TIMEOUT)
            .operation_timeout(limits::REQUEST_TIMEOUT)
            .build();
        let mut builder = aws_sdk_firehose::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(http) = config.http_client() {
            builder = builder.http_client(ShortAnswers(http));
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
            let records = batch.len();
            drop(batch);
            let operation = self.client.put_record_batch().delivery_stream_name(stream.as_str());
            let request = operation
                .set_records(Some(Vec::new()))
                .customize()
                .mutate_request(move |request| replace_body(request, &body));
            match request.send().await {
                Ok(output) => read_answer(&output, records),
                Err(error) => Err(self.read_error(&error)),
            }
        })
    }

    fn describe<'a>(&'a self, stream: &'a StreamName) -> Describe<'a> {
        Box::pin(async move {
            let operation = self.client.describe_delivery_stream();
            match operation.delivery_stream_name(stream.as_str()).send().await {
                Ok(output) => Ok(output
                    .delivery_stream_description()
                    .map_or_else(Description::default, description::read)),
                Err(error) => Err(self.read_error(&error)),
            }
        })
    }
}

impl Amazon {
    /// What an error means. Credentials that AWS does not take are looked for again.
    fn read_error<E>(&self, error: &SdkError<E>) -> RequestError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let error = read_error(error);
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

fn read_answer(output: &PutRecordBatchOutput, records: usize) -> Result<Answer, RequestError> {
    let responses = output.request_responses();
    if output.failed_put_count() == 0 {
        return Ok(Answer::default());
    }
    if responses.len() != records {
        let message = format!("{} results for {records} records", responses.len());
        let code = "InvalidAnswer".to_owned();
        return Err(RequestError { verdict: Verdict::RetryAmbiguous, code, message });
    }
    let refused = responses.iter().enumerate().filter_map(|(position, response)| {
        let code = response.error_code()?.to_owned();
        let message = bounded(response.error_message().unwrap_or_default());
        Some((position, Refusal { code, message }))
    });
    Ok(Answer { refused: refused.collect() })
}

fn read_error<E>(error: &SdkError<E>) -> RequestError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (verdict, code) = match error {
        SdkError::ServiceError(service) => return read_service_error(service),
        SdkError::TimeoutError(_) => (Verdict::RetryAmbiguous, "Timeout"),
        SdkError::ResponseError(response) if response.raw().status().as_u16() >= 300 => {
            let code = format!("HTTP {}", response.raw().status().as_u16());
            let verdict = verdict_of_status(response.raw().status().as_u16());
            let message = advised("it is no answer of Firehose's", advice_of_code(&code));
            return RequestError { verdict, code, message };
        }
        SdkError::ResponseError(_) => (Verdict::RetryAmbiguous, "InvalidAnswer"),
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

fn read_service_error<E: ProvideErrorMetadata>(
    error: &aws_smithy_runtime_api::client::result::ServiceError<
        E,
        aws_smithy_runtime_api::client::orchestrator::HttpResponse,
    >,
) -> RequestError {
    let status = error.raw().status().as_u16();
    let code = error.err().code().unwrap_or_default();
    let (verdict, code) = match code {
        "" => (verdict_of_status(status), format!("HTTP {status}")),
        code => (verdict_of_code(code), code.to_owned()),
    };
    let message = advised(error.err().message().unwrap_or_default(), advice_of_code(&code));
    RequestError { verdict, code, message }
}

/// For answers of something that stands before Firehose and knows no codes.
fn verdict_of_status(status: u16) -> Verdict {
    match status {
        401 | 403 | 407 => Verdict::Hold,
        413 => Verdict::Invalid,
        429 | 503 => Verdict::Retry,
        _ => Verdict::RetryAmbiguous,
    }
}

fn is_connect_error(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

fn has_source(error: &(dyn Error + 'static), is: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(is)
}

/// The words of an error, and what to change.
fn advised(words: &str, advice: Option<&str>) -> String {
    match advice {
        Some(advice) => format!("{}: {advice}", bounded(words)),
        None => bounded(words),
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(limits::DETAIL_BYTES_MAX / 4).collect()
}
