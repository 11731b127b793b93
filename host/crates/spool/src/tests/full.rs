//! Tests the size limit of a spool, and how space is released.

use super::*;

#[test]
fn a_full_spool_takes_entries_again_once_some_are_acknowledged() {
    for durability in [Durability::Os, Durability::Memory] {
        let directory = tempfile::tempdir().unwrap();
        let settings = SpoolSettings { durability, ..settings(directory.path(), 20_000) };
        let (spool, mut consumer, _) =
            Spool::open_on(settings, SEGMENT_BYTES, Box::new(FileStorage)).unwrap();
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
            let entries = drain(&mut consumer);
            assert_eq!(entries.len() as u32, appended);
            entries.iter().for_each(|entry| acknowledge_all(&spool, entry));
            eventually("room comes back", || spool.status().bytes < 3000);
        }
    }
}

#[test]
fn an_entry_as_large_as_the_spool_gets_in_behind_others() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, mut consumer, _) = Spool::open(settings(directory.path(), 50_000)).unwrap();
    for _ in 0..10 {
        append(&spool, 1, &payload(1, 20_000)).unwrap();
        assert_eq!(append(&spool, 1, &payload(1, 40_000)), Err(AppendError::Full));
        acknowledge_all(&spool, &read(&mut consumer).unwrap());
        append(&spool, 1, &payload(1, 40_000)).unwrap();
        acknowledge_all(&spool, &read(&mut consumer).unwrap());
    }
}

/// A slow stream keeps one item in each segment. The space of all others is released, even of
/// entries smaller than a block.
#[test]
fn a_few_items_do_not_hold_the_room_of_all_others() {
    const MAX: u64 = 16 * 1024 * 1024;
    let directory = tempfile::tempdir().unwrap();
    let (spool, mut consumer, _) = Spool::open(settings(directory.path(), MAX)).unwrap();
    let mut number = 0;
    while append(&spool, 2, &payload(number, 800)).is_ok() {
        number += 1;
    }
    let entries = drain(&mut consumer);
    let is_slow = |number: u32| number.is_multiple_of(500);
    for entry in &entries {
        spool.acknowledge(entry.place, 0..if is_slow(number_of(entry)) { 1 } else { 2 });
    }
    assert_can_punch(directory.path());
    eventually("room comes back", || spool.status().bytes <= MAX / 2);
    let on_disk: u64 = files(directory.path(), "log").iter().map(|file| allocated(file)).sum();
    assert!(on_disk <= MAX / 2 + 100_000, "{on_disk}");
    let bytes = spool.status().bytes;
    append(&spool, 2, &payload(number, 800)).unwrap();
    drop((spool, consumer));

    let (spool, mut consumer, recovered) = Spool::open(settings(directory.path(), MAX)).unwrap();
    let again = drain(&mut consumer);
    let numbers: Vec<_> = again.iter().map(number_of).collect();
    assert_eq!(
        numbers,
        (0..=number).filter(|own| is_slow(*own) || *own == number).collect::<Vec<_>>()
    );
    assert!(again.iter().all(|entry| entry.bytes == payload(number_of(entry), 800)));
    let status = spool.status();
    assert_eq!((status.corrupt_regions, status.read_errors), (0, 0));
    assert!(recovered.bytes < bytes + 2000 && recovered.acks_corrupt == 0, "{recovered:?}");
    again.iter().for_each(|entry| acknowledge_all(&spool, entry));
    eventually("all is removed", || spool.status().bytes == 0);
}

/// Asserts that the file system supports holes in files, with which the spool releases space.
fn assert_can_punch(directory: &Path) {
    let path = directory.join("holes");
    fs::write(&path, [1; 8192]).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    let punched = standpipe_core::files::punch_hole(&file, 0, 4096);
    punched.expect("this test needs a file system with holes in files, such as ext4: set TMPDIR");
}

fn allocated(file: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(file).unwrap().blocks() * 512
}

/// A real disk of 2 MiB without free space. The test must be able to mount it.
fn with_small_disk(test: impl FnOnce(&Path) + std::panic::UnwindSafe) {
    let directory = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(directory.path())
        .output()
        .expect("mount starts");
    assert!(
        mount.status.success(),
        "this test needs to mount a tmpfs: run it as root, in a container with CAP_SYS_ADMIN: {}",
        String::from_utf8_lossy(&mount.stderr).trim()
    );
    let result = std::panic::catch_unwind(|| test(directory.path()));
    let unmount = std::process::Command::new("umount").arg("--lazy").arg(directory.path()).status();
    result.unwrap();
    assert!(unmount.unwrap().success());
}

/// A spool whose limit is larger than its disk.
fn open_on_small_disk(directory: &Path, segment_bytes: u64) -> (Spool, Consumer) {
    let settings = SpoolSettings { durability: Durability::Fsync, ..settings(directory, 1 << 30) };
    let (spool, consumer, _) =
        Spool::open_on(settings, segment_bytes, Box::new(FileStorage)).unwrap();
    (spool, consumer)
}

