//! Tests that tasks that wait for memory or disk make progress: after faults end, everything is
//! delivered, and giving up waits for neither.
//!
//! Tasks on the test's thread push records without blocking it, so paused time advances while they
//! wait.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::record_accumulator::RecordAccumulator;

/// A virtual time long enough for everything that these tests push.
const BOUND: Duration = Duration::from_secs(3600);
/// When the faults of these tests end.
const FAULTS: Duration = Duration::from_secs(60);

/// A delivery, and the outcomes of its events.
struct Driver {
    _directory: tempfile::TempDir,
    delivery: Delivery,
    abort: CancellationToken,
    port: Arc<FaultyClient>,
    settled: Arc<Mutex<Settled>>,
}

impl Driver {
    fn new(settings: DeliverySettings, port: FaultyClient) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dead_letters = Arc::new(DeadLetterWriter::new(directory.path().join("dead")));
        let port = Arc::new(port);
        let ports = FirehoseClients::new(Arc::clone(&port) as Arc<dyn FirehoseClient>);
        let abort = CancellationToken::new();
        let delivery =
            Delivery::new(ports, settings, dead_letters, Handle::current(), abort.clone());
        Driver { _directory: directory, delivery, abort, port, settled: Arc::default() }
    }

    /// Pushes records like this number of workers, each in its own task, and drains.
    async fn run(&self, workers: usize, records: Vec<(&'static str, Vec<u8>)>) -> Settled {
        let mut parts = vec![Vec::new(); workers];
        for (at, record) in records.into_iter().enumerate() {
            parts[at % workers].push(record);
        }
        let mut pushing = JoinSet::new();
        for part in parts {
            pushing.spawn(push(
                RecordAccumulator::new(&self.delivery),
                part,
                Arc::clone(&self.settled),
            ));
        }
        let all = async {
            while let Some(pushed) = pushing.join_next().await {
                pushed.unwrap();
            }
            self.delivery.drain().await;
        };
        let ended = tokio::time::timeout(BOUND, all).await;
        let settled = *self.settled.lock();
        assert!(ended.is_ok(), "it does not end: {settled:?}, {:?}", self.delivery.report());
        settled
    }
}

