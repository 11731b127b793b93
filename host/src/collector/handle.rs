use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hyper::body::Body as RequestBody;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, EXPECT, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};

use super::answer::{self, Refused};
use super::bodies::{Bodies, KeyPlace};
use super::counts::Counts;
use super::decode::{Body, Decoded, Facts, Shape};
use super::entry;
use super::head::Head;
use super::query::Query;
use super::route::{Route, route};
use super::source::{Source, Sources};
use super::vendor;
use super::{CollectReport, SourceSettings, TakenKey};
use crate::clock;
use crate::http::{self, Answer, Peer, TrustedProxies};
use crate::secret::Secret;
use crate::spool::Spool;

/// How long a browser may keep the answer to a preflight, in seconds.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("900");

/// Takes requests, and answers them once their events are in the spool.
#[derive(Debug)]
pub struct Collector {
    sources: Sources,
    spool: Spool,
    bodies: Bodies,
    body_bytes_max: usize,
    counts: Counts,
}

impl Collector {
    /// Take events from these sources, in bodies of at most so many bytes.
    pub fn new(sources: Vec<SourceSettings>, body_bytes_max: usize, spool: Spool) -> Self {
        Collector {
            sources: Sources::new(sources),
            spool,
            bodies: Bodies::new(body_bytes_max),
            body_bytes_max,
            counts: Counts::default(),
        }
    }

    /// Have bodies of one client take at most so many bytes of memory, where these proxies
    /// are believed about who that is.
    #[must_use]
    pub fn with_shares(mut self, peer_bytes_max: usize, trusted: TrustedProxies) -> Self {
        self.bodies.share(peer_bytes_max, trusted);
        self
    }

    /// Take these write keys, each with the position of its source, besides those
    /// of the settings, and in place of those that this was told before. Tells
    /// whether that changes anything.
    ///
    /// # Errors
    ///
    /// A key is there twice. Nothing changes then.
    pub fn set_kept_keys(&self, keys: &[(usize, Secret)]) -> Result<bool, TakenKey> {
        self.sources.set_kept_keys(keys)
    }

    /// What has been done so far.
    pub fn report(&self) -> CollectReport {
        self.counts.report(self.sources.report())
    }

    /// Answer a request, wherever it came in.
    pub async fn answer(&self, request: Request<impl RequestBody + Unpin>, peer: Peer) -> Answer {
        let started = Instant::now();
        let (parts, mut body) = request.into_parts();
        let answer = self.dispatch(&parts, &mut body, peer).await;
        let mut answer = answer.unwrap_or_else(|refused| refused.answer());
        // Who has stopped sending, or waits to be asked for the body, needs no more.
        let is_sending =
            answer.status() != StatusCode::REQUEST_TIMEOUT && !parts.headers.contains_key(EXPECT);
        if is_sending {
            http::discard(&mut body).await;
        }
        // Without these headers a page's SDK takes an error for a broken network,
        // and tries again for ever.
        if let Some(origin) = parts.headers.get(ORIGIN).cloned() {
            let headers = answer.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
            headers.insert(VARY, HeaderValue::from_static("Origin"));
        }
        self.counts.answered(answer.status(), started.elapsed());
        answer
    }

