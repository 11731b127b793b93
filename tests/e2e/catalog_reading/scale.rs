//! Tests many streams: the rate of the calls, and the memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use standpipe_catalog::discovery::{DiscoveryProgress, DiscoverySettings};
use standpipe_tests::catalog::operation_of;

use super::{
    account_with_streams, count_requests, discovery_settings, read_inventory, serve_account,
    with_reader,
};

#[test]
fn the_rate_limit_is_respected() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&times);
    let endpoint = serve_account(account_with_streams(60), move |asked| {
        if operation_of(asked) == "DescribeDeliveryStream" {
            own.lock().push(Instant::now());
        }
        None
    });
    read_inventory(DiscoverySettings {
        calls_per_second: 40.0,
        ..discovery_settings(&endpoint.url())
    })
    .unwrap();
    let times = times.lock();
    assert_eq!(times.len(), 60);
    // Late wake-ups and network delays may add up to a fifth.
    let most_in_a_second =
        times.windows(49).all(|window| window[48] - window[0] >= Duration::from_secs(1));
    assert!(most_in_a_second);
}

#[test]
fn five_thousand_streams_are_read_in_little_memory() {
    const MANY: usize = 5000;
    const MEMORY_MAX: usize = 128 * 1024 * 1024;
    let endpoint = serve_account(account_with_streams(MANY), |_| None);
    let (begun, before) = (Instant::now(), resident_memory());
    let described = Arc::new(Mutex::new(0));
    let own = Arc::clone(&described);
    let inventory = with_reader(discovery_settings(&endpoint.url()), async move |reader| {
        let report_progress = move |progress| {
            if let DiscoveryProgress::Described { done, of } = progress {
                assert_eq!(of, MANY);
                *own.lock() = done;
            }
        };
        reader.read_inventory(&report_progress).await.unwrap()
    });
    let taken = resident_memory().saturating_sub(before);
    assert_eq!((inventory.streams.len(), *described.lock()), (MANY, MANY));
    assert!(inventory.streams.is_sorted_by_key(|stream| &stream.name));
    // This includes the memory of the server and of concurrent tests.
    assert!(taken < MEMORY_MAX, "{taken} bytes in {:?}", begun.elapsed());
    assert_eq!(count_requests(&endpoint, "ListDeliveryStreams"), 5);
}

/// The resident memory of this process, in bytes.
fn resident_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kib: usize = line.trim_end_matches("kB").trim().parse().expect("a number");
    kib * 1024
}
