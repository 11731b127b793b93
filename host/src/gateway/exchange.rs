use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Host;
use super::copies::Chosen;
use crate::clock;
use crate::limits;

/// A request and its response, as far as [`Copies`](super::Copies) tell of them. The
/// event is handed in when this is dropped, if there is room for it.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// use host::gateway::{Builder, Copies};
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
    head: Head,
    request_body: Start,
    response_body: Start,
}

/// What both heads tell.
#[derive(Serialize)]
struct Head {
    method: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    status: Option<u16>,
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    request_headers: Headers,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    response_headers: Headers,
}

/// The start of a body, and how long it was as far as it went.
struct Start {
    text: Vec<u8>,
    text_bytes_max: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    event: &'a str,
    timestamp: String,
    properties: Properties<'a>,
}

#[derive(Serialize)]
struct Properties<'a> {
    #[serde(flatten)]
    head: &'a Head,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body_bytes: Option<u64>,
}

struct Headers(Vec<(HeaderName, String)>);

impl Exchange {
    pub(super) fn new(
        host: Host,
        chosen: Arc<Chosen>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Self {
        let query = if chosen.query { uri.query().map(shortened) } else { None };
        let head = Head {
            method: method.to_string(),
            path: shortened(uri.path()),
            query,
            status: None,
            latency_ms: None,
            request_headers: Headers::of(headers, &chosen.request_headers),
            response_headers: Headers(Vec::new()),
        };
        let request_body = Start::new(chosen.request_body_bytes_max);
        let response_body = Start::new(chosen.response_body_bytes_max);
        Exchange { host, chosen, started: Instant::now(), head, request_body, response_body }
    }

    /// The head of the response is there. Without one, the event has no status.
    pub fn responded(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.head.latency_ms = Some(milliseconds(self.started.elapsed()));
        self.head.status = Some(status.as_u16());
        self.head.response_headers = Headers::of(headers, &self.chosen.response_headers);
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
        let until_now = || milliseconds(self.started.elapsed());
        self.head.latency_ms.get_or_insert_with(until_now);
        let response_body = self.head.status.and(Some(&self.response_body));
        let event = Event {
            r#type: "track",
            event: &self.chosen.name,
            timestamp: clock::now_rfc3339(),
            properties: Properties {
                head: &self.head,
                request_body: self.request_body.text(),
                request_body_bytes: self.request_body.bytes(),
                response_body: response_body.and_then(Start::text),
                response_body_bytes: response_body.and_then(Start::bytes),
            },
        };
        let event = serde_json::to_vec(&event).expect("its keys are strings");
        // A refusal has been counted, and nobody here can do more about it.
        let _ = self.host.try_submit(event);
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

    /// None where it is not asked for.
    fn text(&self) -> Option<String> {
        self.is_told().then(|| String::from_utf8_lossy(&self.text).into_owned())
    }

    fn bytes(&self) -> Option<u64> {
        self.is_told().then_some(self.bytes)
    }

    fn is_told(&self) -> bool {
        self.text_bytes_max > 0
    }
}

impl Headers {
    fn of(headers: &HeaderMap, names: &[HeaderName]) -> Self {
        let value = |name: &HeaderName| {
            let value = String::from_utf8_lossy(headers.get(name)?.as_bytes());
            Some((name.clone(), shortened(&value)))
        };
        Headers(names.iter().filter_map(value).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name.as_str(), value)?;
        }
        map.end()
    }
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(limits::COPIED_TEXT_BYTES_MAX)].to_owned()
}

/// With three digits behind the point.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// What it holds is its event's.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("status", &self.head.status).finish_non_exhaustive()
    }
}
