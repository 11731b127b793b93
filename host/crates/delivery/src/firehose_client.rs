//! The trait for all writes. AWS, the local directory, the tests' faulty client and the simulator
//! implement it. Also defines what its errors mean for records. Each call makes one attempt,
//! because the caller counts and paces retries.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;

use super::{Batch, ErrorKind};
use standpipe_aws::{INVALID_RESPONSE, StreamDescription, advice_of_refusal, refuses_credentials};
use standpipe_core::event::StreamName;

/// The result of a request to Firehose.
pub type PutFuture<'a> =
    Pin<Box<dyn Future<Output = Result<PutResponse, RequestError>> + Send + 'a>>;

/// The result of describing a delivery stream.
pub type DescribeFuture<'a> =
    Pin<Box<dyn Future<Output = Result<StreamDescription, RequestError>> + Send + 'a>>;

/// A client for `PutRecordBatch`, or a replacement for it.
pub trait FirehoseClient: Send + Sync + 'static {
    /// Writes a batch to a delivery stream with one attempt. This function does not retry, so that
    /// every attempt is counted and paced in one place.
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> PutFuture<'a>;

    /// Requests the description of a delivery stream with one attempt. Only streams with automatic
    /// aggregation are described, and delivery does not wait for it.
    fn describe<'a>(&'a self, stream: &'a StreamName) -> DescribeFuture<'a>;
}

/// The response to a request that did not fail as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutResponse {
    /// Records that were not accepted, by their position in the batch, in ascending order.
    pub refused: Vec<(usize, RecordRefusal)>,
}

/// Why Firehose rejected a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRefusal {
    /// Firehose's code, such as `ServiceUnavailableException`.
    pub code: String,
    /// Firehose's message.
    pub message: String,
}

/// Why a request failed as a whole.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{code}: {message}")]
pub struct RequestError {
    /// How to handle the records.
    pub retry_class: RetryClass,
    /// The service's code, or a word for an error of the transport.
    pub code: String,
    /// Details, without secrets or events.
    pub message: String,
}

impl RequestError {
    /// The kind of the error.
    pub(super) fn kind(&self) -> ErrorKind {
        match meaning_of_code(&self.code).1 {
            Some(ErrorKind::Credentials) if self.is_about_time() => ErrorKind::Clock,
            Some(kind) => kind,
            None => match self.retry_class {
                RetryClass::Retry => ErrorKind::Throttled,
                RetryClass::Missing => ErrorKind::NotFound,
                RetryClass::Invalid => ErrorKind::Invalid,
                RetryClass::TooLarge => ErrorKind::TooLarge,
                RetryClass::RetryAmbiguous | RetryClass::Hold => ErrorKind::Other,
            },
        }
    }

    /// The error of a request whose records were all rejected individually for this reason.
    pub(super) fn of_refusal(refusal: &RecordRefusal) -> Self {
        let RecordRefusal { code, message } = refusal;
        let message = match advice_of_refusal(code, message, false) {
            Some(advice) => format!("{message}: {advice}"),
            None => message.clone(),
        };
        RequestError { retry_class: refusal.retry_class(), code: code.clone(), message }
    }

    /// Whether the time of the request's signature was wrong, according to the message of AWS or
    /// the advice after it.
    fn is_about_time(&self) -> bool {
        ["Signature expired", "Signature not yet current", "clock"]
            .iter()
            .any(|words| self.message.contains(words))
    }

    /// Whether there was a successful response that says nothing about the records.
    pub fn is_invalid_answer(&self) -> bool {
        self.code == INVALID_RESPONSE
    }
}

impl RecordRefusal {
    /// How to handle the records.
    pub fn retry_class(&self) -> RetryClass {
        retry_class_of_code(&self.code)
    }
}

/// What a failed request means for its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// Throttling, or an error of the service: send again after a pause.
    Retry,
    /// The response was lost or shows an error of the service, so the records may have been
    /// accepted. Send them again after a pause, and accept duplicates.
    RetryAmbiguous,
    /// The service cannot be reached, or denies access, until an operator acts: keep the records
    /// and test the stream from time to time.
    Hold,
    /// The delivery stream does not exist: hold the records, but not forever.
    Missing,
    /// The service calls the request invalid. Either a record is faulty, or the stream is, such as
    /// one that reads from Kinesis. Sending the records in smaller and smaller parts shows which
    /// one. If no record is accepted, not even a single one, it is the stream: hold the records.
    Invalid,
    /// A proxy in front of the service rejects requests of this size. A part of the request may
    /// pass. A single record does not exceed the limit of the service, and is no more faulty than
    /// others: hold the records.
    TooLarge,
}

