//! Tests dead letters that cannot be written: no event is lost, the problem is visible, and
//! delivery continues once there is room.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::disk::Disk;
use standpipe_tests::metrics::Metrics;
use standpipe_tests::{
    Collector, DeadLetter, Program, Stub, StubResponse, make_data_directory, wait_until,
};
use tempfile::TempDir;

const SETTINGS: &str = r#"
[delivery]
drain_timeout = "300ms"
[plugin.settings]
unmapped = "dead_letter"
[[sources]]
name = "web"
dialect = "segment"
write_keys = ["key"]
[dead_letters]
max_bytes = 1048576
"#;
const ROWS: &[(&str, &str)] = &[("good", "goods")];
const FULL_BYTES: usize = 1 << 20;

/// A data directory that several runs of the program share.
struct UnwritableData {
    _directory: TempDir,
    path: PathBuf,
}

impl UnwritableData {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("data");
        make_data_directory(&path);
        UnwritableData { _directory: directory, path }
    }

    /// A data directory without room for another dead letter.
    fn new_full() -> Self {
        let data = UnwritableData::new();
        let dead = data.path.join("dead");
        fs::create_dir(&dead).unwrap();
        let dead_letter = json!({
            "time": "2026-01-02T03:04:05.678Z", "reason": "not_json", "detail": "", "source": "old", "line": 1, "attempts": 0, "event": "x"
        });
        let line = format!("{dead_letter}\n");
        let lines = line.repeat(FULL_BYTES / line.len());
        fs::write(dead.join("20260102T030405.678Z-1-0.ndjson"), lines).unwrap();
        data
    }

    fn start_collector(&self, stub: &Stub) -> Collector {
        let program = Program::host_run_against(&stub.url()).settings(SETTINGS).mapping(ROWS);
        Collector::start(program.args(["--data-dir"]).args([&self.path]))
    }

    fn purge_dead_letters(&self) {
        let program = Program::new().args(["dead", "purge", "--source", "old", "--data-dir"]);
        program.args([&self.path]).run().expect_exit(0);
    }

    fn own_dead_letters(&self) -> Vec<DeadLetter> {
        let dead_letters = DeadLetter::read_all(&self.path).into_iter();
        dead_letters.filter(|dead_letter| dead_letter.source == "web").collect()
    }
}

fn start_accepting_stub() -> Stub {
    Stub::start(|_| StubResponse::Accept)
}

fn send_events(collector: &Collector, names: &[String]) {
    let events: Vec<_> = names
        .iter()
        .map(|name| json!({"type": "track", "event": name.split(' ').next(), "userId": "u", "name": name}))
        .collect();
    let body = json!({"batch": events}).to_string();
    let (header, key) = basic_auth("key");
    let mut client = Client::connect(collector.url());
    let reply = client.post("/v1/batch", &[(header, &key)], body.as_bytes()).unwrap();
    assert_eq!(reply.status, 200);
}

fn number_names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{kind} {number}")).collect()
}

fn get_readiness(collector: &Collector) -> (u16, String) {
    let reply = Client::connect(collector.admin_url()).get("/health/ready").unwrap();
    (reply.status, reply.text())
}

fn read_metrics(collector: &Collector) -> Metrics {
    let reply = Client::connect(collector.admin_url()).get("/metrics").unwrap();
    Metrics::parse(&reply.text()).unwrap()
}

fn read_metric(collector: &Collector, name: &str) -> f64 {
    read_metrics(collector).value(name, &[])
}

fn name_of(event: &[u8]) -> String {
    let event: Value = serde_json::from_slice(event).unwrap();
    event["name"].as_str().unwrap().to_owned()
}

fn assert_delivered(stub: &Stub, expected: &[String]) {
    let records = stub.accepted_records().remove("goods").unwrap_or_default();
    let mut delivered: Vec<_> = records.iter().map(|record| name_of(record)).collect();
    let mut expected = expected.to_vec();
    delivered.sort();
    expected.sort();
    assert_eq!(delivered, expected);
}

