//! Response headers for browsers and caches.
//!
//! A page of any origin may read a response: otherwise, its SDK would mistake an error for a
//! network problem and retry forever. A browser's credentials have no meaning here, so they are not
//! requested. Pages that send them nevertheless can read their responses only if the settings of
//! some source contain their origin.
//!
//! No response may be cached, except for preflights by the browser. Each response names the request
//! headers on which it depends.

use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL, HeaderValue, VARY,
};

use super::route::ApiRoute;
use super::source::SourceRegistry;
use standpipe_http::Response;

/// How long a browser may cache the response to a preflight, in seconds.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("900");

/// The request headers on which a response depends, if it is not a preflight.
pub(super) fn varies_by(route: &ApiRoute<'_>) -> HeaderValue {
    HeaderValue::from_static(match route {
        ApiRoute::SegmentSettings { .. } | ApiRoute::RudderStackSettings => {
            "Authorization, Forwarded, Host, Origin, X-Forwarded-Host, X-Forwarded-Proto"
        }
        ApiRoute::One { .. }
        | ApiRoute::Batch { .. }
        | ApiRoute::Webhook
        | ApiRoute::Function { .. } => "Authorization, Content-Encoding, Origin",
        ApiRoute::Pixel(_)
        | ApiRoute::Health
        | ApiRoute::Version
        | ApiRoute::Robots
        | ApiRoute::WrongMethod { .. }
        | ApiRoute::Unknown => "Origin",
    })
}

/// Permits a page to read a response.
pub(super) fn add_headers(
    response: &mut Response,
    origin: Option<&HeaderValue>,
    sources: &SourceRegistry,
) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.entry(VARY).or_insert(HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    let is_named = origin.to_str().is_ok_and(|origin| sources.allows_origin(origin));
    if is_named {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    } else {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
}

/// Responds to a preflight. A browser may send everything; the source decides later whether to
/// accept it.
pub(super) fn preflight_response(asked: &HeaderMap) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, HEAD"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    headers.insert(VARY, HeaderValue::from_static("Origin, Access-Control-Request-Headers"));
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}