    async fn dispatch(
        &self,
        parts: &Parts,
        body: &mut (impl RequestBody + Unpin),
        peer: Peer,
    ) -> Result<Answer, Refused> {
        if parts.method == Method::OPTIONS {
            return Ok(preflight(&parts.headers));
        }
        let client = self.bodies.client(&parts.headers, peer.address);
        let head = Head::of(parts, peer).of_client(client);
        match route(&parts.method, parts.uri.path()) {
            Route::One { message_type, is_browser } => {
                self.take(&head, body, Shape::One(message_type), is_browser).await
            }
            Route::Batch { is_browser } => self.take(&head, body, Shape::Batch, is_browser).await,
            Route::Webhook if parts.method == Method::POST => {
                self.take(&head, body, Shape::Webhook, false).await
            }
            Route::Webhook => self.take_query(&head, parts, Query::Webhook).await,
            Route::Pixel(query) => {
                // An image is what the page asked for, whatever comes of the event.
                let _ = self.take_query(&head, parts, query).await;
                Ok(answer::pixel())
            }
            Route::SegmentSettings { write_key } => {
                self.source(write_key)?;
                let settings = vendor::segment_settings(write_key, &head.host, head.is_encrypted);
                Ok(answer::json(settings.to_string()))
            }
            Route::RudderStackSettings => {
                let key = head.key.as_deref().ok_or_else(|| self.no_key())?;
                let name = &self.source(key)?.settings.name;
                Ok(answer::json(vendor::rudderstack_settings(name).to_string()))
            }
            Route::Health => Ok(answer::json(r#"{"server":"UP"}"#.to_owned())),
            Route::Version => {
                Ok(answer::json(format!(r#"{{"version":"{}"}}"#, env!("CARGO_PKG_VERSION"))))
            }
            Route::Robots => Ok(answer::text("User-agent: *\nDisallow: /\n")),
            Route::WrongMethod { allowed } => Ok(wrong_method(allowed)),
            Route::Unknown => Err(Refused::new(
                StatusCode::NOT_FOUND,
                "no such path: send events to /v1/batch, /v1/track and the like",
            )),
        }
    }

    /// Take the events of a body.
    async fn take(
        &self,
        head: &Head,
        body: &mut (impl RequestBody + Unpin),
        shape: Shape,
        is_browser: bool,
    ) -> Result<Answer, Refused> {
        // Who sends a key that is unknown is not read any further.
        let source = head.key.as_deref().map(|key| self.source(key)).transpose()?;
        if let Some(source) = source {
            head.check(source)?;
        }
        let encoding = head.encoding.ok_or_else(|| {
            Refused::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown Content-Encoding: send gzip, deflate, br, zstd, or nothing compressed",
            )
        })?;
        let key = if source.is_some() { KeyPlace::Head } else { KeyPlace::Body };
        let (bytes, _held) = self.bodies.read(body, key, head.client).await?;
        let bytes = http::decode(encoding, bytes, self.body_bytes_max)?;
        self.store(head, source, shape, is_browser || head.is_of_page, &bytes).await
    }

    /// Take the event of a query.
    async fn take_query(
        &self,
        head: &Head,
        parts: &Parts,
        query: Query,
    ) -> Result<Answer, Refused> {
        let source = head.key.as_deref().map(|key| self.source(key)).transpose()?;
        if let Some(source) = source {
            head.check(source)?;
        }
        match query.body(parts.uri.query().unwrap_or_default()) {
            Some(body) => self.store(head, source, query.shape(), query.is_of_page(), &body).await,
            None => Ok(answer::text("ok")),
        }
    }

    /// Bring a body's events into the spool.
    async fn store(
        &self,
        head: &Head,
        source: Option<&Arc<Source>>,
        shape: Shape,
        is_of_page: bool,
        bytes: &[u8],
    ) -> Result<Answer, Refused> {
        let (source, decoded) = self.decode(head, source, shape, is_of_page, bytes)?;
        let events = decoded.events.len();
        if let Some(rate) = &source.rate {
            rate.admit(events, Instant::now()).map_err(Refused::too_many)?;
        }
        if events > 0 {
            let entry = entry::encode(&source.settings.name, &decoded);
            self.spool.append(u32::try_from(events).expect("a body is limited"), entry).await?;
        }
        source.count(&decoded);
        Ok(answer::accepted(source.settings.dialect))
    }

    /// Find a body's source, and its events.
    fn decode<'a>(
        &'a self,
        head: &Head,
        source: Option<&'a Arc<Source>>,
        shape: Shape,
        client_side: bool,
        bytes: &[u8],
    ) -> Result<(&'a Arc<Source>, Decoded), Refused> {
        let body = Body::parse(bytes)?;
        let source = match source {
            Some(source) => source,
            None => {
                let source = self.source(&body.write_key().ok_or_else(|| self.no_key())?)?;
                head.check(source)?;
                source
            }
        };
        let (dialect, ip) = (source.settings.dialect, head.ip.to_string());
        let facts = Facts { dialect, received_at: clock::now(), ip: &ip, client_side };
        let mut decoded = Decoded::default();
        // What is added to usual events.
        decoded.bytes.reserve(bytes.len() + bytes.len() / 2);
        body.events(&facts, shape, &mut decoded)?;
        match decoded.events.iter().find_map(|event| event.refused) {
            Some(refusal) if source.settings.strict => {
                Err(Refused::new(StatusCode::BAD_REQUEST, refusal.to_string()))
            }
            _ => Ok((source, decoded)),
        }
    }

    fn source(&self, key: &str) -> Result<&Arc<Source>, Refused> {
        self.sources.of_key(key).ok_or_else(|| {
            self.counts.unknown_keys.fetch_add(1, Ordering::Relaxed);
            Refused::new(StatusCode::UNAUTHORIZED, "invalid write key")
        })
    }

    fn no_key(&self) -> Refused {
        self.counts.unknown_keys.fetch_add(1, Ordering::Relaxed);
        Refused::new(
            StatusCode::UNAUTHORIZED,
            "failed to read writekey from header: send it as the user of Basic authentication, as ?writeKey=, or in the body",
        )
    }
}

/// A browser may send what it likes; whether a source takes it is another matter.
fn preflight(asked: &HeaderMap) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, HEAD"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    answer
}

fn wrong_method(allowed: &'static str) -> Answer {
    let refused = Refused::new(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}"));
    let mut answer = refused.answer();
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}
