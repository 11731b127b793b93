//! A refused request: a reason of the list, and a text that contains nothing of the request. Also
//! converts errors of lower layers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER};

use super::decode::InvalidBody;
use super::refusal_reason::RefusalReason;
use super::response::{TEXT, full_response};
use super::source::{CollectorSource, SourceRegistry};
use crate::content_encoding::DecompressError;
use standpipe_http::{BodyError, Response};
use standpipe_plugin_host::FunctionError;
use standpipe_spool::AppendError;

/// The time after which clients should retry while the spool is full.
const FULL_PAUSE: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// The time after which a request should be sent to its function again. Segment waits as long before
/// its first retry.
const FUNCTION_PAUSE: Duration = Duration::from_secs(60);

const TOO_LARGE: &str = "request size exceeds max limit";

/// A refused request: the reason, and a text that says what to change. The text contains nothing
/// of the request.
#[derive(Debug)]
pub(super) struct RefusedRequest {
    pub(super) reason: RefusalReason,
    pub(super) text: String,
    pub(super) retry_after: Option<Duration>,
    /// The request's source, if it is known.
    pub(super) source: Option<Arc<CollectorSource>>,
    /// The supported methods, if the request's method is not supported.
    pub(super) allowed: Option<&'static str>,
    /// More about the cause, for the log.
    pub(super) detail: Option<String>,
    /// Whether the body goes to the dead letters.
    pub(super) is_kept: bool,
    /// Whether the events needed more bytes than the decoder had for them.
    pub(super) is_too_long: bool,
}

impl RefusedRequest {
    pub(super) fn new(reason: RefusalReason, text: impl Into<String>) -> Self {
        RefusedRequest {
            reason,
            text: text.into(),
            retry_after: None,
            source: None,
            allowed: None,
            detail: None,
            is_kept: false,
            is_too_long: false,
        }
    }

    /// Refuses a request with an unknown write key.
    pub(super) fn unknown_key() -> Self {
        RefusedRequest::new(RefusalReason::UnknownWriteKey, "invalid write key")
    }

    /// Refuses and counts a request without a write key.
    pub(super) fn no_key(sources: &SourceRegistry) -> Self {
        sources.unknown_keys.inc();
        RefusedRequest::new(
            RefusalReason::NoWriteKey,
            "failed to read writekey from header: send it as the user of Basic authentication, as ?writeKey=, or in the body",
        )
    }

    /// Counts the request and logs it.
    pub(super) fn record_refusal(&self, sources: &SourceRegistry) {
        let (name, refusals) = match &self.source {
            Some(source) => (Some(source.settings.name.as_str()), &source.counts.refusals),
            None => (None, &sources.refusals),
        };
        let text = match &self.detail {
            Some(detail) => Cow::Owned(format!("{}: {detail}", self.text)),
            None => Cow::Borrowed(self.text.as_str()),
        };
        refusals.record_refusal(name, self.reason, &text, self.is_kept);
    }

    pub(super) fn for_now(reason: RefusalReason, text: &str, retry_after: Duration) -> Self {
        RefusedRequest { retry_after: Some(retry_after), ..RefusedRequest::new(reason, text) }
    }

    /// Sets the source of the request.
    pub(super) fn of_source(self, source: &Arc<CollectorSource>) -> Self {
        RefusedRequest { source: Some(Arc::clone(source)), ..self }
    }

    /// Sets the source of the request, if it is known.
    pub(super) fn of_known_source(self, source: Option<&Arc<CollectorSource>>) -> Self {
        RefusedRequest { source: source.cloned().or(self.source), ..self }
    }

