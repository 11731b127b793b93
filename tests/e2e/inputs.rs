//! Tests inputs that are too large or too damaged to be kept as files.

use std::io::Write;
use std::time::Duration;

use standpipe_tests::compressed::{gzip, zstd};
use standpipe_tests::events::Events;
use standpipe_tests::{FinishedRun, Program, oracle};

const EVENT: &[u8] = b"{\"type\":\"track\",\"event\":\"A\"}\n";
const RECORD_BYTES_MAX: usize = 1_024_000;
const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;
const MEMORY_BYTES_MAX: u64 = 200 << 20;
/// With these settings, the order of a stream's records does not change.
const IN_ORDER: &str = "workers = 1\n[delivery]\nconcurrency = 1";
const ROWS: &[(&str, &str)] =
    &[("Order Completed", "orders"), ("page", "pages"), ("track", "tracks"), ("*", "rest")];

#[test]
fn a_record_of_the_maximum_size_is_delivered_and_a_larger_one_dead_lettered() {
    let input =
        [event_of(RECORD_BYTES_MAX - 1), event_of(RECORD_BYTES_MAX), EVENT.to_vec()].concat();
    let ran = everything_to("all", input).expect_exit(3);
    let expected = [event_of(RECORD_BYTES_MAX - 1), EVENT.to_vec()].concat();
    assert!(ran.streams()["all"] == expected, "other records than expected");
    let dead_letters = ran.dead_letters();
    assert_eq!(
        (dead_letters.len(), dead_letters[0].line, dead_letters[0].reason.as_str()),
        (1, 2, "record_too_large")
    );
    assert_eq!(dead_letters[0].stream.as_deref(), Some("all"));
    assert!(dead_letters[0].event == without_newline(event_of(RECORD_BYTES_MAX)), "another event");
    assert!(dead_letters[0].detail.contains("1024001"), "{}", dead_letters[0].detail);
}

#[test]
fn without_a_newline_a_record_can_be_one_byte_longer() {
    let input = [event_of(RECORD_BYTES_MAX), event_of(RECORD_BYTES_MAX + 1)].concat();
    let settings = format!("{IN_ORDER}\n[streams.bare]\nnewline = false");
    let program = Program::host_run_locally().settings(&settings).mapping(&[("*", "bare")]);
    let ran = program.stdin(input).run().expect_exit(3);
    assert!(ran.streams()["bare"] == without_newline(event_of(RECORD_BYTES_MAX)), "another record");
    assert_eq!(ran.dead_letters()[0].line, 2);
}

#[test]
fn an_event_of_the_maximum_length_reaches_the_plugin_and_a_longer_one_does_not() {
    let input = [event_of(EVENT_BYTES_MAX), event_of(EVENT_BYTES_MAX + 1), EVENT.to_vec()].concat();
    let ran = everything_to("all", input).expect_exit(3);
    let dead_letters = ran.dead_letters();
    let reasons: Vec<_> = dead_letters
        .iter()
        .map(|dead_letter| (dead_letter.line, dead_letter.reason.as_str()))
        .collect();
    assert_eq!(reasons, [(1, "record_too_large"), (2, "event_too_long")]);
    assert_eq!(dead_letters[1].bytes_total, Some(EVENT_BYTES_MAX as u64 + 1));
    assert!(event_of(EVENT_BYTES_MAX + 1).starts_with(&dead_letters[1].event), "another start");
    assert_eq!(dead_letters[1].event.len(), 64 * 1024);
    assert_eq!(ran.streams()["all"], EVENT);
}

#[test]
fn memory_does_not_grow_with_the_length_of_a_line() {
    const LINE_MIB: usize = 300;
    let mut running = Program::host_run_locally().mapping(&[("*", "all")]).start();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..LINE_MIB {
        running.write_stdin(&piece);
    }
    running.write_stdin(b"\n");
    running.write_stdin(EVENT);
    let memory = running.memory_bytes_max();
    let ran = running.finish(Duration::from_secs(60)).expect_exit(3);
    assert!(memory < MEMORY_BYTES_MAX, "{} MiB", memory >> 20);
    assert_eq!(ran.streams()["all"], EVENT);
    let dead_letters = ran.dead_letters();
    assert_eq!((dead_letters.len(), dead_letters[0].reason.as_str()), (1, "event_too_long"));
    assert_eq!(dead_letters[0].bytes_total, Some((LINE_MIB << 20) as u64));
}

#[test]
fn compressed_inputs_are_read_from_files_and_from_standard_input() {
    let input = Events::new(1).into_ndjson(3000);
    let (head, tail) = input.split_at(input.len() / 3);
    for (name, compressed) in [
        ("a.gz", gzip(&input)),
        ("of-many-members.gz", [gzip(head), gzip(tail), gzip(b"")].concat()),
        ("padded.gz", [gzip(head), vec![0; 3], gzip(tail), vec![0; 1000]].concat()),
        ("a.zst", zstd(&input)),
        ("of-many-frames.zst", [zstd(head), zstd(tail)].concat()),
        ("named-otherwise", gzip(&input)),
    ] {
        let program = || Program::host_run_locally().mapping(ROWS);
        assert_streams(
            &program().file(name, &compressed).args([name]).run().expect_exit(0),
            &input,
        );
        assert_streams(&program().stdin(compressed).run().expect_exit(0), &input);
    }
}

