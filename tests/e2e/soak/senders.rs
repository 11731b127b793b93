//! Honest senders: each posts its blocks over one connection as fast as they are accepted, and
//! repeats a block until it is accepted.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use standpipe_tests::DEADLINE;
use standpipe_tests::client::{Client, HttpResponse, basic_auth};
use standpipe_tests::compressed::gzip;

use super::recipes::{Recipes, SINGLE_SENDER};
use super::world::SoakWorld;

/// The sources of the senders.
pub(super) const SOURCES: [&str; 3] = [
    "[[sources]]\nname = \"web\"\ndialect = \"segment\"\nwrite_keys = [\"key-of-web\"]\n",
    "[[sources]]\nname = \"backend\"\ndialect = \"rudderstack\"\nwrite_keys = [\"key-of-backend\"]\n",
    "[[sources]]\nname = \"metered\"\ndialect = \"segment\"\nwrite_keys = [\"key-of-metered\"]\nrate_limit = 1000\n",
];

/// The keys of the senders, by their numbers.
const KEYS: [&str; 8] = [
    "key-of-web",
    "key-of-web",
    "key-of-web",
    "key-of-web",
    "key-of-backend",
    "key-of-backend",
    "key-of-backend",
    "key-of-metered",
];

/// These senders compress their bodies.
const GZIP_SENDERS: [u64; 2] = [2, 5];
/// This sender opens a new connection after a number of requests.
const FICKLE_SENDER: u64 = 6;
const FICKLE_REQUESTS: usize = 20;

/// How long a sender waits while the program is not running.
const AWAY_PAUSE: Duration = Duration::from_millis(20);
/// The pause for each second of `Retry-After`.
const RETRY_SECOND: Duration = Duration::from_millis(20);
/// The maximum of `Retry-After` in responses.
const RETRY_SECONDS_MAX: u32 = 60;

/// A sender on its thread.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    world: &'a SoakWorld,
    number: u64,
    own_address: Ipv4Addr,
    connection: Option<Client>,
    requests: usize,
    body: Vec<u8>,
}

impl<'a> Sender<'a> {
    pub(super) fn new(world: &'a SoakWorld, number: u64) -> Self {
        let own_address = Ipv4Addr::new(127, 0, 1, 1 + number as u8);
        Sender { world, number, own_address, connection: None, requests: 0, body: Vec::new() }
    }

    /// Sends until the gate is closed.
    pub(super) fn run(mut self) {
        while let Some(turn) = self.world.gate.enter_block(self.number) {
            let ids = Recipes::block_ids(self.number, turn);
            self.world.ledger.record_posted(ids.clone());
            if self.number == SINGLE_SENDER {
                ids.for_each(|id| self.post_until_taken("/v1/track", id..id + 1));
            } else {
                self.post_until_taken("/v1/batch", ids);
            }
            self.world.gate.leave_block();
        }
    }

    /// Posts events until they are accepted.
    fn post_until_taken(&mut self, path: &str, ids: Range<u64>) {
        let body = self.encode_batch(&ids);
        let mut headers = vec![basic_auth(KEYS[self.number as usize])];
        if GZIP_SENDERS.contains(&self.number) {
            headers.push(("Content-Encoding", "gzip".to_owned()));
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        while !self.world.gate.is_over() {
            let Some(client) = self.connect() else { continue };
            let posted = Instant::now();
            match client.post(path, &headers, &body) {
                Ok(reply) if reply.status == 200 => {
                    self.record_taken(ids, posted.elapsed());
                    return;
                }
                Ok(reply) => self.wait_after_refusal(&reply),
                Err(error) => {
                    self.world.ledger.record_unanswered(ids.clone());
                    self.world.traffic.unanswered.fetch_add(1, Ordering::Relaxed);
                    self.connection = None;
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                        let waited = posted.elapsed();
                        self.world.findings.add("an honest sender without an answer", || {
                            format!("sender {} after {waited:?}: {error}", self.number)
                        });
                    }
                }
            }
        }
    }

    fn encode_batch(&mut self, ids: &Range<u64>) -> Vec<u8> {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        if self.number == SINGLE_SENDER {
            self.world.recipes.write_event(ids.start, &mut body);
            self.body = body;
            return self.body.clone();
        }
        body.extend_from_slice(b"{\"batch\":[");
        for id in ids.clone() {
            if id > ids.start {
                body.push(b',');
            }
            self.world.recipes.write_event(id, &mut body);
        }
        body.extend_from_slice(b"]}");
        self.body = body;
        if GZIP_SENDERS.contains(&self.number) { gzip(&self.body) } else { self.body.clone() }
    }

    /// The connection, or a new one. `None` while the program is not running.
    fn connect(&mut self) -> Option<&mut Client> {
        self.requests += 1;
        if self.number == FICKLE_SENDER && self.requests.is_multiple_of(FICKLE_REQUESTS) {
            self.connection = None;
        }
        if self.connection.is_none() {
            let url = self.world.place.url();
            self.connection = Client::try_connect_from(self.own_address, &url).ok();
            let connected = self.connection.iter();
            connected.for_each(|client| client.set_write_timeout(DEADLINE));
        }
        if self.connection.is_none() {
            thread::sleep(AWAY_PAUSE);
        }
        self.connection.as_mut()
    }

    fn record_taken(&self, ids: Range<u64>, after: Duration) {
        self.world.ledger.record_acknowledged(ids);
        let slowest = &self.world.traffic.slowest_answer_ms;
        slowest.fetch_max(after.as_millis() as u64, Ordering::Relaxed);
    }

    /// Waits for a fraction of the time in the response.
    fn wait_after_refusal(&mut self, reply: &HttpResponse) {
        let traffic = &self.world.traffic;
        match reply.status {
            429 => traffic.refused.fetch_add(1, Ordering::Relaxed),
            408 | 503 => traffic.unavailable.fetch_add(1, Ordering::Relaxed),
            status => {
                self.world.findings.add("an honest sender that was turned away", || {
                    format!("sender {}: {status}: {}", self.number, reply.text())
                });
                0
            }
        };
        let seconds = reply.header("retry-after").and_then(|value| value.parse::<u32>().ok());
        if seconds.is_none() && [429, 503].contains(&reply.status) {
            self.world.findings.add("a refusal without Retry-After", || reply.text());
        }
        if reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.connection = None;
        }
        thread::sleep(RETRY_SECOND * seconds.unwrap_or(1).clamp(1, RETRY_SECONDS_MAX));
    }
}
