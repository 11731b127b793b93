//! Reads bodies within memory budgets: total, per client and per request. A body takes memory as
//! its bytes arrive. If memory is scarce, the largest slow body is cut off. Each body has a minimum
//! rate.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::connections::BodyWait;
use super::peers::PeerKey;
use crate::limits;
use standpipe_core::memory_budget::{MemoryBudget, Reservation, Sharing};

/// Timeout for a request's body.
const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The step in which memory is reserved. So a body that arrives byte by byte reserves memory only
/// rarely.
const UNIT: usize = 1024;

/// Bytes of an announced body that are allocated at once. The buffer of a longer body grows as it
/// arrives, so an announcement alone uses no address space.
const ANNOUNCED_BYTES_MAX: usize = 256 * 1024;

/// The maximum number of memory budgets that a body counts for.
const MEMORIES_MAX: usize = 3;

/// How long to wait for memory before the server looks again for a body to cut off.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Number of peers with their own budget above which peers without bodies are dropped.
const PEERS_KEPT: usize = 1024;

/// The memory budget that bodies share.
///
/// If it is exhausted, a body that has been arriving for [`limits::HTTP_SCARCE_BODY_PATIENCE`] or
/// longer is cut off, the largest first. So a slow client cannot block others.
#[derive(Debug, Clone)]
pub struct BodyMemory(Arc<SharedBodyMemory>);

#[derive(Debug)]
struct SharedBodyMemory {
    budget: MemoryBudget,
    /// Bodies that hold memory and are still arriving, oldest first.
    coming: Mutex<BTreeMap<(Instant, u64), Arc<IncomingBody>>>,
}

/// A body that is still arriving.
#[derive(Debug)]
struct IncomingBody {
    bytes: AtomicUsize,
    cut_off: Notify,
}

/// A memory budget for each peer.
#[derive(Debug)]
pub struct PeerMemory {
    bytes: usize,
    peers: Mutex<HashMap<PeerKey, BodyMemory>>,
}

/// The reservations of a body in each budget that it counts for. Dropping it releases them.
#[derive(Debug, Default)]
pub struct BodyReservation([Option<Reservation>; MEMORIES_MAX]);

/// The body of a request on a connection of a server.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    wait: BodyWait,
}

/// Why a body was not read.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// The body is larger than permitted.
    #[error("the body is larger than permitted")]
    TooLarge,
    /// The connection ended before the body was complete.
    #[error("the body was cut off")]
    CutOff,
    /// The body did not arrive in time.
    #[error("the body came too slowly")]
    TooSlow,
    /// Too many other bodies are being read.
    #[error("too many bodies at once")]
    Busy,
}

impl BodyMemory {
    /// Creates a budget of this number of bytes.
    pub fn new(bytes: usize) -> Self {
        let budget = MemoryBudget::new(bytes, Sharing::InOrder);
        BodyMemory(Arc::new(SharedBodyMemory { budget, coming: Mutex::default() }))
    }

    /// Grows a reservation by this number of bytes. Waits for some time until they are free.
    ///
    /// # Errors
    ///
    /// Fails if other bodies keep the memory.
    async fn grow(&self, reservation: &mut Reservation, bytes: usize) -> Result<(), BodyError> {
        if reservation.try_grow(bytes) {
            return Ok(());
        }
        let deadline = Instant::now() + limits::HTTP_BUDGET_TIMEOUT;
        let mut grown = pin!(reservation.grow(bytes));
        loop {
            self.cut_off_slowest();
            let look_again = (Instant::now() + LOOK_AGAIN).min(deadline);
            tokio::select! {
                () = &mut grown => return Ok(()),
                () = sleep_until(look_again) => {}
            }
            if Instant::now() >= deadline {
                return Err(BodyError::Busy);
            }
        }
    }

    /// Cuts off the largest body among those that have been arriving for long.
    fn cut_off_slowest(&self) {
        let mut coming = self.0.coming.lock();
        let is_slow = |started: &Instant| started.elapsed() >= limits::HTTP_SCARCE_BODY_PATIENCE;
        let slow = coming.iter().take_while(|((started, _), _)| is_slow(started));
        let largest = slow.max_by_key(|(_, body)| body.bytes.load(Ordering::Relaxed));
        let largest = largest.map(|(key, _)| *key);
        if let Some(body) = largest.and_then(|key| coming.remove(&key)) {
            body.cut_off.notify_one();
        }
    }
}

impl PeerMemory {
    /// Creates budgets of this number of bytes for each peer.
    pub fn new(bytes: usize) -> Self {
        PeerMemory { bytes, peers: Mutex::default() }
    }

    /// The budget of a peer.
    pub fn for_peer(&self, peer: IpAddr) -> BodyMemory {
        let mut peers = self.peers.lock();
        if peers.len() >= PEERS_KEPT && !peers.contains_key(&peer.into()) {
            // A peer without bodies and without waiting requests has no reservation.
            peers.retain(|_, memory| {
                Arc::strong_count(&memory.0) > 1 || !memory.0.budget.is_unused()
            });
        }
        peers.entry(peer.into()).or_insert_with(|| BodyMemory::new(self.bytes)).clone()
    }
}

