//! Tests dynamic streams: any number of names uses a limited part of all resources.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use standpipe_tests::client::Client;
use standpipe_tests::{Program, Stub, StubResponse, wait_until};

const MAPPING: &str =
    "[plugin.settings]\nmappings = [{ event = \"*\", stream = \"s-${event}\" }]\n";
const SOON: Duration = Duration::from_secs(120);

fn make_events(names: impl Iterator<Item = usize>) -> String {
    names.fold(String::new(), |mut text, name| {
        writeln!(text, "{{\"type\":\"track\",\"event\":\"{name}\",\"userId\":\"u\"}}").unwrap();
        text
    })
}

#[test]
fn ten_thousand_names_take_bounded_memory_descriptors_and_log_lines() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let settings = format!("{MAPPING}[delivery]\nmax_dynamic_streams = 500\n");
    let program = Program::host_run_against(&stub.url()).settings(&settings);
    let mut running = program.start();
    running.write_stdin(make_events(0..1).as_bytes());
    wait_until("it delivers", || !stub.requests().is_empty());
    let before = running.usage().unwrap().memory_bytes;
    // The peak is not used, because it is that of compiling the plugin.
    let (mut descriptors, mut memory) = (0, 0);
    running.write_stdin(make_events(1..10_000).as_bytes());
    wait_until("all are delivered", || {
        descriptors = descriptors.max(running.descriptor_count());
        memory = memory.max(running.usage().unwrap().memory_bytes);
        stub.accepted_records().values().filter(|records| !records.is_empty()).count() >= 500
    });
    let memory = memory.saturating_sub(before);
    let ran = running.finish(SOON).expect_exit(3);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (500, 9_500));
    assert!(ran.dead_letters().iter().all(|dead_letter| dead_letter.reason == "too_many_streams"));
    assert!(descriptors < 400, "{descriptors} descriptors");
    assert!(memory < 100 << 20, "{memory} bytes");
    let lines = ran.stderr.lines().count();
    assert!(lines < 200, "{lines} lines:\n{}", ran.stderr);
    assert!(ran.stderr.contains("and 400 more streams with 400 events"), "{}", ran.stderr);
}

#[test]
fn idle_streams_are_retired_and_come_back() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let settings = format!(
        "{MAPPING}[delivery]\nmax_dynamic_streams = 50\nstream_idle_timeout = '200ms'\nmax_delay = '10ms'\n"
    );
    let program = Program::host_run_against(&stub.url()).settings(&settings);
    let mut running = program.args(["--admin", "127.0.0.1:0"]).start();
    let admin = running.wait_for_line("health and metrics on ").trim_end().to_owned();
    let metric = |name: &str| -> f64 {
        let text = Client::connect(&admin).get("/metrics").unwrap().text();
        let values = text.lines().filter(|line| line.starts_with(name));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let mut sent = 0;
    for wave in 0..6 {
        // Names of earlier waves return.
        running.write_stdin(make_events((wave % 4) * 40..(wave % 4) * 40 + 40).as_bytes());
        sent += 40;
        wait_until("the wave is delivered", || {
            stub.accepted_records().values().map(Vec::len).sum::<usize>() == sent
        });
        wait_until("its streams are retired", || {
            metric("standpipe_firehose_streams_in_use") == 0.0
        });
        assert_eq!(
            metric("standpipe_firehose_events_total"),
            sent as f64,
            "counts do not go backwards"
        );
    }
    let ran = running.finish(SOON).expect_exit(0);
    assert_eq!(ran.count("delivered"), 240);
    let streams = ran.summary()["streams"].as_object().unwrap().clone();
    let names: BTreeSet<_> = streams.keys().cloned().collect();
    assert_eq!(names.len(), 160);
    assert_eq!((&streams["s-0"]["events"], &streams["s-100"]["events"]), (&2.into(), &1.into()));
}

#[test]
fn streams_that_the_settings_name_are_never_refused() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let rows: Vec<_> = (0..20).map(|number| (number.to_string(), format!("s-{number}"))).collect();
    let rows: Vec<_> = rows.iter().map(|(event, stream)| (&**event, &**stream)).collect();
    let program = Program::host_run_against(&stub.url()).mapping(&rows);
    let settings = "[delivery]\nmax_dynamic_streams = 0\n";
    let ran = program.settings(settings).stdin(make_events(0..20)).run().expect_exit(0);
    assert_eq!(ran.count("delivered"), 20);
}