/// Appends entries of 30 kB until the disk is full. Returns their number.
fn fill_disk(spool: &Spool) -> u32 {
    let mut appended = 0;
    let error = loop {
        match append(spool, 1, &payload(appended, 30_000)) {
            Ok(()) => appended += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, AppendError::Full);
    assert!(appended > 40 && spool.status().is_failing, "{appended}");
    appended
}

#[test]
fn all_in_the_segment_that_is_written_is_given_back_without_another_append() {
    with_small_disk(|directory| {
        let (spool, mut consumer) = open_on_small_disk(directory, 1 << 30);
        for _ in 0..3 {
            let appended = fill_disk(&spool);
            let entries = drain(&mut consumer);
            assert_eq!(entries.len() as u32, appended);
            entries.iter().for_each(|entry| acknowledge_all(&spool, entry));
            eventually("it works again", || !spool.status().is_failing);
            assert_eq!(spool.status().tend_errors, 0);
        }
    });
}

#[test]
fn the_next_append_has_the_room_of_what_is_acknowledged() {
    with_small_disk(|directory| {
        let (spool, mut consumer) = open_on_small_disk(directory, 1 << 30);
        for _ in 0..3 {
            fill_disk(&spool);
            drain(&mut consumer).iter().for_each(|entry| acknowledge_all(&spool, entry));
            append(&spool, 1, &payload(0, 500_000)).unwrap();
            assert!(!spool.status().is_failing);
        }
    });
}

/// Small entries have space while large ones are refused. The status stays bad until a large one has space, whichever
/// was refused last.
#[test]
fn a_smaller_entry_does_not_end_the_failure_of_a_larger_one() {
    with_small_disk(|directory| {
        let (spool, mut consumer) = open_on_small_disk(directory, 1 << 30);
        let mut large = 0;
        while append(&spool, 1, &payload(large, 300_000)).is_ok() {
            large += 1;
        }
        let mut small = large;
        while append(&spool, 1, &payload(small, 2000)).is_ok() {
            assert!(spool.status().is_failing, "after the small entry {small}");
            small += 1;
        }
        assert!(small > large + 10, "{large} large entries, {small} in total");
        let entries = drain(&mut consumer);
        entries.iter().for_each(|entry| acknowledge_all(&spool, entry));
        eventually("it works again", || !spool.status().is_failing);
        append(&spool, 1, &payload(0, 300_000)).unwrap();
    });
}

/// A disk can be too small for an entry, however empty the spool is.
#[test]
fn an_entry_that_the_disk_never_has_space_for_does_not_fail_the_spool_for_ever() {
    with_small_disk(|directory| {
        let (spool, mut consumer) = open_on_small_disk(directory, 1 << 30);
        assert_eq!(append(&spool, 1, &payload(0, 3_000_000)), Err(AppendError::Full));
        assert!(spool.status().is_failing);
        eventually("it works again", || !spool.status().is_failing);
        append(&spool, 1, &payload(0, 300_000)).unwrap();
        assert_eq!(drain(&mut consumer).len(), 1);
    });
}

/// One stream is slow: all entries except the first are acknowledged while the disk is full, and
/// the acknowledgements are stored.
#[test]
fn a_segment_on_a_full_disk_gives_back_all_but_what_is_needed() {
    with_small_disk(|directory| {
        assert_can_punch(directory);
        let (spool, mut consumer) = open_on_small_disk(directory, 1 << 30);
        fill_disk(&spool);
        let entries = drain(&mut consumer);
        entries[1..].iter().for_each(|entry| acknowledge_all(&spool, entry));
        let before = copy(directory);
        eventually("room comes back", || append(&spool, 1, &payload(7, 900_000)).is_ok());
        assert_eq!(spool.status().tend_errors, 0);
        drop((spool, consumer));
        for directory in [before.path(), directory] {
            let (_spool, mut consumer) = open_on_small_disk(directory, 1 << 30);
            let entries = drain(&mut consumer);
            assert_eq!(number_of(&entries[0]), 0);
            let later = if directory == before.path() { 0 } else { 1 };
            assert_eq!(entries.len(), 1 + later);
        }
    });
}

#[test]
fn a_file_system_without_room_is_a_full_spool() {
    with_small_disk(fill);
}

fn fill(directory: &Path) {
    let (spool, mut consumer) = open_on_small_disk(directory, 100_000);
    for _ in 0..3 {
        let appended = fill_disk(&spool);
        let entries = drain(&mut consumer);
        assert_eq!(
            entries.iter().map(number_of).collect::<Vec<_>>(),
            (0..appended).collect::<Vec<_>>()
        );
        entries.iter().for_each(|entry| acknowledge_all(&spool, entry));
        eventually("room comes back", || spool.status().segments <= 1);
    }
}
