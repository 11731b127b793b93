//! Accounts for the events of a fleet: posted, answered with 200, and arrived at the Firehose stub.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use standpipe_tests::oracle::{Differences, Oracle, Streams, compare_streams};
use standpipe_tests::stub::PutRequest;
use standpipe_tests::{Stub, StubResponse};

/// The mapping of the mappers.
pub(super) const ROWS: &[(&str, &str)] =
    &[("Order Completed", "orders"), ("page", "pages"), ("track", "tracks"), ("*", "rest")];

/// The events of a fleet, by their `messageId`.
#[derive(Debug)]
pub(super) struct FleetLedger {
    started: Instant,
    state: Mutex<LedgerState>,
}

#[derive(Debug, Default)]
struct LedgerState {
    events: HashMap<String, EventHistory>,
    /// Events that were answered with 200.
    answered: usize,
    /// Of these, those that have arrived.
    arrived: usize,
    /// Records that were never posted, or have another content.
    strangers: Vec<String>,
}

/// What has happened to an event. Times are those since the start.
#[derive(Debug, Default)]
struct EventHistory {
    stream: String,
    /// When the event was posted first.
    posted: Duration,
    /// How often the event was posted.
    posts: usize,
    answered: Option<Duration>,
    /// When the event arrived, and at which stream.
    arrivals: Vec<(Duration, String)>,
}

/// An event that has arrived more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Duplicate {
    pub(super) id: String,
    /// How often it arrived too many times.
    pub(super) count: usize,
    /// Whether its sender posted it more than once, because a request was not answered.
    pub(super) is_reposted: bool,
    /// When it was posted first.
    pub(super) posted: Duration,
    /// The time of its first arrival.
    pub(super) first: Duration,
    /// The time of its last arrival.
    pub(super) last: Duration,
}

impl FleetLedger {
    pub(super) fn new() -> Self {
        FleetLedger { started: Instant::now(), state: Mutex::default() }
    }

    /// The time since the start.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Enters that events are about to be posted. Returns their ids.
    pub(super) fn record_posted(&self, events: &[String]) -> Vec<String> {
        let (oracle, now) = (Oracle::new(ROWS), self.now());
        let mut state = self.state.lock();
        let mut ids = Vec::with_capacity(events.len());
        for event in events {
            let event: Value = serde_json::from_str(event).expect("the generator makes JSON");
            let id = event["messageId"].as_str().expect("an id").to_owned();
            let history = state.events.entry(id.clone()).or_default();
            history.posts += 1;
            if history.posts == 1 {
                history.posted = now;
                let stream = oracle.stream_of(event.as_object().expect("an object"));
                stream.expect("each event has a row").clone_into(&mut history.stream);
            }
            ids.push(id);
        }
        ids
    }

    /// Enters that events were answered with 200.
    pub(super) fn record_answered(&self, ids: &[String]) {
        let now = self.now();
        let mut state = self.state.lock();
        for id in ids {
            let history = state.events.get_mut(id).expect("the event was posted");
            if history.answered.replace(now).is_none() {
                let has_arrived = !history.arrivals.is_empty();
                state.answered += 1;
                state.arrived += usize::from(has_arrived);
            }
        }
    }

    /// Enters the records that the stub has accepted.
    pub(super) fn record_arrived(&self, put: &PutRequest, response: &StubResponse) {
        let now = self.now();
        let mut state = self.state.lock();
        let LedgerState { events, arrived, strangers, .. } = &mut *state;
        for (position, record) in put.records.iter().enumerate() {
            if !response.accepts_record(position) {
                continue;
            }
            let event: Option<Value> = serde_json::from_slice(record).ok();
            let id = event.as_ref().and_then(|event| event["messageId"].as_str());
            match id.and_then(|id| events.get_mut(id)) {
                Some(history) => {
                    let is_new = history.answered.is_some() && history.arrivals.is_empty();
                    *arrived += usize::from(is_new);
                    history.arrivals.push((now, put.stream.clone()));
                }
                None => strangers.push(String::from_utf8_lossy(record).into_owned()),
            }
        }
    }

    /// Events that were answered with 200 and have not arrived yet.
    pub(super) fn outstanding(&self) -> usize {
        let state = self.state.lock();
        state.answered - state.arrived
    }

    /// Events that were answered with 200.
    pub(super) fn answered(&self) -> usize {
        self.state.lock().answered
    }

    /// Events that were posted or arrived between two times, or were posted before and had not arrived: those that a
    /// fault at this time can hit.
    pub(super) fn count_in_flight(&self, from: Duration, to: Duration) -> usize {
        let state = self.state.lock();
        let is_in_flight = |history: &&EventHistory| {
            history.posted <= to && history.arrivals.first().is_none_or(|(first, _)| *first >= from)
        };
        state.events.values().filter(is_in_flight).count()
    }

