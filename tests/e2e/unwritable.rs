//! Dead letters that cannot be written: no event is lost for that, everybody can see it,
//! and it ends once there is room.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use standpipe_tests::client::{Client, basic};
use standpipe_tests::disk::Disk;
use standpipe_tests::metrics::Metrics;
use standpipe_tests::{
    Collector, DeadLetter, Fate, Program, Stub, make_data_directory, wait_until,
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

/// A data directory that several starts of the program work in.
struct Data {
    _directory: TempDir,
    path: PathBuf,
}

impl Data {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("data");
        make_data_directory(&path);
        Data { _directory: directory, path }
    }

    /// One whose dead letters leave no room for another one.
    fn full() -> Self {
        let data = Data::new();
        let dead = data.path.join("dead");
        fs::create_dir(&dead).unwrap();
        let letter = json!({
            "time": "2026-01-02T03:04:05.678Z", "reason": "not_json", "detail": "", "source": "old", "line": 1, "attempts": 0, "event": "x"
        });
        let line = format!("{letter}\n");
        let lines = line.repeat(FULL_BYTES / line.len());
        fs::write(dead.join("20260102T030405.678Z-1-0.ndjson"), lines).unwrap();
        data
    }

    fn collector(&self, stub: &Stub) -> Collector {
        let program = Program::running_against(&stub.url()).settings(SETTINGS).mapping(ROWS);
        Collector::start(program.args(["--data-dir"]).args([&self.path]))
    }

    fn purge(&self) {
        let program = Program::new().args(["dead", "purge", "--source", "old", "--data-dir"]);
        program.args([&self.path]).run().exits(0);
    }

    fn own_letters(&self) -> Vec<DeadLetter> {
        let letters = DeadLetter::read_all(&self.path).into_iter();
        letters.filter(|letter| letter.source == "web").collect()
    }
}

fn accepting() -> Stub {
    Stub::start(|_| Fate::Accept)
}

fn send(collector: &Collector, names: &[String]) {
    let events: Vec<_> = names
        .iter()
        .map(|name| json!({"type": "track", "event": name.split(' ').next(), "userId": "u", "name": name}))
        .collect();
    let body = json!({"batch": events}).to_string();
    let (header, key) = basic("key");
    let mut client = Client::connect(collector.url());
    let reply = client.post("/v1/batch", &[(header, &key)], body.as_bytes()).unwrap();
    assert_eq!(reply.status, 200);
}

fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{kind} {number}")).collect()
}

fn readiness(collector: &Collector) -> (u16, String) {
    let reply = Client::connect(collector.admin_url()).get("/health/ready").unwrap();
    (reply.status, reply.text())
}

fn metrics(collector: &Collector) -> Metrics {
    let reply = Client::connect(collector.admin_url()).get("/metrics").unwrap();
    Metrics::parse(&reply.text()).unwrap()
}

fn metric(collector: &Collector, name: &str) -> f64 {
    metrics(collector).value(name, &[])
}

fn name_of(event: &[u8]) -> String {
    let event: Value = serde_json::from_slice(event).unwrap();
    event["name"].as_str().unwrap().to_owned()
}

fn assert_delivered(stub: &Stub, expected: &[String]) {
    let records = stub.accepted().remove("goods").unwrap_or_default();
    let mut delivered: Vec<_> = records.iter().map(|record| name_of(record)).collect();
    let mut expected = expected.to_vec();
    delivered.sort();
    expected.sort();
    assert_eq!(delivered, expected);
}

fn assert_dead(letters: &[DeadLetter], expected: &[String]) {
    let mut dead: Vec<_> = letters.iter().map(|letter| name_of(&letter.event)).collect();
    let mut expected = expected.to_vec();
    dead.sort();
    expected.sort();
    assert_eq!(dead, expected);
}

