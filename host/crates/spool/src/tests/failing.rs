//! Tests a disk that fails and recovers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::faulty::{EDQUOT, EIO, ENOSPC, Fault, Faults, Faulty};
use super::*;

fn open_faulty(directory: &Path, faults: &Arc<Faults>) -> (Spool, Consumer) {
    let settings = SpoolSettings { durability: Durability::Fsync, ..settings(directory, 1 << 30) };
    let storage = Box::new(Faulty(Arc::clone(faults)));
    let (spool, consumer, _) = Spool::open_on(settings, SEGMENT_BYTES, storage).unwrap();
    (spool, consumer)
}

/// Whatever fails, before or in the middle of a segment: successfully appended entries are
/// returned, in this life and the next one, and no others.
fn fails_and_works_again(choose: fn(&Faults) -> &Fault, error: i32, refusal: &AppendError) {
    for entries_before in [0, 1, 5, 20] {
        let (directory, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
        faults.is_torn.store(true, Ordering::SeqCst);
        let (spool, mut consumer) = open_faulty(directory.path(), &faults);
        for number in 0..entries_before {
            append(&spool, 2, &payload(number, 200)).unwrap();
        }
        let used = spool.status().bytes;
        choose(&faults).set(error);
        let failed = (0..40).filter(|number| {
            let appended = append(&spool, 2, &payload(1000 + number, 300));
            // Not each append creates a file.
            assert!(appended == Ok(()) || appended == Err(refusal.clone()), "{appended:?}");
            appended.is_err()
        });
        let failed: Vec<u32> = failed.collect();
        let status = spool.status();
        assert!(!failed.is_empty() && status.is_failing, "{status:?}");
        assert_eq!(status.write_errors, failed.len() as u64);
        if failed.len() == 40 {
            assert!(status.bytes <= used, "{used}: {status:?}");
            // The failed entries were cut off.
            let logs = files(directory.path(), "log");
            let on_disk: u64 = logs.iter().map(|log| fs::metadata(log).unwrap().len()).sum();
            assert_eq!(on_disk, status.bytes);
        }
        choose(&faults).set(0);
        // As large as those that failed: smaller ones do not show that these have space.
        for number in 2000..2020 {
            append(&spool, 2, &payload(number, 300)).unwrap();
        }
        assert!(!spool.status().is_failing);
        let expected: Vec<u32> = (0..entries_before)
            .chain((0..40).filter(|number| !failed.contains(number)).map(|number| 1000 + number))
            .chain(2000..2020)
            .collect();
        let read =
            |consumer: &mut Consumer| drain(consumer).iter().map(number_of).collect::<Vec<_>>();
        assert_eq!(read(&mut consumer), expected);
        let crashed = copy(directory.path());
        drop((spool, consumer));
        for directory in [crashed.path(), directory.path()] {
            let (spool, mut consumer) = open_faulty(directory, &faults);
            assert_eq!(read(&mut consumer), expected);
            assert_eq!(spool.status().corrupt_regions, 0);
        }
    }
}

/// No caller appends while the spool reports a failure.
#[test]
fn a_disk_that_works_again_is_noticed_without_an_append() {
    type Choose = fn(&Faults) -> &Fault;
    let fails: [(Choose, i32); 5] = [
        (|faults| &faults.append, EIO),
        (|faults| &faults.append, ENOSPC),
        (|faults| &faults.sync, EIO),
        (|faults| &faults.sync_folder, EIO),
        (|faults| &faults.create, ENOSPC),
    ];
    for (choose, error) in fails {
        for entries_before in [0, 3] {
            let (directory, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
            faults.is_torn.store(true, Ordering::SeqCst);
            let (spool, mut consumer) = open_faulty(directory.path(), &faults);
            (0..entries_before)
                .for_each(|number| append(&spool, 2, &payload(number, 200)).unwrap());
            choose(&faults).set(error);
            let mut refused = 0;
            while append(&spool, 2, &payload(1000, 1500)).is_ok() {}
            while refused < 3 {
                refused += u64::from(append(&spool, 2, &payload(1000, 1500)).is_err());
            }
            let write_errors = spool.status().write_errors;
            assert!(spool.status().is_failing && write_errors > 3);
            choose(&faults).set(0);
            eventually("it is noticed", || !spool.status().is_failing);
            assert_eq!(spool.status().write_errors, write_errors, "trying is not counted");
            append(&spool, 2, &payload(2000, 200)).unwrap();
            let numbers: Vec<_> = drain(&mut consumer).iter().map(number_of).collect();
            let kept: Vec<_> = numbers.iter().copied().filter(|number| *number != 1000).collect();
            assert_eq!(kept, (0..entries_before).chain([2000]).collect::<Vec<_>>());
            assert_eq!(spool.status().corrupt_regions, 0);
        }
    }
}

#[test]
fn a_file_that_cannot_grow_is_followed_by_another() {
    let (directory, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    faults.file_bytes_max.store(1000, Ordering::SeqCst);
    let (spool, mut consumer) = open_faulty(directory.path(), &faults);
    for number in 0..30 {
        append(&spool, 2, &payload(number, 200)).unwrap();
    }
    assert_eq!((drain(&mut consumer).len(), spool.status().write_errors), (30, 0));
    assert!(spool.status().segments > 5);
}

/// Items that cannot be acknowledged on a full disk would be delivered again, and their space could
/// not be released.
#[test]
fn there_is_room_for_acknowledgements_before_there_is_an_entry() {
    let (directory, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let settings = settings(directory.path(), 1 << 30);
    let storage = Box::new(Faulty(Arc::clone(&faults)));
    let (spool, mut consumer, _) = Spool::open_on(settings, 1 << 30, storage).unwrap();
    for items in [1, 30_000, 300, 1_000_000, 1] {
        append(&spool, items, b"entry").unwrap();
        let acks = files(directory.path(), "acks").pop().unwrap();
        let lengths = || fs::metadata(&acks).unwrap().len();
        let before = lengths();
        acknowledge_all(&spool, &read(&mut consumer).unwrap());
        assert_eq!((lengths(), before % 4096), (before, 0));
    }
    // An entry without space for its acknowledgements is refused.
    faults.overwrite.set(ENOSPC);
    assert_eq!(append(&spool, 1_000_000, b"entry"), Err(AppendError::Full));
    faults.overwrite.set(0);
    append(&spool, 1_000_000, b"entry").unwrap();
    assert_eq!(spool.status().corrupt_regions, 0);
}

fn failed(error: i32) -> AppendError {
    AppendError::from(std::io::Error::from_raw_os_error(error))
}

#[test]
fn a_disk_that_was_full_or_broken_is_used_again() {
    fails_and_works_again(|faults| &faults.append, ENOSPC, &AppendError::Full);
    fails_and_works_again(|faults| &faults.append, EIO, &failed(EIO));
    fails_and_works_again(|faults| &faults.sync, EIO, &failed(EIO));
    fails_and_works_again(|faults| &faults.sync, ENOSPC, &AppendError::Full);
    fails_and_works_again(|faults| &faults.sync_folder, EIO, &failed(EIO));
    fails_and_works_again(|faults| &faults.create, ENOSPC, &AppendError::Full);
    fails_and_works_again(|faults| &faults.append, EDQUOT, &AppendError::Full);
    fails_and_works_again(|faults| &faults.sync, EDQUOT, &AppendError::Full);
}

#[test]
fn writes_that_come_short_are_continued() {
    let (directory, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    faults.append_bytes_max.store(7, Ordering::SeqCst);
    let (spool, mut consumer) = open_faulty(directory.path(), &faults);
    let payloads: Vec<_> = (0..30).map(|number| payload(number, 100)).collect();
    for bytes in &payloads {
        append(&spool, 2, bytes).unwrap();
    }
    append(&spool, 1, b"").unwrap();
    let read = drain(&mut consumer);
    assert!(read.iter().zip(&payloads).all(|(entry, bytes)| entry.bytes == *bytes));
    assert_eq!((read.len(), read[30].bytes.len()), (31, 0));
}

#[test]
fn acknowledgements_that_fail_are_written_later() {
    let (directory, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let (spool, mut consumer) = open_faulty(directory.path(), &faults);
    for number in 0..20 {
        append(&spool, 2, &payload(number, 200)).unwrap();
    }
    let entries = drain(&mut consumer);
    faults.overwrite.set(EIO);
    entries.iter().for_each(|entry| spool.acknowledge(entry.place, 0..1));
    assert!(spool.status().tend_errors >= 20);
    assert_eq!(spool.status().items_waiting, 20);
    faults.overwrite.set(0);
    eventually("what failed is tried again", || {
        let copy = copy(directory.path());
        let (_spool, mut consumer, recovered) = open(copy.path());
        recovered.items_waiting == 20 && drain(&mut consumer).iter().all(|entry| entry.acked == [0])
    });
}
