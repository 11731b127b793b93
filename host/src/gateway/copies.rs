//! Which requests become events, and what of them is in the events. Headers, queries and bodies are
//! left out unless asked for, since they may hold secrets.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Uri};

use super::exchange::Chosen;
use super::{Exchange, Host, begins_with_any};
use crate::limits;
use standpipe_core::message_id::MessageIds;

/// How events of copies are called that nobody called otherwise.
const NAME: &str = "HTTP Request";

/// Which requests and responses a [`Layer`](super::Layer) makes events of, and what of
/// them these tell: method, path, status and latency, and what is asked for here.
///
/// ```
/// use standpipe::Copies;
/// use http::header::{CONTENT_TYPE, USER_AGENT};
///
/// let copies = Copies::of_paths(["/shop/", "/account/"])
///     .named("Page Requested")
///     .request_headers([USER_AGENT])
///     .response_headers([CONTENT_TYPE])
///     .with_query()
///     .with_request_body(1024)
///     .with_response_body(2048);
/// # let _ = copies;
/// ```
///
/// An event reads
///
/// ```json
/// {"type":"track","event":"Page Requested","messageId":"5ce6f7dd-3a0a-4a9e-a6f5-6b5b1a0f1f0c",
///  "timestamp":"2026-02-03T04:05:06.789Z","properties":{"method":"POST","path":"/shop/1","query":"a=1",
///  "request_headers":{"user-agent":"curl/8"},"status":200,"latency_ms":1.25,"request_body":"two",
///  "request_body_bytes":3,"response_headers":{"content-type":"text/plain"},"response_body":"welcome",
///  "response_body_bytes":7}}
/// ```
///
/// on one line. Its `messageId` tells which records have arrived twice. Its time is when
/// the request began, its latency that of the response's head. `status` is null where
/// there was none: the service failed, or the client left before. A header that is
/// there more than once is told once, and what is longer than
/// [`limits::COPIED_TEXT_BYTES_MAX`] is cut.
#[derive(Debug, Clone)]
#[must_use]
pub struct Copies(Arc<Chosen>);

impl Copies {
    /// Copy requests of paths that begin with one of these.
    pub fn of_paths<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Self {
        Copies(Arc::new(Chosen {
            paths: paths.into_iter().map(Into::into).collect(),
            ids: Arc::new(MessageIds::new()),
            name: NAME.to_owned(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            query: false,
            request_body_bytes_max: 0,
            response_body_bytes_max: 0,
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

    /// Tell the start of requests' bodies, as far as they are read: at most so many
    /// bytes, and never more than [`limits::COPIED_BODY_BYTES_MAX`]. What is not UTF-8
    /// in them is replaced. They may hold secrets.
    pub fn with_request_body(self, bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(limits::COPIED_BODY_BYTES_MAX);
        self.with(|chosen| chosen.request_body_bytes_max = bytes_max)
    }

    /// The same of responses' bodies, as far as they are sent.
    pub fn with_response_body(self, bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(limits::COPIED_BODY_BYTES_MAX);
        self.with(|chosen| chosen.response_body_bytes_max = bytes_max)
    }

    fn with(mut self, change: impl FnOnce(&mut Chosen)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Begin the event of a request, if it is among those that are copied. It is for
    /// proxies that are no services of `tower`; a [`Layer`](super::Layer) does so itself.
    pub fn begin(
        &self,
        host: &Host,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Exchange> {
        let is_copied = begins_with_any(uri.path(), &self.0.paths);
        is_copied.then(|| Exchange::new(host.clone(), Arc::clone(&self.0), method, uri, headers))
    }
}
