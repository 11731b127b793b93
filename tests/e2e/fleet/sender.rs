//! Senders that post batches of generated events to a collector, each batch until it is answered with 200.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use standpipe_tests::DEADLINE;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::events::Events;

use super::WRITE_KEY;
use super::ledger::FleetLedger;

/// How long a sender waits before it posts a batch again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// How long a sender waits for a response.
const RESPONSE_PATIENCE: Duration = Duration::from_secs(20);

/// A sender of one collector.
pub(super) struct EventSender<'a> {
    pub(super) ledger: &'a FleetLedger,
    /// The address of the collector, which may be down.
    pub(super) url: String,
    /// The events; another seed for each sender.
    pub(super) events: Events,
    /// Events in a batch.
    pub(super) batch_events: usize,
    /// The pause after each batch.
    pub(super) pause: Duration,
}

impl EventSender<'_> {
    /// Posts batches until `is_over`.
    pub(super) fn run_until(mut self, is_over: &AtomicBool) {
        let mut connection = None;
        while !is_over.load(Ordering::Relaxed) {
            self.post_batch(&mut connection);
            thread::sleep(self.pause);
        }
    }

    /// Posts this many batches. Returns the ids of the last one.
    pub(super) fn post_batches(mut self, count: usize) -> Vec<String> {
        let mut connection = None;
        let mut last = Vec::new();
        for _ in 0..count {
            last = self.post_batch(&mut connection);
        }
        last
    }

    /// Posts a batch until it is answered with 200. Returns the ids of its events.
    fn post_batch(&mut self, connection: &mut Option<Client>) -> Vec<String> {
        let events: Vec<_> = self.events.by_ref().take(self.batch_events).collect();
        let body = format!("{{\"batch\":[{}]}}", events.join(","));
        let deadline = Instant::now() + DEADLINE;
        loop {
            // A collector that a failed test has left stopped must not keep the test from ending.
            assert!(Instant::now() < deadline, "no collector at {} accepts events", self.url);
            let Some(client) = self.connect(connection) else {
                thread::sleep(RETRY_PAUSE);
                continue;
            };
            let ids = self.ledger.record_posted(&events);
            let authorization = basic_auth(WRITE_KEY).1;
            let headers = [("Authorization", authorization.as_str())];
            match client.post("/v1/batch", &headers, body.as_bytes()) {
                Ok(response) if response.status == 200 => {
                    self.ledger.record_answered(&ids);
                    return ids;
                }
                Ok(response) => {
                    assert_eq!(response.status, 503, "{}", response.text());
                    thread::sleep(RETRY_PAUSE);
                }
                Err(_) => *connection = None,
            }
        }
    }

    fn connect<'c>(&self, connection: &'c mut Option<Client>) -> Option<&'c mut Client> {
        if connection.is_none() {
            let client = Client::try_connect_from(Ipv4Addr::LOCALHOST, &self.url).ok()?;
            client.set_read_timeout(RESPONSE_PATIENCE);
            *connection = Some(client);
        }
        connection.as_mut()
    }
}

/// Ends the load when dropped: also where a test fails, since senders would otherwise go on.
pub(super) struct EndLoadOnDrop<'a>(pub(super) &'a AtomicBool);

impl Drop for EndLoadOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
