//! Responses of the collector: accepted, settings, pixel, and `Refused`, which holds a reason of
//! the list, a text and nothing of the request. Plain text, since some SDKs read fields out of JSON
//! errors.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use super::Dialect;
use super::reason::RefusalReason;
use super::refusals::Refusal;
use super::source::{Source, Sources};
use standpipe_http::Answer;

/// An image of one transparent pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\
    !\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

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
        sources.count_unknown_key();
        Refused::new(
            RefusalReason::NoWriteKey,
            "failed to read writekey from header: send it as the user of Basic authentication, as ?writeKey=, or in the body",
        )
    }

    /// Counts the request and logs it.
    pub(super) fn note(&self, sources: &Sources) {
        let Refused { reason, text, source, is_kept, .. } = self;
        let refusal = Refusal { reason: *reason, text, is_kept: *is_kept };
        sources.note(source.as_deref(), &refusal);
    }

    pub(super) fn for_now(reason: RefusalReason, text: &str, retry_after: Duration) -> Self {
        Refused { retry_after: Some(retry_after), ..Refused::new(reason, text) }
    }

    /// The same of a request of this source.
    pub(super) fn of(self, source: &Arc<Source>) -> Self {
        Refused { source: Some(Arc::clone(source)), ..self }
    }

    /// The same where the source that stands before the body is known, or not.
    pub(super) fn of_known(self, source: Option<&Arc<Source>>) -> Self {
        match source {
            Some(source) => self.of(source),
            None => self,
        }
    }

    /// Plain text: some SDKs take an answer in JSON for one with fields of their
    /// vendor's, and fail on its absence.
    pub(super) fn answer(&self) -> Answer {
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
}

/// The events are in the spool. Some SDKs take nothing but 200 for that.
pub(super) fn accepted(dialect: Dialect) -> Answer {
    match dialect {
        Dialect::RudderStack => text("ok"),
        Dialect::Segment => json(r#"{"success":true}"#.to_owned()),
    }
}

pub(super) fn text(text: &'static str) -> Answer {
    whole(StatusCode::OK, TEXT, text)
}

pub(super) fn json(text: String) -> Answer {
    whole(StatusCode::OK, JSON, text)
}

/// An image, whatever became of the event: a page cannot do anything about it.
pub(super) fn pixel() -> Answer {
    let mut answer = whole(StatusCode::OK, HeaderValue::from_static("image/gif"), PIXEL);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn whole(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}
