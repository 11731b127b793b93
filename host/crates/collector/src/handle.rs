//! The collector's request handler: route, source, body, decoding, spool, response. A 200 is sent
//! only when the spool has the events; memory is reserved before it is used and held until then.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Body as RequestBody;
use hyper::header::{EXPECT, ORIGIN, VARY};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::task::spawn_blocking;
use tracing::{Instrument, field};

use super::body_memory::{KeyPlace, RequestBodyMemory};
use super::decode::{BodyShape, DecodedEvents};
use super::decoder::{AcceptedRequest, BodyDecoder, ReceivedRequest, RejectedRequest};
use super::function_head::{self, FunctionHead};
use super::proxies::Proxies;
use super::public_url::PublicUrl;
use super::query_request::QueryRequest;
use super::refusal_reason::RefusalReason;
use super::refused_request::RefusedRequest;
use super::request_head::RequestHead;
use super::response;
use super::response_counters::ResponseCounters;
use super::route::{ApiRoute, find_route};
use super::source::{CollectorSource, SourceRegistry};
use super::webhook::WebhookHead;
use super::{DuplicateWriteKey, SourceSettings};
use super::{cors, vendor};
use crate::content_encoding::{self, Encoding};
use crate::limits;
use standpipe_core::clock;
use standpipe_core::secret::Secret;
use standpipe_http::{
    self as http, Peer, RequestMemory, RequestReservation, Response, TrustedProxies,
};
use standpipe_plugin_host::RequestFunction;
use standpipe_spool::Spool;

/// Bytes of memory for a header besides its name and value.
const HTTP_HEADER_OVERHEAD_BYTES: usize = 128;

/// Bytes of memory for a request in progress besides its headers and its body.
const HTTP_REQUEST_OVERHEAD_BYTES: usize = 4 * 1024;

/// Bytes of memory for the headers of all requests in progress, including overhead: a usual request
/// on each of `HTTP_CONNECTIONS_MAX` connections. With HTTP/2, two bytes on the wire can stand for
/// a header of any length.
const HTTP_HEADERS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The part of the memory for bodies that larger bodies may use together, in bytes. The rest is for
/// small bodies.
const HTTP_LARGE_BODIES_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Handles the requests of SDKs: responds with 200 once their events are in the spool.
#[derive(Debug)]
pub struct Collector {
    pub(super) sources: Arc<SourceRegistry>,
    spool: Spool,
    bodies: RequestBodyMemory,
    proxies: Proxies,
    decoder: BodyDecoder,
    /// The maximum bytes of a body, also after decompression.
    body_bytes_max: usize,
    /// Memory for the headers of requests in progress.
    headers: RequestMemory,
    /// Memory for bodies that have been read, and for the events of small bodies.
    decoded: RequestMemory,
    pub(super) responses: ResponseCounters,
    /// When the collector started, in RFC 3339. It is the age of its sources' settings.
    started_at: String,
}

impl Collector {
    /// Creates a collector for these sources, with bodies of at most `body_bytes_max` bytes.
    pub fn new(sources: Vec<SourceSettings>, body_bytes_max: usize, spool: Spool) -> Self {
        let sources = Arc::new(SourceRegistry::new(sources));
        Collector {
            decoder: BodyDecoder::new(Arc::clone(&sources), body_bytes_max),
            body_bytes_max,
            sources,
            spool,
            bodies: RequestBodyMemory::new(body_bytes_max),
            proxies: Proxies::new(TrustedProxies::default(), None),
            headers: RequestMemory::new(HTTP_HEADERS_BYTES_MAX),
            decoded: RequestMemory::with_room_for_small(
                limits::HTTP_BODIES_BYTES_MAX,
                HTTP_LARGE_BODIES_BYTES_MAX,
                limits::HTTP_SMALL_BODY_BYTES_MAX,
            ),
            responses: ResponseCounters::default(),
            started_at: clock::rfc3339(clock::now()),
        }
    }

    /// Limits the memory for the bodies of one client.
    #[must_use]
    pub fn with_shares(mut self, peer_bytes_max: usize) -> Self {
        self.bodies.set_peer_bytes_max(peer_bytes_max);
        self
    }

    /// Sets the proxies whose headers about clients are used, and the URL that SDKs send to.
    /// Without a URL, it is the one of their request for settings.
    #[must_use]
    pub fn with_proxies(mut self, trusted: TrustedProxies, public_url: Option<PublicUrl>) -> Self {
        self.proxies = Proxies::new(trusted, public_url);
        self
    }

