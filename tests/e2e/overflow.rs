//! Tests streams that cannot keep up, with little or no disk space for them: they get all records
//! once they can, and the program ends when it is stopped.

use std::fmt::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::disk::Disk;
use standpipe_tests::events::Events;
use standpipe_tests::oracle::{Oracle, assert_same};
use standpipe_tests::{Collector, Program, Stub, StubResponse, wait_until};

const ROWS: &[(&str, &str)] = &[("track", "tracks"), ("*", "rest")];
const SOON: Duration = Duration::from_secs(60);
const SMALL: &str = "[delivery]\noverflow_max_bytes = 2097152\n";

fn denied_response() -> StubResponse {
    StubResponse::Fail { status: 400, code: "AccessDeniedException", accepted: false }
}

/// More events than fit into memory and the small overflow together.
const EVENTS: usize = 150_000;

/// A Firehose that denies the stream `tracks` for this time after its first request.
fn start_denying_stub(time: Duration) -> Stub {
    let mut start = None;
    Stub::start(move |put| match put.stream.as_str() {
        "tracks" if start.get_or_insert_with(Instant::now).elapsed() < time => denied_response(),
        _ => StubResponse::Accept,
    })
}

#[test]
fn a_stream_that_was_denied_gets_everything_after_the_overflow_was_full() {
    let stub = start_denying_stub(Duration::from_secs(3));
    let input = Events::new(51).into_ndjson(EVENTS);
    let program = Program::host_run_against(&stub.url()).mapping(ROWS).settings(SMALL);
    let mut running = program.start();
    running.write_all_in_background(input.clone());
    let ran = running.finish(SOON).expect_exit(0);
    assert_eq!(ran.count("delivered"), EVENTS as u64);
    assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &stub.accepted_records());
    assert!(ran.summary()["streams"]["tracks"]["overflowed"].as_u64().unwrap() > 0);
}

#[test]
fn a_slow_stream_gets_everything_with_a_small_overflow() {
    let stub = Stub::start(|put| match put.stream.as_str() {
        "tracks" => StubResponse::Slow(Duration::from_millis(100)),
        _ => StubResponse::Accept,
    });
    let input = Events::new(52).into_ndjson(EVENTS);
    let settings = format!("{SMALL}concurrency = 1\n");
    let program = Program::host_run_against(&stub.url()).mapping(ROWS).settings(&settings);
    let mut running = program.start();
    running.write_all_in_background(input.clone());
    running.finish(SOON).expect_exit(0);
    assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &stub.accepted_records());
}

#[test]
fn a_stop_ends_a_run_whose_overflow_is_full() {
    let stub = start_denying_stub(Duration::MAX);
    let input = Events::new(53).into_ndjson(EVENTS);
    let settings = format!("{SMALL}drain_timeout = '1s'\n");
    let program = Program::host_run_against(&stub.url()).mapping(ROWS).settings(&settings);
    let mut running = program.start();
    running.write_all_in_background(input);
    running.wait_for("stream=tracks");
    // Wait until the inputs wait for the stream.
    let mut before = usize::MAX;
    wait_until("nothing goes on", || {
        std::thread::sleep(Duration::from_secs(1));
        let now = stub.accepted_records().values().map(Vec::len).sum();
        std::mem::replace(&mut before, now) == now
    });
    let start = Instant::now();
    running.send_signal(Signal::TERM);
    let ran = running.wait(SOON);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let count = |key| ran.count(key);
    assert_eq!(count("read"), count("delivered") + count("dead"), "{}", ran.stderr);
    assert!(count("dead") > 0 && count("undelivered") == 0);
    assert!(ran.dead_letters().iter().all(|dead_letter| dead_letter.reason == "given_up"));
}

/// Runs on a disk with less space than the waiting records need.
#[test]
fn a_full_disk_delays_a_stream_only_while_it_is_denied() {
    let disk = Disk::mount(4 << 20);
    let stub = start_denying_stub(Duration::from_secs(4));
    let input = Events::new(54).into_ndjson(EVENTS);
    let program = Program::host_run_against(&stub.url()).mapping(ROWS);
    symlink(disk.path(), program.path("standpipe-data/overflow")).unwrap();
    let mut running = program.start();
    running.write_all_in_background(input.clone());
    let ran = running.finish(SOON).expect_exit(0).expect_stderr(&["No space left on device"]);
    assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &stub.accepted_records());
    assert_eq!(ran.count("delivered"), EVENTS as u64);
    let used = rustix::fs::statvfs(disk.path()).unwrap();
    assert_eq!(used.f_bfree, used.f_blocks, "the disk is given back");
}

#[test]
fn a_collector_recovers_from_a_full_overflow() {
    let stub = start_denying_stub(Duration::from_secs(4));
    let settings = format!(
        "{SMALL}[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['key']\n[spool]\ndurability = 'os'\n"
    );
    let program = Program::host_run_against(&stub.url()).mapping(ROWS).settings(&settings);
    let collector = Collector::start(program);
    let (name, value) = basic_auth("key");
    let headers = [(name, &*value), ("Content-Type", "application/json")];
    let (mut client, text) = (Client::connect(collector.url()), "x".repeat(1000));
    for request in 0..300 {
        let mut body = String::from("{\"batch\":[");
        for number in 0..100 {
            let comma = if number > 0 { "," } else { "" };
            write!(body, "{comma}{{\"type\":\"track\",\"event\":\"e\",\"userId\":\"{request}-{number}\",\"properties\":{{\"t\":\"{text}\"}}}}")
                .unwrap();
        }
        body.push_str("]}");
        let answer = client.post("/v1/batch", &headers, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200);
    }
    wait_until("everything is delivered", || {
        stub.accepted_records().get("tracks").map_or(0, Vec::len) >= 30_000
    });
    let ran = collector.stop().expect_exit(0);
    assert_eq!((ran.count("delivered"), ran.count("undelivered")), (30_000, 0));
}
