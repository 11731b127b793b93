//! Tests user code in JavaScript as the plugin.

mod bundles;
mod changes;
mod commands;
mod failures;
mod functions;
pub(crate) mod network;
mod refusals;
mod roles;
mod secrets;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use sha2::{Digest, Sha256};
use standpipe_tests::{Program, Stub, StubResponse};

/// Drops, rejects, changes, duplicates or keeps an event by its name.
const TRANSFORM: &str = "\
export function transformEvent(event) {
  switch (event.event) {
    case 'drop': return;
    case 'throw': throw new Error('no such case');
    case 'change': event.added = true; return event;
    case 'twice': return [event, {event: 'second'}];
    default: return event;
  }
}
";

/// Settings that send all events to one stream.
const ALL_EVENTS: &str = "[[plugin.settings.mappings]]\nevent = '*'\nstream = 'events'\n";

fn sha256_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The records of the only stream.
fn lines_of(streams: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let text = streams.get("events").map(|bytes| String::from_utf8(bytes.clone()).unwrap());
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_script_needs_no_settings_file() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let kept = r#"{"event" : "kept", "n": 1.0, "u": "\u00e9"}"#;
    let input = [
        kept,
        r#"{"event":"drop"}"#,
        r#"{"event":"change", "n": 1.50}"#,
        r#"{"event":"throw"}"#,
        r#"{"event":"twice"}"#,
    ];
    let program = Program::host_run_against(&stub.url()).file("transform.js", TRANSFORM.as_bytes());
    let program = program.args(["--plugin", "transform.js", "--map", "*=events"]);
    let ran = program.stdin(input.join("\n")).run().expect_exit(3);
    assert_eq!((ran.count("delivered"), ran.count("filtered"), ran.count("dead")), (3, 1, 1));
    let streams = stub.accepted_records();
    // Workers deliver in any order.
    let records: BTreeSet<_> =
        streams["events"].iter().map(|record| str::from_utf8(record).unwrap().trim_end()).collect();
    let expected = [
        kept,
        r#"{"event":"change","n": 1.50,"added":true}"#,
        r#"{"event":"twice"}"#,
        r#"{"event":"second"}"#,
    ];
    assert_eq!(records, BTreeSet::from(expected));
    let dead_letters = ran.dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].reason, "plugin_rejected");
    let detail = &dead_letters[0].detail;
    assert!(detail.contains("Error: no such case"), "{detail}");
    assert!(detail.contains("transform.js:4:"), "{detail}");
    assert_eq!(dead_letters[0].plugin, Some(sha256_of(TRANSFORM.as_bytes())));
}

#[test]
fn a_path_to_a_script_is_a_script() {
    for key in ["path", "script"] {
        let settings = format!("[plugin]\n{key} = 'transform.js'\n{ALL_EVENTS}");
        let program = Program::host_run_locally().file("transform.js", TRANSFORM.as_bytes());
        let ran = program.settings(&settings).stdin(r#"{"event":"change"}"#).run().expect_exit(0);
        assert_eq!(lines_of(&ran.streams()), [r#"{"event":"change","added":true}"#], "{key}");
    }
}

#[test]
fn functions_of_segment_get_their_settings() {
    let code =
        "async function onTrack(event, settings) { event.mark = settings.mark; return event; }";
    let run = |settings: &str| {
        let program = Program::host_run_locally().file("function.js", code.as_bytes());
        let program = program.settings(&format!("[plugin]\nscript = 'function.js'\n{settings}"));
        program.stdin("{\"type\":\"track\",\"event\":\"x\"}\n").run().expect_exit(0)
    };
    let options = "[plugin.function_settings]\nmark = 'm'\n";
    let ran = run(&format!("dialect = 'segment-insert'\n{options}{ALL_EVENTS}"));
    assert_eq!(lines_of(&ran.streams()), [r#"{"type":"track","event":"x","mark":"m"}"#]);
    // The events of a destination function need no stream.
    let ran = run(&format!("dialect = 'segment-destination'\n{options}"));
    assert_eq!(ran.count("filtered"), 1);
}

#[test]
fn global_variables_live_as_long_as_the_settings_say() {
    let code = "let count = 0;\nexport function transformEvent(event) { event.count = ++count; return event; }";
    let counts = |globals: &str| {
        let settings = format!(
            "workers = 1\n[delivery]\nmax_delay = '10ms'\n[plugin]\nscript = 'count.js'\n{globals}\n{ALL_EVENTS}"
        );
        let program = Program::host_run_locally().file("count.js", code.as_bytes());
        let mut running = program.settings(&settings).start();
        for number in 1..=2 {
            running.write_stdin(b"{\"event\":\"x\"}\n");
            standpipe_tests::wait_until("the event is delivered", || {
                let records = fs::read_to_string(running.path("out/events.ndjson"));
                records.is_ok_and(|records| records.lines().count() == number)
            });
        }
        let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(0);
        let count = |line: &String| serde_json::from_str::<Value>(line).unwrap()["count"].as_u64();
        lines_of(&ran.streams()).iter().filter_map(count).collect::<Vec<_>>()
    };
    assert_eq!(counts(""), [1, 1]);
    assert_eq!(counts("globals = 'fresh'"), [1, 1]);
    // Sample events were counted before.
    let kept = counts("globals = 'keep'");
    assert_eq!(kept[1], kept[0] + 1);
}