    /// Sets the write keys that a secret store keeps, each with the position of its source, in
    /// addition to those of the settings. Returns whether that changes anything.
    ///
    /// # Errors
    ///
    /// Fails if a key is a duplicate. Nothing changes then.
    pub fn set_kept_keys(&self, keys: &[(usize, Secret)]) -> Result<bool, DuplicateWriteKey> {
        self.sources.set_kept_keys(keys)
    }

    /// Replaces the sources, and the write keys that a secret store keeps, as by
    /// [`Collector::set_kept_keys`]. The counters of a removed source stay.
    ///
    /// # Errors
    ///
    /// Fails if a key is a duplicate. Nothing changes then.
    pub fn set_sources(
        &self,
        sources: Vec<SourceSettings>,
        keys: &[(usize, Secret)],
    ) -> Result<(), DuplicateWriteKey> {
        self.sources.replace(sources, keys)
    }

    /// Replaces the functions of sources, by the names of the sources. Requests that a function
    /// handles right now are not affected.
    pub fn set_functions(&self, functions: HashMap<String, RequestFunction>) {
        self.sources.set_functions(functions);
    }

    /// Counts a function that could not be loaded.
    pub fn count_function_load_failure(&self) {
        self.sources.function_load_failures.inc();
    }

    /// Returns the number of accepted events.
    pub fn accepted(&self) -> u64 {
        self.sources.counts.lock().values().map(|counts| counts.accepted.get()).sum()
    }

    /// Returns the number of requests with an unknown write key, or with none.
    pub fn unknown_keys(&self) -> u64 {
        self.sources.unknown_keys.get()
    }

    /// Handles a request from the listener or from an embedding program.
    pub async fn handle(&self, request: Request<impl RequestBody + Unpin>, peer: Peer) -> Response {
        // Paths and queries can contain write keys, so neither is a field of the span.
        let span = tracing::debug_span!("collector_request", status = field::Empty);
        let response = self.handle_request(request, peer).instrument(span.clone()).await;
        span.record("status", response.status().as_u16());
        response
    }

    async fn handle_request(
        &self,
        request: Request<impl RequestBody + Unpin>,
        peer: Peer,
    ) -> Response {
        let started = Instant::now();
        let (parts, mut body) = request.into_parts();
        let origin = parts.headers.get(ORIGIN).cloned();
        // A client that waits for 100 Continue sends no body to read.
        let mut is_sending = !parts.headers.contains_key(EXPECT);
        let mut headers = self.headers.try_reserve(request_memory_bytes(&parts));
        let response = match headers {
            Some(_) => self.dispatch_route(&parts, &mut body, peer).await,
            None => {
                is_sending = false;
                Err(RefusedRequest::busy())
            }
        };
        // The rest of the body is read without them, so they are freed first.
        drop(parts);
        if let Some(headers) = &mut headers {
            headers.shrink_to(HTTP_REQUEST_OVERHEAD_BYTES);
        }
        let mut response = response.unwrap_or_else(|refused| refused.response(&self.sources));
        // A client that has stopped sending has no rest to read.
        if is_sending && response.status() != StatusCode::REQUEST_TIMEOUT {
            http::discard_body(&mut body).await;
        }
        cors::add_headers(&mut response, origin.as_ref(), &self.sources);
        self.responses.add(response.status(), started.elapsed());
        response
    }

    async fn dispatch_route(
        &self,
        parts: &Parts,
        body: &mut (impl RequestBody + Unpin),
        peer: Peer,
    ) -> Result<Response, RefusedRequest> {
        if parts.headers.len() > standpipe_http::limits::HTTP_HEADERS_MAX {
            let text = format!("more than {} headers", standpipe_http::limits::HTTP_HEADERS_MAX);
            return Err(RefusedRequest::new(RefusalReason::TooManyHeaders, text));
        }
        if parts.method == Method::OPTIONS {
            return Ok(cors::preflight_response(&parts.headers));
        }
        let route = find_route(&parts.method, parts.uri.path());
        tracing::debug!(route = route.word(), "a request");
        let varies_by = cors::varies_by(&route);
        let response = self.handle_route(route, parts, body, peer).await;
        let mut response = response.unwrap_or_else(|refused| refused.response(&self.sources));
        response.headers_mut().insert(VARY, varies_by);
        Ok(response)
    }

