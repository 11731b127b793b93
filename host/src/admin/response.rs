//! Responses of the admin server: JSON and text bodies, and `AdminError`, which converts a rejected
//! plugin, an invalid body or a missing token to a status and a message. For a rejected component,
//! the message includes its step and hash. Clients must not cache responses.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use schemars::JsonSchema;
use serde::Serialize;

use standpipe_http::{BodyError, Response};
use standpipe_plugin_host::swap::{RejectedCandidate, RejectionCause, RoleChangeError, Swapped};

/// The value of `Retry-After` if other requests, which may be compiling, delay this one.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// The result of a swap, a rollback, or the start of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct SwapResponse {
    /// The plugin's generation.
    pub(super) generation: u64,
    /// Whether the generation differs from the previous one.
    pub(super) changed: bool,
    /// Why nothing has changed, if that is not obvious.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<&'static str>,
}

/// A component that passed all steps of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct CheckResponse {
    /// The SHA-256 of the component.
    pub(super) sha256: String,
    /// The delivery streams that the plugin may name, including patterns.
    pub(super) streams: Vec<String>,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct ErrorResponse {
    /// What failed, and how to solve it.
    pub(super) error: String,
    /// The step that a component failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<&'static str>,
    /// The SHA-256 of the rejected component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
}

/// The response to a failed request.
#[derive(Debug)]
pub(super) struct AdminError {
    status: StatusCode,
    problem: ErrorResponse,
    /// Boxed, because few errors have a header.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl AdminError {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let problem = ErrorResponse { error: error.into(), step: None, sha256: None };
        AdminError { status, problem, header: None }
    }

    /// The query, a header or the body is invalid.
    pub(super) fn bad_request(error: &impl ToString) -> Self {
        AdminError::new(StatusCode::BAD_REQUEST, error.to_string())
    }

    /// The token is missing or wrong.
    pub(super) fn unauthorized(error: &str) -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"standpipe\"");
        AdminError::new(StatusCode::UNAUTHORIZED, error).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// Too many requests are waiting.
    pub(super) fn busy(error: &str) -> Self {
        let pause = HeaderValue::from(BUSY_PAUSE.as_secs());
        AdminError::new(StatusCode::SERVICE_UNAVAILABLE, error).with_header(RETRY_AFTER, pause)
    }

    /// The path exists for other methods.
    pub(super) fn wrong_method(allowed: &str) -> Self {
        let methods = HeaderValue::from_str(allowed).expect("methods have plain names");
        AdminError::new(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}"))
            .with_header(ALLOW, methods)
    }

    fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        AdminError { header: Some(Box::new((name, value))), ..self }
    }

    pub(super) fn to_response(&self) -> Response {
        let mut answer = json_response(self.status, &self.problem);
        if let Some((name, value)) = self.header.as_deref() {
            answer.headers_mut().insert(name, value.clone());
        }
        answer
    }
}

impl From<RejectedCandidate> for AdminError {
    fn from(refused: RejectedCandidate) -> Self {
        if let RejectionCause::FleetDecides = *refused.cause {
            return AdminError::new(StatusCode::CONFLICT, refused.cause.to_string());
        }
        let problem = ErrorResponse {
            error: refused.cause.to_string(),
            step: Some(refused.step.word()),
            sha256: refused.digest.as_deref().map(str::to_owned),
        };
        AdminError { status: StatusCode::UNPROCESSABLE_ENTITY, problem, header: None }
    }
}

impl From<RoleChangeError> for AdminError {
    fn from(error: RoleChangeError) -> Self {
        AdminError::new(StatusCode::CONFLICT, error.to_string())
    }
}

impl From<BodyError> for AdminError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => AdminError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "the component is larger than {} bytes: strip it, for example with `wasm-tools strip`",
                    crate::limits::PLUGIN_FILE_BYTES_MAX
                ),
            ),
            BodyError::CutOff => AdminError::bad_request(&error),
            BodyError::TooSlow => AdminError::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            BodyError::Busy => AdminError::busy("too many request bodies at once: try again later"),
        }
    }
}

impl From<Swapped> for SwapResponse {
    fn from(swapped: Swapped) -> Self {
        let (generation, changed) = match swapped {
            Swapped::Taken(generation) => (generation, true),
            Swapped::Unchanged(generation) => (generation, false),
        };
        SwapResponse { generation, changed, note: None }
    }
}

pub(super) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("a response has only string keys");
    json_text(status, text + "\n")
}

pub(super) fn json_text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut answer = response_with(status, HeaderValue::from_static("application/json"), text);
    // Clients must not cache a status.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

pub(super) fn text_response(status: StatusCode, text: impl Into<Bytes>) -> Response {
    response_with(status, HeaderValue::from_static("text/plain; charset=utf-8"), text)
}

pub(super) fn no_content() -> Response {
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

pub(super) fn response_with(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}
