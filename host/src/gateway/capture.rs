//! Which requests become events, and which of their parts the events contain. Headers, queries and
//! bodies can hold secrets, so each is included only on request.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Uri};

use super::exchange::CaptureSettings;
use super::{Exchange, Host, has_any_prefix};
use crate::limits;
use standpipe_core::message_id::MessageIds;

/// The default name of the events.
const DEFAULT_NAME: &str = "HTTP Request";

/// Selects the requests from which a [`GatewayLayer`](super::GatewayLayer) creates events, and the
/// parts that an event contains besides method, path, status and latency.
///
/// ```
/// use standpipe::RequestCapture;
/// use http::header::{CONTENT_TYPE, USER_AGENT};
///
/// let capture = RequestCapture::new(["/shop/", "/account/"])
///     .event_name("Page Requested")
///     .request_headers([USER_AGENT])
///     .response_headers([CONTENT_TYPE])
///     .with_query()
///     .with_request_body(1024)
///     .with_response_body(2048);
/// # let _ = capture;
/// ```
///
/// An event is one line:
///
/// ```json
/// {"type":"track","event":"Page Requested","messageId":"5ce6f7dd-3a0a-4a9e-a6f5-6b5b1a0f1f0c",
///  "timestamp":"2026-02-03T04:05:06.789Z","properties":{"method":"POST","path":"/shop/1","query":"a=1",
///  "request_headers":{"user-agent":"curl/8"},"status":200,"latency_ms":1.25,"request_body":"two",
///  "request_body_bytes":3,"response_headers":{"content-type":"text/plain"},"response_body":"welcome",
///  "response_body_bytes":7}}
/// ```
///
/// Use `messageId` to find records that were delivered twice. `timestamp` is the start of the
/// request, `latency_ms` the time until the head of the response. `status` is null if there was no
/// response: the service failed, or the client disconnected. Of a repeated header, the event
/// contains the first value. Texts longer than [`limits::COPIED_TEXT_BYTES_MAX`] are cut.
#[derive(Debug, Clone)]
#[must_use]
pub struct RequestCapture(Arc<CaptureSettings>);

impl RequestCapture {
    /// Selects the requests whose path has one of these prefixes.
    pub fn new<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Self {
        RequestCapture(Arc::new(CaptureSettings {
            paths: paths.into_iter().map(Into::into).collect(),
            ids: Arc::new(MessageIds::new()),
            name: DEFAULT_NAME.to_owned(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            query: false,
            request_body_bytes_max: 0,
            response_body_bytes_max: 0,
        }))
    }

    /// Selects all requests.
    pub fn all_paths() -> Self {
        Self::new([""])
    }

    /// Sets the name of the events. The default is `HTTP Request`.
    pub fn event_name(self, name: impl Into<String>) -> Self {
        self.with_change(|settings| settings.name = name.into())
    }

    /// Includes these headers of requests. By default none is included: many hold secrets.
    pub fn request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with_change(|settings| settings.request_headers.extend(names))
    }

    /// Includes these headers of responses.
    pub fn response_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with_change(|settings| settings.response_headers.extend(names))
    }

    /// Includes the query, which can hold secrets.
    pub fn with_query(self) -> Self {
        self.with_change(|settings| settings.query = true)
    }

    /// Includes the start of requests' bodies as far as the service reads them: at most
    /// `bytes_max` bytes, and never more than [`limits::COPIED_BODY_BYTES_MAX`]. Bytes that are
    /// not UTF-8 are replaced. Bodies can hold secrets.
    pub fn with_request_body(self, bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(limits::COPIED_BODY_BYTES_MAX);
        self.with_change(|settings| settings.request_body_bytes_max = bytes_max)
    }

    /// Includes the start of responses' bodies as far as they are sent, within the same limits.
    pub fn with_response_body(self, bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(limits::COPIED_BODY_BYTES_MAX);
        self.with_change(|settings| settings.response_body_bytes_max = bytes_max)
    }

    fn with_change(mut self, change: impl FnOnce(&mut CaptureSettings)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Begins the event of a request, if it is selected.
    ///
    /// Call it from a proxy that is not a `tower` service; a
    /// [`GatewayLayer`](super::GatewayLayer) calls it itself.
    pub fn begin(
        &self,
        host: &Host,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Exchange> {
        let is_selected = has_any_prefix(uri.path(), &self.0.paths);
        is_selected.then(|| Exchange::new(host.clone(), Arc::clone(&self.0), method, uri, headers))
    }
}
