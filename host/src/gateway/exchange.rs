//! A request and its response on the way to becoming one event, in one buffer. Handed in when
//! dropped, if there is room; a refusal is counted and delays nobody.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use serde::Serialize;

use super::Host;
use crate::limits;
use standpipe_core::clock;
use standpipe_core::message_id::MessageIds;

/// Bytes that most events of copies have at most.
const EVENT_BYTES: usize = 512;

/// What the settings of copies come to.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// Requests of paths that begin with one of these are copied.
    pub(super) paths: Vec<String>,
    pub(super) ids: Arc<MessageIds>,
    pub(super) name: String,
    pub(super) request_headers: Vec<HeaderName>,
    pub(super) response_headers: Vec<HeaderName>,
    pub(super) query: bool,
    pub(super) request_body_bytes_max: usize,
    pub(super) response_body_bytes_max: usize,
}

/// A request and its response, as far as [`Copies`](super::Copies) tell of them. The
/// event is handed in when this is dropped, if there is room for it.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// use standpipe::{Builder, Copies};
/// use http::{HeaderMap, Method, StatusCode};
///
/// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
/// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
/// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
/// let copies = Copies::of_paths(["/shop/"]).with_response_body(1024);
/// let (uri, headers) = ("/shop/1?a=1".parse()?, HeaderMap::new());
/// let mut exchange = copies.begin(&host, &Method::GET, &uri, &headers).expect("it is copied");
/// exchange.responded(StatusCode::OK, &headers);
/// exchange.response_body(b"welcome");
/// drop(exchange);
/// assert_eq!(host.stop().await.delivered, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "the event is made when it is dropped"]
pub struct Exchange {
    host: Host,
    chosen: Arc<Chosen>,
    started: Instant,
    /// The event as far as the request's head tells it. One buffer from here to the
    /// worker: a proxy makes many of these.
    text: Vec<u8>,
    response: Option<Head>,
    request_body: Start,
    response_body: Start,
}

/// The head of the response.
struct Head {
    status: u16,
    after: Duration,
    /// A member of the event with the chosen headers, or nothing.
    headers: Vec<u8>,
}

/// The start of a body, and how long it was as far as it went.
struct Start {
    text: Vec<u8>,
    text_bytes_max: usize,
    bytes: u64,
}

impl Exchange {
    pub(super) fn new(
        host: Host,
        chosen: Arc<Chosen>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Self {
        let mut text = Vec::with_capacity(EVENT_BYTES);
        text.extend_from_slice(b"{\"type\":\"track\"");
        add(&mut text, "event", &chosen.name);
        text.extend_from_slice(b",\"messageId\":");
        text.extend_from_slice(&chosen.ids.next());
        add(&mut text, "timestamp", &clock::now_rfc3339());
        text.extend_from_slice(b",\"properties\":{\"method\":");
        add_value(&mut text, method.as_str());
        add(&mut text, "path", shortened(uri.path()));
        if let Some(query) = uri.query().filter(|_| chosen.query) {
            add(&mut text, "query", shortened(query));
        }
        add_headers(&mut text, "request_headers", headers, &chosen.request_headers);
        let request_body = Start::new(chosen.request_body_bytes_max);
        let response_body = Start::new(chosen.response_body_bytes_max);
        let (started, response) = (Instant::now(), None);
        Exchange { host, chosen, started, text, response, request_body, response_body }
    }

    /// The head of the response is there. Without one, the event has no status.
    pub fn responded(&mut self, status: StatusCode, headers: &HeaderMap) {
        let mut text = Vec::new();
        add_headers(&mut text, "response_headers", headers, &self.chosen.response_headers);
        let (status, after) = (status.as_u16(), self.started.elapsed());
        self.response = Some(Head { status, after, headers: text });
    }

    pub(super) fn copies_request_body(&self) -> bool {
        self.chosen.request_body_bytes_max > 0
    }

    pub(super) fn copies_response_body(&self) -> bool {
        self.chosen.response_body_bytes_max > 0
    }

    /// A piece of the request's body went by.
    pub fn request_body(&mut self, piece: &[u8]) {
        self.request_body.add(piece);
    }

    /// A piece of the response's body went by.
    pub fn response_body(&mut self, piece: &[u8]) {
        self.response_body.add(piece);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let (mut text, response) = (std::mem::take(&mut self.text), self.response.take());
        let after = response.as_ref().map_or_else(|| self.started.elapsed(), |head| head.after);
        add(&mut text, "status", &response.as_ref().map(|head| head.status));
        add(&mut text, "latency_ms", &milliseconds(after));
        self.request_body.add_to(&mut text, "request_body", "request_body_bytes");
        if let Some(head) = response {
            text.extend_from_slice(&head.headers);
            self.response_body.add_to(&mut text, "response_body", "response_body_bytes");
        }
        text.extend_from_slice(b"}}");
        // A refusal has been counted, and nobody here can do more about it.
        let _ = self.host.try_submit(text);
    }
}

impl Start {
    fn new(text_bytes_max: usize) -> Self {
        Start { text: Vec::new(), text_bytes_max, bytes: 0 }
    }

    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let room = self.text_bytes_max - self.text.len();
        self.text.extend_from_slice(&piece[..room.min(piece.len())]);
    }

    /// Where it is asked for.
    fn add_to(&self, text: &mut Vec<u8>, key: &str, bytes_key: &str) {
        if self.text_bytes_max > 0 {
            add(text, key, &String::from_utf8_lossy(&self.text));
            add(text, bytes_key, &self.bytes);
        }
    }
}

/// Add a member to an object that has one already.
fn add(text: &mut Vec<u8>, key: &str, value: &(impl Serialize + ?Sized)) {
    text.push(b',');
    add_value(text, key);
    text.push(b':');
    add_value(text, value);
}

fn add_value(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, value).expect("a buffer takes everything, and keys are strings");
}

/// Add a member with those of the headers that are chosen, if there are any.
fn add_headers(text: &mut Vec<u8>, key: &str, headers: &HeaderMap, chosen: &[HeaderName]) {
    let mut chosen = chosen.iter().filter_map(|name| Some((name.as_str(), headers.get(name)?)));
    let Some(first) = chosen.next() else { return };
    text.push(b',');
    add_value(text, key);
    for (at, (name, value)) in std::iter::once(first).chain(chosen).enumerate() {
        text.extend_from_slice(if at == 0 { &b":{"[..] } else { b"," });
        add_value(text, name);
        text.push(b':');
        add_value(text, shortened(&String::from_utf8_lossy(value.as_bytes())));
    }
    text.push(b'}');
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::COPIED_TEXT_BYTES_MAX)]
}

/// With three digits behind the point.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// What it holds is its event's.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
