//! The collector answers every client as its documents say, however good or bad.

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
use standpipe_tests::client::{Client, Reply, basic};
use standpipe_tests::metrics::Metrics;
use standpipe_tests::settings::{CollectorSettings, Source};
use standpipe_tests::{Collector, Fate, Program, Stub};

const ROWS: &[(&str, &str)] = &[("*", "all")];

/// Within what time a good client is answered, whoever else there is. It is far
/// more than is needed, and far less than what bad clients are waited for.
const PROMPT: Duration = Duration::from_secs(4);

/// A pause of a client that goes on for as long as others take.
const PACE: Duration = Duration::from_millis(10);

/// Both vendors on one listener.
fn both_vendors() -> CollectorSettings {
    CollectorSettings::new([Source::segment("web"), Source::rudderstack("backend")])
}

fn accepting() -> Stub {
    Stub::start(|_| Fate::Accept)
}

fn program(stub: &Stub, settings: &(impl Display + ?Sized)) -> Program {
    Program::running_against(&stub.url()).settings(settings).mapping(ROWS)
}

fn start(stub: &Stub, settings: &(impl Display + ?Sized)) -> Collector {
    Collector::start(program(stub, settings))
}

/// Post JSON with a write key, on a connection of its own.
fn post(collector: &Collector, path: &str, key: &str, body: &Value) -> Reply {
    let headers = [("Authorization", &*basic(key).1)];
    let reply = Client::connect(collector.url()).post(path, &headers, body.to_string().as_bytes());
    reply.unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn get(collector: &Collector, path: &str) -> Reply {
    Client::connect(collector.url()).get(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An event that is found again by its name.
fn track(name: &str) -> Value {
    json!({ "type": "track", "event": name, "userId": "u" })
}

fn batch(events: &[Value]) -> Value {
    json!({ "batch": events })
}

/// Every event that has been delivered, in no order.
fn delivered(stub: &Stub) -> Vec<Value> {
    assert_eq!(stub.violations(), Vec::<String>::new());
    let records = stub.accepted().into_values().flatten();
    records.map(|record| serde_json::from_slice(&record).expect("an event in JSON")).collect()
}

/// The only event of this name.
fn only<'a>(events: &'a [Value], name: &str) -> &'a Value {
    let found: Vec<_> = events.iter().filter(|event| event["event"] == name).collect();
    let [event] = found[..] else { panic!("{name} is there {} times: {events:?}", found.len()) };
    event
}

fn metrics(collector: &Collector) -> Metrics {
    let reply = Client::connect(collector.admin_url()).get("/metrics").unwrap();
    Metrics::parse(&reply.text()).unwrap_or_else(|error| panic!("{error}\n{}", reply.text()))
}

/// A client that sends one event after the other, beside others that do worse. It
/// fails unless each is taken promptly.
struct GoodClient {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl GoodClient {
    fn start(collector: &Collector) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (url, told) = (collector.url().to_owned(), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let mut client = Client::connect(&url);
            client.be_patient_for(PROMPT);
            let authorization = basic("key-of-web").1;
            let mut times = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let body = track(&format!("good {}", times.len())).to_string();
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

    /// End, and tell the names of what was sent.
    fn stop(self) -> BTreeSet<String> {
        self.stop_timed().0
    }

    /// The same, with the time within which 99 of 100 requests were answered.
    fn stop_timed(self) -> (BTreeSet<String>, Duration) {
        self.is_over.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().expect("the good client was served");
        assert!(!times.is_empty());
        let names = (0..times.len()).map(|number| format!("good {number}")).collect();
        times.sort();
        (names, times[times.len() * 99 / 100])
    }
}

/// Fail unless these names were delivered, once each, and nothing else.
fn assert_delivered(stub: &Stub, names: &BTreeSet<String>) {
    let events = delivered(stub);
    let got = events.iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned());
    let got: BTreeSet<String> = got.collect();
    assert_eq!(&got, names);
    assert_eq!(events.len(), names.len(), "some were delivered twice");
}
