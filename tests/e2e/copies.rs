//! Tests copies of dead letters in a delivery stream.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use standpipe::config::{Overrides, parse};
use standpipe::run::{Run, RunOptions};
use standpipe::source::Input;
use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
use standpipe_tests::oracle::split_records;
use standpipe_tests::stub::PutRequest;
use standpipe_tests::{
    DEADLINE, FinishedRun, Program, Stub, StubResponse, make_data_directory, moto,
};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::time::Instant;

/// Unmapped events are dead-lettered, and copies of dead letters go to the stream `letters`.
const SETTINGS: &str = "workers = 2\n[plugin.settings]\nunmapped = 'dead_letter'\n[dead_letters]\nstream = 'letters'\n[delivery]\nmissing_stream_grace = '0s'\nmax_delay = '5ms'\n";
const GOOD: &str = "{\"type\":\"track\",\"event\":\"Good\"}\n";
const BAD: &str = "{\"type\":\"track\",\"event\":\"Bad\"}\n";
const GONE: &str = "{\"type\":\"track\",\"event\":\"Gone\"}\n";
const UNMAPPED: &str = "{\"type\":\"track\",\"event\":\"Unmapped\"}\n";
const ROWS: &[(&str, &str)] = &[("Good", "good"), ("Bad", "bad"), ("Gone", "gone")];
const INVALID: StubResponse =
    StubResponse::Fail { status: 400, code: "ValidationException", accepted: false };
const DENIED: StubResponse =
    StubResponse::Fail { status: 400, code: "AccessDeniedException", accepted: false };

/// A Firehose without a stream `gone`, which rejects each record for `bad` by name. If a request
/// fails as a whole, no record counts as faulty.
fn start_stub(mut dead_letters: impl FnMut(&PutRequest) -> StubResponse + Send + 'static) -> Stub {
    Stub::start(move |put| match put.stream.as_str() {
        "gone" => {
            StubResponse::Fail { status: 400, code: "ResourceNotFoundException", accepted: false }
        }
        "bad" => {
            let records = (0..put.records.len()).collect();
            StubResponse::Refuse { records, code: "ValidationException" }
        }
        "letters" => dead_letters(put),
        _ => StubResponse::Accept,
    })
}

/// Lines that become dead letters for five reasons, and two delivered events, repeated.
fn make_input(times: usize) -> String {
    ["no JSON\n", "[]\n", GOOD, BAD, GONE, UNMAPPED, GOOD].concat().repeat(times)
}

fn new_program(url: &str) -> Program {
    Program::host_run_against(url).settings(SETTINGS).mapping(ROWS)
}

/// The lines of the files of dead letters, sorted.
fn file_lines(ran: &FinishedRun) -> Vec<Vec<u8>> {
    let files = fs::read_dir(ran.path("standpipe-data/dead")).expect("there are dead letters");
    let texts = files.map(|file| fs::read(file.unwrap().path()).unwrap());
    sort_lines(texts.flat_map(|text| split_records(&text)).collect())
}

fn sort_lines(mut lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    lines.sort_unstable();
    lines
}

#[test]
fn each_dead_letter_is_forwarded_once_and_unchanged() {
    let stub = start_stub(|put| match put.number % 3 {
        0 => StubResponse::Refuse { records: vec![0], code: "ServiceUnavailableException" },
        _ => StubResponse::Accept,
    });
    let ran = new_program(&stub.url()).stdin(make_input(20)).run().expect_exit(3);
    let lines = file_lines(&ran);
    assert_eq!(lines.len(), 100);
    let reasons = ran.summary()["dead_letters"].as_object().unwrap().len();
    assert_eq!(reasons, 5, "{}", ran.summary());
    assert!(
        sort_lines(stub.accepted_records()["letters"].clone()) == lines,
        "copies differ from the files"
    );
    assert_eq!(stub.accepted_records()["good"].len(), 40);
    assert_eq!((ran.count("dead_letters_copied"), ran.count("dead_letters_not_copied")), (100, 0));
    let to = &ran.summary()["dead_letter_streams"]["letters"];
    assert_eq!(to["records"], 100);
    assert!(ran.summary()["streams"].get("letters").is_none(), "{}", ran.summary());
    ran.expect_stderr(&["copied to the stream letters: 100", "letters (dead letters)"]);
}

#[test]
fn permanently_refused_copies_are_counted_and_not_dead_lettered() {
    let stub = start_stub(|_| INVALID);
    let settings = format!("{SETTINGS}drain_timeout = '300ms'");
    let program = Program::host_run_against(&stub.url()).settings(&settings).mapping(ROWS);
    let ran = program.stdin(make_input(4)).run().expect_exit(3);
    assert_eq!((ran.dead_letters().len(), ran.count("dead"), ran.count("delivered")), (20, 20, 8));
    assert_eq!((ran.count("dead_letters_copied"), ran.count("dead_letters_not_copied")), (0, 20));
    ran.expect_stderr(&[
        "not copied to the stream letters",
        "only in the files: 20",
        "ValidationException",
    ]);
}

#[test]
fn a_denied_stream_of_copies_delays_neither_events_nor_the_end() {
    let stub = start_stub(|_| DENIED);
    let settings = format!("{SETTINGS}drain_timeout = '300ms'");
    let program = Program::host_run_against(&stub.url()).settings(&settings).mapping(ROWS);
    // Several times the limit of waiting copies.
    let input = format!("{GOOD}{UNMAPPED}{}\n", "x".repeat(900_000)).repeat(30);
    let ran = program.stdin(input).run().expect_exit(3);
    assert_eq!((ran.count("delivered"), ran.dead_letters().len()), (30, 60));
    assert_eq!(ran.count("dead_letters_not_copied"), 60);
    ran.expect_stderr(&["only in the files: 60", "already wait for the stream"]);
}

