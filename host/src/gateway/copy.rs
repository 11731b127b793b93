use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, Request, StatusCode};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Host;
use super::layer::Rules;
use crate::clock;
use crate::limits;

/// How events of copies are called that nobody called otherwise.
const NAME: &str = "HTTP Request";

/// Which requests and responses a [`Layer`](super::Layer) makes events of, and what of
/// them these tell: method, path, status and latency, and what is asked for here.
///
/// ```
/// use host::gateway::Copies;
/// use http::header::{CONTENT_TYPE, USER_AGENT};
///
/// let copies = Copies::of_paths(["/shop/", "/account/"])
///     .named("Page Requested")
///     .request_headers([USER_AGENT])
///     .response_headers([CONTENT_TYPE])
///     .with_query()
///     .with_response_body(2048);
/// # let _ = copies;
/// ```
///
/// An event reads
///
/// ```json
/// {"type":"track","event":"Page Requested","timestamp":"2026-02-03T04:05:06.789Z","properties":{"method":"GET",
///  "path":"/shop/1","query":"a=1","status":200,"latency_ms":1.25,"request_headers":{"user-agent":"curl/8"},
///  "response_headers":{"content-type":"text/plain"},"response_body":"welcome","response_body_bytes":7}}
/// ```
///
/// on one line. The latency is that of the response's head. `status` is null where
/// the service failed. A header that is there more than once is told once, and what
/// is longer than [`limits::COPIED_TEXT_BYTES_MAX`] is cut.
#[derive(Debug, Clone)]
#[must_use]
pub struct Copies(Arc<Chosen>);

#[derive(Debug, Clone)]
struct Chosen {
    paths: Vec<String>,
    name: String,
    request_headers: Vec<HeaderName>,
    response_headers: Vec<HeaderName>,
    query: bool,
    body_bytes_max: usize,
}

/// A request under way, as far as its event tells of it.
pub(super) struct Copy {
    host: Host,
    chosen: Arc<Chosen>,
    started: Instant,
    properties: Properties,
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    event: &'a str,
    timestamp: String,
    properties: &'a Properties,
}

#[derive(Serialize, Default)]
struct Properties {
    method: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    status: Option<u16>,
    latency_ms: f64,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    request_headers: Headers,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    response_headers: Headers,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body_bytes: Option<u64>,
}

#[derive(Default)]
struct Headers(Vec<(HeaderName, String)>);

impl Copies {
    /// Copy requests of paths that begin with one of these.
    pub fn of_paths<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Self {
        Copies(Arc::new(Chosen {
            paths: paths.into_iter().map(Into::into).collect(),
            name: NAME.to_owned(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            query: false,
            body_bytes_max: 0,
        }))
    }

    /// Copy all requests.
    pub fn of_all() -> Self {
        Self::of_paths([""])
    }

    /// Call the events so; they are called `HTTP Request` otherwise.
    pub fn named(self, name: impl Into<String>) -> Self {
        self.with(|chosen| chosen.name = name.into())
    }

    /// Tell these headers of requests. None are told otherwise: many hold secrets.
    pub fn request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|chosen| chosen.request_headers.extend(names))
    }

    /// Tell these headers of responses.
    pub fn response_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|chosen| chosen.response_headers.extend(names))
    }

    /// Tell the query too, which may hold secrets.
    pub fn with_query(self) -> Self {
        self.with(|chosen| chosen.query = true)
    }

    /// Tell the start of responses' bodies, of at most so many bytes and never more
    /// than [`limits::COPIED_BODY_BYTES_MAX`]. The event is made when the body has
    /// ended or is dropped; what is not UTF-8 in it is replaced.
    pub fn with_response_body(self, bytes_max: usize) -> Self {
        self.with(|chosen| chosen.body_bytes_max = bytes_max.min(limits::COPIED_BODY_BYTES_MAX))
    }

    fn with(mut self, change: impl FnOnce(&mut Chosen)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Begin the copy of a request, if it is among those that are copied.
    pub(super) fn begin<B>(&self, request: &Request<B>, host: &Host) -> Option<Copy> {
        let (uri, chosen) = (request.uri(), &self.0);
        if !Rules::is_among(uri.path(), &chosen.paths) {
            return None;
        }
        let query = if chosen.query { uri.query().map(shortened) } else { None };
        let properties = Properties {
            method: request.method().to_string(),
            path: shortened(uri.path()),
            query,
            request_headers: Headers::of(request.headers(), &chosen.request_headers),
            ..Properties::default()
        };
        let (host, chosen) = (host.clone(), Arc::clone(chosen));
        Some(Copy { host, chosen, started: Instant::now(), properties })
    }
}

impl Copy {
    /// The head of the response is there; without one, the service has failed.
    pub(super) fn respond(&mut self, head: Option<(StatusCode, &HeaderMap)>) {
        self.properties.latency_ms = milliseconds(self.started.elapsed());
        if let Some((status, headers)) = head {
            self.properties.status = Some(status.as_u16());
            self.properties.response_headers = Headers::of(headers, &self.chosen.response_headers);
        }
    }

    /// How much of the response's body the event tells, in bytes.
    pub(super) fn body_bytes_max(&self) -> usize {
        self.chosen.body_bytes_max
    }

    /// Tell the start of the body, and how long it was as far as it was sent.
    pub(super) fn tell_body(&mut self, start: &[u8], bytes: u64) {
        self.properties.response_body = Some(String::from_utf8_lossy(start).into_owned());
        self.properties.response_body_bytes = Some(bytes);
    }

    /// Hand the event in, if there is room for it.
    pub(super) fn submit(self) {
        let event = Event {
            r#type: "track",
            event: &self.chosen.name,
            timestamp: clock::now_rfc3339(),
            properties: &self.properties,
        };
        let event = serde_json::to_vec(&event).expect("its keys are strings");
        // A refusal has been counted, and nobody here can do more about it.
        let _ = self.host.try_submit(event);
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