/// The retry class of a code from Firehose, for a whole request or for a record, or of a word for a
/// transport error.
pub(super) fn retry_class_of_code(code: &str) -> RetryClass {
    meaning_of_code(code).0
}

/// The retry class of a code, and the kind of the error if the retry class does not determine it.
///
/// Unknown codes are retried: a useless retry costs a request, but an event that is given up is
/// lost. Sources: the API references of Amazon Data Firehose and "Common Errors" of AWS.
fn meaning_of_code(code: &str) -> (RetryClass, Option<ErrorKind>) {
    match code {
        "ServiceUnavailableException"
        | "ServiceUnavailable"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "LimitExceededException"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException" => (RetryClass::Retry, None),
        "ResourceNotFoundException" => (RetryClass::Missing, None),
        "ValidationException"
        | "ValidationError"
        | "InvalidArgumentException"
        | "SerializationException"
        | "InvalidParameterValue"
        | "InvalidParameterCombination" => (RetryClass::Invalid, None),
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => {
            (RetryClass::Hold, Some(ErrorKind::AccessDenied))
        }
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => {
            (RetryClass::Hold, Some(ErrorKind::Clock))
        }
        // Other credentials help against some of these only, but a stream is held for all of them.
        "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NoCredentials" => (RetryClass::Hold, Some(ErrorKind::Credentials)),
        _ if refuses_credentials(code) => (RetryClass::Hold, Some(ErrorKind::Credentials)),
        // Words for transport errors.
        "CannotConnect" => (RetryClass::Hold, Some(ErrorKind::Unreachable)),
        "Timeout" | "ConnectionLost" => (RetryClass::RetryAmbiguous, Some(ErrorKind::NoAnswer)),
        INVALID_RESPONSE => (RetryClass::RetryAmbiguous, Some(ErrorKind::InvalidAnswer)),
        // The stream only accepts records from CloudWatch Logs, so no record is faulty.
        "InvalidKMSResourceException" | "InvalidSourceException" => (RetryClass::Hold, None),
        // Codes with this prefix hold the stream. Otherwise they would be unknown.
        _ if code.starts_with("KMS") => (RetryClass::Hold, None),
        _ => (RetryClass::RetryAmbiguous, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_code_and_then_by_what_is_done_about_them() {
        for (retry_class, code, message, kind) in [
            (RetryClass::Retry, "ServiceUnavailableException", "", ErrorKind::Throttled),
            (RetryClass::Hold, "NoCredentials", "", ErrorKind::Credentials),
            (RetryClass::Hold, "InvalidSignatureException", "wrong key", ErrorKind::Credentials),
            (
                RetryClass::Hold,
                "InvalidSignatureException",
                "Signature expired: 1",
                ErrorKind::Clock,
            ),
            (RetryClass::Hold, "AccessDeniedException", "", ErrorKind::AccessDenied),
            (RetryClass::Missing, "ResourceNotFoundException", "", ErrorKind::NotFound),
            (RetryClass::Invalid, "InvalidArgumentException", "", ErrorKind::Invalid),
            (RetryClass::TooLarge, "HTTP 413", "", ErrorKind::TooLarge),
            (RetryClass::Hold, "CannotConnect", "", ErrorKind::Unreachable),
            (RetryClass::RetryAmbiguous, "Timeout", "", ErrorKind::NoAnswer),
            (RetryClass::RetryAmbiguous, "InvalidAnswer", "", ErrorKind::InvalidAnswer),
            (RetryClass::Hold, "LocalFile", "", ErrorKind::Other),
            (RetryClass::RetryAmbiguous, "InternalFailure", "", ErrorKind::Other),
        ] {
            let (code, message) = (code.to_owned(), message.to_owned());
            let error = RequestError { retry_class, code, message };
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}
