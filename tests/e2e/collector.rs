//! Tests that the collector responds to every client as documented, whether the client is
//! well-behaved or not.

mod answers;
mod bad_clients;
mod crowds;
mod floods;
mod proxies;
mod refusals;
mod refused;
mod settings;
mod siege;
mod stopping;
mod telemetry;
mod tls;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use standpipe_tests::client::{Client, HttpResponse, basic_auth};
use standpipe_tests::metrics::Metrics;
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{Collector, Program, Stub, StubResponse};

const ROWS: &[(&str, &str)] = &[("*", "all")];

/// The longest time in which a good client gets a response, whatever other clients do. It is far
/// longer than needed, and far shorter than the timeouts of bad clients.
const PROMPT: Duration = Duration::from_secs(4);

/// The pause of a client that continues until the others are done.
const PACE: Duration = Duration::from_millis(10);

/// A collector with sources of both vendors.
fn both_vendors() -> CollectorSettings {
    CollectorSettings::new([SourceEntry::segment("web"), SourceEntry::rudderstack("backend")])
}

fn start_accepting_stub() -> Stub {
    Stub::start(|_| StubResponse::Accept)
}

fn new_program(stub: &Stub, settings: &(impl Display + ?Sized)) -> Program {
    Program::host_run_against(&stub.url()).settings(settings).mapping(ROWS)
}

fn start_collector(stub: &Stub, settings: &(impl Display + ?Sized)) -> Collector {
    Collector::start(new_program(stub, settings))
}

/// Posts JSON with a write key, on a separate connection.
fn send_post(collector: &Collector, path: &str, key: &str, body: &Value) -> HttpResponse {
    let headers = [("Authorization", &*basic_auth(key).1)];
    let reply = Client::connect(collector.url()).post(path, &headers, body.to_string().as_bytes());
    reply.unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn send_get(collector: &Collector, path: &str) -> HttpResponse {
    Client::connect(collector.url()).get(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An event that can be found by its name.
fn track_event(name: &str) -> Value {
    json!({ "type": "track", "event": name, "userId": "u" })
}

fn batch_of(events: &[Value]) -> Value {
    json!({ "batch": events })
}

/// All delivered events, in any order.
fn delivered_events(stub: &Stub) -> Vec<Value> {
    assert_eq!(stub.violations(), Vec::<String>::new());
    let records = stub.accepted_records().into_values().flatten();
    records.map(|record| serde_json::from_slice(&record).expect("an event in JSON")).collect()
}

/// The only event of this name.
fn find_only<'a>(events: &'a [Value], name: &str) -> &'a Value {
    let found: Vec<_> = events.iter().filter(|event| event["event"] == name).collect();
    let [event] = found[..] else { panic!("{name} is there {} times: {events:?}", found.len()) };
    event
}

fn read_metrics(collector: &Collector) -> Metrics {
    let reply = Client::connect(collector.admin_url()).get("/metrics").unwrap();
    Metrics::parse(&reply.text()).unwrap_or_else(|error| panic!("{error}\n{}", reply.text()))
}

/// A client that sends one event after the other, while others misbehave. It fails unless each
/// event is accepted promptly.
struct GoodClient {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl GoodClient {
    fn start(collector: &Collector) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (url, stopped) = (collector.url().to_owned(), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let mut client = Client::connect(&url);
            client.set_read_timeout(PROMPT);
            let authorization = basic_auth("key-of-web").1;
            let mut times = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let body = track_event(&format!("good {}", times.len())).to_string();
                let headers = [("Authorization", &*authorization)];
                let started = Instant::now();
                let reply = client.post("/v1/track", &headers, body.as_bytes());
                let took = started.elapsed();
                let reply = reply.unwrap_or_else(|error| panic!("after {took:?}: {error}"));
                assert_eq!(reply.status, 200, "{}", reply.text());
                assert!(took < PROMPT, "a good client was answered after {took:?}");
                times.push(took);
                thread::sleep(PACE);
            }
            times
        });
        GoodClient { is_over, thread }
    }

    /// Stops the client, and returns the names of the events that it sent.
    fn stop_and_list_names(self) -> BTreeSet<String> {
        self.stop_timed().0
    }

    /// Stops the client, and also returns the 99th percentile of its response times.
    fn stop_timed(self) -> (BTreeSet<String>, Duration) {
        self.is_over.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().expect("the good client was served");
        assert!(!times.is_empty());
        let names = (0..times.len()).map(|number| format!("good {number}")).collect();
        times.sort();
        (names, times[times.len() * 99 / 100])
    }
}

/// Fails unless these names were delivered, once each, and no others.
fn assert_delivered(stub: &Stub, names: &BTreeSet<String>) {
    let events = delivered_events(stub);
    let got = events.iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned());
    let got: BTreeSet<String> = got.collect();
    assert_eq!(&got, names);
    assert_eq!(events.len(), names.len(), "some were delivered twice");
}