    /// Whether an event has arrived.
    pub(super) fn has_arrived(&self, id: &str) -> bool {
        self.state.lock().events.get(id).is_some_and(|history| !history.arrivals.is_empty())
    }

    /// Fails unless each event that was answered with 200 has arrived at its own stream, and nothing else but events
    /// that were posted. Returns the events that have arrived more than once.
    pub(super) fn check(&self) -> Vec<Duplicate> {
        let state = self.state.lock();
        assert_eq!(state.strangers, [""; 0], "records that nobody posted");
        let (mut expected, mut got): (Streams, Streams) = (BTreeMap::new(), BTreeMap::new());
        let mut duplicates = Vec::new();
        for (id, EventHistory { stream, posted, posts, answered, arrivals }) in &state.events {
            for (_, stream) in arrivals {
                got.entry(stream.clone()).or_default().push(id.clone().into_bytes());
            }
            // An event without a response may arrive.
            if answered.is_some() || !arrivals.is_empty() {
                expected.entry(stream.clone()).or_default().push(id.clone().into_bytes());
            }
            if let [(first, _), .., (last, _)] = &arrivals[..] {
                let (count, is_reposted) = (arrivals.len() - 1, *posts > 1);
                duplicates.push(Duplicate {
                    id: id.clone(),
                    count,
                    is_reposted,
                    posted: *posted,
                    first: *first,
                    last: *last,
                });
            }
        }
        let found = compare_streams(&expected, &got);
        let Differences { missing, unknown, doubled } = &found;
        assert!(missing.is_empty() && unknown.is_empty(), "{}", found.text());
        assert_eq!(
            doubled.len(),
            duplicates.iter().map(|duplicate| duplicate.count).sum::<usize>()
        );
        duplicates
    }

    /// Fails unless each event has arrived exactly once.
    pub(super) fn check_exactly_once(&self) {
        assert_eq!(self.check(), []);
    }
}

/// A Firehose stub that enters what it accepts before it answers.
pub(super) fn start_firehose(
    ledger: &std::sync::Arc<FleetLedger>,
    respond: impl Fn(&PutRequest) -> StubResponse + Send + Sync + 'static,
) -> Stub {
    let ledger = std::sync::Arc::clone(ledger);
    Stub::start_forgetful(move |put| {
        let response = respond(put);
        ledger.record_arrived(put, &response);
        response
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(ledger: &FleetLedger, id: &str) -> Vec<String> {
        ledger.record_posted(&[format!("{{\"type\":\"page\",\"messageId\":\"{id}\"}}")])
    }

    fn deliver(ledger: &FleetLedger, stream: &str, id: &str) {
        let records = vec![format!("{{\"messageId\":\"{id}\"}}\n").into_bytes()];
        let (stream, headers) = (stream.to_owned(), BTreeMap::new());
        let put = PutRequest { number: 0, stream, records, headers, scope: None };
        ledger.record_arrived(&put, &StubResponse::Accept);
    }

    #[test]
    fn a_second_arrival_is_a_duplicate() {
        let ledger = FleetLedger::new();
        ledger.record_answered(&posted(&ledger, "a"));
        assert_eq!(ledger.outstanding(), 1);
        deliver(&ledger, "pages", "a");
        deliver(&ledger, "pages", "a");
        // An event whose request got no response may arrive or not.
        posted(&ledger, "b");
        posted(&ledger, "c");
        deliver(&ledger, "pages", "c");
        assert_eq!(ledger.outstanding(), 0);
        let duplicates = ledger.check();
        let [Duplicate { id, count: 1, is_reposted: false, .. }] = &duplicates[..] else {
            panic!("{duplicates:?}")
        };
        assert_eq!(id, "a");
    }

    #[test]
    #[should_panic(expected = "1 missing")]
    fn a_lost_event_is_found() {
        let ledger = FleetLedger::new();
        ledger.record_answered(&posted(&ledger, "a"));
        ledger.check();
    }

    #[test]
    #[should_panic(expected = "1 unknown")]
    fn an_event_in_another_stream_is_found() {
        let ledger = FleetLedger::new();
        ledger.record_answered(&posted(&ledger, "a"));
        deliver(&ledger, "pages", "a");
        deliver(&ledger, "tracks", "a");
        ledger.check();
    }

    #[test]
    #[should_panic(expected = "nobody posted")]
    fn an_event_that_nobody_posted_is_found() {
        let ledger = FleetLedger::new();
        deliver(&ledger, "pages", "a");
        ledger.check();
    }
}
