//! The connections of a server: counts them in total and by peer, and closes idle ones for new
//! ones.
//!
//! An idle connection, on which the server waits for its client, only uses a slot. If slots are
//! scarce, idle connections are closed for new ones: first those of peers with many connections,
//! among them those that were never used, and of these the oldest. A connection whose request is
//! being processed is never closed for this reason.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::peers::{PeerKey, TrustedProxies};
use crate::limits;
use standpipe_core::log_interval::LogInterval;

/// Timeout for the first byte on a new connection. Browsers keep speculative connections for about
/// this time.
const HTTP_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);

/// The minimum time between log lines about connections without a valid request.
const HTTP_MALFORMED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How long a connection without a request is protected if others need its slot. A new connection
/// needs this time for a handshake and its first request. Without it, new connections would close
/// each other.
const HTTP_SCARCE_IDLE_PATIENCE: Duration = Duration::from_millis(500);

/// The share of all connections that is closed at once if no slot is free. It makes a scan of all
/// connections worthwhile.
const CLOSED_AT_ONCE: usize = 64;

/// The minimum number of connections to close at once, unless that is more than a quarter of all.
const CLOSED_AT_ONCE_MIN: usize = 8;

/// The share of all connections above which a peer has many.
const MANY: usize = 16;

/// How long to wait for a slot before the connections are scanned again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Limits of the number of connections.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Maximum connections of all peers together.
    pub connections_max: usize,
    /// Maximum connections of one peer.
    pub per_peer_max: usize,
    /// How long a connection may be idle after a request.
    pub keep_alive: Duration,
    /// Proxies, which are exempt from the limits of one peer.
    pub trusted: TrustedProxies,
}

/// All connections of a server.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<SharedConnections>);

#[derive(Debug)]
struct SharedConnections {
    limits: ConnectionLimits,
    open: Mutex<OpenConnections>,
    /// Notified whenever a slot becomes free.
    freed: Notify,
    counts: ConnectionCounts,
    /// Limits the log lines about malformed requests.
    log_interval: LogInterval,
}

/// Numbers of closed connections, by reason.
#[derive(Debug, Default)]
pub(super) struct ConnectionCounts {
    /// Connections closed to make room for others.
    pub(super) evicted: Counter,
    /// Connections closed immediately because their peer has the maximum number.
    pub(super) refused: Counter,
    /// Connections closed because of bytes that are not a request, or a head that is too long.
    pub(super) malformed: Counter,
}

#[derive(Debug, Default)]
struct OpenConnections {
    entries: HashMap<u64, (PeerKey, Arc<Activity>)>,
    /// Connections of each peer. A missing peer has none.
    peers: HashMap<PeerKey, usize>,
    next: u64,
}

/// A connection's slot. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    pub(super) connections: Connections,
    number: u64,
    pub(super) activity: Arc<Activity>,
}

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// How long the connection may be idle after a request.
    pub(super) keep_alive: Duration,
    /// Requests in progress.
    requests: AtomicUsize,
    /// Requests in progress that do not wait for their client to send the body.
    at_work: AtomicUsize,
    /// When the last request began or ended, in milliseconds since the connection was
    /// opened.
    turned_ms: AtomicU64,
    /// Whether a request has had a response.
    is_used: AtomicBool,
    /// Bytes that were read from the connection.
    bytes_read: AtomicU64,
    /// The value of `bytes_read` when the last request began or ended.
    bytes_before: AtomicU64,
    is_http2: AtomicBool,
    is_evicted: AtomicBool,
    evicted: Notify,
}

/// A request in progress.
#[derive(Debug)]
pub(super) struct RequestInProgress(pub(super) Arc<Activity>);

/// While it exists, its request waits for the body.
#[derive(Debug)]
pub(super) struct BodyWait {
    activity: Arc<Activity>,
    is_waiting: bool,
}

/// The headers of a request that are arriving.
#[derive(Debug, Clone, Copy)]
struct HeaderWindow {
    begun: Instant,
    /// When the last window was complete, and the byte count at that time.
    since: Instant,
    had: u64,
}