#[test]
fn a_truncated_gzip_file_is_read_as_far_as_it_goes() {
    let input = Events::new(2).into_ndjson(3000);
    let compressed = gzip(&input);
    check_cut_off("input.gz", &compressed[..compressed.len() * 2 / 3], &input);
}

#[test]
fn a_truncated_zstandard_file_is_read_as_far_as_it_goes() {
    let input = Events::new(3).into_ndjson(30_000);
    let compressed = zstd(&input);
    check_cut_off("input.zst", &compressed[..compressed.len() * 2 / 3], &input);
}

#[test]
fn a_corrupt_zstandard_file_is_read_as_far_as_it_goes() {
    let input = Events::new(4).into_ndjson(30_000);
    let mut compressed = zstd(&input);
    let middle = compressed.len() / 2;
    compressed[middle..middle + 64].fill(0xa5);
    check_cut_off("input.zst", &compressed, &input);
}

#[test]
fn inputs_after_a_truncated_one_are_read() {
    let compressed = gzip(&Events::new(5).into_ndjson(100));
    let program = Program::host_run_locally().settings(IN_ORDER).mapping(&[("*", "all")]);
    let program =
        program.file("ok.ndjson", EVENT).file("cut.gz", &compressed[..compressed.len() / 2]);
    let ran = program.args(["cut.gz", "ok.ndjson"]).run().expect_exit(3);
    assert!(ran.streams()["all"].ends_with(EVENT));
    let dead_letters = ran.dead_letters();
    assert_eq!((dead_letters.len(), dead_letters[0].reason.as_str()), (1, "source_cut_off"));
    assert_eq!(dead_letters[0].source, "cut.gz");
}

#[test]
fn events_of_a_slow_pipe_are_delivered_before_it_ends() {
    let mut running = Program::host_run_locally()
        .settings("[delivery]\nmax_delay = '10ms'")
        .mapping(&[("*", "all")])
        .start();
    running.write_stdin(EVENT);
    let delivered = running.path("out/all.ndjson");
    standpipe_tests::wait_until("the event is delivered", || {
        std::fs::read(&delivered).is_ok_and(|bytes| bytes == EVENT)
    });
    running.write_stdin(EVENT);
    assert_eq!(running.finish(Duration::from_secs(10)).expect_exit(0).count("delivered"), 2);
}

/// Checks a truncated input: its complete events are delivered, and one dead letter contains the
/// position.
fn check_cut_off(name: &str, compressed: &[u8], input: &[u8]) {
    let program = Program::host_run_locally().settings(IN_ORDER).mapping(&[("*", "all")]);
    let ran = program.file(name, compressed).args([name]).run().expect_exit(3);
    let delivered = ran.streams().remove("all").unwrap_or_default();
    assert!(input.starts_with(&delivered), "not the start of the input");
    assert!(delivered.is_empty() || delivered.ends_with(b"\n"), "a part of a line was delivered");
    let lines = delivered.iter().filter(|&&byte| byte == b'\n').count() as u64;
    assert!(lines > 500, "only {lines} lines came before the cut");
    let dead_letters = ran.dead_letters();
    assert_eq!((dead_letters.len(), dead_letters[0].reason.as_str()), (1, "source_cut_off"));
    assert_eq!(dead_letters[0].line, lines + 1);
    assert!(input[delivered.len()..].starts_with(&dead_letters[0].event), "not what followed");
    assert_eq!((ran.count("read"), ran.count("dead")), (lines + 1, 1));
}

fn assert_streams(ran: &FinishedRun, input: &[u8]) {
    let records = ran.streams().into_iter();
    let records = records.map(|(stream, bytes)| (stream, oracle::split_records(&bytes)));
    oracle::assert_same(
        &oracle::Oracle::new(ROWS).expected_outcome(input).streams,
        &records.collect(),
    );
}

fn everything_to(stream: &str, input: Vec<u8>) -> FinishedRun {
    let program = Program::host_run_locally().settings(IN_ORDER);
    program.mapping(&[("*", stream)]).stdin(input).run()
}

/// An event whose text has this number of bytes, with a newline.
fn event_of(bytes: usize) -> Vec<u8> {
    let mut event = Vec::with_capacity(bytes + 1);
    let fill = bytes - br#"{"type":"track","fill":""}"#.len();
    write!(event, r#"{{"type":"track","fill":"{}"}}"#, "x".repeat(fill)).expect("room");
    assert_eq!(event.len(), bytes);
    event.push(b'\n');
    event
}

fn without_newline(mut line: Vec<u8>) -> Vec<u8> {
    line.pop();
    line
}