    /// Counts and logs the request, and creates its response. The response is plain text, because
    /// some SDKs expect fields of their vendor in a JSON response, and fail without them.
    pub(super) fn response(&self, sources: &SourceRegistry) -> Response {
        self.record_refusal(sources);
        let mut response = full_response(self.reason.status(), TEXT, format!("{}\n", self.text));
        if let Some(allowed) = self.allowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    /// Refuses a request with an unknown compression.
    pub(super) fn unknown_encoding() -> Self {
        RefusedRequest::new(
            RefusalReason::ContentEncoding,
            "unknown Content-Encoding: send gzip, deflate, br, zstd, or an uncompressed body",
        )
    }

    /// Refuses a request above the rate limit of its source.
    pub(super) fn too_many(after: Duration) -> Self {
        RefusedRequest::for_now(RefusalReason::RateLimit, "max requests limit reached", after)
    }

    /// Refuses a request for which no memory or no thread is free.
    pub(super) fn busy() -> Self {
        RefusedRequest::for_now(RefusalReason::Busy, "service unavailable", BUSY_PAUSE)
    }
}

impl From<FunctionError> for RefusedRequest {
    fn from(error: FunctionError) -> Self {
        let refused = match error {
            FunctionError::Busy => return RefusedRequest::busy(),
            FunctionError::Rejected(_) => RefusedRequest::new(
                RefusalReason::FunctionRejected,
                "the function of the source rejected the request",
            ),
            FunctionError::Retry(_) => RefusedRequest::for_now(
                RefusalReason::FunctionRetry,
                "the function of the source cannot handle the request now",
                FUNCTION_PAUSE,
            ),
            FunctionError::Fault(_) | FunctionError::NotAnObject { .. } => RefusedRequest::new(
                RefusalReason::FunctionFailed,
                "the function of the source failed",
            ),
        };
        // The sender must not see it: it can contain a secret of the settings.
        let lines: Vec<_> = error.to_string().lines().map(|line| line.trim().to_owned()).collect();
        RefusedRequest { detail: Some(lines.join(" ")), ..refused }
    }
}

impl From<BodyError> for RefusedRequest {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => RefusedRequest::new(RefusalReason::TooLarge, TOO_LARGE),
            BodyError::CutOff => {
                RefusedRequest::new(RefusalReason::CutOff, "failed to read body from request")
            }
            BodyError::TooSlow => RefusedRequest::new(RefusalReason::TooSlow, error.to_string()),
            BodyError::Busy => RefusedRequest::busy(),
        }
    }
}

impl From<DecompressError> for RefusedRequest {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::TooLarge => RefusedRequest::new(RefusalReason::TooLarge, TOO_LARGE),
            DecompressError::Broken => RefusedRequest::new(
                RefusalReason::BadCompression,
                "failed to read body from request: it is not compressed as Content-Encoding says",
            ),
        }
    }
}

impl From<InvalidBody> for RefusedRequest {
    fn from(error: InvalidBody) -> Self {
        let reason = match error {
            InvalidBody::Empty => RefusalReason::Empty,
            InvalidBody::NotUtf8 { .. } => RefusalReason::InvalidUtf8,
            InvalidBody::NotJson { .. } => RefusalReason::NotJson,
            InvalidBody::TooDeep { .. } => RefusalReason::NestedTooDeep,
            InvalidBody::NotAnObject => RefusalReason::NotAnObject,
            InvalidBody::NoBatch => RefusalReason::NoBatch,
            InvalidBody::EmptyBatch => RefusalReason::EmptyBatch,
            InvalidBody::TooLong
            | InvalidBody::TooManyEvents
            | InvalidBody::AddsTooMuch
            | InvalidBody::TooManyParts
            | InvalidBody::TooManyMembers
            | InvalidBody::TooManyFields => RefusalReason::TooMuch,
        };
        let is_too_long = error == InvalidBody::TooLong;
        RefusedRequest { is_too_long, ..RefusedRequest::new(reason, error.response_text()) }
    }
}

impl From<AppendError> for RefusedRequest {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { .. } => RefusedRequest::new(RefusalReason::TooMuch, TOO_LARGE),
            // Problems of the disk or the queue concern the operator, not the client.
            AppendError::Full
            | AppendError::Failed(_)
            | AppendError::Closed
            | AppendError::Unacknowledged => {
                RefusedRequest::for_now(RefusalReason::Spool, "service unavailable", FULL_PAUSE)
            }
        }
    }
}