fn assert_dead(dead_letters: &[DeadLetter], expected: &[String]) {
    let mut dead: Vec<_> =
        dead_letters.iter().map(|dead_letter| name_of(&dead_letter.event)).collect();
    let mut expected = expected.to_vec();
    dead.sort();
    expected.sort();
    assert_eq!(dead, expected);
}

#[test]
fn a_collector_reports_a_full_disk_and_recovers_without_a_restart() {
    let (data, stub) = (UnwritableData::new_full(), start_accepting_stub());
    let collector = data.start_collector(&stub);
    assert_eq!(get_readiness(&collector), (200, "ready\n".to_owned()));
    let (bad, good) = (number_names("bad", 30), number_names("good", 20));
    send_events(&collector, &bad);
    wait_until("it is not ready", || get_readiness(&collector).0 == 503);
    // The first dead letters wait before the last ones are created.
    wait_until("all dead letters wait", || {
        read_metric(&collector, "standpipe_dead_letters_waiting") == 30.0
    });
    let (_, why) = get_readiness(&collector);
    assert!(why.contains("30 dead letters wait") && why.contains("`max_bytes`"), "{why}");
    // Other events are delivered.
    send_events(&collector, &good);
    wait_until("the good events are delivered", || {
        read_metric(&collector, "standpipe_spool_events") == 30.0
    });
    let failing = [
        "standpipe_dead_letters_failing",
        "standpipe_dead_letters_waiting",
        "standpipe_dead_letters_refused_total",
    ];
    assert_eq!(failing.map(|name| read_metric(&collector, name)), [1.0, 30.0, 0.0]);
    assert!(read_metric(&collector, "standpipe_dead_letters_write_errors_total") >= 1.0);
    data.purge_dead_letters();
    wait_until("it is ready again", || get_readiness(&collector) == (200, "ready\n".to_owned()));
    wait_until("all is settled", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    assert_eq!(failing.map(|name| read_metric(&collector, name)), [0.0, 0.0, 0.0]);
    let ran = collector.stop().expect_exit(3).expect_stderr(&["written again"]);
    assert_eq!((ran.count("delivered"), ran.count("dead"), ran.count("undelivered")), (20, 30, 0));
    assert_delivered(&stub, &good);
    assert_dead(&data.own_dead_letters(), &bad);
    // The message is logged once a minute, and not at each attempt.
    assert_eq!(ran.stderr.matches("they are tried again").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_stop_leaves_events_without_dead_letters_in_the_spool() {
    let (data, stub) = (UnwritableData::new_full(), start_accepting_stub());
    let collector = data.start_collector(&stub);
    let bad = number_names("bad", 500);
    send_events(&collector, &bad);
    send_events(&collector, &number_names("good", 3));
    wait_until("it is not ready", || get_readiness(&collector).0 == 503);
    wait_until("the good ones are settled", || {
        read_metric(&collector, "standpipe_spool_events") == 500.0
    });
    let ran = collector.stop().expect_exit(1).expect_stderr(&[
        "fault:",
        "`max_bytes`",
        "500 wait in the spool",
    ]);
    assert_eq!((ran.count("read"), ran.count("delivered"), ran.count("dead")), (3, 3, 0));
    assert_eq!(ran.count("dead_letters_refused"), 500);
    assert_dead(&data.own_dead_letters(), &[]);
    data.purge_dead_letters();
    let collector = data.start_collector(&stub);
    wait_until("all is settled", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    let ran = collector.stop().expect_exit(3);
    assert_eq!((ran.count("dead"), ran.count("delivered")), (500, 0));
    assert_dead(&data.own_dead_letters(), &bad);
    assert_delivered(&stub, &number_names("good", 3));
}

/// The dead letters need more memory than available: the collector stops reading, and its memory
/// stays limited.
#[test]
fn memory_is_bounded_while_dead_letters_wait() {
    let (data, stub) = (UnwritableData::new_full(), start_accepting_stub());
    let collector = data.start_collector(&stub);
    let long = "x".repeat(20_000);
    let mut bad = Vec::new();
    for round in 0..40 {
        let names: Vec<_> = (0..100).map(|number| format!("bad {round} {number} {long}")).collect();
        send_events(&collector, &names);
        bad.extend(names);
    }
    wait_until("it is not ready", || get_readiness(&collector).0 == 503);
    wait_until("as many wait as may", || {
        read_metric(&collector, "standpipe_dead_letters_waiting") * 20_000.0 > (15 << 20) as f64
    });
    let memory = collector.running().memory_bytes_max();
    assert!(memory < 300 << 20, "{} MB of memory for 80 MB of dead letters", memory >> 20);
    assert_eq!(read_metric(&collector, "standpipe_spool_events"), 4000.0);
    let ran = collector.stop().expect_exit(1);
    assert_eq!(
        (ran.count("read"), ran.summary()["collected"]["waiting"].as_u64()),
        (0, Some(4000))
    );
}

#[test]
fn events_wait_for_an_unusable_dead_letter_directory() {
    let (data, stub) = (UnwritableData::new(), start_accepting_stub());
    let dead = data.path.join("dead");
    fs::write(&dead, "in the way").unwrap();
    let collector = data.start_collector(&stub);
    send_events(&collector, &number_names("bad", 5));
    wait_until("it is not ready", || get_readiness(&collector).0 == 503);
    fs::remove_file(&dead).unwrap();
    wait_until("it is ready again", || get_readiness(&collector).0 == 200);
    wait_until("all is settled", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    assert_dead(&data.own_dead_letters(), &number_names("bad", 5));

    // The directory is removed while the program writes to it. Later dead letters are not lost with
    // it.
    fs::remove_dir_all(&dead).unwrap();
    send_events(&collector, &number_names("bad", 7));
    wait_until("all is settled", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    assert_dead(&data.own_dead_letters(), &number_names("bad", 7));
    collector.stop().expect_exit(3);
}

#[test]
fn events_wait_for_a_full_dead_letter_disk() {
    let disk = Disk::mount(2 << 20);
    let (data, stub) = (UnwritableData::new(), start_accepting_stub());
    std::os::unix::fs::symlink(disk.path(), data.path.join("dead")).unwrap();
    let filler = disk.fill(8 << 10);
    let collector = data.start_collector(&stub);
    let bad = number_names("bad", 200);
    send_events(&collector, &bad);
    wait_until("it is not ready", || {
        get_readiness(&collector).1.contains("No space left on device")
    });
    fs::remove_file(filler).unwrap();
    wait_until("all is settled", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    assert_eq!(get_readiness(&collector).0, 200);
    collector.stop().expect_exit(3);
    assert_dead(&data.own_dead_letters(), &bad);
}

#[test]
fn a_run_that_waits_for_dead_letters_reads_no_further() {
    let data = UnwritableData::new_full();
    let good = "{\"type\":\"track\",\"event\":\"good\"}\n";
    let mut input = good.repeat(10) + "not an event\n";
    input += &good.repeat(2_000_000);
    let program = Program::host_run_locally().args(["--data-dir"]).args([&data.path]);
    let program = program.settings("[dead_letters]\nmax_bytes = 1048576").mapping(ROWS);
    let ran = program.stdin(input).run().expect_exit(1);
    let ran = ran.expect_stderr(&["fault:", "`max_bytes`", "was not read from line"]);
    assert_eq!((ran.count("undelivered"), ran.count("dead")), (1, 0));
    assert_eq!(ran.count("delivered") + 1, ran.count("read"));
    assert!(ran.count("read") < 1_000_000, "{} lines were read", ran.count("read"));
    let records = ran.streams()["goods"].iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_eq!(records, ran.count("delivered"));
}

#[test]
fn a_signal_ends_a_run_that_waits_for_dead_letters() {
    let (data, stub) = (UnwritableData::new_full(), start_accepting_stub());
    let collector = data.start_collector(&stub);
    send_events(&collector, &number_names("bad", 2000));
    wait_until("it is not ready", || get_readiness(&collector).0 == 503);
    let asked = std::time::Instant::now();
    collector.running().send_signal(Signal::TERM);
    collector.wait_until_stopped().expect_exit(1);
    assert!(asked.elapsed() < Duration::from_secs(8), "after {:?}", asked.elapsed());
}
