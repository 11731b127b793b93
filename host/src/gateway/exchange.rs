//! A request and its response on the way to becoming one event, in one buffer. Handed in when
//! dropped, if there is room; a refusal is counted and delays nobody.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Host;
use super::chosen::Chosen;
use crate::limits;
use standpipe_core::clock;

/// Bytes that most events of copies have at most.
const EVENT_BYTES: usize = 512;

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

/// Those of the headers that are chosen.
struct Headers<'a> {
    all: &'a HeaderMap,
    names: &'a [HeaderName],
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
        Headers { all: headers, names: &chosen.request_headers }
            .add_to(&mut text, "request_headers");
        let request_body = Start::new(chosen.request_body_bytes_max);
        let response_body = Start::new(chosen.response_body_bytes_max);
        let (started, response) = (Instant::now(), None);
        Exchange { host, chosen, started, text, response, request_body, response_body }
    }

    /// The head of the response is there. Without one, the event has no status.
    pub fn responded(&mut self, status: StatusCode, headers: &HeaderMap) {
        let mut text = Vec::new();
        Headers { all: headers, names: &self.chosen.response_headers }
            .add_to(&mut text, "response_headers");
        let (status, after) = (status.as_u16(), self.started.elapsed());
        self.response = Some(Head { status, after, headers: text });
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

impl Headers<'_> {
    /// Where one of them is there.
    fn add_to(&self, text: &mut Vec<u8>, key: &str) {
        if self.names.iter().any(|name| self.all.contains_key(name)) {
            add(text, key, self);
        }
    }
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.names {
            if let Some(value) = self.all.get(name) {
                let value = String::from_utf8_lossy(value.as_bytes());
                map.serialize_entry(name.as_str(), shortened(&value))?;
            }
        }
        map.end()
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
