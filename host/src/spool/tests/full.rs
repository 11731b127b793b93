//! The bound of a spool, and how room comes back.

use super::*;

#[test]
fn a_full_spool_takes_entries_again_once_some_are_acknowledged() {
    for durability in [Durability::Os, Durability::Memory] {
        let directory = tempfile::tempdir().unwrap();
        let settings = SpoolSettings { durability, ..settings(directory.path(), 20_000) };
        let (spool, mut outlet, _) =
            Spool::open_on(settings, SEGMENT_BYTES, Box::new(Files)).unwrap();
        assert_eq!(
            append(&spool, 1, &[0; 20_001]),
            Err(AppendError::TooLarge { bytes: 20_001, items: 1 })
        );
        for _ in 0..5 {
            let mut appended = 0;
            while append(&spool, 1, &payload(appended, 500)).is_ok() {
                appended += 1;
            }
            assert!(appended >= 30, "{durability:?}: {appended}");
            assert!(spool.status().bytes <= 20_000 + 16 * spool.status().segments);
            assert_eq!(append(&spool, 1, &payload(0, 500)), Err(AppendError::Full));
            let entries = drain(&mut outlet);
            assert_eq!(entries.len() as u32, appended);
            entries.iter().for_each(|entry| spool.acknowledge_all(entry.place));
            eventually("room comes back", || spool.status().bytes < 3000);
        }
    }
}

#[test]
fn an_entry_as_large_as_the_spool_gets_in_behind_others() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, mut outlet, _) = Spool::open(settings(directory.path(), 50_000)).unwrap();
    for _ in 0..10 {
        append(&spool, 1, &payload(1, 20_000)).unwrap();
        assert_eq!(append(&spool, 1, &payload(1, 40_000)), Err(AppendError::Full));
        spool.acknowledge_all(read(&mut outlet).unwrap().place);
        append(&spool, 1, &payload(1, 40_000)).unwrap();
        spool.acknowledge_all(read(&mut outlet).unwrap().place);
    }
}

/// A stream that is slow keeps an item in each segment: the room of all others is
/// given back, also of entries that are smaller than a block.
#[test]
fn a_few_items_do_not_hold_the_room_of_all_others() {
    const MAX: u64 = 16 * 1024 * 1024;
    let directory = tempfile::tempdir().unwrap();
    let (spool, mut outlet, _) = Spool::open(settings(directory.path(), MAX)).unwrap();
    let mut number = 0;
    while append(&spool, 2, &payload(number, 800)).is_ok() {
        number += 1;
    }
    let entries = drain(&mut outlet);
    let is_slow = |number: u32| number.is_multiple_of(500);
    for entry in &entries {
        spool.acknowledge(entry.place, &[if is_slow(number_of(entry)) { 0b01 } else { 0b11 }]);
    }
    if !can_punch(directory.path()) {
        return;
    }
    eventually("room comes back", || spool.status().bytes <= MAX / 2);
    let on_disk: u64 = files(directory.path(), "log").iter().map(|file| allocated(file)).sum();
    assert!(on_disk <= MAX / 2 + 100_000, "{on_disk}");
    let bytes = spool.status().bytes;
    append(&spool, 2, &payload(number, 800)).unwrap();
    drop((spool, outlet));

    let (spool, mut outlet, recovered) = Spool::open(settings(directory.path(), MAX)).unwrap();
    let again = drain(&mut outlet);
    let numbers: Vec<_> = again.iter().map(number_of).collect();
    assert_eq!(
        numbers,
        (0..=number).filter(|own| is_slow(*own) || *own == number).collect::<Vec<_>>()
    );
    assert!(again.iter().all(|entry| entry.bytes == payload(number_of(entry), 800)));
    let status = spool.status();
    assert_eq!((status.corrupt_regions, status.read_errors), (0, 0));
    assert!(recovered.bytes < bytes + 2000 && recovered.acks_corrupt == 0, "{recovered:?}");
    again.iter().for_each(|entry| spool.acknowledge_all(entry.place));
    eventually("all is removed", || spool.status().bytes == 0);
}

fn can_punch(directory: &Path) -> bool {
    let path = directory.join("holes");
    fs::write(&path, [1; 8192]).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    storage::punch(&file, 0, 4096).is_ok()
}

fn allocated(file: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(file).unwrap().blocks() * 512
}

/// A real disk without room, where the test may mount one.
#[test]
fn a_file_system_without_room_is_a_full_spool() {
    let directory = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(directory.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        return;
    }
    let result = std::panic::catch_unwind(|| fill(directory.path()));
    let unmount = std::process::Command::new("umount").arg(directory.path()).status();
    result.unwrap();
    assert!(unmount.unwrap().success());
}

fn fill(directory: &Path) {
    let settings = SpoolSettings { durability: Durability::Fsync, ..settings(directory, 1 << 30) };
    let (spool, mut outlet, _) = Spool::open_on(settings, 100_000, Box::new(Files)).unwrap();
    for _ in 0..3 {
        let mut appended = 0;
        let error = loop {
            match append(&spool, 1, &payload(appended, 30_000)) {
                Ok(()) => appended += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error, AppendError::Full);
        assert!(appended > 40 && spool.status().is_failing, "{appended}");
        let entries = drain(&mut outlet);
        assert_eq!(
            entries.iter().map(number_of).collect::<Vec<_>>(),
            (0..appended).collect::<Vec<_>>()
        );
        entries.iter().for_each(|entry| spool.acknowledge_all(entry.place));
        eventually("room comes back", || spool.status().segments <= 1);
    }
}
