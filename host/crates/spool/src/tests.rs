//! Tests the guarantees of a spool with real files.

mod corrupt;
mod crash;
mod failing;
mod faulty;
mod full;
mod model;
mod order;

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::storage::FileStorage;
use super::*;

/// A segment has room for a few entries.
const SEGMENT_BYTES: u64 = 2048;

fn settings(directory: &Path, bytes_max: u64) -> SpoolSettings {
    let durability = Durability::Os;
    SpoolSettings { directory: directory.to_owned(), bytes_max, durability }
}

fn open(directory: &Path) -> (Spool, Consumer, Recovered) {
    open_on(directory, Box::new(FileStorage))
}

fn open_on(directory: &Path, storage: Box<dyn SpoolStorage>) -> (Spool, Consumer, Recovered) {
    Spool::open_on(settings(directory, 1 << 30), SEGMENT_BYTES, storage).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn append(spool: &Spool, items: u32, bytes: &[u8]) -> Result<(), AppendError> {
    block_on(spool.append(items, bytes.to_vec()))
}

/// The next available entry.
fn read(consumer: &mut Consumer) -> Option<SpoolEntry> {
    match consumer.next(Duration::ZERO) {
        NextEntry::Entry(entry) => Some(entry),
        NextEntry::Nothing | NextEntry::End => None,
    }
}

fn drain(consumer: &mut Consumer) -> Vec<SpoolEntry> {
    std::iter::from_fn(|| read(consumer)).collect()
}

fn acknowledge_all(spool: &Spool, entry: &SpoolEntry) {
    spool.acknowledge(entry.place, 0..entry.items);
}

/// Bytes that depend on the number, with this length.
fn payload(number: u32, length: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((0..length).map(|at| (at as u32).wrapping_mul(number + 7) as u8));
    bytes
}

fn number_of(entry: &SpoolEntry) -> u32 {
    u32::from_le_bytes(entry.bytes[..4].try_into().unwrap())
}

/// A copy of the current files, as a killed process would leave them.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    // Files are removed while they are copied, those of acknowledgements last.
    for extension in ["acks", "log"] {
        for path in files(from, extension) {
            let _ = fs::copy(&path, to.path().join(path.file_name().unwrap()));
        }
    }
    to
}

/// The existing segment files, in order.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|own| own == extension)).collect();
    paths.sort();
    paths
}

/// Waits until a condition is true.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test]
async fn an_append_can_wait_until_its_entry_is_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let settings = || SpoolSettings {
        directory: directory.path().to_owned(),
        bytes_max: 10,
        durability: Durability::Acknowledged,
    };
    let (spool, mut consumer, _) = Spool::open(settings()).unwrap();
    assert!(spool.is_durable());
    let other = spool.clone();
    let appending = tokio::spawn(async move { other.append(2, b"12345678".to_vec()).await });
    tokio::task::yield_now().await;
    let NextEntry::Entry(entry) = consumer.next(Duration::from_secs(5)) else { panic!() };
    spool.acknowledge(entry.place, [1].into_iter());
    tokio::task::yield_now().await;
    assert!(!appending.is_finished());
    assert_eq!(spool.append(1, b"123".to_vec()).await, Err(AppendError::Full));
    spool.acknowledge(entry.place, [0, 1].into_iter());
    assert_eq!(appending.await.unwrap(), Ok(()));
    assert_eq!(spool.status().bytes, 0);
    drop((spool, consumer));

    // Events of an earlier run must not be forgotten.
    let on_disk = SpoolSettings { durability: Durability::Os, bytes_max: 1 << 30, ..settings() };
    let (spool, consumer, _) = Spool::open(on_disk.clone()).unwrap();
    spool.append(1, b"12345678".to_vec()).await.unwrap();
    drop((spool, consumer));
    assert!(matches!(Spool::open(settings()), Err(SpoolOpenError::NotEmpty { .. })));
    let (spool, mut consumer, _) = Spool::open(on_disk).unwrap();
    let NextEntry::Entry(entry) = consumer.next(Duration::from_secs(5)) else { panic!() };
    spool.acknowledge(entry.place, [0].into_iter());
    drop((spool, consumer));
    Spool::open(settings()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_append_does_not_wait_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SpoolSettings {
        directory: directory.path().to_owned(),
        bytes_max: 10,
        durability: Durability::Acknowledged,
    };
    let (spool, _consumer, _) = Spool::open(settings).unwrap();
    assert_eq!(spool.append(1, b"1".to_vec()).await, Err(AppendError::Unacknowledged));
    assert_eq!(spool.status().items_waiting, 1, "it may be acknowledged later");
}
