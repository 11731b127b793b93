//! Decodes the bodies of requests within limits of memory and time.
//!
//! A small body is decoded at once on the thread that received it. This takes at most about a
//! millisecond, and the memory for its events is reserved before. A body that is large, or that
//! becomes large, is decoded on one of a few separate threads, so that other requests do not wait
//! for it. Each of these threads has a slot with enough memory for the largest body and waits for
//! no other memory. The next body gets the slot when the events are in the spool.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::decode::{BodyShape, DecodedEvent, DecodedEvents, ParsedBody, RequestFacts};
use super::refusal_reason::RefusalReason;
use super::refused_request::RefusedRequest;
use super::request_head::RequestHead;
use super::source::{CollectorSource, SourceRegistry};
use super::webhook::WebhookHead;
use crate::content_encoding::{self, DecompressError, Encoding};
use crate::limits;
use standpipe_core::clock;
use standpipe_core::event::{EventRefusal, entry_head_bytes};
use standpipe_http::RequestReservation;

/// Maximum bytes of the events of a body that is decoded on the receiving thread.
const COLLECT_INLINE_EVENTS_BYTES_MAX: usize = 1024 * 1024;

/// Requests that wait for a slot to decode a larger body. Further ones are refused at once.
const COLLECT_DECODERS_WAITING_MAX: usize = 32;

/// Invalid events of a request that become dead letters although they are more than half of the
/// request. It is the batch size of SDKs. A request with more of them does not contain events at
/// all, and each part of two bytes would become a dead letter of two hundred.
const COLLECT_REFUSED_EVENTS_MAX: usize = 100;

/// Bytes that are added to the events of a small body: a single event gets some hundred bytes.
const ADDED_BYTES: usize = 1024;

/// The usual compression ratio of JSON.
const USUAL_COMPRESSION: usize = 8;

/// Decodes bodies, at most a few large ones at once.
#[derive(Debug)]
pub(super) struct BodyDecoder {
    sources: Arc<SourceRegistry>,
    body_bytes_max: usize,
    /// Permits for large bodies.
    slots: Arc<Semaphore>,
    /// The requests that wait for a slot.
    waiting: Semaphore,
}

/// A request whose body has been read.
#[derive(Debug)]
pub(super) struct ReceivedRequest {
    pub(super) head: RequestHead,
    /// The source, if the request contains the key before the body.
    pub(super) source: Option<Arc<CollectorSource>>,
    pub(super) shape: BodyShape,
    pub(super) encoding: Encoding,
    /// The head of the request, only for webhooks.
    pub(super) webhook: Option<WebhookHead>,
}

/// The events of a request that are being written to the spool.
#[derive(Debug)]
pub(super) struct AcceptedRequest {
    pub(super) source: Arc<CollectorSource>,
    pub(super) decoded: DecodedEvents,
    /// The slot of a large request, held until its events are in the spool.
    pub(super) _slot: Option<OwnedSemaphorePermit>,
}

/// Limits of a body and of its events.
#[derive(Debug, Clone, Copy)]
struct DecodeBounds {
    body_bytes_max: usize,
    events_bytes_max: usize,
}

/// A refused request, with its body if the source keeps it.
#[derive(Debug)]
pub(super) struct RejectedRequest {
    pub(super) refused: RefusedRequest,
    /// The body as an event for the dead letters. It is decompressed if that was possible.
    pub(super) kept: Option<Box<AcceptedRequest>>,
}

