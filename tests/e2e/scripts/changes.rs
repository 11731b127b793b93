//! Tests that changed code is live at once, and that broken code changes nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{Collector, DEADLINE, Running, wait_until};

use super::*;

/// Versions of the script that become active under load.
const VERSIONS: usize = 60;

/// The median time from a written file to the active plugin. The slowest swaps wait for the
/// processor, so they are only printed.
const LIVE_MAX: Duration = Duration::from_millis(100);

/// A script that writes its version into each event.
fn version(number: usize) -> String {
    format!("export function transformEvent(event) {{ event.version = {number}; return event; }}\n")
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are for people")]
fn changed_code_is_live_at_once_and_loses_nothing() {
    let settings = CollectorSettings::new([SourceEntry::segment("web")])
        .with_line("plugin", "script = 'transform.js'");
    let program = Program::host_run_locally().file("transform.js", version(1).as_bytes());
    let collector = Collector::start(program.settings(&settings).mapping(&[("*", "events")]));
    let running = collector.running();
    let (url, is_over) = (collector.url(), AtomicBool::new(false));
    let (sent, mut times) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut client = Client::connect(url);
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                let batch = (sent..sent + 20).map(|number| {
                    format!("{{\"type\":\"track\",\"event\":\"x\",\"userId\":\"u\",\"number\":{number}}}")
                });
                let body = format!("{{\"batch\":[{}]}}", batch.collect::<Vec<_>>().join(","));
                let (name, key) = basic_auth("key-of-web");
                let headers = [(name, &*key), ("Content-Type", "application/json")];
                let reply = client.post("/v1/batch", &headers, body.as_bytes()).expect("an answer");
                assert_eq!(reply.status, 200, "{}", reply.text());
                sent += 20;
                std::thread::sleep(Duration::from_millis(2));
            }
            sent
        });
        let times: Vec<_> = (2..=VERSIONS).map(|number| time_of_swap(running, number)).collect();
        is_over.store(true, Ordering::Relaxed);
        (sender.join().unwrap(), times)
    });
    let ran = collector.stop().expect_exit(0);
    times.sort();
    let (median, slow) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{sent} events; live after {median:?} (p50), {slow:?} (p99)");
    assert!(median < LIVE_MAX, "{times:?}");

    let records = lines_of(&ran.streams());
    let (mut numbers, mut versions) = (BTreeSet::new(), BTreeSet::new());
    for record in &records {
        let record: Value = serde_json::from_str(record).unwrap();
        assert!(numbers.insert(record["number"].as_u64().unwrap()), "twice: {record}");
        versions.insert(record["version"].as_u64().unwrap());
    }
    assert!(numbers.into_iter().eq(0..sent), "{} of {sent} events", records.len());
    assert!(versions.len() > VERSIONS / 2, "{versions:?}");
}

/// Writes a version of the script, and waits until it is active.
fn time_of_swap(running: &Running, number: usize) -> Duration {
    let words = format!("plugin swapped generation={number} digest=");
    let new = running.path("transform.new");
    fs::write(&new, version(number)).unwrap();
    let start = Instant::now();
    fs::rename(new, running.path("transform.js")).unwrap();
    while !running.stderr().contains(&words) {
        assert!(start.elapsed() < DEADLINE, "{}", running.stderr());
        std::thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

/// Sends an event, and waits until it is delivered with this version.
fn send_and_expect(running: &mut Running, version: usize) {
    let read = || fs::read_to_string(running.path("out/events.ndjson")).unwrap_or_default();
    let expected = format!("{}{{\"event\":\"x\",\"version\":{version}}}\n", read());
    running.write_stdin(b"{\"event\":\"x\"}\n");
    let read = || fs::read_to_string(running.path("out/events.ndjson")).unwrap_or_default();
    wait_until("the event is delivered", || read() == expected);
}

/// Settings of a run that delivers each event at once.
fn settings(plugin: &str) -> String {
    format!("workers = 1\n[delivery]\nmax_delay = '10ms'\n[plugin]\n{plugin}\n{ALL_EVENTS}")
}

#[test]
fn broken_code_changes_nothing() {
    let program = Program::host_run_locally().file("transform.js", version(1).as_bytes());
    let mut running = program.settings(&settings("script = 'transform.js'")).start();
    send_and_expect(&mut running, 1);
    for (code, words) in [
        ("export function transformEvent(event) {\n  return event\n", "transform.js:3:"),
        ("export const a = 1;", "Expected one of transformEvent,transformBatch"),
        (
            "import { a } from 'nowhere';\nexport function transformEvent(e) { return e; }",
            "nowhere",
        ),
        ("for (;;);\nexport function transformEvent(e) { return e; }", "did not answer within"),
    ] {
        fs::write(running.path("transform.js"), code).unwrap();
        running.wait_for(words);
        send_and_expect(&mut running, 1);
    }
    fs::write(running.path("transform.js"), version(2)).unwrap();
    running.wait_for("plugin swapped generation=2");
    send_and_expect(&mut running, 2);
    let ran = running.finish(DEADLINE).expect_exit(0);
    assert_eq!(ran.stderr.matches("plugin swapped").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_signal_reloads_scripts_that_are_not_watched() {
    let program = Program::host_run_locally();
    fs::create_dir(program.path("libs")).unwrap();
    let code = "import { version } from 'lib';\nexport function transformEvent(event) { event.version = version; return event; }";
    let program = program.file("transform.js", code.as_bytes());
    let program = program.file("libs/lib.js", b"export const version = 1;");
    let plugin = "watch = false\nscript = 'transform.js'\nlibraries = ['libs/*.js']";
    let mut running = program.settings(&settings(plugin)).start();
    send_and_expect(&mut running, 1);
    fs::write(running.path("libs/lib.js"), "export const version = 2;").unwrap();
    running.send_signal(Signal::HUP);
    running.wait_for("plugin swapped generation=2");
    send_and_expect(&mut running, 2);
    let _ = running.finish(DEADLINE).expect_exit(0);
}

#[test]
fn new_files_of_a_directory_are_noticed() {
    let program = Program::host_run_locally();
    fs::create_dir(program.path("steps")).unwrap();
    let program = program.file("steps/1.js", version(1).as_bytes());
    let mut running = program.settings(&settings("script = 'steps'")).start();
    send_and_expect(&mut running, 1);
    fs::write(running.path("steps/2.js"), version(2)).unwrap();
    running.wait_for("plugin swapped generation=2");
    fs::write(running.path("steps/2.js"), version(3)).unwrap();
    running.wait_for("plugin swapped generation=3");
    send_and_expect(&mut running, 3);
    let _ = running.finish(DEADLINE).expect_exit(0);
}
