//! Many streams: how fast they are asked about, and what memory they take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use standpipe_catalog::discovery::{DiscoveryProgress, DiscoverySettings};
use standpipe_tests::catalog::operation;

use super::{count, read, serve, settings, streams, with};

#[test]
fn the_pace_is_kept() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&times);
    let endpoint = serve(streams(60), move |asked| {
        if operation(asked) == "DescribeDeliveryStream" {
            own.lock().push(Instant::now());
        }
        None
    });
    read(DiscoverySettings { calls_per_second: 40.0, ..settings(&endpoint.url()) }).unwrap();
    let times = times.lock();
    assert_eq!(times.len(), 60);
    // A fifth more is what late wake-ups and the way to the server may make of it.
    let most_in_a_second =
        times.windows(49).all(|window| window[48] - window[0] >= Duration::from_secs(1));
    assert!(most_in_a_second);
}

#[test]
fn five_thousand_streams_are_read_in_little_memory() {
    const MANY: usize = 5000;
    const MEMORY_MAX: usize = 128 * 1024 * 1024;
    let endpoint = serve(streams(MANY), |_| None);
    let (begun, before) = (Instant::now(), memory());
    let described = Arc::new(Mutex::new(0));
    let own = Arc::clone(&described);
    let inventory = with(settings(&endpoint.url()), async move |reader| {
        let tell = move |progress| {
            if let DiscoveryProgress::Described { done, of } = progress {
                assert_eq!(of, MANY);
                *own.lock() = done;
            }
        };
        reader.read_inventory(&tell).await.unwrap()
    });
    let taken = memory().saturating_sub(before);
    assert_eq!((inventory.streams.len(), *described.lock()), (MANY, MANY));
    assert!(inventory.streams.is_sorted_by_key(|stream| &stream.name));
    // What the server and the tests beside this one take is in it.
    assert!(taken < MEMORY_MAX, "{taken} bytes in {:?}", begun.elapsed());
    assert_eq!(count(&endpoint, "ListDeliveryStreams"), 5);
}

/// The resident memory of this process, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kib: usize = line.trim_end_matches("kB").trim().parse().expect("a number");
    kib * 1024
}