impl BodyReservation {
    /// The reservation at this position among the budgets that a body counts for.
    fn part_of(&mut self, place: usize, memory: &BodyMemory) -> &mut Reservation {
        self.0[place].get_or_insert_with(|| memory.0.budget.reservation())
    }
}

/// Keeps a body registered with the budgets that it counts for.
struct WaitingBody<'a> {
    memories: &'a [&'a BodyMemory],
    key: (Instant, u64),
    body: Arc<IncomingBody>,
}

impl<'a> WaitingBody<'a> {
    fn new(memories: &'a [&'a BodyMemory], started: Instant, bytes: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let key = (started, NEXT.fetch_add(1, Ordering::Relaxed));
        let body = Arc::new(IncomingBody { bytes: bytes.into(), cut_off: Notify::new() });
        for memory in memories {
            memory.0.coming.lock().insert(key, Arc::clone(&body));
        }
        WaitingBody { memories, key, body }
    }

    /// Waits until the body is cut off. Never returns if the body is not registered yet.
    async fn cut_off(waiting: Option<&Self>) {
        match waiting {
            Some(waiting) => waiting.body.cut_off.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for WaitingBody<'_> {
    fn drop(&mut self) {
        for memory in self.memories {
            memory.0.coming.lock().remove(&self.key);
        }
    }
}

/// Reads a whole body of at most this number of bytes. The body counts for all of these budgets, at
/// most three.
///
/// Memory is reserved as the bytes arrive, so announcing a large body takes nothing from others. In
/// each [`limits::HTTP_BODY_PAUSE_MAX`], [`limits::HTTP_WINDOW_BYTES_MIN`] or the end of the body
/// must arrive.
///
/// # Errors
///
/// Fails if the body is too large, too slow or cut off, or if there is no memory for it.
pub async fn read_body(
    body: &mut (impl Body + Unpin),
    bytes_max: usize,
    memories: &[&BodyMemory],
) -> Result<(Vec<u8>, BodyReservation), BodyError> {
    let announced = body.size_hint().lower();
    if announced > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let started = Instant::now();
    let deadline = started + HTTP_BODY_TIMEOUT;
    let mut window_end = started + limits::HTTP_BODY_PAUSE_MAX;
    let mut bytes_in_window = 0;
    let (mut bytes, mut held, mut paid) = (Vec::new(), BodyReservation::default(), 0);
    let mut waiting = None;
    loop {
        let frame = tokio::select! {
            biased;
            // Data that is already here needs no timer.
            frame = body.frame() => Ok(frame),
            () = std::future::ready(()) => {
                if waiting.is_none() && paid > 0 {
                    waiting = Some(WaitingBody::new(memories, started, paid));
                }
                tokio::select! {
                    biased;
                    frame = timeout_at(window_end.min(deadline), body.frame()) => frame,
                    () = WaitingBody::cut_off(waiting.as_ref()) => return Err(BodyError::Busy),
                }
            }
        };
        let frame = frame.map_err(|_| BodyError::TooSlow)?;
        let Some(frame) = frame else { return Ok((bytes, held)) };
        let frame = frame.map_err(|_| BodyError::CutOff)?;
        let Ok(mut data) = frame.into_data() else { continue };
        // Empty frames that are always ready would never time out.
        if !data.has_remaining() && Instant::now() >= deadline {
            return Err(BodyError::TooSlow);
        }
        if bytes.len() + data.remaining() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        bytes_in_window += data.remaining() as u64;
        if bytes_in_window >= limits::HTTP_WINDOW_BYTES_MIN {
            window_end = Instant::now() + limits::HTTP_BODY_PAUSE_MAX;
            bytes_in_window = 0;
        }
        let due = (bytes.len() + data.remaining()).next_multiple_of(UNIT);
        if due > paid {
            for (place, memory) in memories.iter().enumerate() {
                let reservation = held.part_of(place, memory);
                tokio::select! {
                    biased;
                    grown = memory.grow(reservation, due - paid) => grown?,
                    () = WaitingBody::cut_off(waiting.as_ref()) => return Err(BodyError::Busy),
                }
            }
            paid = due;
            if let Some(waiting) = &waiting {
                waiting.body.bytes.store(paid, Ordering::Relaxed);
            }
        }
        if bytes.is_empty() {
            // The announced length is used only after the first bytes arrived.
            let announced = (announced as usize).min(ANNOUNCED_BYTES_MAX);
            bytes.reserve_exact(announced.max(data.remaining()));
        }
        while data.has_remaining() {
            let piece = data.chunk();
            bytes.extend_from_slice(piece);
            let length = piece.len();
            data.advance(length);
        }
    }
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, wait: BodyWait) -> Self {
        RequestBody { incoming, wait }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        self.wait.set_waiting(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Reads the rest of a body that is not used, up to a limit.
///
/// If the server closes a connection while the client is still sending, the client sees a reset
/// instead of the response, and tries again.
pub async fn discard_body(body: &mut (impl Body + Unpin)) {
    if body.size_hint().lower() > limits::HTTP_DISCARD_BYTES_MAX {
        return;
    }
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Buf::remaining) as u64;
            if bytes > limits::HTTP_DISCARD_BYTES_MAX {
                return;
            }
        }
    };
    let _ = timeout(limits::HTTP_DISCARD_TIMEOUT, all).await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::ready;

    use tokio::time::Sleep;

    use super::*;

    const KIB: usize = 1024;

    /// A body that arrives in pieces, with a pause before each.
    struct Dripping {
        pieces: usize,
        bytes: usize,
        pause: Duration,
        next: Pin<Box<Sleep>>,
    }

    fn dripping(pieces: usize, bytes: usize, pause: Duration) -> Dripping {
        Dripping { pieces, bytes, pause, next: Box::pin(tokio::time::sleep(pause)) }
    }

    impl Body for Dripping {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.pieces == 0 {
                return Poll::Ready(None);
            }
            ready!(self.next.as_mut().poll(context));
            let next = Instant::now() + self.pause;
            self.next.as_mut().reset(next);
            self.pieces -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; self.bytes])))))
        }
    }

    async fn outcome(mut body: Dripping, memories: &[&BodyMemory]) -> Result<usize, BodyError> {
        let (bytes, held) = read_body(&mut body, 1 << 20, memories).await?;
        drop(held);
        Ok(bytes.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_must_go_on_at_some_rate() {
        let budget = BodyMemory::new(1 << 20);
        let second = Duration::from_secs(1);
        let started = Instant::now();
        let slow = outcome(dripping(1000, 1, second), &[&budget]).await;
        assert_eq!(slow, Err(BodyError::TooSlow));
        let took = started.elapsed();
        assert!(took <= limits::HTTP_BODY_PAUSE_MAX + second, "{took:?}");
        let enough = limits::HTTP_WINDOW_BYTES_MIN as usize / 5;
        assert_eq!(outcome(dripping(25, enough, second), &[&budget]).await, Ok(25 * enough));
        let for_ever = outcome(dripping(1000, KIB, second), &[&budget]).await;
        assert_eq!(for_ever, Err(BodyError::TooSlow), "all of it has an end too");
        assert_eq!(budget.0.budget.free_bytes(), KIB * KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_makes_room_where_memory_is_scarce() {
        let budget = BodyMemory::new(64 * KIB);
        let slow = |kib: usize| {
            let budget = budget.clone();
            // The first piece arrives at once, the next one late.
            let mut body = dripping(2, kib * KIB, Duration::from_secs(9));
            body.next.as_mut().reset(Instant::now());
            tokio::spawn(async move { outcome(body, &[&budget]).await })
        };
        let (small, large) = (slow(4), slow(60));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        // Neither body is slow yet, so the server waits for it.
        let quick = outcome(dripping(1, 32 * KIB, Duration::ZERO), &[&budget]).await;
        assert_eq!(quick, Ok(32 * KIB));
        assert!(started.elapsed() <= limits::HTTP_SCARCE_BODY_PATIENCE, "{:?}", started.elapsed());
        assert_eq!(large.await.unwrap(), Err(BodyError::Busy), "the largest makes room");
        assert_eq!(small.await.unwrap(), Ok(8 * KIB));
        assert_eq!(budget.0.budget.free_bytes(), 64 * KIB);
        assert!(budget.0.coming.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_counts_for_each_of_its_budgets() {
        let (all, share) = (BodyMemory::new(64 * KIB), BodyMemory::new(16 * KIB));
        let body = || dripping(1, 12 * KIB, Duration::ZERO);
        let mut first = body();
        let (_, held) = read_body(&mut first, 1 << 20, &[&share, &all]).await.unwrap();
        assert_eq!(outcome(body(), &[&share, &all]).await, Err(BodyError::Busy));
        assert_eq!(outcome(body(), &[&all]).await, Ok(12 * KIB));
        drop(held);
        assert_eq!(outcome(body(), &[&share, &all]).await, Ok(12 * KIB));
        assert_eq!((all.0.budget.free_bytes(), share.0.budget.free_bytes()), (64 * KIB, 16 * KIB));
    }

    #[tokio::test(start_paused = true)]
    async fn peers_that_hold_nothing_are_forgotten() {
        let peers = PeerMemory::new(KIB);
        let holding = peers.for_peer([192, 0, 2, 1].into());
        let mut held = peers.for_peer([192, 0, 2, 2].into()).0.budget.reservation();
        assert!(held.try_grow(KIB));
        for number in 0..3 * PEERS_KEPT as u32 {
            peers.for_peer(IpAddr::from(number.to_be_bytes()));
        }
        assert!(peers.peers.lock().len() <= PEERS_KEPT);
        assert!(Arc::ptr_eq(&holding.0, &peers.for_peer([192, 0, 2, 1].into()).0));
        assert_eq!(peers.for_peer([192, 0, 2, 2].into()).0.budget.free_bytes(), 0);
        drop(held);
    }
}
