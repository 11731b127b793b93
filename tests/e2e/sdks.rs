//! Tests that the vendors' SDKs can send to the program as they send to their vendors.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use standpipe_tests::oracle::{Oracle, Streams};
use standpipe_tests::{Collector, DEADLINE, FinishedRun, Program, Sdk, Stub, StubResponse};

const ROWS: &[(&str, &str)] =
    &[("order completed", "orders"), ("identify", "people"), ("page", "pages"), ("*", "rest")];
const KEY: &str = "key-of-web";

/// The minimum number of events of a script: one of each kind except `screen`.
const EVENTS: usize = 5;

#[test]
fn segments_sdk_for_node_is_served() {
    let sdk = || Sdk::node("segment-node.mjs");
    assert_takes_all("segment", sdk());
    assert_refuses_unknown_keys("segment", sdk());
}

#[test]
fn segments_sdk_for_python_is_served() {
    let sdk = || Sdk::python("segment-2.4.0", "segment");
    assert_takes_all("segment", sdk());
    assert_takes_all("segment", sdk().arg("gzip"));
    assert_refuses_unknown_keys("segment", sdk());
}

/// This SDK sends the write key only in the body, and retries on any status but 200.
#[test]
fn segments_old_python_sdk_is_served() {
    let sdk = || Sdk::python("segment-2.3.4", "segment");
    assert_takes_all("segment", sdk());
    assert_takes_all("segment", sdk().arg("gzip"));
    assert_refuses_unknown_keys("segment", sdk());
}

#[test]
fn segments_sdk_for_browsers_is_served() {
    assert_takes_all("segment", Sdk::browser("segment", &json!({})));
    // The SDK gets its write key from the settings.
    let segment = json!({"Segment.io": {"apiKey": "key-of-nobody"}});
    let settings = json!({"integrations": segment, "metrics": {"sampleRate": 0}});
    assert_refuses_unknown_keys("segment", Sdk::browser("segment", &json!({"settings": settings})));
}

/// The SDK uses the collector as documented. Otherwise it would report about itself to its vendor
/// every 30 seconds.
#[test]
fn a_page_that_stays_open_contacts_nobody_else() {
    assert_takes_all("segment", Sdk::browser("segment", &json!({"wait": true})));
    assert_takes_all("rudderstack", Sdk::browser("rudderstack", &json!({"wait": true})));
}

#[test]
fn the_last_request_of_segments_browser_sdk_arrives() {
    let batching = json!({"strategy": "batching", "config": {"size": 50, "timeout": 60_000}});
    let how = json!({"leave": true, "options": {"deliveryStrategy": batching}});
    assert_takes_last_request_of_page("segment", Sdk::browser("segment", &how));
}

/// This SDK compresses bodies, and declares them as a form.
#[test]
fn rudderstacks_sdk_for_node_is_served() {
    let sdk = || Sdk::node("rudderstack-node.mjs");
    assert_takes_all("rudderstack", sdk());
    assert_refuses_unknown_keys("rudderstack", sdk());
}

/// This SDK compresses bodies, and retries on any status but 200.
#[test]
fn rudderstacks_sdk_for_python_is_served() {
    let sdk = || Sdk::python("rudderstack-2.1.9", "rudderstack");
    assert_takes_all("rudderstack", sdk());
    assert_refuses_unknown_keys("rudderstack", sdk());
}

#[test]
fn rudderstacks_sdk_for_browsers_is_served() {
    assert_takes_all("rudderstack", Sdk::browser("rudderstack", &json!({})));
    let settings = json!({"source": {"id": "any", "config": {}, "destinations": []}});
    assert_refuses_unknown_keys(
        "rudderstack",
        Sdk::browser("rudderstack", &json!({"settings": settings})),
    );
}

#[test]
fn the_last_request_of_rudderstacks_browser_sdk_arrives() {
    let how = json!({"leave": true, "options": {"useBeacon": true}});
    assert_takes_last_request_of_page("rudderstack", Sdk::browser("rudderstack", &how));
}

/// Asserts that all events of an SDK are delivered once and correctly.
fn assert_takes_all(dialect: &str, sdk: Sdk) {
    let stub = Stub::start(|_| StubResponse::Accept);
    let collector = start_collector(dialect, &stub);
    let ran = sdk.send(collector.url(), KEY).expect_exit(0);
    collector.stop();
    assert_delivered(dialect, &stub, &ran);
    assert_contacts_collector_only(&ran);
}

