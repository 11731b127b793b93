//! A request that is refused: a reason of the list, a text and nothing of the request. Also what of
//! the layers below becomes of it.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER};

use super::answer::{TEXT, whole};
use super::decode::BadBody;
use super::reason::RefusalReason;
use super::source::{Source, Sources};
use crate::encoding::DecodeError;
use standpipe_http::{BodyError, Response};
use standpipe_spool::AppendError;

/// When to try again what there is no room for now.
const FULL_PAUSE: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_secs(1);

const TOO_LARGE: &str = "request size exceeds max limit";

/// Why a request is refused, and a text that says what to change. It holds nothing of the
/// request.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: RefusalReason,
    pub(super) text: String,
    pub(super) retry_after: Option<Duration>,
    /// Whose request it is, where that is known.
    pub(super) source: Option<Arc<Source>>,
    /// Where its path exists: the methods for it.
    pub(super) allowed: Option<&'static str>,
    /// Whether its body goes to the dead letters.
    pub(super) is_kept: bool,
}

impl Refused {
    pub(super) fn new(reason: RefusalReason, text: impl Into<String>) -> Self {
        Refused {
            reason,
            text: text.into(),
            retry_after: None,
            source: None,
            allowed: None,
            is_kept: false,
        }
    }

    /// A request with a write key that no source has.
    pub(super) fn unknown_key() -> Self {
        Refused::new(RefusalReason::UnknownWriteKey, "invalid write key")
    }

    /// A request without a write key, which is counted.
    pub(super) fn no_key(sources: &Sources) -> Self {
        sources.unknown_keys.inc();
        Refused::new(
            RefusalReason::NoWriteKey,
            "failed to read writekey from header: send it as the user of Basic authentication, as ?writeKey=, or in the body",
        )
    }

    /// Counts the request and logs it.
    pub(super) fn note(&self, sources: &Sources) {
        let (name, refusals) = match &self.source {
            Some(source) => (Some(source.settings.name.as_str()), &source.counts.refusals),
            None => (None, &sources.refusals),
        };
        refusals.note(name, self.reason, &self.text, self.is_kept);
    }

    pub(super) fn for_now(reason: RefusalReason, text: &str, retry_after: Duration) -> Self {
        Refused { retry_after: Some(retry_after), ..Refused::new(reason, text) }
    }

    /// The same of a request of this source.
    pub(super) fn of(self, source: &Arc<Source>) -> Self {
        Refused { source: Some(Arc::clone(source)), ..self }
    }

    /// The same of a request of this source, where it is known.
    pub(super) fn of_known(self, source: Option<&Arc<Source>>) -> Self {
        Refused { source: source.cloned().or(self.source), ..self }
    }

    /// Counts and logs the request, and makes its answer. Plain text: some SDKs take an answer in JSON for one with fields of their
    /// vendor's, and fail on its absence.
    pub(super) fn answer(&self, sources: &Sources) -> Response {
        self.note(sources);
        let mut answer = whole(self.reason.status(), TEXT, format!("{}\n", self.text));
        if let Some(allowed) = self.allowed {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer
    }

    /// The source's limit is reached.
    pub(super) fn too_many(after: Duration) -> Self {
        Refused::for_now(RefusalReason::RateLimit, "max requests limit reached", after)
    }

    /// Others have the memory, or the threads, that this takes.
    pub(super) fn busy() -> Self {
        Refused::for_now(RefusalReason::Busy, "service unavailable", BUSY_PAUSE)
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Refused::new(RefusalReason::TooLarge, TOO_LARGE),
            BodyError::CutOff => {
                Refused::new(RefusalReason::CutOff, "failed to read body from request")
            }
            BodyError::TooSlow => Refused::new(RefusalReason::TooSlow, error.to_string()),
            BodyError::Busy => Refused::busy(),
        }
    }
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge => Refused::new(RefusalReason::TooLarge, TOO_LARGE),
            DecodeError::Broken => Refused::new(
                RefusalReason::BadCompression,
                "failed to read body from request: it is not compressed as Content-Encoding says",
            ),
        }
    }
}

impl From<BadBody> for Refused {
    fn from(error: BadBody) -> Self {
        let reason = match error {
            BadBody::Empty => RefusalReason::Empty,
            BadBody::NotUtf8 { .. } => RefusalReason::InvalidUtf8,
            BadBody::NotJson { .. } => RefusalReason::NotJson,
            BadBody::TooDeep { .. } => RefusalReason::NestedTooDeep,
            BadBody::NotAnObject => RefusalReason::NotAnObject,
            BadBody::NoBatch => RefusalReason::NoBatch,
            BadBody::EmptyBatch => RefusalReason::EmptyBatch,
            BadBody::TooLong
            | BadBody::TooManyEvents
            | BadBody::AddsTooMuch
            | BadBody::TooManyParts
            | BadBody::TooManyMembers
            | BadBody::TooManyFields => RefusalReason::TooMuch,
        };
        Refused::new(reason, error.answer())
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { .. } => Refused::new(RefusalReason::TooMuch, TOO_LARGE),
            // What is wrong with the disk concerns the operator, not the client.
            AppendError::Full | AppendError::Failed(_) | AppendError::Closed => {
                Refused::for_now(RefusalReason::Spool, "service unavailable", FULL_PAUSE)
            }
        }
    }
}
