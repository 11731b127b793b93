//! Decodes the bodies of requests within bounds of memory and of time.
//!
//! A small body is decoded at once, on the thread that received it: that takes about a
//! millisecond at most, and the memory for what it becomes is reserved before. A body
//! that is large, or that turns out to become so, is decoded on one of a few threads of
//! its own, so that nobody else waits for it. Each of them takes as much memory as the
//! largest body needs and waits for no more; it is taken by the next one once the events
//! are in the spool.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;

use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::answer::Refused;
use super::decode::{BadBody, Body, Decoded, Facts, Shape};
use super::entry;
use super::head::Head;
use super::source::{Source, Sources};
use crate::clock;
use crate::event::Refusal;
use crate::http::{self, DecodeError, Encoding, Reservation};
use crate::limits;

/// Bytes that a small body's events may take beside what its bytes say: an event alone
/// gets some hundred.
const ADDED_BYTES: usize = 1024;

/// How many times as large JSON is as it was compressed, usually.
const USUAL_COMPRESSION: usize = 8;

/// Decodes bodies, few large ones at once.
#[derive(Debug)]
pub(super) struct Decoder {
    sources: Arc<Sources>,
    body_bytes_max: usize,
    /// One for each large body.
    slots: Arc<Semaphore>,
    /// Who may wait for one of these.
    waiting: Semaphore,
}

/// A request whose body has been read.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: Head,
    /// Whose it is, where that stands before the body.
    pub(super) source: Option<Arc<Source>>,
    pub(super) shape: Shape,
    /// Whether a page sent it.
    pub(super) client_side: bool,
    pub(super) encoding: Encoding,
}

/// The events of a request, on their way into the spool.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) source: Arc<Source>,
    pub(super) decoded: Decoded,
    /// The memory of a large one, to be held until it is in the spool.
    pub(super) _slot: Option<OwnedSemaphorePermit>,
}

/// What a body may become.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    body_bytes_max: usize,
    events_bytes_max: usize,
}

/// Why there are no events.
#[derive(Debug)]
enum Failure {
    Compression(DecodeError),
    Body(BadBody),
    Refused(Refused),
}

impl Decoder {
    pub(super) fn new(sources: Arc<Sources>, body_bytes_max: usize) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let slots = processors.div_ceil(2).min(limits::COLLECT_DECODERS_MAX);
        Decoder {
            sources,
            body_bytes_max,
            slots: Arc::new(Semaphore::new(slots)),
            waiting: Semaphore::new(limits::COLLECT_DECODERS_WAITING_MAX),
        }
    }

    /// Decode a body, whose bytes have been reserved. What is reserved afterwards is
    /// what the entry of the spool takes.
    pub(super) async fn decode(
        &self,
        received: Received,
        bytes: Vec<u8>,
        reservation: &mut Reservation,
    ) -> Result<Accepted, Refused> {
        let bounds = Bounds {
            body_bytes_max: self.body_bytes_max.min(limits::COLLECT_INLINE_BODY_BYTES_MAX),
            events_bytes_max: limits::COLLECT_INLINE_EVENTS_BYTES_MAX,
        };
        if bytes.len() <= bounds.body_bytes_max {
            reservation.grow(usual_bytes(received.encoding, bytes.len())).await?;
            match run(&self.sources, &received, Cow::Borrowed(&bytes), bounds) {
                Err(failure) if self.is_of_bounds(bounds, &failure) => {}
                decoded => {
                    let (source, decoded) = decoded?;
                    drop(bytes);
                    reserve(reservation, &source, &decoded)?;
                    return Ok(Accepted { source, decoded, _slot: None });
                }
            }
            reservation.shrink_to(bytes.len());
        }
        self.decode_large(received, bytes, reservation).await
    }

    /// Whether a body may be decoded all the same, where there is more memory.
    fn is_of_bounds(&self, bounds: Bounds, failure: &Failure) -> bool {
        match failure {
            Failure::Compression(DecodeError::TooLarge) => {
                bounds.body_bytes_max < self.body_bytes_max
            }
            Failure::Body(BadBody::TooLong) => true,
            _ => false,
        }
    }

    async fn decode_large(
        &self,
        received: Received,
        bytes: Vec<u8>,
        reservation: &mut Reservation,
    ) -> Result<Accepted, Refused> {
        let slot = self.slot().await.ok_or_else(Refused::busy)?;
        let bounds = Bounds {
            body_bytes_max: self.body_bytes_max,
            events_bytes_max: limits::COLLECTED_BYTES_MAX,
        };
        let sources = Arc::clone(&self.sources);
        // The slot goes along: where the client leaves, the work is done all the same.
        let work = spawn_blocking(move || {
            let decoded = run(&sources, &received, Cow::Owned(bytes), bounds);
            (decoded, slot)
        });
        let (decoded, slot) = match work.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends.
            Err(_) => return Err(Refused::busy()),
        };
        reservation.shrink_to(0);
        let (source, decoded) = decoded?;
        Ok(Accepted { source, decoded, _slot: Some(slot) })
    }

    /// A slot, after a while at most.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(slot);
        }
        let _waiting = self.waiting.try_acquire().ok()?;
        let slot = timeout(limits::HTTP_BUDGET_TIMEOUT, Arc::clone(&self.slots).acquire_owned());
        slot.await.ok().map(|slot| slot.expect("it is never closed"))
    }
}