    async fn handle_route(
        &self,
        route: ApiRoute<'_>,
        parts: &Parts,
        body: &mut (impl RequestBody + Unpin),
        peer: Peer,
    ) -> Result<Response, RefusedRequest> {
        let mut head = RequestHead::of(parts, peer, &self.proxies);
        match route {
            ApiRoute::One { message_type, is_browser } => {
                head.is_of_page |= is_browser;
                self.accept_body(head, body, BodyShape::One(message_type), None).await
            }
            ApiRoute::Batch { is_browser } => {
                head.is_of_page |= is_browser;
                self.accept_body(head, body, BodyShape::Batch, None).await
            }
            ApiRoute::Webhook if parts.method == Method::POST => {
                let webhook = WebhookHead::of(parts)?;
                self.accept_body(head, body, BodyShape::Webhook, Some(webhook)).await
            }
            ApiRoute::Function { name } => {
                // The sender is another service, and not a page.
                head.is_of_page = false;
                let function = FunctionHead::of(parts, &head, &self.proxies.sent_to(parts, peer));
                self.accept_function(head, name, function, body).await
            }
            ApiRoute::Webhook => self.accept_query(head, parts, QueryRequest::Webhook).await,
            ApiRoute::Pixel(query) => {
                // The page gets an image even if the event is refused.
                if let Err(refused) = self.accept_query(head, parts, query).await {
                    refused.record_refusal(&self.sources);
                }
                Ok(response::pixel_response())
            }
            ApiRoute::SegmentSettings { write_key } => {
                head.find_source(write_key, &self.sources)?;
                let url = self.proxies.public_url(parts, peer)?;
                let settings = vendor::segment_settings(write_key, &url);
                Ok(response::json_response(settings.to_string()))
            }
            ApiRoute::RudderStackSettings => {
                let key = head
                    .write_key
                    .as_deref()
                    .ok_or_else(|| RefusedRequest::no_key(&self.sources))?;
                let source = head.find_source(key, &self.sources)?;
                let name = &source.settings.name;
                let settings = vendor::rudderstack_settings(name, key, &self.started_at);
                Ok(response::json_response(settings.to_string()))
            }
            ApiRoute::Health => Ok(response::json_response(r#"{"server":"UP"}"#.to_owned())),
            ApiRoute::Version => Ok(response::json_response(format!(
                r#"{{"version":"{}"}}"#,
                env!("CARGO_PKG_VERSION")
            ))),
            ApiRoute::Robots => Ok(response::text_response("User-agent: *\nDisallow: /\n")),
            ApiRoute::WrongMethod { allowed } => {
                let refused =
                    RefusedRequest::new(RefusalReason::WrongMethod, format!("use {allowed}"));
                Err(RefusedRequest { allowed: Some(allowed), ..refused })
            }
            ApiRoute::Unknown => Err(RefusedRequest::new(
                RefusalReason::UnknownPath,
                "unknown path: send events to /v1/batch, /v1/track or another path of the API",
            )),
        }
    }

    /// Accepts the events of a body.
    async fn accept_body(
        &self,
        head: RequestHead,
        body: &mut (impl RequestBody + Unpin),
        shape: BodyShape,
        webhook: Option<WebhookHead>,
    ) -> Result<Response, RefusedRequest> {
        // The body of a request with an unknown key is not read.
        let source = self.find_source(&head)?;
        let known = source.clone();
        let taken = async {
            let encoding = head.encoding.ok_or_else(RefusedRequest::unknown_encoding)?;
            let key = if source.is_some() { KeyPlace::Head } else { KeyPlace::Body };
            // The reservation is held until the spool has the events.
            let (bytes, _held) = self.bodies.read(body, key, head.client).await?;
            self.store_events(ReceivedRequest { head, source, shape, encoding, webhook }, bytes)
                .await
        };
        taken.await.map_err(|refused: RefusedRequest| refused.of_known_source(known.as_ref()))
    }

    /// Accepts the events that the function of a source makes of a request.
    async fn accept_function(
        &self,
        head: RequestHead,
        name: &str,
        function_head: FunctionHead,
        body: &mut (impl RequestBody + Unpin),
    ) -> Result<Response, RefusedRequest> {
        let source = self.find_source(&head)?;
        let source = source.ok_or_else(|| RefusedRequest::no_key(&self.sources))?;
        let refuse = |refused: RefusedRequest| refused.of_source(&source);
        let function = self.find_function(&source, name).map_err(refuse)?;
        // The reservation is held until the spool has the events.
        let read = self.bodies.read(body, KeyPlace::Head, head.client).await;
        let (bytes, _held) = read.map_err(|error| refuse(error.into()))?;
        let (bytes, _decompressed) = self.decompress(&head, bytes).await.map_err(refuse)?;
        let kept = source.settings.keep_refused.then(|| bytes.clone());
        source.counts.function_requests.inc();
        match function.handle(function_head.with_body(bytes)).await {
            Ok(events) => self.store_function_events(head, &source, &events).await.map_err(refuse),
            Err(error) => Err(self.keep_rejected(refuse(error.into()), kept).await),
        }
    }

    /// Finds the function of a source, whose name the path contains.
    fn find_function(
        &self,
        source: &CollectorSource,
        name: &str,
    ) -> Result<RequestFunction, RefusedRequest> {
        let unknown = |text| RefusedRequest::new(RefusalReason::UnknownFunction, text);
        if !function_head::is_name(name, &source.settings.name) {
            return Err(unknown("the write key belongs to a source with another name"));
        }
        let function = self.sources.function_of(source);
        function.ok_or_else(|| unknown("the source has no function: add [sources.function]"))
    }

    /// Decompresses the body of a request for a function, and reserves memory for it. A compressed
    /// body can take many milliseconds, so another thread does it.
    async fn decompress(
        &self,
        head: &RequestHead,
        bytes: Vec<u8>,
    ) -> Result<(Vec<u8>, RequestReservation), RefusedRequest> {
        let encoding = head.encoding.ok_or_else(RefusedRequest::unknown_encoding)?;
        let mut reservation = self.decoded.reservation();
        if encoding == Encoding::Identity {
            return Ok((bytes, reservation));
        }
        reservation.grow(self.body_bytes_max).await?;
        let body_bytes_max = self.body_bytes_max;
        let work = spawn_blocking(move || {
            content_encoding::decompress(encoding, Cow::Owned(bytes), body_bytes_max)
                .map(Cow::into_owned)
        });
        match work.await {
            Ok(decompressed) => {
                let bytes = decompressed?;
                reservation.shrink_to(bytes.len());
                Ok((bytes, reservation))
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => Err(RefusedRequest::busy()),
        }
    }

    /// Stores the events of a function.
    async fn store_function_events(
        &self,
        head: RequestHead,
        source: &Arc<CollectorSource>,
        events: &[String],
    ) -> Result<Response, RefusedRequest> {
        if events.is_empty() {
            return Ok(response::accepted_response(source.settings.dialect));
        }
        let batch = function_head::batch_of(events);
        if batch.len() > self.body_bytes_max {
            let text = "the events of the function have more than max_body_bytes";
            return Err(RefusedRequest::new(RefusalReason::TooMuch, text));
        }
        let (shape, encoding) = (BodyShape::Function, Encoding::Identity);
        let source = Some(Arc::clone(source));
        self.store_events(ReceivedRequest { head, source, shape, encoding, webhook: None }, batch)
            .await
    }

    /// Stores the body of a request that a function has rejected, if its source keeps refused
    /// bodies.
    async fn keep_rejected(
        &self,
        refused: RefusedRequest,
        body: Option<Vec<u8>>,
    ) -> RefusedRequest {
        let (Some(body), Some(source)) = (body, &refused.source) else { return refused };
        let fits = (1..=standpipe_core::limits::EVENT_BYTES_MAX).contains(&body.len());
        if refused.reason != RefusalReason::FunctionRejected || !fits {
            return refused;
        }
        let (source, decoded) = (Arc::clone(source), DecodedEvents::refused_request(body));
        match self.append_to_spool(AcceptedRequest { source, decoded, _slot: None }).await {
            Ok(()) => RefusedRequest { is_kept: true, ..refused },
            Err(not_stored) => not_stored,
        }
    }

    /// Accepts the event of a query.
    async fn accept_query(
        &self,
        mut head: RequestHead,
        parts: &Parts,
        query: QueryRequest,
    ) -> Result<Response, RefusedRequest> {
        let source = self.find_source(&head)?;
        let body = query.body(parts.uri.query().unwrap_or_default());
        let body =
            body.map_err(|error| RefusedRequest::from(error).of_known_source(source.as_ref()))?;
        let Some(body) = body else { return Ok(response::text_response("ok")) };
        head.is_of_page = query.is_of_page();
        let (shape, encoding) = (query.shape(), Encoding::Identity);
        self.store_events(ReceivedRequest { head, source, shape, encoding, webhook: None }, body)
            .await
    }

    /// Finds the source by the key before the body, and checks that it accepts requests now.
    fn find_source(
        &self,
        head: &RequestHead,
    ) -> Result<Option<Arc<CollectorSource>>, RefusedRequest> {
        let Some(key) = head.write_key.as_deref() else { return Ok(None) };
        let source = head.find_source(key, &self.sources)?;
        if let Some(rate) = &source.rate {
            rate.check(Instant::now())
                .map_err(|after| RefusedRequest::too_many(after).of_source(&source))?;
        }
        Ok(Some(source))
    }

    /// Stores the events of a body in the spool; or the body itself, if it is refused and its
    /// source keeps refused bodies.
    async fn store_events(
        &self,
        received: ReceivedRequest,
        bytes: Vec<u8>,
    ) -> Result<Response, RefusedRequest> {
        // The reservation is held until the spool has the entry.
        let mut reservation = self.decoded.reservation();
        reservation.grow(bytes.len()).await?;
        match self.decoder.decode(received, bytes, &mut reservation).await {
            Ok(accepted) => {
                let dialect = accepted.source.settings.dialect;
                self.append_to_spool(accepted).await?;
                Ok(response::accepted_response(dialect))
            }
            Err(RejectedRequest { refused, kept: None }) => Err(refused),
            Err(RejectedRequest { refused, kept: Some(kept) }) => {
                self.append_to_spool(*kept).await?;
                Err(RefusedRequest { is_kept: true, ..refused })
            }
        }
    }

    async fn append_to_spool(&self, accepted: AcceptedRequest) -> Result<(), RefusedRequest> {
        let AcceptedRequest { source, decoded, _slot } = accepted;
        let (events, bytes) = (decoded.events.len(), decoded.bytes.len());
        let unfit = decoded.events.iter().filter(|event| event.refused.is_some()).count();
        if let Some(rate) = &source.rate {
            let admitted = rate.admit(events, bytes, Instant::now());
            admitted.map_err(|after| RefusedRequest::too_many(after).of_source(&source))?;
        }
        if events > 0 {
            let entry = decoded.into_entry(&source.settings.name);
            let items = u32::try_from(events).expect("a body is limited");
            let appended = self.spool.append(items, entry).await;
            appended.map_err(|error| RefusedRequest::from(error).of_source(&source))?;
        }
        source.counts.accepted.inc_by(events as u64);
        source.counts.unfit.inc_by(unfit as u64);
        source.counts.bytes.inc_by(bytes as u64);
        Ok(())
    }
}

/// Returns the bytes of memory that a request takes without its body.
fn request_memory_bytes(parts: &Parts) -> usize {
    let headers = parts.headers.iter();
    let headers =
        headers.map(|(name, value)| name.as_str().len() + value.len() + HTTP_HEADER_OVERHEAD_BYTES);
    let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    HTTP_REQUEST_OVERHEAD_BYTES + path + headers.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Mutex;

    use bytes::Bytes;
    use http_body_util::Full;
    use tracing::Level;
    use tracing_subscriber::fmt::format::FmtSpan;

    use super::*;
    use standpipe_spool::{Durability, SpoolSettings};

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log output of this level for requests to these paths.
    async fn log_of(level: Level, paths: &[&str]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let (spool, _outlet, _) = Spool::open(SpoolSettings {
            directory: directory.path().to_owned(),
            bytes_max: 1 << 20,
            durability: Durability::Memory,
        })
        .unwrap();
        let collector = Collector::new(Vec::new(), 1 << 20, spool);
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        standpipe_core::scoped_log::ask_all_threads();
        let _guard = tracing::subscriber::set_default(subscriber.finish());
        for path in paths {
            let request = Request::get(*path).body(Full::new(Bytes::new())).unwrap();
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let peer = Peer { address, is_encrypted: false };
            drop(collector.handle(request, peer).await);
        }
        let log = log.0.lock().unwrap().clone();
        String::from_utf8(log).unwrap()
    }

    #[tokio::test]
    async fn each_request_has_a_span_that_holds_no_key() {
        let paths = ["/v1/projects/a-key/settings", "/health", "/v1/pixel/track?writeKey=a-key"];
        let log = log_of(Level::DEBUG, &paths).await;
        let spans: Vec<_> = log.lines().filter(|line| line.contains(": close")).collect();
        assert_eq!(spans.len(), 3, "{log}");
        assert!(spans[1].contains("collector_request{status=200}"), "{log}");
        for route in ["settings", "health", "pixel"] {
            assert!(log.contains(&format!("route=\"{route}\"")), "{log}");
        }
        assert!(!log.contains("a-key"), "{log}");
        let log = log_of(Level::INFO, &paths).await;
        assert!(!log.contains("collector_request") && !log.contains("route="), "{log}");
    }
}