impl BodyDecoder {
    pub(super) fn new(sources: Arc<SourceRegistry>, body_bytes_max: usize) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let slots = processors.div_ceil(2).min(limits::COLLECT_DECODERS_MAX);
        BodyDecoder {
            sources,
            body_bytes_max,
            slots: Arc::new(Semaphore::new(slots)),
            waiting: Semaphore::new(COLLECT_DECODERS_WAITING_MAX),
        }
    }

    /// Decodes a body whose bytes are reserved. Afterwards, the reservation has the size of the
    /// spool entry.
    pub(super) async fn decode(
        &self,
        received: ReceivedRequest,
        bytes: Vec<u8>,
        reservation: &mut RequestReservation,
    ) -> Result<AcceptedRequest, RejectedRequest> {
        let bounds = DecodeBounds {
            body_bytes_max: self.body_bytes_max.min(limits::COLLECT_INLINE_BODY_BYTES_MAX),
            events_bytes_max: COLLECT_INLINE_EVENTS_BYTES_MAX,
        };
        if bytes.len() <= bounds.body_bytes_max {
            let usual = usual_event_bytes(received.encoding, bytes.len());
            reservation.grow(usual).await.map_err(RefusedRequest::from)?;
            match decode_within(None, &self.sources, &received, Cow::Borrowed(&bytes), bounds) {
                Err(rejected) if self.is_of_bounds(bounds, &rejected.refused) => {}
                decoded => {
                    let accepted = decoded?;
                    drop(bytes);
                    reserve_entry(reservation, &accepted)?;
                    return Ok(accepted);
                }
            }
            reservation.shrink_to(bytes.len());
        }
        self.decode_large(received, bytes, reservation).await
    }

    /// Returns whether the body may fit into the wider limits of a large body.
    fn is_of_bounds(&self, bounds: DecodeBounds, refused: &RefusedRequest) -> bool {
        match refused.reason {
            RefusalReason::TooLarge => bounds.body_bytes_max < self.body_bytes_max,
            _ => refused.is_too_long,
        }
    }

    async fn decode_large(
        &self,
        received: ReceivedRequest,
        bytes: Vec<u8>,
        reservation: &mut RequestReservation,
    ) -> Result<AcceptedRequest, RejectedRequest> {
        let slot = self.acquire_slot().await.ok_or_else(RefusedRequest::busy)?;
        let bounds = DecodeBounds {
            body_bytes_max: self.body_bytes_max,
            events_bytes_max: limits::COLLECTED_BYTES_MAX,
        };
        let sources = Arc::clone(&self.sources);
        // The slot moves into the task, because the work continues even if the client disconnects.
        let work = spawn_blocking(move || {
            decode_within(Some(slot), &sources, &received, Cow::Owned(bytes), bounds)
        });
        let decoded = match work.await {
            Ok(decoded) => decoded,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => return Err(RefusedRequest::busy().into()),
        };
        reservation.shrink_to(0);
        decoded
    }

    /// Acquires a slot; waits for a limited time.
    async fn acquire_slot(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(slot);
        }
        let _waiting = self.waiting.try_acquire().ok()?;
        let slot = timeout(
            standpipe_http::limits::HTTP_BUDGET_TIMEOUT,
            Arc::clone(&self.slots).acquire_owned(),
        );
        slot.await.ok().map(|slot| slot.expect("it is never closed"))
    }
}

/// Estimates the bytes of a small body's events.
fn usual_event_bytes(encoding: Encoding, body_bytes: usize) -> usize {
    let body_bytes = match encoding {
        Encoding::Identity => body_bytes,
        _ => body_bytes * USUAL_COMPRESSION,
    };
    (body_bytes + body_bytes / 2 + ADDED_BYTES).min(COLLECT_INLINE_EVENTS_BYTES_MAX)
}

/// Adjusts the reservation to the size of the entry.
fn reserve_entry(
    reservation: &mut RequestReservation,
    accepted: &AcceptedRequest,
) -> Result<(), RefusedRequest> {
    let AcceptedRequest { source, decoded, .. } = accepted;
    let head = entry_head_bytes(&source.settings.name, decoded.events.len());
    let due = head + decoded.bytes.len();
    reservation.shrink_to(due);
    let is_reserved = reservation.try_grow(due - reservation.bytes());
    is_reserved.then_some(()).ok_or_else(RefusedRequest::busy)
}

/// Decodes a body within limits. Keeps a refused body if its source requires that. A large body
/// holds its slot until it is in the spool or dropped.
fn decode_within(
    slot: Option<OwnedSemaphorePermit>,
    sources: &SourceRegistry,
    received: &ReceivedRequest,
    mut body: Cow<'_, [u8]>,
    bounds: DecodeBounds,
) -> Result<AcceptedRequest, RejectedRequest> {
    let mut source = received.source.clone();
    let refused = match decode_body(sources, received, &mut body, &mut source, bounds) {
        Ok(decoded) => {
            let source = source.expect("events are of a source");
            return Ok(AcceptedRequest { source, decoded, _slot: slot });
        }
        Err(refused) => refused.of_known_source(source.as_ref()),
    };
    // When the source is known, only the body can be a reason to refuse a request.
    let is_kept = refused.reason != RefusalReason::Empty
        && (1..=standpipe_core::limits::EVENT_BYTES_MAX).contains(&body.len());
    let source = source.filter(|source| is_kept && source.settings.keep_refused);
    let kept = source.map(|source| {
        let decoded = DecodedEvents::refused_request(body.into_owned());
        Box::new(AcceptedRequest { source, decoded, _slot: slot })
    });
    Err(RejectedRequest { refused, kept })
}

