//! The error of a request to an AWS service, for all clients.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{SdkError, ServiceError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use thiserror::Error as ThisError;

use super::transient::is_transient;
use super::{InvalidResponse, ResponseTooLong, advice_of_failure, advice_of_refusal, is_skewed};
use standpipe_core::{error_chain, error_sources, limits};

/// The code of the error for a successful response that is incomplete or too long.
pub const INVALID_RESPONSE: &str = "InvalidAnswer";

/// A failed request to AWS.
#[derive(Debug, Clone, ThisError, PartialEq, Eq)]
#[error("{code}: {message}{}", advice.map(|advice| format!(": {advice}")).unwrap_or_default())]
pub struct AwsError {
    /// The service's code, or a word of the transport.
    pub code: String,
    /// Details, without secrets.
    pub message: String,
    /// The solution.
    pub advice: Option<&'static str>,
    /// Whether the same request may succeed when it is sent again.
    pub is_passing: bool,
    /// The status of a response without a code: it comes from something in front of the service, or
    /// in its place.
    pub status: Option<u16>,
}

impl AwsError {
    /// Creates an error that a retry does not solve.
    pub(super) fn new(code: impl Into<String>, message: String) -> Self {
        AwsError { code: code.into(), message, advice: None, is_passing: false, status: None }
    }

    /// Creates an error that a retry may solve.
    pub(super) fn transient(code: impl Into<String>, message: String) -> Self {
        AwsError { is_passing: true, ..AwsError::new(code, message) }
    }

    /// A successful response that lacks a required member. The next one may be complete, because
    /// something other than AWS may have sent this one.
    pub fn incomplete_response(problem: impl Into<String>) -> Self {
        let advice = Some(
            "it is not a complete response of AWS: check the endpoints under [aws], and the proxies in between",
        );
        AwsError { advice, ..AwsError::transient(INVALID_RESPONSE, problem.into()) }
    }

    /// An error response. Without a code, it does not come from the service.
    pub(super) fn of_refusal(status: u16, code: &str, message: &str, is_skewed: bool) -> Self {
        let has_code = !code.is_empty();
        let code = if has_code { truncate_detail(code) } else { format!("HTTP {status}") };
        // Some services return a "limit exceeded" code for too many requests.
        let is_passing = status >= 500
            || status == 429
            || code.contains("Throttl")
            || code.contains("LimitExceeded");
        let advice = advice_of_refusal(&code, message, is_skewed);
        let status = (!has_code).then_some(status);
        AwsError { code, message: truncate_detail(message), advice, is_passing, status }
    }

    /// The meaning of an error of the SDK.
    pub fn of_sdk<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let is_success = |response: &HttpResponse| response.status().is_success();
        if error.raw_response().is_none_or(is_success)
            && let Some(error) = error_sources(error).find_map(Self::of_invalid_answer)
        {
            return error;
        }
        match error {
            SdkError::ServiceError(service) => Self::of_service_error(service),
            SdkError::ResponseError(response) if !is_success(response.raw()) => {
                Self::of_refusal(response.raw().status().as_u16(), "", "", false)
            }
            _ => {
                let (code, is_passing) = transport_code(error);
                let advice = advice_of_failure(error);
                AwsError { advice, is_passing, ..AwsError::new(code, error_chain(error)) }
            }
        }
    }

    fn of_service_error<E: ProvideErrorMetadata>(service: &ServiceError<E, HttpResponse>) -> Self {
        let (error, response) = (service.err(), service.raw());
        let message = error.message().unwrap_or_default();
        let code = error.code().unwrap_or_default();
        Self::of_refusal(response.status().as_u16(), code, message, is_skewed(response))
    }

    /// The meaning of a response that was incomplete, or too long.
    pub(super) fn of_lost_response(error: &(dyn Error + 'static)) -> Self {
        error_sources(error)
            .find_map(Self::of_invalid_answer)
            .unwrap_or_else(|| Self::transient("ConnectionLost", error_chain(error)))
    }

    /// `None` for other errors.
    fn of_invalid_answer(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(invalid) = error.downcast_ref::<InvalidResponse>() {
            let is_passing = invalid.may_pass();
            return Some(AwsError {
                is_passing,
                ..Self::new(INVALID_RESPONSE, invalid.to_string())
            });
        }
        let too_long = error.downcast_ref::<ResponseTooLong>()?;
        Some(AwsError::new(INVALID_RESPONSE, too_long.to_string()))
    }
}

/// Whether AWS rejects the credentials with this code, and may accept others.
pub fn refuses_credentials(code: &str) -> bool {
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

/// The word for the reason of a missing response, and whether a retry may get one.
fn transport_code<E>(error: &SdkError<E, HttpResponse>) -> (&'static str, bool)
where
    E: Error + 'static,
{
    match error {
        SdkError::TimeoutError(_) => return ("Timeout", true),
        // The response has a success status, but the SDK cannot parse it.
        SdkError::ResponseError(_) => return (INVALID_RESPONSE, true),
        _ => {}
    }
    let credentials =
        error_sources(error).find_map(|source| source.downcast_ref::<CredentialsError>());
    if let Some(error) = credentials {
        return ("NoCredentials", is_transient(error));
    }
    let code = match error {
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "Timeout",
        SdkError::DispatchFailure(_) if error_sources(error).any(is_connect_error) => {
            "CannotConnect"
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => "ConnectionLost",
        _ => "RequestFailed",
    };
    (code, true)
}

fn is_connect_error(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// Truncates a text of AWS to the maximum length in an error or a log line.
pub fn truncate_detail(text: &str) -> String {
    text.chars().take(limits::DETAIL_BYTES_MAX / 4).collect()
}
