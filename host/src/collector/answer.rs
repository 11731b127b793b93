use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use super::Dialect;
use crate::http::Answer;

/// An image of one transparent pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\
    !\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a request is refused for: a status, and a text that says what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) text: String,
    pub(super) retry_after: Option<Duration>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Refused { status, text: text.into(), retry_after: None }
    }

    pub(super) fn for_now(status: StatusCode, text: &str, retry_after: Duration) -> Self {
        Refused { status, text: text.to_owned(), retry_after: Some(retry_after) }
    }

    /// Plain text: some SDKs take an answer in JSON for one with fields of their
    /// vendor's, and fail on its absence.
    pub(super) fn answer(&self) -> Answer {
        let mut answer = whole(self.status, TEXT, format!("{}\n", self.text));
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