#[test]
fn a_collector_waits_for_room_says_so_and_goes_on_without_a_restart() {
    let (data, stub) = (Data::full(), accepting());
    let collector = data.collector(&stub);
    assert_eq!(readiness(&collector), (200, "ready\n".to_owned()));
    let (bad, good) = (names("bad", 30), names("good", 20));
    send(&collector, &bad);
    wait_until("it is not ready", || readiness(&collector).0 == 503);
    let (_, why) = readiness(&collector);
    assert!(why.contains("30 dead letters wait") && why.contains("`max_bytes`"), "{why}");
    // What can be delivered is.
    send(&collector, &good);
    wait_until("the good events are delivered", || {
        metric(&collector, "standpipe_spool_events") == 30.0
    });
    let failing = [
        "standpipe_dead_letters_failing",
        "standpipe_dead_letters_waiting",
        "standpipe_dead_letters_refused_total",
    ];
    assert_eq!(failing.map(|name| metric(&collector, name)), [1.0, 30.0, 0.0]);
    assert!(metric(&collector, "standpipe_dead_letters_write_errors_total") >= 1.0);
    data.purge();
    wait_until("it is ready again", || readiness(&collector) == (200, "ready\n".to_owned()));
    wait_until("all is settled", || metric(&collector, "standpipe_spool_events") == 0.0);
    assert_eq!(failing.map(|name| metric(&collector, name)), [0.0, 0.0, 0.0]);
    let ran = collector.stop().exits(3).says(&["written again"]);
    assert_eq!((ran.count("delivered"), ran.count("dead"), ran.count("undelivered")), (20, 30, 0));
    assert_delivered(&stub, &good);
    assert_dead(&data.own_letters(), &bad);
    // Once a minute, and not at each attempt.
    assert_eq!(ran.stderr.matches("they are tried again").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_stop_leaves_events_without_letters_in_the_spool() {
    let (data, stub) = (Data::full(), accepting());
    let collector = data.collector(&stub);
    let bad = names("bad", 500);
    send(&collector, &bad);
    send(&collector, &names("good", 3));
    wait_until("it is not ready", || readiness(&collector).0 == 503);
    wait_until("the good ones are settled", || {
        metric(&collector, "standpipe_spool_events") == 500.0
    });
    let ran = collector.stop().exits(1).says(&["fault:", "`max_bytes`", "500 wait in the spool"]);
    assert_eq!((ran.count("read"), ran.count("delivered"), ran.count("dead")), (3, 3, 0));
    assert_eq!(ran.count("dead_letters_refused"), 500);
    assert_dead(&data.own_letters(), &[]);
    data.purge();
    let collector = data.collector(&stub);
    wait_until("all is settled", || metric(&collector, "standpipe_spool_events") == 0.0);
    let ran = collector.stop().exits(3);
    assert_eq!((ran.count("dead"), ran.count("delivered")), (500, 0));
    assert_dead(&data.own_letters(), &bad);
    assert_delivered(&stub, &names("good", 3));
}

/// More than there is memory for: the collector stands, and its memory with it.
#[test]
fn memory_is_bounded_while_letters_wait_and_nothing_is_lost() {
    let (data, stub) = (Data::full(), accepting());
    let collector = data.collector(&stub);
    let long = "x".repeat(20_000);
    let mut bad = Vec::new();
    for round in 0..40 {
        let names: Vec<_> = (0..100).map(|number| format!("bad {round} {number} {long}")).collect();
        send(&collector, &names);
        bad.extend(names);
    }
    wait_until("it is not ready", || readiness(&collector).0 == 503);
    wait_until("as many wait as may", || {
        metric(&collector, "standpipe_dead_letters_waiting") * 20_000.0 > (15 << 20) as f64
    });
    let memory = collector.running().memory_bytes_max();
    assert!(memory < 300 << 20, "{} MB of memory for 80 MB of letters", memory >> 20);
    assert_eq!(metric(&collector, "standpipe_spool_events"), 4000.0);
    let ran = collector.stop().exits(1);
    assert_eq!(
        (ran.count("read"), ran.summary()["collected"]["waiting"].as_u64()),
        (0, Some(4000))
    );
}

#[test]
fn a_directory_that_cannot_be_used_is_waited_for() {
    let (data, stub) = (Data::new(), accepting());
    let dead = data.path.join("dead");
    fs::write(&dead, "in the way").unwrap();
    let collector = data.collector(&stub);
    send(&collector, &names("bad", 5));
    wait_until("it is not ready", || readiness(&collector).0 == 503);
    fs::remove_file(&dead).unwrap();
    wait_until("it is ready again", || readiness(&collector).0 == 200);
    wait_until("all is settled", || metric(&collector, "standpipe_spool_events") == 0.0);
    assert_dead(&data.own_letters(), &names("bad", 5));

    // Removed while it is written to: what comes then is not lost with it.
    fs::remove_dir_all(&dead).unwrap();
    send(&collector, &names("bad", 7));
    wait_until("all is settled", || metric(&collector, "standpipe_spool_events") == 0.0);
    assert_dead(&data.own_letters(), &names("bad", 7));
    collector.stop().exits(3);
}

#[test]
fn a_full_disk_under_the_letters_is_waited_for() {
    let disk = Disk::mount(2 << 20);
    let (data, stub) = (Data::new(), accepting());
    std::os::unix::fs::symlink(disk.path(), data.path.join("dead")).unwrap();
    let filler = disk.fill(8 << 10);
    let collector = data.collector(&stub);
    let bad = names("bad", 200);
    send(&collector, &bad);
    wait_until("it is not ready", || readiness(&collector).1.contains("No space left on device"));
    fs::remove_file(filler).unwrap();
    wait_until("all is settled", || metric(&collector, "standpipe_spool_events") == 0.0);
    assert_eq!(readiness(&collector).0, 200);
    collector.stop().exits(3);
    assert_dead(&data.own_letters(), &bad);
}

#[test]
fn a_run_that_ends_by_itself_reads_no_further() {
    let data = Data::full();
    let good = "{\"type\":\"track\",\"event\":\"good\"}\n";
    let mut input = good.repeat(10) + "not an event\n";
    input += &good.repeat(2_000_000);
    let program = Program::running_locally().args(["--data-dir"]).args([&data.path]);
    let program = program.settings("[dead_letters]\nmax_bytes = 1048576").mapping(ROWS);
    let ran = program.stdin(input).run().exits(1);
    let ran = ran.says(&["fault:", "`max_bytes`", "was not read from line"]);
    assert_eq!((ran.count("undelivered"), ran.count("dead")), (1, 0));
    assert_eq!(ran.count("delivered") + 1, ran.count("read"));
    assert!(ran.count("read") < 1_000_000, "{} lines were read", ran.count("read"));
    let records = ran.streams()["goods"].iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_eq!(records, ran.count("delivered"));
}

#[test]
fn a_signal_ends_it_within_its_time() {
    let (data, stub) = (Data::full(), accepting());
    let collector = data.collector(&stub);
    send(&collector, &names("bad", 2000));
    wait_until("it is not ready", || readiness(&collector).0 == 503);
    let asked = std::time::Instant::now();
    collector.running().signal(Signal::TERM);
    collector.stopped().exits(1);
    assert!(asked.elapsed() < Duration::from_secs(8), "after {:?}", asked.elapsed());
}