impl HeaderWindow {
    /// Returns the next state after this number of bytes was read, or `None` if they arrived too
    /// slowly.
    fn next(self, now: Instant, read: u64) -> Option<Self> {
        if now >= self.begun + limits::HTTP_HEADER_TIMEOUT {
            None
        } else if now < self.since + limits::HTTP_RATE_WINDOW {
            Some(self)
        } else if read - self.had < limits::HTTP_WINDOW_BYTES_MIN {
            None
        } else {
            Some(HeaderWindow { since: now, had: read, ..self })
        }
    }
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Connections(Arc::new(SharedConnections {
            limits,
            open: Mutex::default(),
            freed: Notify::new(),
            counts: ConnectionCounts::default(),
            log_interval: LogInterval::new(HTTP_MALFORMED_LOG_INTERVAL),
        }))
    }

    /// The number of open connections.
    pub(super) fn count(&self) -> usize {
        self.0.open.lock().entries.len()
    }

    /// The numbers of closed connections.
    pub(super) fn counts(&self) -> &ConnectionCounts {
        &self.0.counts
    }

    /// Counts a connection that was closed because of a malformed request, and logs it unless
    /// another one was logged just before. The client received 400, 414 or 431, after which an SDK
    /// deletes the events that it sent.
    pub(super) fn count_malformed(&self, error: &hyper::Error) {
        let count = self.0.counts.malformed.inc() + 1;
        if self.0.log_interval.admit().is_some() {
            // The level is info because anyone can connect and send anything.
            tracing::info!(
                "closed a connection without a valid HTTP request, or with more than {} bytes of path and headers: \
                 {error}; {count} since the start",
                limits::HTTP_HEADER_BYTES_MAX
            );
        }
    }

    /// Whether a peer may open one more connection. Counts a refusal.
    pub(super) fn admits_peer(&self, peer: IpAddr) -> bool {
        let limits = &self.0.limits;
        let has = self.0.open.lock().peers.get(&peer.into()).copied().unwrap_or(0);
        let is_admitted = has < limits.per_peer_max || limits.trusted.contains(peer);
        if !is_admitted {
            self.0.counts.refused.inc();
        }
        is_admitted
    }

    /// Waits until a slot is free, and closes idle connections if possible.
    pub(super) async fn wait_for_slot(&self) {
        loop {
            let freed = self.0.freed.notified();
            if self.0.open.lock().entries.len() < self.0.limits.connections_max {
                return;
            }
            self.evict_idle();
            let _ = timeout(LOOK_AGAIN, freed).await;
        }
    }

    /// Takes a slot for a connection. There must be a free one.
    pub(super) fn take_slot(&self, peer: IpAddr) -> ConnectionSlot {
        let activity = Arc::new(Activity::new(self.0.limits.keep_alive));
        let mut open = self.0.open.lock();
        let number = open.next;
        open.next += 1;
        open.entries.insert(number, (peer.into(), Arc::clone(&activity)));
        *open.peers.entry(peer.into()).or_default() += 1;
        drop(open);
        ConnectionSlot { connections: self.clone(), number, activity }
    }

    /// Closes some connections on which the server only waits for the client.
    pub(super) fn evict_idle(&self) {
        let open = self.0.open.lock();
        let max = self.0.limits.connections_max;
        let many = max / MANY;
        let is_closing = |(_, activity): &&(PeerKey, Arc<Activity>)| activity.is_evicted();
        // Connections that are closing free their slots soon.
        let closing = open.entries.values().filter(is_closing).count();
        let at_once = (max / CLOSED_AT_ONCE).max(CLOSED_AT_ONCE_MIN.min(max / 4)).max(1);
        let wanted = at_once.saturating_sub(closing);
        let candidates = open.entries.values().filter_map(|(peer, activity)| {
            let since = activity.evictable_since()?;
            let is_of_few = open.peers.get(peer).is_none_or(|&count| count <= many);
            let is_used = activity.is_used.load(Ordering::Relaxed);
            let has_request = activity.requests.load(Ordering::Relaxed) > 0;
            Some(((is_of_few, has_request, is_used, since), activity))
        });
        let mut candidates: Vec<_> = candidates.collect();
        if candidates.len() > wanted && wanted > 0 {
            candidates.select_nth_unstable_by_key(wanted - 1, |(rank, _)| *rank);
        }
        for (_, activity) in candidates.into_iter().take(wanted) {
            activity.is_evicted.store(true, Ordering::Relaxed);
            activity.evicted.notify_one();
            self.0.counts.evicted.inc();
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.connections.0.open.lock();
        if let Some((peer, _)) = open.entries.remove(&self.number) {
            let count = open.peers.get_mut(&peer).map(|count| {
                *count -= 1;
                *count
            });
            if count == Some(0) {
                open.peers.remove(&peer);
            }
        }
        drop(open);
        self.connections.0.freed.notify_one();
    }
}

