//! The one way out: the trait that AWS, the local directory, the tests' faulty client and the
//! simulator implement; and what its errors mean for records. One attempt each, since retries are
//! counted and paced by the caller.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;

use super::{Batch, ErrorKind};
use standpipe_aws::{INVALID_RESPONSE, StreamDescription, advice_of_refusal, refuses_credentials};
use standpipe_core::event::StreamName;

/// What a request to Firehose becomes.
pub type PutFuture<'a> =
    Pin<Box<dyn Future<Output = Result<PutResponse, RequestError>> + Send + 'a>>;

/// What asking about a delivery stream becomes.
pub type DescribeFuture<'a> =
    Pin<Box<dyn Future<Output = Result<StreamDescription, RequestError>> + Send + 'a>>;

/// The one way out: `PutRecordBatch`, or what stands in for it.
pub trait FirehoseClient: Send + Sync + 'static {
    /// Write a batch to a delivery stream, once. Nothing is tried again here,
    /// so that every attempt is counted and paced in one place.
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> PutFuture<'a>;

    /// Ask what a delivery stream does with its records, once. Only streams whose
    /// aggregation depends on it are asked about, and delivery does not wait for it.
    fn describe<'a>(&'a self, stream: &'a StreamName) -> DescribeFuture<'a>;
}

/// The answer to a request that was not refused as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutResponse {
    /// Records that were not accepted, by their position in the batch, rising.
    pub refused: Vec<(usize, RecordRefusal)>,
}

/// Why a record was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRefusal {
    /// Firehose's code, such as `ServiceUnavailableException`.
    pub code: String,
    /// Firehose's words.
    pub message: String,
}

/// Why a request failed as a whole.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{code}: {message}")]
pub struct RequestError {
    /// What is to be done about it.
    pub retry_class: RetryClass,
    /// The service's code, or a word of the transport.
    pub code: String,
    /// More about it, without secrets or events.
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

    /// A request of which every record was refused on its own, for this reason.
    pub(super) fn of_refusal(refusal: &RecordRefusal) -> Self {
        let RecordRefusal { code, message } = refusal;
        let message = match advice_of_refusal(code, message, false) {
            Some(advice) => format!("{message}: {advice}"),
            None => message.clone(),
        };
        RequestError { retry_class: refusal.retry_class(), code: code.clone(), message }
    }

    /// Whether the time of the request's signature is to blame, by the words of AWS or the
    /// advice that stands behind them.
    fn is_about_time(&self) -> bool {
        ["Signature expired", "Signature not yet current", "clock"]
            .iter()
            .any(|words| self.message.contains(words))
    }

    /// Whether there was an answer of success that says nothing about the request.
    pub fn is_invalid_answer(&self) -> bool {
        self.code == INVALID_RESPONSE
    }
}

impl RecordRefusal {
    /// What is to be done about it.
    pub fn retry_class(&self) -> RetryClass {
        retry_class_of_code(&self.code)
    }
}

/// What a failed request means for its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// Too much at once, or a fault of the service: send again after a pause.
    Retry,
    /// Sent, but the answer was lost or was a fault: the records may have been
    /// accepted. Send again after a pause, and live with duplicates.
    RetryAmbiguous,
    /// Nobody can be reached, or nobody lets us in, until an operator acts:
    /// keep the records and try now and then.
    Hold,
    /// The delivery stream does not exist: hold, but not for ever.
    Missing,
    /// The service calls the request invalid. Some record of it is at fault, or the
    /// stream is, such as one that reads from Kinesis: which of them shows when the
    /// records are sent in smaller and smaller parts. Where no record is accepted, not
    /// even one alone, it is the stream: hold.
    Invalid,
    /// Something before the service refuses requests of this size. A part of it may
    /// pass. A record alone is no larger than the service permits, and no more at fault
    /// than any other: hold.
    TooLarge,
}

/// The retry_class on a code that Firehose gives, whether for a whole request or
/// for a record, or on a word of the transport.
pub(super) fn retry_class_of_code(code: &str) -> RetryClass {
    meaning_of_code(code).0
}

/// The retry_class on a code, and the kind of the error where the retry_class does not say it.
///
/// Unknown codes are tried again: a retry that is in vain costs a request, an
/// event given up is lost. Sources: the API references of Amazon Data Firehose
/// and "Common Errors" of AWS.
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
        // More than what other credentials help against: a stream is held for all of these.
        "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NoCredentials" => (RetryClass::Hold, Some(ErrorKind::Credentials)),
        _ if refuses_credentials(code) => (RetryClass::Hold, Some(ErrorKind::Credentials)),
        // Words of the transport.
        "CannotConnect" => (RetryClass::Hold, Some(ErrorKind::Unreachable)),
        "Timeout" | "ConnectionLost" => (RetryClass::RetryAmbiguous, Some(ErrorKind::NoAnswer)),
        INVALID_RESPONSE => (RetryClass::RetryAmbiguous, Some(ErrorKind::InvalidAnswer)),
        // The stream takes records of CloudWatch Logs alone: no fault of a record.
        "InvalidKMSResourceException" | "InvalidSourceException" => (RetryClass::Hold, None),
        // Without "KMS" the code would be unknown and the stream not held.
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
