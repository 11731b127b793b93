//! Tests a stop by a signal: nothing more is read, and every event that was read has an outcome.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use standpipe_tests::events::Events;
use standpipe_tests::oracle::{Oracle, assert_same, split_records};
use standpipe_tests::{Program, Running, Stub, StubResponse};

const ROWS: &[(&str, &str)] = &[("track", "tracks"), ("*", "rest")];
const EVENT: &[u8] = b"{\"type\":\"track\"}\n";
const SOON: Duration = Duration::from_secs(10);

#[test]
fn sigterm_delivers_what_was_read() {
    assert_stops_in_order(Signal::TERM);
}

#[test]
fn sigint_delivers_what_was_read() {
    assert_stops_in_order(Signal::INT);
}

fn assert_stops_in_order(signal: Signal) {
    let input = Events::new(11).into_ndjson(2000);
    let mut running = Program::host_run_locally()
        .settings("[delivery]\nmax_delay = '10ms'")
        .mapping(ROWS)
        .start();
    running.write_stdin(&input);
    running.write_stdin(b"{\"type\":\"track\",\"half a li");
    wait_until_delivered(&running, 2000);
    running.send_signal(signal);
    // Standard input stays open, so only the signal ends the program.
    let ran = running
        .wait(SOON)
        .expect_exit(4)
        .expect_stderr(&["stopping", "was not read from line 2001"]);

    let fate = Oracle::new(ROWS).expected_outcome(&input);
    let got = ran.streams().into_iter().map(|(stream, bytes)| (stream, split_records(&bytes)));
    assert_same(&fate.streams, &got.collect());
    assert_eq!(
        (ran.count("read"), ran.count("delivered"), ran.count("undelivered")),
        (2000, 2000, 0)
    );
    let unread = &ran.summary()["unread"];
    assert_eq!((&unread[0]["source"], &unread[0]["from_line"]), (&"stdin".into(), &2001.into()));
    assert!(ran.dead_letters().is_empty());
}

#[test]
fn a_pipe_without_a_writer_does_not_keep_the_program_from_stopping() {
    let settings = "[delivery]\nmax_delay = '10ms'";
    let program = Program::host_run_locally().settings(settings).mapping(ROWS).file("first", EVENT);
    let pipe = program.path("pipe");
    mkfifoat(CWD, &pipe, Mode::RWXU).expect("a pipe");
    let running = program.args(["first", "pipe"]).start();
    wait_until_delivered(&running, 1);
    running.send_signal(Signal::TERM);
    let ran = running.wait(SOON).expect_exit(4);
    assert_eq!(ran.summary()["unread"][0]["source"], "pipe");
}

#[test]
fn a_short_first_line_does_not_wait_for_more() {
    let mut running = Program::host_run_locally()
        .settings("[delivery]\nmax_delay = '10ms'")
        .mapping(ROWS)
        .start();
    running.write_stdin(b"{}\n");
    wait_until_delivered(&running, 1);
    running.send_signal(Signal::TERM);
    running.wait(SOON).expect_exit(4);
}

#[test]
fn inputs_that_were_not_opened_are_reported_as_unread() {
    let program = Program::host_run_locally().mapping(ROWS).file("later.ndjson", EVENT);
    let mut running = program.args(["-", "later.ndjson"]).start();
    running.write_stdin(EVENT);
    wait_until_delivered(&running, 1);
    running.send_signal(Signal::TERM);
    let ran = running.wait(SOON).expect_exit(4);
    let unread = &ran.summary()["unread"];
    assert_eq!(
        (&unread[1]["source"], &unread[1]["from_line"]),
        (&"later.ndjson".into(), &1.into())
    );
    assert_eq!(ran.count("delivered"), 1);
}

#[test]
fn a_second_signal_ends_at_once() {
    let stub = Stub::start(|_| StubResponse::Hang);
    let mut running = Program::host_run_against(&stub.url()).mapping(ROWS).start();
    running.write_stdin(&Events::new(12).into_ndjson(600));
    standpipe_tests::wait_until("a request is under way", || !stub.requests().is_empty());
    running.send_signal(Signal::TERM);
    running.wait_for("stopping");
    running.send_signal(Signal::INT);
    running.wait(SOON).expect_exit(1).expect_stderr(&["stopped at once"]);
}

#[test]
fn after_the_drain_timeout_the_rest_is_dead_lettered() {
    let stub = Stub::start(|put| match put.stream.as_str() {
        "rest" => StubResponse::Hang,
        _ => StubResponse::Accept,
    });
    let settings = "[delivery]\nmax_delay = '10ms'\ndrain_timeout = '300ms'";
    let input = Events::new(13).into_ndjson(1000);
    let fate = Oracle::new(ROWS).expected_outcome(&input);
    let tracks = fate.streams["tracks"].len();
    let mut running =
        Program::host_run_against(&stub.url()).settings(settings).mapping(ROWS).start();
    running.write_stdin(&input);
    standpipe_tests::wait_until("the tracks are delivered", || {
        stub.accepted_records().get("tracks").is_some_and(|records| records.len() == tracks)
    });
    let stopped = Instant::now();
    running.send_signal(Signal::TERM);
    let ran = running.wait(SOON).expect_exit(3).expect_stderr(&["dead letters, given_up: "]);
    assert!(stopped.elapsed() >= Duration::from_millis(300), "did not wait for the timeout");
    let counts = ["read", "delivered", "undelivered", "dead"].map(|key| ran.count(key));
    assert_eq!(counts, [1000, tracks as u64, 0, 1000 - tracks as u64]);
    let dead_letters =
        ran.dead_letters().into_iter().map(|dead_letter| [&dead_letter.event[..], b"\n"].concat());
    let dead_lettered = BTreeMap::from([("rest".to_owned(), dead_letters.collect::<Vec<_>>())]);
    assert_same(
        &BTreeMap::from([("rest".to_owned(), fate.streams["rest"].clone())]),
        &dead_lettered,
    );
    assert!(ran.dead_letters().iter().all(|dead_letter| dead_letter.reason == "given_up"));
}

fn wait_until_delivered(running: &Running, events: usize) {
    let directory = running.path("out");
    standpipe_tests::wait_until("everything that was written is delivered", || {
        let Ok(files) = std::fs::read_dir(&directory) else { return false };
        let texts = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let lines = texts.map(|text| text.iter().filter(|&&byte| byte == b'\n').count());
        lines.sum::<usize>() == events
    });
}
