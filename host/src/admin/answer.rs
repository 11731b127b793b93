//! Responses of the admin server: JSON and text bodies, and `Failure`, which turns a refused
//! plugin, a bad body or a missing token into a status, a message and, for a refused component, its
//! step and hash. Nothing here is cached by clients.

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
use standpipe_plugin_host::swap::{NotPossible, Refused, Swapped};

/// When to try again what others are in the way of: they may be compiling.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// The plugin that decides, or is tried, from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Taken {
    /// Its generation.
    pub(super) generation: u64,
    /// Whether it is another one than before.
    pub(super) changed: bool,
    /// Why nothing was changed, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<&'static str>,
}

/// A component that passed all steps, and was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Checked {
    /// The SHA-256 of the component.
    pub(super) sha256: String,
    /// The delivery streams that it may name, patterns included.
    pub(super) streams: Vec<String>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// What is wrong, and what to do about it.
    pub(super) error: String,
    /// The step that a component did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<&'static str>,
    /// The SHA-256 of that component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
}

/// An answer to a request that could not be followed.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    problem: Problem,
    /// Few have one, and all of them are handed around.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let problem = Problem { error: error.into(), step: None, sha256: None };
        Failure { status, problem, header: None }
    }

    /// What came with the request is wrong.
    pub(super) fn bad_request(error: impl ToString) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, error.to_string())
    }

    /// Nobody has said who asks, or not rightly.
    pub(super) fn unauthorized(error: &str) -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"standpipe\"");
        Failure {
            header: Some(Box::new((WWW_AUTHENTICATE, challenge))),
            ..Failure::new(StatusCode::UNAUTHORIZED, error)
        }
    }

    /// Too many are at it.
    pub(super) fn busy(error: &str) -> Self {
        Failure {
            header: Some(Box::new((RETRY_AFTER, HeaderValue::from(BUSY_PAUSE.as_secs())))),
            ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, error)
        }
    }

    /// There is such a path, for other methods.
    pub(super) fn wrong_method(allowed: &str) -> Self {
        let header = HeaderValue::from_str(allowed).expect("methods have plain names");
        Failure {
            header: Some(Box::new((ALLOW, header))),
            ..Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}"))
        }
    }

    pub(super) fn answer(&self) -> Response {
        let mut answer = json(self.status, &self.problem);
        if let Some((name, value)) = self.header.as_deref() {
            answer.headers_mut().insert(name, value.clone());
        }
        answer
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let problem = Problem {
            error: refused.cause.to_string(),
            step: Some(refused.step.word()),
            sha256: refused.digest.as_deref().map(str::to_owned),
        };
        Failure { status: StatusCode::UNPROCESSABLE_ENTITY, problem, header: None }
    }
}

impl From<NotPossible> for Failure {
    fn from(error: NotPossible) -> Self {
        Failure::new(StatusCode::CONFLICT, error.to_string())
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "a component may have {} bytes: strip it, as with `wasm-tools strip`",
                    crate::limits::PLUGIN_FILE_BYTES_MAX
                ),
            ),
            BodyError::CutOff => Failure::bad_request(error),
            BodyError::TooSlow => Failure::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            BodyError::Busy => Failure::busy("too many bodies at once: try again"),
        }
    }
}

impl From<Swapped> for Taken {
    fn from(swapped: Swapped) -> Self {
        match swapped {
            Swapped::Taken(generation) => Taken { generation, changed: true, note: None },
            Swapped::Unchanged(generation) => Taken { generation, changed: false, note: None },
        }
    }
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("a response has only string keys");
    json_text(status, text + "\n")
}

pub(super) fn json_text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut answer = whole(status, HeaderValue::from_static("application/json"), text);
    // What is told is of this moment.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    whole(status, HeaderValue::from_static("text/plain; charset=utf-8"), text)
}

pub(super) fn nothing() -> Response {
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

pub(super) fn whole(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}