/// Asserts the same for a page, which does not report the response to its last request.
fn assert_takes_last_request_of_page(dialect: &str, sdk: Sdk) {
    let stub = Stub::start(|_| StubResponse::Accept);
    let collector = start_collector(dialect, &stub);
    let page = sdk.start(collector.url(), KEY);
    let arrived = || stub.accepted_records().values().map(Vec::len).sum::<usize>();
    standpipe_tests::wait_until("the last request is delivered", || arrived() >= EVENTS);
    let ran = page.finish(DEADLINE).expect_exit(0);
    collector.stop();
    assert_delivered(dialect, &stub, &ran);
    assert_contacts_collector_only(&ran);
}

/// Fails unless the SDK contacted only the collector.
fn assert_contacts_collector_only(ran: &FinishedRun) {
    let hosts = ran.stderr.lines().filter_map(|line| line.strip_prefix("contacted: "));
    let hosts: BTreeSet<_> = hosts.collect();
    assert_eq!(hosts, BTreeSet::from(["127.0.0.1"]), "{}", ran.stderr);
}

/// Asserts that an SDK with an unknown key gets an error, and does not retry.
fn assert_refuses_unknown_keys(dialect: &str, sdk: Sdk) {
    let stub = Stub::start(|_| StubResponse::Accept);
    let collector = start_collector(dialect, &stub);
    let ran = sdk.send(collector.url(), "key-of-nobody").expect_exit(3).expect_stderr(&["401"]);
    assert_contacts_collector_only(&ran);
    collector.stop();
    assert_eq!(stub.accepted_records(), Streams::new());
}

fn start_collector(dialect: &str, stub: &Stub) -> Collector {
    let settings = format!(
        "[delivery]\nmax_delay = '10ms'\n\
         [[sources]]\nname = 'web'\ndialect = '{dialect}'\nwrite_keys = ['{KEY}']"
    );
    let program = Program::host_run_against(&stub.url()).settings(&settings).mapping(ROWS);
    Collector::start(program)
}

/// Fails unless all events that the script promises are in the right streams, once, and no others.
fn assert_delivered(dialect: &str, stub: &Stub, ran: &FinishedRun) {
    let promises = str::from_utf8(&ran.stdout).expect("lines of JSON");
    let mut delivered = by_message_id(&stub.accepted_records());
    let mut count = 0;
    for promise in promises.lines() {
        let promised: Value = serde_json::from_str(promise).expect("a promise in JSON");
        let id = promised["messageId"].as_str().expect("a message id");
        let places = delivered.remove(id).unwrap_or_default();
        let [(stream, text)] = &places[..] else {
            panic!("not there once, but {} times: {promise}", places.len());
        };
        let event: Value = serde_json::from_str(text).expect("an event in JSON");
        let expected = Oracle::new(ROWS).stream_of(promised.as_object().expect("an object"));
        assert_eq!(Some(stream.as_str()), expected, "the stream of {text}");
        assert!(has_promised(&event, &promised), "promised was {promise}, delivered {text}");
        assert_eq!(find_big_number(text), find_big_number(promise), "the digits in {text}");
        assert_dialect(dialect, &event);
        count += 1;
    }
    assert!(count >= EVENTS, "only {count} events were sent:\n{}", ran.stderr);
    assert!(delivered.is_empty(), "nobody has sent this: {delivered:?}");
}

/// The delivered events by id, each with its stream and its text.
fn by_message_id(streams: &Streams) -> BTreeMap<String, Vec<(String, String)>> {
    let mut events = BTreeMap::<_, Vec<_>>::new();
    for (stream, records) in streams {
        for record in records {
            let text = str::from_utf8(record).expect("an event in UTF-8").to_owned();
            let event: Value = serde_json::from_str(&text).expect("an event in JSON");
            let id = event["messageId"].as_str().expect("a message id").to_owned();
            events.entry(id).or_default().push((stream.clone(), text));
        }
    }
    events
}

/// Whether a value contains everything promised. It may contain less if a promised value is null,
/// because some SDKs leave out null.
fn has_promised(actual: &Value, promised: &Value) -> bool {
    match promised {
        Value::Object(fields) => {
            fields.iter().all(|(key, field)| has_promised(&actual[key], field))
        }
        _ => actual == promised,
    }
}

/// The digits of the number in an event that no 64-bit float can represent, if there is one.
fn find_big_number(event: &str) -> Option<&str> {
    let (_, rest) = event.split_once("\"big\":")?;
    let rest = rest.trim_start();
    let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
    Some(&rest[..end])
}

/// Fails unless an event has the members that each dialect adds.
fn assert_dialect(dialect: &str, event: &Value) {
    for key in ["originalTimestamp", "receivedAt", "sentAt", "timestamp"] {
        let time = event[key].as_str().unwrap_or_default();
        assert!(time.starts_with("20") && time.contains('T'), "{key} in {event}");
    }
    if dialect == "rudderstack" {
        assert_eq!(event["rudderId"].as_str().map(str::len), Some(36), "{event}");
        assert_eq!(event["request_ip"], "127.0.0.1", "{event}");
    }
}