impl Activity {
    fn new(keep_alive: Duration) -> Self {
        Activity {
            opened: Instant::now(),
            keep_alive,
            requests: AtomicUsize::new(0),
            at_work: AtomicUsize::new(0),
            turned_ms: AtomicU64::new(0),
            is_used: AtomicBool::new(false),
            bytes_read: AtomicU64::new(0),
            bytes_before: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            is_evicted: AtomicBool::new(false),
            evicted: Notify::new(),
        }
    }

    /// Whether the protocol announces the end of a connection to the client.
    pub(super) fn needs_farewell(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// Waits until the connection must close to make room.
    pub(super) async fn wait_until_evicted(&self) {
        self.evicted.notified().await;
    }

    /// Counts received bytes. The first ones show the version of HTTP.
    pub(super) fn count_read(&self, bytes: &[u8]) {
        let before = self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if before == 0 && bytes.starts_with(b"PRI") {
            self.is_http2.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until the connection has been idle for too long, or until a request's headers arrive
    /// too slowly. HTTP/2 keeps a connection open as long as the client answers pings, and nothing
    /// else limits how long a new client may delay showing the HTTP version.
    pub(super) async fn wait_until_overdue(&self) {
        let mut headers = None::<HeaderWindow>;
        loop {
            let now = Instant::now();
            let mut step = limits::HTTP_WATCH_INTERVAL;
            if self.requests.load(Ordering::Relaxed) > 0 {
                headers = None;
            } else {
                headers = match (headers, self.bytes_of_headers()) {
                    (_, None) => None,
                    (None, Some(had)) => Some(HeaderWindow { begun: now, since: now, had }),
                    (Some(window), Some(read)) => match window.next(now, read) {
                        None => return,
                        window => window,
                    },
                };
                // On a new connection, one timeout covers the silence and the first headers. Later
                // headers have their own timeout.
                let is_waiting = headers.is_none() || !self.is_used.load(Ordering::Relaxed);
                let end = self.last_turn() + self.patience();
                if is_waiting && now >= end {
                    return;
                }
                step = if is_waiting { step.min(end - now) } else { step };
            }
            tokio::time::sleep(step).await;
        }
    }

    /// The number of bytes read so far, if some of them belong to the headers of a request that has
    /// not begun yet. HTTP/2 limits headers itself.
    fn bytes_of_headers(&self) -> Option<u64> {
        let read = self.bytes_read.load(Ordering::Relaxed);
        let is_begun = read > self.bytes_before.load(Ordering::Relaxed);
        (is_begun && !self.is_http2.load(Ordering::Relaxed)).then_some(read)
    }

    /// How long the connection may have no request.
    fn patience(&self) -> Duration {
        if self.is_used.load(Ordering::Relaxed) {
            self.keep_alive
        } else if self.bytes_read.load(Ordering::Relaxed) == 0 {
            HTTP_FIRST_BYTE_TIMEOUT
        } else {
            limits::HTTP_HEADER_TIMEOUT
        }
    }

    fn last_turn(&self) -> Instant {
        self.opened + Duration::from_millis(self.turned_ms.load(Ordering::Relaxed))
    }

    fn note_turn(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.turned_ms.store(since, Ordering::Relaxed);
        self.bytes_before.store(self.bytes_read.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Relaxed)
    }

    /// Since when the server only waits for the client, if the connection may be closed for that.
    fn evictable_since(&self) -> Option<Instant> {
        let is_at_work = self.at_work.load(Ordering::Relaxed) > 0;
        let has_request = self.requests.load(Ordering::Relaxed) > 0;
        let turned = self.last_turn();
        // A client that is sending a body, or about to send a request, gets some time for it.
        let patience = match has_request {
            true => limits::HTTP_SCARCE_BODY_PATIENCE,
            false => HTTP_SCARCE_IDLE_PATIENCE,
        };
        let is_overdue = turned.elapsed() >= patience;
        (!is_at_work && is_overdue && !self.is_evicted()).then_some(turned)
    }
}

impl RequestInProgress {
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::Relaxed);
        activity.at_work.fetch_add(1, Ordering::Relaxed);
        activity.note_turn();
        RequestInProgress(Arc::clone(activity))
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.0.note_turn();
        self.0.is_used.store(true, Ordering::Relaxed);
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BodyWait {
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        BodyWait { activity, is_waiting: false }
    }

    pub(super) fn set_waiting(&mut self, is_waiting: bool) {
        if is_waiting == self.is_waiting {
            return;
        }
        self.is_waiting = is_waiting;
        match is_waiting {
            true => self.activity.at_work.fetch_sub(1, Ordering::Relaxed),
            false => self.activity.at_work.fetch_add(1, Ordering::Relaxed),
        };
    }
}

impl Drop for BodyWait {
    fn drop(&mut self) {
        self.set_waiting(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{KEEP_ALIVE, KEEP_ALIVE_MAX};

    fn connections(connections_max: usize, per_peer_max: usize) -> Connections {
        let (keep_alive, trusted) = (KEEP_ALIVE, TrustedProxies::default());
        Connections::new(ConnectionLimits { connections_max, per_peer_max, keep_alive, trusted })
    }

    fn peer(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    fn evicted(places: &[ConnectionSlot]) -> Vec<usize> {
        let numbered = places.iter().enumerate();
        numbered.filter(|(_, place)| place.activity.is_evicted()).map(|(at, _)| at).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_was_never_used_makes_room() {
        let all = connections(4, 4);
        let mut places = Vec::new();
        for number in 0..4 {
            places.push(all.take_slot(peer(number)));
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        // The first connection was used, and the second one is working.
        drop(RequestInProgress::new(&places[0].activity));
        let at_work = RequestInProgress::new(&places[1].activity);
        all.evict_idle();
        assert_eq!(evicted(&places), [0; 0], "those that have only come are left alone");
        tokio::time::advance(HTTP_SCARCE_IDLE_PATIENCE).await;
        for expected in [Some(2), Some(3), Some(0), None] {
            all.evict_idle();
            all.evict_idle();
            assert_eq!(evicted(&places), Vec::from_iter(expected), "one at a time");
            if let Some(at) = expected {
                // The connection closes, and another one gets its slot.
                places[at] = all.take_slot(peer(9));
                drop(RequestInProgress::new(&places[at].activity));
                std::mem::forget(RequestInProgress::new(&places[at].activity));
            }
        }
        drop(at_work);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_many_goes_before_others() {
        let all = connections(64, 64);
        let few = all.take_slot(peer(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        let many: Vec<_> = (0..5).map(|_| all.take_slot(peer(2))).collect();
        let others: Vec<_> = (0..8).map(|number| all.take_slot(peer(10 + number))).collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        all.evict_idle();
        assert_eq!(evicted(&others).len(), 2, "eight at once: those of many, and the oldest");
        assert!(few.activity.is_evicted());
        assert_eq!(evicted(&many).len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_a_body_is_given_time() {
        let all = connections(1, 1);
        let place = all.take_slot(peer(1));
        let under_way = RequestInProgress::new(&place.activity);
        let mut wait = BodyWait::new(Arc::clone(&place.activity));
        wait.set_waiting(true);
        all.evict_idle();
        assert!(!place.activity.is_evicted(), "it has only begun");
        tokio::time::advance(limits::HTTP_SCARCE_BODY_PATIENCE).await;
        wait.set_waiting(false);
        all.evict_idle();
        assert!(!place.activity.is_evicted(), "it is being worked on");
        wait.set_waiting(true);
        all.evict_idle();
        assert!(place.activity.is_evicted());
        drop((wait, under_way));
        assert_eq!(place.activity.at_work.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn room_comes_with_a_place_that_is_given_back() {
        let all = connections(1, 1);
        let place = all.take_slot(peer(1));
        let at_work = RequestInProgress::new(&place.activity);
        let waited = timeout(Duration::from_secs(60), all.wait_for_slot()).await;
        assert!(waited.is_err(), "the only connection is at work");
        drop(at_work);
        let evicts = async {
            place.activity.wait_until_evicted().await;
            drop(place);
        };
        let both = async { tokio::join!(all.wait_for_slot(), evicts) };
        timeout(Duration::from_secs(60), both).await.expect("there is room");
        assert_eq!(
            (all.count(), all.counts().evicted.get(), all.counts().refused.get()),
            (0, 1, 0)
        );
    }

    #[test]
    fn one_peer_has_its_share_and_proxies_have_none() {
        let all = connections(10, 2);
        let _places: Vec<_> = (0..2).map(|_| all.take_slot(peer(1))).collect();
        assert!(!all.admits_peer(peer(1)) && all.admits_peer(peer(2)));
        let proxy = IpAddr::from([127, 0, 0, 1]);
        let _places: Vec<_> = (0..5).map(|_| all.take_slot(proxy)).collect();
        assert!(all.admits_peer(proxy));
        assert_eq!(all.counts().refused.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_headers_and_silence_have_an_end() {
        let took = async |drip: Option<(Duration, usize)>| {
            let activity = Arc::new(Activity::new(KEEP_ALIVE));
            let started = Instant::now();
            let drips = async {
                let Some((pause, bytes)) = drip else { return std::future::pending().await };
                loop {
                    activity.count_read(&vec![b'x'; bytes]);
                    tokio::time::sleep(pause).await;
                }
            };
            tokio::select! {
                () = activity.wait_until_overdue() => {}
                () = drips => {}
            }
            started.elapsed()
        };
        assert_eq!(took(None).await, HTTP_FIRST_BYTE_TIMEOUT);
        let slow = took(Some((Duration::from_millis(200), 1))).await;
        assert!(slow <= limits::HTTP_RATE_WINDOW + 2 * limits::HTTP_WATCH_INTERVAL, "{slow:?}");
        let fast = took(Some((Duration::from_millis(100), 1000))).await;
        assert_eq!(fast, limits::HTTP_HEADER_TIMEOUT, "there is an end to them in any case");
    }

    #[tokio::test(start_paused = true)]
    async fn a_used_connection_is_kept_as_long_as_the_settings_say() {
        let second = Duration::from_secs(1);
        for keep_alive in [second, 75 * second, 620 * second, KEEP_ALIVE_MAX] {
            let activity = Arc::new(Activity::new(keep_alive));
            drop(RequestInProgress::new(&activity));
            let started = Instant::now();
            activity.wait_until_overdue().await;
            assert_eq!(started.elapsed(), keep_alive);
        }
    }

    /// Headers of a request that has begun must arrive in time, however long the idle timeout is.
    #[tokio::test(start_paused = true)]
    async fn a_used_connection_has_no_longer_for_its_headers() {
        for bytes in [1, 1000] {
            let activity = Arc::new(Activity::new(KEEP_ALIVE_MAX));
            drop(RequestInProgress::new(&activity));
            tokio::time::advance(Duration::from_secs(600)).await;
            let started = Instant::now();
            let drips = async {
                loop {
                    activity.count_read(&vec![b'x'; bytes]);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::select! {
                () = activity.wait_until_overdue() => {}
                () = drips => {}
            }
            let longest =
                if bytes == 1 { limits::HTTP_RATE_WINDOW } else { limits::HTTP_HEADER_TIMEOUT };
            let took = started.elapsed();
            assert!(took <= longest + 2 * limits::HTTP_WATCH_INTERVAL, "{took:?}");
        }
    }
}
