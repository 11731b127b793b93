//! Tests that accepted events survive crashes of the process and errors of its disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::disk::Disk;
use standpipe_tests::{Collector, Program, Stub, StubResponse, make_data_directory, wait_until};

const SETTINGS: &str = r#"
[[sources]]
name = "web"
dialect = "segment"
write_keys = ["key"]
"#;
const ROWS: &[(&str, &str)] = &[("page", "pages"), ("track", "tracks"), ("*", "rest")];
const ROUNDS: usize = 30;
const CLIENTS: usize = 8;
const EVENTS_PER_REQUEST: u64 = 20;

#[test]
fn a_kill_loses_no_acknowledged_event_and_repeats_few() {
    let stub = Stub::start(|_| StubResponse::Slow(Duration::from_millis(3)));
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    make_data_directory(&data_dir);
    let next_id = Arc::new(AtomicU64::new(0));
    let mut acknowledged = BTreeSet::new();
    let mut puts_at_kills = Vec::new();
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..ROUNDS {
        let collector = Collector::start(new_program(&stub.url(), &data_dir, SETTINGS));
        let load = Load::start(collector.url(), &next_id);
        thread::sleep(Duration::from_millis(random.u64(50..400)));
        collector.kill();
        acknowledged.append(&mut load.stop());
        puts_at_kills.push(stub.requests().len());
    }
    let collector = Collector::start(new_program(&stub.url(), &data_dir, SETTINGS));
    wait_until("all is delivered", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    collector.stop().expect_exit(0);

    let sent = next_id.load(Ordering::Relaxed);
    let deliveries = count_deliveries(&stub);
    let missing = acknowledged.iter().filter(|id| !deliveries.contains_key(id)).count();
    assert_eq!(missing, 0, "of {} acknowledged events", acknowledged.len());
    assert!(acknowledged.len() > 10_000, "{} acknowledged of {sent}", acknowledged.len());
    assert!(deliveries.keys().all(|id| *id < sent), "unknown events");
    // An event may be delivered twice only if its first request was in flight when the process was
    // killed: it is one of the last requests before that.
    let under_way = 16 * ROWS.len();
    for (id, puts) in deliveries.iter().filter(|(_, puts)| puts.len() > 1) {
        for first in &puts[..puts.len() - 1] {
            let was_under_way =
                puts_at_kills.iter().any(|kill| *first < *kill && *first + under_way >= *kill);
            assert!(
                was_under_way,
                "event {id} was sent by the requests {puts:?}, killed at {puts_at_kills:?}"
            );
        }
    }
    let twice = deliveries.values().filter(|puts| puts.len() > 1).count();
    assert!(twice < acknowledged.len() / 10, "{twice} of {} were sent twice", deliveries.len());
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let disk = Disk::mount(24 << 20);
    let data_dir = disk.path().join("data");
    make_data_directory(&data_dir);
    let is_open = Arc::new(AtomicBool::new(false));
    let stub = {
        let is_open = Arc::clone(&is_open);
        Stub::start(move |_| match is_open.load(Ordering::Relaxed) {
            true => StubResponse::Accept,
            false => StubResponse::Fail { status: 500, code: "InternalFailure", accepted: false },
        })
    };
    let collector = Collector::start(new_program(&stub.url(), &data_dir, SETTINGS));
    let mut client = Client::connect(collector.url());
    let (mut acknowledged, mut refused, mut id) = (BTreeSet::new(), 0, 0);
    while refused < 20 {
        let ids = id..id + 100;
        id += 100;
        let reply = client.post(
            "/v1/batch",
            &[("Authorization", &basic_auth("key").1)],
            &batch_body(ids.clone(), 8000),
        );
        match reply.unwrap() {
            reply if reply.status == 200 => acknowledged.extend(ids),
            reply => {
                assert_eq!((reply.status, reply.header("retry-after")), (503, Some("10")));
                refused += 1;
            }
        }
        assert!(id < 100_000, "the disk is never full");
    }
    assert!(acknowledged.len() >= 1000, "{} acknowledged", acknowledged.len());
    assert_eq!(get_readiness(&collector), 503);
    is_open.store(true, Ordering::Relaxed);
    // Clients that check readiness wait for this before they send.
    wait_until("there is room again", || get_readiness(&collector) == 200);
    let ids = id..id + 100;
    let as_before = batch_body(ids.clone(), 8000);
    let reply = client.post("/v1/batch", &[("Authorization", &basic_auth("key").1)], &as_before);
    assert_eq!(reply.unwrap().status, 200, "a request as large as the refused ones has room");
    acknowledged.extend(ids);
    wait_until("all is delivered", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    collector.stop().expect_exit(0);
    let deliveries = count_deliveries(&stub);
    assert!(acknowledged.iter().all(|id| deliveries.contains_key(id)));
}

#[test]
fn a_corrupt_byte_loses_at_most_one_request_and_is_reported() {
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    make_data_directory(&data_dir);
    let segment = killed_with_requests(&data_dir, 50);
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(&segment, bytes).unwrap();

    let stub = Stub::start(|_| StubResponse::Accept);
    let collector = Collector::start(new_program(&stub.url(), &data_dir, SETTINGS));
    wait_until("all is delivered", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    let lost = read_metric(&collector, "standpipe_spool_corrupt_events_total");
    assert!(read_metric(&collector, "standpipe_spool_corrupt_bytes_total") > 0.0);
    collector.stop().expect_exit(0).expect_stderr(&["corrupt"]);
    let deliveries = count_deliveries(&stub);
    assert_eq!(deliveries.len() as f64, 500.0 - lost);
    assert!(deliveries.len() >= 490, "{} are there", deliveries.len());
}

/// A damaged last entry looks like an interrupted write, but is not one.
#[test]
fn a_damaged_segment_end_is_reported_and_kept() {
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    make_data_directory(&data_dir);
    let segment = killed_with_requests(&data_dir, 50);
    let mut bytes = fs::read(&segment).unwrap();
    let last = bytes.windows(8).rposition(|bytes| bytes == b"\xf5spo\xffol\xfa").unwrap();
    bytes[last + 9] ^= 1;
    fs::write(&segment, &bytes).unwrap();

    let stub = Stub::start(|_| StubResponse::Accept);
    let collector = Collector::start(new_program(&stub.url(), &data_dir, SETTINGS));
    wait_until("all is delivered", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    let damaged = (bytes.len() - last) as f64;
    for (name, value) in [
        ("standpipe_spool_corrupt_regions_total", 1.0),
        ("standpipe_spool_corrupt_bytes_total", damaged),
        ("standpipe_spool_set_aside_bytes", damaged),
    ] {
        assert_eq!(read_metric(&collector, name), value, "{name}");
    }
    collector.stop().expect_exit(0).expect_stderr(&["ERROR", "corrupt", ".corrupt", "may be lost"]);
    assert_eq!(count_deliveries(&stub).len(), 490);
    let files = fs::read_dir(data_dir.join("spool")).unwrap().map(|file| file.unwrap().path());
    let kept = files.filter(|path| path.extension().is_some_and(|own| own == "corrupt"));
    let kept: Vec<_> = kept.map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(kept, [&bytes[last..]]);
}

#[test]
fn a_renamed_segment_is_refused_and_nothing_of_it_is_lost() {
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    make_data_directory(&data_dir);
    let segment = killed_with_requests(&data_dir, 20);
    let renamed = segment.with_file_name("00000000000000000077.log");
    fs::rename(&segment, &renamed).unwrap();
    let stub = Stub::start(|_| StubResponse::Accept);
    let refused =
        new_program(&stub.url(), &data_dir, SETTINGS).args(["--listen", "127.0.0.1:0"]).run();
    let original = segment.file_name().unwrap().to_str().unwrap();
    refused.expect_exit(2).expect_stderr(&[
        "00000000000000000077.log",
        original,
        "give it back its name",
    ]);
    fs::rename(&renamed, &segment).unwrap();
    let collector = Collector::start(new_program(&stub.url(), &data_dir, SETTINGS));
    wait_until("all is delivered", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    collector.stop().expect_exit(0);
    assert_eq!(count_deliveries(&stub).len(), 200);
}

/// Kills a collector that has responded to this number of requests, of ten events each, and has
/// delivered nothing. Returns the file with these events.
fn killed_with_requests(data_dir: &Path, requests: u64) -> PathBuf {
    let nobody = Stub::start(|_| StubResponse::Hang);
    let collector = Collector::start(new_program(&nobody.url(), data_dir, SETTINGS));
    let mut client = Client::connect(collector.url());
    for request in 0..requests {
        let ids = request * 10..request * 10 + 10;
        let reply = client.post(
            "/v1/batch",
            &[("Authorization", &basic_auth("key").1)],
            &batch_body(ids, 300),
        );
        assert_eq!(reply.unwrap().status, 200);
    }
    collector.kill();
    let segments = fs::read_dir(data_dir.join("spool")).unwrap().map(|file| file.unwrap().path());
    segments.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[test]
fn two_processes_do_not_share_a_spool() {
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    make_data_directory(&data_dir);
    let stub = Stub::start(|_| StubResponse::Accept);
    let first = Collector::start(new_program(&stub.url(), &data_dir, SETTINGS));
    let second =
        new_program(&stub.url(), &data_dir, SETTINGS).args(["--listen", "127.0.0.1:0"]).run();
    second.expect_exit(2).expect_stderr(&["spool"]);
    first.stop().expect_exit(0);
}

#[test]
fn events_only_in_memory_are_delivered_before_a_stop() {
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    make_data_directory(&data_dir);
    let stub = Stub::start(|_| StubResponse::Accept);
    let settings = format!("{SETTINGS}\n[spool]\ndurability = \"memory\"\n");
    let collector = Collector::start(new_program(&stub.url(), &data_dir, &settings));
    let mut client = Client::connect(collector.url());
    let reply = client.post(
        "/v1/batch",
        &[("Authorization", &basic_auth("key").1)],
        &batch_body(0..1000, 50),
    );
    assert_eq!(reply.unwrap().status, 200);
    collector.stop().expect_exit(0);
    assert_eq!(count_deliveries(&stub).len(), 1000);
    assert!(!data_dir.join("spool").exists());
}

/// Sends requests from several threads until it is stopped.
struct Load {
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeSet<u64>>>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(url: &str, next_id: &Arc<AtomicU64>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::<Mutex<BTreeSet<u64>>>::default();
        let client = |_| {
            let (is_over, acknowledged) = (Arc::clone(&is_over), Arc::clone(&acknowledged));
            let (url, next_id) = (url.to_owned(), Arc::clone(next_id));
            thread::spawn(move || {
                let mut client = Client::connect(&url);
                while !is_over.load(Ordering::Relaxed) {
                    let first = next_id.fetch_add(EVENTS_PER_REQUEST, Ordering::Relaxed);
                    let ids = first..first + EVENTS_PER_REQUEST;
                    let headers = [("Authorization", &*basic_auth("key").1)];
                    match client.post("/v1/batch", &headers, &batch_body(ids.clone(), 200)) {
                        Ok(reply) if reply.status == 200 => {
                            acknowledged.lock().extend(ids);
                        }
                        Ok(reply) => panic!("answered with {}: {}", reply.status, reply.text()),
                        // The process has been killed.
                        Err(_) => return,
                    }
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Load { is_over, acknowledged, clients }
    }

    fn stop(self) -> BTreeSet<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("no client fails"));
        std::mem::take(&mut self.acknowledged.lock())
    }
}

fn new_program(endpoint: &str, data_dir: &Path, settings: &str) -> Program {
    let program = Program::host_run_against(endpoint).mapping(ROWS).settings(settings);
    program.args(["--data-dir"]).args([data_dir])
}

/// A batch of events with these ids and this number of additional bytes each.
fn batch_body(ids: std::ops::Range<u64>, bytes: usize) -> Vec<u8> {
    let event = |id: u64| {
        let message_type = ["track", "page", "identify"][id as usize % 3];
        json!({ "type": message_type, "event": format!("E{}", id % 5), "userId": "u", "id": id, "filler": "x".repeat(bytes) })
    };
    json!({ "batch": ids.map(event).collect::<Vec<_>>() }).to_string().into_bytes()
}

/// The requests that accepted each event.
fn count_deliveries(stub: &Stub) -> BTreeMap<u64, Vec<usize>> {
    assert_eq!(stub.violations(), Vec::<String>::new());
    let mut deliveries = BTreeMap::<u64, Vec<usize>>::new();
    let kept: BTreeSet<Vec<u8>> = stub.accepted_records().into_values().flatten().collect();
    for put in stub.requests() {
        for record in put.records.iter().filter(|record| kept.contains(*record)) {
            let event: Value = serde_json::from_slice(record).expect("a record is JSON");
            let id = event["id"].as_u64().expect("an id");
            deliveries.entry(id).or_default().push(put.number);
        }
    }
    deliveries
}

/// The status of the readiness response.
fn get_readiness(collector: &Collector) -> u16 {
    Client::connect(collector.admin_url()).get("/health/ready").unwrap().status
}

/// The value of a metric without labels.
fn read_metric(collector: &Collector, name: &str) -> f64 {
    let page = Client::connect(collector.admin_url()).get("/metrics").unwrap().text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in:\n{page}")).parse().unwrap()
}