/// Pushes records like a worker, but waits where a worker would block.
async fn push(
    mut accumulator: RecordAccumulator,
    records: Vec<(&'static str, Vec<u8>)>,
    settled: Arc<Mutex<Settled>>,
) {
    let notice = move |now: Settled| {
        let mut settled = settled.lock();
        settled.delivered += now.delivered;
        settled.dead += now.dead;
        settled.undelivered += now.undelivered;
    };
    let ack = Ack::new("test".into(), records.len(), notice);
    let provenance = Provenance { ack, plugin: "digest".into(), generation: 0 };
    for (event, (stream, text)) in (0..).zip(&records) {
        let place = place(&mut accumulator, stream);
        let record = Record { event, line: u64::from(event) + 1, text, payload: None };
        accumulator.add(place, &provenance, record).unwrap();
        accumulator.flush().await;
    }
    accumulator.end_all();
    accumulator.flush().await;
}

fn bounded(overflow_bytes_max: u64) -> DeliverySettings {
    DeliverySettings { overflow_bytes_max, ..settings() }
}

fn denied() -> InjectedFault {
    InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException")
}

fn delivered(count: usize) -> Settled {
    Settled { delivered: count as u64, ..Settled::default() }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_denied_drains_after_the_overflow_was_full() {
    let start = Instant::now();
    let port = FaultyClient::new(move |_, _, _| match start.elapsed() < FAULTS {
        true => denied(),
        false => InjectedFault::None,
    });
    let driver = Driver::new(bounded(2 << 20), port);
    assert_eq!(driver.run(1, kilobytes(&["denied"], 40_000)).await, delivered(40_000));
    assert!(start.elapsed() < 2 * FAULTS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_merely_slow_drains_with_a_small_overflow() {
    let port = FaultyClient::new(|stream, _, _| match stream.as_str() {
        "slow" => InjectedFault::Late(Duration::from_secs(1)),
        _ => InjectedFault::None,
    });
    let driver = Driver::new(bounded(2 << 20), port);
    let records = kilobytes(&["slow", "quick"], 40_000);
    assert_eq!(driver.run(2, records).await, delivered(80_000));
}

#[tokio::test(start_paused = true)]
async fn streams_that_wait_for_memory_at_once_all_drain() {
    let start = Instant::now();
    for overflow_bytes_max in [0, 1000, 2 << 20, 8 << 20] {
        let port = match overflow_bytes_max {
            0 => FaultyClient::new(|_, _, _| InjectedFault::Late(Duration::from_secs(1))),
            _ => FaultyClient::new(move |_, _, request| match start.elapsed() < FAULTS {
                true if request % 3 == 0 => InjectedFault::Late(Duration::from_secs(5)),
                true => denied(),
                false => InjectedFault::None,
            }),
        };
        let driver = Driver::new(bounded(overflow_bytes_max), port);
        let records = kilobytes(&["a", "b", "c", "d", "e", "f"], 6_000);
        assert_eq!(driver.run(3, records).await, delivered(36_000), "{overflow_bytes_max}");
    }
}

/// There are more streams than batches that fit into memory.
#[tokio::test(start_paused = true)]
async fn many_denied_streams_hold_up_no_other() {
    const DENIED: &[&str] = &[
        "d00", "d01", "d02", "d03", "d04", "d05", "d06", "d07", "d08", "d09", "d10", "d11", "d12",
        "d13", "d14", "d15", "d16", "d17", "d18", "d19", "d20", "d21", "d22", "d23",
    ];
    let (start, is_over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let over = Arc::clone(&is_over);
    let port = FaultyClient::new(move |stream, _, _| match stream.as_str() {
        "fine" => InjectedFault::None,
        _ if over.load(Ordering::Relaxed) => InjectedFault::None,
        _ => denied(),
    });
    let driver = Driver::new(settings(), port);
    let mut records = kilobytes(DENIED, 2_000);
    records.extend(kilobytes(&["fine"], 20_000));
    let (count, fine) = (records.len(), StreamName::parse("fine").unwrap());
    let watch = async {
        while driver.port.accepted().get(&fine).map_or(0, Vec::len) < 20_000 {
            assert!(start.elapsed() < FAULTS, "the others are held up");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let (settled, ()) = tokio::join!(driver.run(2, records), watch);
    assert_eq!(settled, delivered(count));
}

/// The fault of a request, by the elapsed time.
type Way = fn(Duration) -> InjectedFault;

#[tokio::test(start_paused = true)]
async fn giving_up_waits_neither_for_memory_nor_for_the_disk() {
    // The third stream recovers earlier. None of its batches may be stuck.
    let recovered = |elapsed| if elapsed < FAULTS / 2 { denied() } else { InjectedFault::None };
    let ways: [(&str, Way); 3] =
        [("denied", |_| denied()), ("hanging", |_| InjectedFault::Hang), ("recovered", recovered)];
    for (way, injection) in ways {
        for overflow_bytes_max in [0, 2 << 20, 1 << 30] {
            // The fault starts after many requests are in flight: memory is full of them, and
            // batches on disk wait for it.
            let start = Instant::now();
            let port = FaultyClient::new(move |_, _, request| match request {
                0..20 => InjectedFault::None,
                _ => injection(start.elapsed()),
            });
            let stream = StreamSettings { concurrency: 32, ..settings().stream };
            let settings = DeliverySettings { stream, ..bounded(overflow_bytes_max) };
            let driver = Driver::new(settings, port);
            let give_up = async {
                tokio::time::sleep(FAULTS).await;
                driver.abort.cancel();
            };
            let record = |at: usize| (["a", "b", "c"][at % 3], vec![b'x'; 50_000]);
            let records = (0..2400).map(record).collect();
            let (settled, ()) = tokio::join!(driver.run(2, records), give_up);
            let took = start.elapsed() - FAULTS;
            assert!(took < Duration::from_secs(1), "{way}, {overflow_bytes_max}: {took:?}");
            assert_eq!(settled.delivered + settled.dead, 2400, "{way}, {overflow_bytes_max}");
            assert_eq!(settled.dead > 0, way != "recovered", "{way}, {overflow_bytes_max}");
        }
    }
}

/// Truncates the overflow files of a directory, like a disk that lost them.
#[cfg(target_os = "linux")]
fn lose_files(directory: &std::path::Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths = descriptors.map(|descriptor| descriptor.unwrap().path());
    let ours = paths
        .filter(|path| std::fs::read_link(path).is_ok_and(|target| target.starts_with(directory)));
    let lost = ours.map(|path| {
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    });
    lost.count()
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_back_is_counted_as_not_delivered_and_holds_up_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let overflow_directory = directory.path().join("overflow");
    let start = Instant::now();
    let port = FaultyClient::new(move |_, _, _| match start.elapsed() < FAULTS {
        true => denied(),
        false => InjectedFault::None,
    });
    let settings = DeliverySettings { overflow_directory, ..settings() };
    let driver = Driver::new(settings, port);
    let lose = async {
        tokio::time::sleep(FAULTS / 2).await;
        assert!(lose_files(directory.path()) > 0, "nothing is on disk");
    };
    let (settled, ()) = tokio::join!(driver.run(1, kilobytes(&["denied"], 20_000)), lose);
    let unread = driver.delivery.report()["denied"].unread;
    assert!(unread > 0);
    assert_eq!(settled.undelivered, unread);
    assert_eq!(settled.delivered + settled.undelivered, 20_000);
}

/// The texts that are kept for dead letters make a batch larger than all memory.
#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_memory_gets_through() {
    let driver = Driver::new(bounded(0), FaultyClient::new(|_, _, _| InjectedFault::None));
    let (mut accumulator, text) = (
        RecordAccumulator::new(&driver.delivery),
        vec![b'x'; standpipe_core::limits::EVENT_BYTES_MAX],
    );
    let place = place(&mut accumulator, "s");
    let settled = Arc::clone(&driver.settled);
    let ack = Ack::new("test".into(), 2, move |now| *settled.lock() = now);
    let provenance = Provenance { ack, plugin: "digest".into(), generation: 0 };
    let payload = vec![b'y'; limits::RECORD_BYTES_MAX - 1];
    let first = Record {
        event: 0,
        line: 1,
        text: &text[..record_accumulator::OPEN_BYTES_MAX - 1000],
        payload: Some(b"small"),
    };
    accumulator.add(place, &provenance, first).unwrap();
    accumulator.flush().await;
    let second = Record { event: 1, line: 2, text: &text, payload: Some(&payload) };
    accumulator.add(place, &provenance, second).unwrap();
    let handed_over = tokio::time::timeout(BOUND, accumulator.flush()).await;
    assert!(handed_over.is_ok(), "it waits for more memory than there is");
    drop((accumulator, provenance));
    driver.delivery.drain().await;
    assert_eq!(*driver.settled.lock(), delivered(2));
}

/// The fault of a stream's requests until the faults end.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Denied,
    Throttled,
    Late,
    Flapping,
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        Just(Fault::None),
        Just(Fault::Denied),
        Just(Fault::Throttled),
        Just(Fault::Late),
        Just(Fault::Flapping),
    ];
    prop::collection::vec(fault, STREAMS.len())
}

const STREAMS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_the_faults_are_everything_drains_when_they_end(
        faults in faults(),
        sizes in prop::collection::vec((0..STREAMS.len(), 1_usize..200_000), 100..600),
        overflow_bytes_max in prop_oneof![Just(0), Just(4096), 1_u64 << 20..64 << 20],
        disk_fails in any::<bool>(),
        workers in 1_usize..4,
    ) {
        let records: Vec<_> = sizes.iter().map(|(stream, size)| (STREAMS[*stream], vec![b'x'; *size])).collect();
        let count = records.len();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let settled = runtime.block_on(async {
            let start = Instant::now();
            let port = FaultyClient::new(move |stream, batch, request| {
                let fault = faults[stream.as_str().parse::<usize>().unwrap()];
                match fault {
                    _ if start.elapsed() >= FAULTS => InjectedFault::None,
                    Fault::None => InjectedFault::None,
                    Fault::Denied => denied(),
                    Fault::Throttled => {
                        InjectedFault::Refuse((0..batch.len()).step_by(2).collect(), "ServiceUnavailableException")
                    }
                    Fault::Late => InjectedFault::Late(Duration::from_secs(3)),
                    Fault::Flapping if (start.elapsed().as_secs() / 5).is_multiple_of(2) => denied(),
                    Fault::Flapping if request % 2 == 0 => InjectedFault::FailBefore(RetryClass::RetryAmbiguous, "Timeout"),
                    Fault::Flapping => InjectedFault::None,
                }
            });
            let directory = tempfile::tempdir().unwrap();
            let in_the_way = directory.path().join("file");
            std::fs::write(&in_the_way, "").unwrap();
            let overflow_directory = match disk_fails {
                true => in_the_way,
                false => directory.path().join("overflow"),
            };
            let settings = DeliverySettings { overflow_directory, ..bounded(overflow_bytes_max) };
            let driver = Driver::new(settings, port);
            driver.run(workers, records).await
        });
        prop_assert_eq!(settled, delivered(count));
    }
}