#[test]
fn copies_and_events_share_the_drain_timeout() {
    let stub = start_stub(|_| StubResponse::Hang);
    let settings = format!("{SETTINGS}drain_timeout = '200ms'");
    let mut running =
        Program::host_run_against(&stub.url()).settings(&settings).mapping(ROWS).start();
    running.write_stdin(make_input(1).as_bytes());
    let is_copied = || stub.requests().iter().any(|put| put.stream == "letters");
    standpipe_tests::wait_until("a copy is under way", is_copied);
    running.send_signal(Signal::TERM);
    let ran = running.wait(DEADLINE).expect_exit(3);
    assert_eq!((ran.count("dead"), ran.count("dead_letters_not_copied")), (5, 5));
    ran.expect_stderr(&["the run ended before the stream took it"]);
}

/// Runs in this process under paused time: both deliveries hang, and share one timeout.
#[test]
fn events_and_copies_have_one_deadline_together() {
    let directory = TempDir::new().unwrap();
    make_data_directory(&directory.path().join("data"));
    let input = directory.path().join("input.ndjson");
    fs::write(&input, [GOOD, UNMAPPED].concat()).unwrap();
    let overrides = Overrides {
        inputs: vec![Input::File(input)],
        mappings: vec![("Good".to_owned(), "good".to_owned())],
        data_dir: Some(directory.path().join("data")),
        ..Overrides::default()
    };
    let settings = parse(&format!("{SETTINGS}drain_timeout = '10s'")).unwrap();
    let settings = settings.check(directory.path(), overrides).unwrap();
    let port = Arc::new(FaultyClient::new(|_, _, _| InjectedFault::Hang));
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (summary, elapsed) = runtime.block_on(async {
        let options = RunOptions { firehose_client: Some(port.clone()), ..RunOptions::default() };
        let run = Run::start(settings, options, runtime.handle()).await.unwrap();
        while port.requests() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        run.intake_stop().cancel();
        let stopped = Instant::now();
        (run.finish().await, stopped.elapsed())
    });
    assert_eq!((summary.undelivered, summary.dead), (0, 2));
    assert_eq!((summary.dead_letters_copied, summary.dead_letters_not_copied), (Some(0), Some(2)));
    assert_eq!(elapsed.as_secs(), 10);
}

#[test]
fn a_dead_letter_larger_than_a_record_is_not_forwarded() {
    let stub = start_stub(|_| StubResponse::Accept);
    let long = format!("{}\nshort\n", "x".repeat(1_024_000));
    let ran = new_program(&stub.url()).stdin(long).run().expect_exit(3);
    assert_eq!((ran.count("dead_letters_copied"), ran.count("dead_letters_not_copied")), (1, 1));
    assert!(stub.violations().is_empty(), "{:?}", stub.violations());
    ran.expect_stderr(&["a record has at most 1024000"]);
}

#[test]
fn events_can_go_to_the_stream_of_copies() {
    let refuse =
        |record: &Vec<u8>| record.starts_with(b"{\"type\"") && record.ends_with(b"Bad\"}\n");
    let stub = start_stub(move |put| match put.records.iter().position(refuse) {
        Some(_) => INVALID,
        None => StubResponse::Accept,
    });
    let rows = [("Good", "letters"), ("Bad", "letters")];
    let program = Program::host_run_against(&stub.url()).settings(SETTINGS).mapping(&rows);
    let ran = program.stdin([GOOD, BAD, "no JSON\n", GOOD].concat()).run().expect_exit(3);
    let expected = [file_lines(&ran), vec![GOOD.into(), GOOD.into()]].concat();
    assert_eq!(expected.len(), 4);
    assert_eq!(sort_lines(stub.accepted_records()["letters"].clone()), sort_lines(expected));
    assert_eq!(ran.count("dead_letters_copied"), 2);
}

#[test]
fn without_a_stream_copies_are_not_mentioned() {
    let ran = Program::host_run_locally().mapping(ROWS).stdin("no JSON\n").run().expect_exit(3);
    assert!(!ran.summary().to_string().contains("copied") && !ran.stderr.contains("copied"));
}

/// As the documentation describes: objects from the bucket are copied into the dead letter
/// directory.
#[test]
fn copies_in_a_bucket_can_be_replayed() {
    let moto = moto::shared_server();
    moto.create_streams("dead", &["good", "letters", "others"]);
    let ran =
        new_program(moto.url()).stdin([UNMAPPED, GOOD, UNMAPPED].concat()).run().expect_exit(3);
    let objects = moto.read_objects("dead", &["letters"]).remove("letters").unwrap();
    let copies = objects.iter().flat_map(|object| split_records(object)).collect();
    assert_eq!(sort_lines(copies), file_lines(&ran));

    let elsewhere = TempDir::new().unwrap();
    let data = elsewhere.path().join("data");
    make_data_directory(&data);
    fs::create_dir(data.join("dead")).unwrap();
    for (number, object) in objects.iter().enumerate() {
        fs::write(data.join(format!("dead/copied-{number}.ndjson")), object).unwrap();
    }
    let program = Program::new().args(["dead", "replay", "--endpoint-url", moto.url()]);
    let program = program.args(["--region", moto::REGION, "--summary", "summary.json"]);
    let program = program.args(["--data-dir"]).args([&data]).with_keys().settings(SETTINGS);
    program.mapping(&[("Unmapped", "others")]).run().expect_exit(0);
    let delivered = moto.read_objects("dead", &["others"]).remove("others").unwrap().concat();
    assert_eq!(delivered, [UNMAPPED, UNMAPPED].concat().as_bytes());
    assert_eq!(fs::read_dir(data.join("dead")).unwrap().count(), 0);
}