/// Decompresses a body, finds its source if that is unknown, and decodes its events.
fn decode_body(
    sources: &SourceRegistry,
    received: &ReceivedRequest,
    body: &mut Cow<'_, [u8]>,
    source: &mut Option<Arc<CollectorSource>>,
    bounds: DecodeBounds,
) -> Result<DecodedEvents, RefusedRequest> {
    let ReceivedRequest { head, shape, encoding, webhook, .. } = received;
    // A body that cannot be decompressed is kept as received.
    let raw = source.as_ref().filter(|source| source.settings.keep_refused).map(|_| body.clone());
    match content_encoding::decompress(*encoding, std::mem::take(body), bounds.body_bytes_max) {
        Ok(decoded) => *body = decoded,
        Err(error) => {
            *body = raw.unwrap_or_default();
            return Err(error.into());
        }
    }
    drop(raw);
    if let Some(webhook) = webhook {
        let payload = webhook.payload(body)?;
        // Escapes make the JSON longer than the form from which it is created.
        if payload.as_ref().is_some_and(|payload| payload.len() > bounds.body_bytes_max) {
            return Err(DecompressError::TooLarge.into());
        }
        if let Some(payload) = payload {
            *body = Cow::Owned(payload);
        }
    }
    let parsed = ParsedBody::parse(body)?;
    let source = match source {
        Some(source) => source,
        None => {
            let key = parsed.write_key().ok_or_else(|| RefusedRequest::no_key(sources))?;
            source.insert(head.find_source(&key, sources)?)
        }
    };
    let ip = head.ip.to_string();
    let facts = RequestFacts {
        dialect: source.settings.dialect,
        received_at: clock::now(),
        ip: &ip,
        client_side: head.is_of_page,
    };
    let mut decoded = DecodedEvents::of_at_most(bounds.events_bytes_max);
    // Reserves space for the members that are usually added.
    decoded.bytes.reserve(body.len() + body.len() / 2);
    parsed.append_events(&facts, *shape, &mut decoded)?;
    check_refusals(&decoded, source.settings.strict)?;
    Ok(decoded)
}

/// Checks that a request does not have too many invalid events.
fn check_refusals(decoded: &DecodedEvents, is_strict: bool) -> Result<(), RefusedRequest> {
    let is_bad = |event: &DecodedEvent| event.refused.is_some();
    let Some(place) = decoded.events.iter().position(is_bad) else { return Ok(()) };
    let bad = decoded.events[place..].iter().filter_map(|event| event.refused);
    if is_strict {
        let first = bad.map(|refusal| refusal.to_string()).next().unwrap_or_default();
        let text = format!("{first}: event {} of {}", place + 1, decoded.events.len());
        return Err(RefusedRequest::new(RefusalReason::BadEvent, text));
    }
    let (count, all) = (bad.count(), decoded.events.len());
    if count <= COLLECT_REFUSED_EVENTS_MAX || 2 * count <= all {
        return Ok(());
    }
    let mut reasons: Vec<EventRefusal> = Vec::new();
    for refusal in decoded.events.iter().filter_map(|event| event.refused) {
        if !reasons.contains(&refusal) {
            reasons.push(refusal);
        }
    }
    let reasons: Vec<_> = reasons.iter().map(EventRefusal::to_string).collect();
    let text = format!(
        "{count} of {all} parts of the request are not events, and none of them is accepted: {}: fix the \
         sender; up to {} bad events go to the dead letters",
        reasons.join("; "),
        COLLECT_REFUSED_EVENTS_MAX,
    );
    Err(RefusedRequest::new(RefusalReason::MostlyBadEvents, text))
}

impl From<RefusedRequest> for RejectedRequest {
    fn from(refused: RefusedRequest) -> Self {
        RejectedRequest { refused, kept: None }
    }
}
