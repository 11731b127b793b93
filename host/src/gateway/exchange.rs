//! Turns a request and its response into one event, in one buffer. The event is submitted when the
//! exchange is dropped. An event that does not fit into the limits is counted and delays nothing.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use serde::Serialize;

use super::Host;
use crate::limits;
use standpipe_core::clock;
use standpipe_core::message_id::MessageIds;

/// The maximum size of most events of captured requests, in bytes.
const EVENT_BYTES: usize = 512;

/// The settings of a [`RequestCapture`](super::RequestCapture).
#[derive(Debug, Clone)]
pub(super) struct CaptureSettings {
    /// Prefixes of the captured paths.
    pub(super) paths: Vec<String>,
    pub(super) ids: Arc<MessageIds>,
    pub(super) name: String,
    pub(super) request_headers: Vec<HeaderName>,
    pub(super) response_headers: Vec<HeaderName>,
    pub(super) query: bool,
    pub(super) request_body_bytes_max: usize,
    pub(super) response_body_bytes_max: usize,
}

/// A request and its response, with the parts that a [`RequestCapture`](super::RequestCapture)
/// selects. Dropping it submits the event, if it fits into the host's limits.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// use standpipe::{Builder, RequestCapture};
/// use http::{HeaderMap, Method, StatusCode};
///
/// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
/// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
/// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
/// let capture = RequestCapture::new(["/shop/"]).with_response_body(1024);
/// let (uri, headers) = ("/shop/1?a=1".parse()?, HeaderMap::new());
/// let mut exchange = capture.begin(&host, &Method::GET, &uri, &headers).expect("the path is selected");
/// exchange.set_response(StatusCode::OK, &headers);
/// exchange.add_response_body(b"welcome");
/// drop(exchange);
/// assert_eq!(host.stop().await.delivered, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it submits the event"]
pub struct Exchange {
    host: Host,
    settings: Arc<CaptureSettings>,
    started: Instant,
    /// The event's text up to the request's head. The same buffer is used until the worker, because
    /// a proxy creates many events.
    text: Vec<u8>,
    response: Option<ResponseHead>,
    request_body: BodyStart,
    response_body: BodyStart,
}

/// The head of the response.
struct ResponseHead {
    status: u16,
    after: Duration,
    /// A member of the event with the selected headers, or empty.
    headers: Vec<u8>,
}

/// The start of a body, and the number of bytes read from it.
struct BodyStart {
    text: Vec<u8>,
    text_bytes_max: usize,
    bytes: u64,
}

impl Exchange {
    pub(super) fn new(
        host: Host,
        settings: Arc<CaptureSettings>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Self {
        let mut text = Vec::with_capacity(EVENT_BYTES);
        text.extend_from_slice(b"{\"type\":\"track\"");
        add_member(&mut text, "event", &settings.name);
        text.extend_from_slice(b",\"messageId\":");
        text.extend_from_slice(&settings.ids.next());
        add_member(&mut text, "timestamp", &clock::now_rfc3339());
        text.extend_from_slice(b",\"properties\":{\"method\":");
        add_value(&mut text, method.as_str());
        add_member(&mut text, "path", shorten_text(uri.path()));
        if let Some(query) = uri.query().filter(|_| settings.query) {
            add_member(&mut text, "query", shorten_text(query));
        }
        add_headers(&mut text, "request_headers", headers, &settings.request_headers);
        let request_body = BodyStart::new(settings.request_body_bytes_max);
        let response_body = BodyStart::new(settings.response_body_bytes_max);
        let (started, response) = (Instant::now(), None);
        Exchange { host, settings, started, text, response, request_body, response_body }
    }

    /// Adds the head of the response. Without it, the event's `status` is null.
    pub fn set_response(&mut self, status: StatusCode, headers: &HeaderMap) {
        let mut text = Vec::new();
        add_headers(&mut text, "response_headers", headers, &self.settings.response_headers);
        let (status, after) = (status.as_u16(), self.started.elapsed());
        self.response = Some(ResponseHead { status, after, headers: text });
    }

    pub(super) fn captures_request_body(&self) -> bool {
        self.settings.request_body_bytes_max > 0
    }

    pub(super) fn captures_response_body(&self) -> bool {
        self.settings.response_body_bytes_max > 0
    }

    /// Adds a piece of the request's body.
    pub fn add_request_body(&mut self, piece: &[u8]) {
        self.request_body.add(piece);
    }

    /// Adds a piece of the response's body.
    pub fn add_response_body(&mut self, piece: &[u8]) {
        self.response_body.add(piece);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let (mut text, response) = (std::mem::take(&mut self.text), self.response.take());
        let after = response.as_ref().map_or_else(|| self.started.elapsed(), |head| head.after);
        add_member(&mut text, "status", &response.as_ref().map(|head| head.status));
        add_member(&mut text, "latency_ms", &to_milliseconds(after));
        self.request_body.add_to(&mut text, "request_body", "request_body_bytes");
        if let Some(head) = response {
            text.extend_from_slice(&head.headers);
            self.response_body.add_to(&mut text, "response_body", "response_body_bytes");
        }
        text.extend_from_slice(b"}}");
        // A refusal is counted, and there is no caller to return it to.
        let _ = self.host.try_submit(text);
    }
}

impl BodyStart {
    fn new(text_bytes_max: usize) -> Self {
        BodyStart { text: Vec::new(), text_bytes_max, bytes: 0 }
    }

    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let room = self.text_bytes_max - self.text.len();
        self.text.extend_from_slice(&piece[..room.min(piece.len())]);
    }

    /// Adds the body to the event, if the settings include it.
    fn add_to(&self, text: &mut Vec<u8>, key: &str, bytes_key: &str) {
        if self.text_bytes_max > 0 {
            add_member(text, key, &String::from_utf8_lossy(&self.text));
            add_member(text, bytes_key, &self.bytes);
        }
    }
}

/// Adds a member to an object that already has one.
fn add_member(text: &mut Vec<u8>, key: &str, value: &(impl Serialize + ?Sized)) {
    text.push(b',');
    add_value(text, key);
    text.push(b':');
    add_value(text, value);
}

fn add_value(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, value).expect("a buffer takes everything, and keys are strings");
}

/// Adds a member with the selected headers, if there are any.
fn add_headers(text: &mut Vec<u8>, key: &str, headers: &HeaderMap, names: &[HeaderName]) {
    let mut selected = names.iter().filter_map(|name| Some((name.as_str(), headers.get(name)?)));
    let Some(first) = selected.next() else { return };
    text.push(b',');
    add_value(text, key);
    for (at, (name, value)) in std::iter::once(first).chain(selected).enumerate() {
        text.extend_from_slice(if at == 0 { &b":{"[..] } else { b"," });
        add_value(text, name);
        text.push(b':');
        add_value(text, shorten_text(&String::from_utf8_lossy(value.as_bytes())));
    }
    text.push(b'}');
}

fn shorten_text(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::COPIED_TEXT_BYTES_MAX)]
}

/// Converts to milliseconds with three decimal places.
fn to_milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// Shows nothing of the event's contents.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
