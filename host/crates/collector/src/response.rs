//! Responses of the collector: accepted, settings, pixel, and plain text for refused requests.

use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::Dialect;
use standpipe_http::Response;

/// An image of one transparent pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\
    !\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The events are in the spool. The status is 200, because some SDKs accept no other one.
pub(super) fn accepted_response(dialect: Dialect) -> Response {
    match dialect {
        Dialect::RudderStack => text_response("ok"),
        Dialect::Segment => json_response(r#"{"success":true}"#.to_owned()),
    }
}

pub(super) fn text_response(text: &'static str) -> Response {
    full_response(StatusCode::OK, TEXT, text)
}

pub(super) fn json_response(text: String) -> Response {
    full_response(StatusCode::OK, JSON, text)
}

/// An image, regardless of the outcome of the event: a page cannot react to it.
pub(super) fn pixel_response() -> Response {
    full_response(StatusCode::OK, HeaderValue::from_static("image/gif"), PIXEL)
}

pub(super) fn full_response(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
