//! Tests a project outside of the workspace that embeds the library: it compiles only what a
//! gateway needs, and the requests that it gets become records.

use std::thread;

use rustix::process::Signal;
use standpipe_tests::client::Client;
use standpipe_tests::{DEADLINE, Program, Stub, StubResponse, outside};

use crate::gateway::stub_settings;

const CLIENTS: usize = 4;
const EVENTS: usize = 2000;

/// Packages that only the program `host`, the collector, the catalog and requests of plugins need.
const NOT_EMBEDDED: &[&str] = &[
    "clap",
    "indicatif",
    "tracing-subscriber",
    "saphyr-parser",
    "fancy-regex",
    "brotli-decompressor",
    "reqwest",
];

#[test]
fn a_gateway_does_not_compile_program_collector_or_catalog() {
    let compiled = outside::gateway_dependencies();
    for name in ["standpipe", "wasmtime", "aws-sdk-firehose"] {
        assert!(compiled.contains(name), "no {name} in {compiled:?}");
    }
    let too_many: Vec<_> = NOT_EMBEDDED.iter().filter(|name| compiled.contains(**name)).collect();
    assert!(too_many.is_empty(), "{too_many:?}");
}

#[test]
fn the_program_of_the_documentation_delivers_its_event() {
    let ran = Program::from_path(&outside::build_submitter()).run().expect_exit(0);
    let records = std::fs::read_to_string(ran.path("records/accounts.ndjson")).unwrap();
    assert_eq!(records, "{\"type\":\"track\",\"event\":\"Signed Up\"}\n");
    assert!(String::from_utf8_lossy(&ran.stdout).contains("1 delivered"), "{ran:?}");
}

/// The event with this number, and the expected response.
fn make_event(number: usize) -> (String, &'static str) {
    match number % 10 {
        0 => (format!("{{\"id\":{number},\"event\":\"other\"}}"), "filtered"),
        1 => (format!("{{\"id\":{number},"), "dead: "),
        _ => (format!("{{\"id\":{number},\"event\":\"kept\"}}"), "delivered"),
    }
}

#[test]
fn events_posted_to_a_gateway_arrive_once() {
    // Every third request must be retried.
    let mut requests = 0;
    let stub = Stub::start(move |_| {
        requests += 1;
        match requests % 3 {
            0 => StubResponse::Fail {
                status: 503,
                code: "ServiceUnavailableException",
                accepted: false,
            },
            _ => StubResponse::Accept,
        }
    });
    let settings = format!(
        "{}[delivery]\nmax_delay = '5ms'\n\
         [plugin.settings]\nmappings = [{{ event = 'kept', stream = 'kept' }}]\n",
        stub_settings(&stub)
    );
    let program =
        Program::from_path(&outside::build_gateway()).file("settings.toml", settings.as_bytes());
    let gateway = program.args(["127.0.0.1:0", "settings.toml"]).start();
    let url = gateway.wait_for_line("listening on ");
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let url = &url;
            scope.spawn(move || {
                let mut connection = Client::connect(url);
                for number in (client..EVENTS).step_by(CLIENTS) {
                    let (event, expected) = make_event(number);
                    let reply = connection.post("/events", &[], event.as_bytes()).unwrap();
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    assert!(reply.text().starts_with(expected), "{event}: {}", reply.text());
                }
            });
        }
    });
    gateway.send_signal(Signal::TERM);
    let ran = gateway.wait(DEADLINE).expect_exit(0);
    let summary = String::from_utf8_lossy(&ran.stdout);
    assert!(summary.contains("1600 delivered, 200 filtered, 200 dead"), "{summary}");
    assert_eq!(ran.dead_letters().len(), 200);
    assert_eq!(stub.violations(), [""; 0]);
    let mut accepted = stub.accepted_records();
    let records = accepted.remove("kept").expect("records");
    assert!(accepted.is_empty(), "{:?}", accepted.keys());
    let records = records.into_iter().map(|record| String::from_utf8(record).expect("text"));
    let sent = (0..EVENTS).map(make_event).filter(|(_, expected)| *expected == "delivered");
    let sent = sent.map(|(event, _)| event + "\n");
    assert_eq!(sort_texts(records), sort_texts(sent));
}

fn sort_texts(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<_> = texts.collect();
    texts.sort_unstable();
    texts
}