/// What the events of a small body usually take.
fn usual_bytes(encoding: Encoding, body_bytes: usize) -> usize {
    let body_bytes = match encoding {
        Encoding::Identity => body_bytes,
        _ => body_bytes * USUAL_COMPRESSION,
    };
    (body_bytes + body_bytes / 2 + ADDED_BYTES).min(limits::COLLECT_INLINE_EVENTS_BYTES_MAX)
}

/// Have just what an entry takes reserved.
fn reserve(
    reservation: &mut Reservation,
    source: &Source,
    decoded: &Decoded,
) -> Result<(), Refused> {
    let head = entry::head_bytes(&source.settings.name, decoded.events.len());
    let due = head + decoded.bytes.len();
    reservation.shrink_to(due);
    let is_reserved = reservation.try_grow(due - reservation.bytes());
    is_reserved.then_some(()).ok_or_else(Refused::busy)
}

/// Find a body's source, and its events.
fn run(
    sources: &Sources,
    received: &Received,
    bytes: Cow<'_, [u8]>,
    bounds: Bounds,
) -> Result<(Arc<Source>, Decoded), Failure> {
    let Received { head, source, shape, client_side, encoding } = received;
    let bytes = http::decode(*encoding, bytes, bounds.body_bytes_max);
    let bytes = bytes.map_err(Failure::Compression)?;
    let body = Body::parse(&bytes)?;
    let source = match source {
        Some(source) => Arc::clone(source),
        None => {
            let key = body.write_key().ok_or_else(|| sources.no_key())?;
            let source = sources.of_key(&key)?;
            head.check(&source)?;
            source
        }
    };
    let ip = head.ip.to_string();
    let facts = Facts {
        dialect: source.settings.dialect,
        received_at: clock::now(),
        ip: &ip,
        client_side: *client_side,
    };
    let mut decoded = Decoded::of_at_most(bounds.events_bytes_max);
    // What is added to usual events.
    decoded.bytes.reserve(bytes.len() + bytes.len() / 2);
    body.events(&facts, *shape, &mut decoded)?;
    check_refusals(&decoded, source.settings.strict)?;
    Ok((source, decoded))
}

/// Whether a request is worth to be taken for its good events.
fn check_refusals(decoded: &Decoded, is_strict: bool) -> Result<(), Refused> {
    let mut refusals = decoded.events.iter().filter_map(|event| event.refused);
    let Some(first) = refusals.next() else { return Ok(()) };
    let bad_request = |text: String| Err(Refused::new(StatusCode::BAD_REQUEST, text));
    if is_strict {
        return bad_request(first.to_string());
    }
    let (count, all) = (1 + refusals.count(), decoded.events.len());
    if count <= limits::COLLECT_REFUSED_EVENTS_MAX || 2 * count <= all {
        return Ok(());
    }
    let mut reasons: Vec<Refusal> = Vec::new();
    for refusal in decoded.events.iter().filter_map(|event| event.refused) {
        if !reasons.contains(&refusal) {
            reasons.push(refusal);
        }
    }
    let reasons: Vec<_> = reasons.iter().map(Refusal::to_string).collect();
    bad_request(format!(
        "{count} of {all} parts of the request are no events, and nothing of it is taken: {}: fix what \
         sends them; up to {} would go to the dead letters",
        reasons.join("; "),
        limits::COLLECT_REFUSED_EVENTS_MAX,
    ))
}

impl From<BadBody> for Failure {
    fn from(error: BadBody) -> Self {
        Failure::Body(error)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Failure::Refused(refused)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Compression(error) => error.into(),
            Failure::Body(error) => error.into(),
            Failure::Refused(refused) => refused,
        }
    }
}
