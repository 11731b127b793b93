//! Tests a disk that fails, fills up and recovers while dead letters arrive.

use super::disk::{EIO, ENOSPC};
use super::*;

struct FailingQueue {
    directory: tempfile::TempDir,
    disk: PowerLossDisk,
    dead_letters: DeadLetterWriter,
    source: Source,
}

impl FailingQueue {
    fn within(bytes_max: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (disk, source) = (PowerLossDisk::default(), Source::default());
        let bound = DeadLetterLimit { bytes_max, when_full: WhenFull::Stop };
        let dead = directory.path().canonicalize().unwrap().join("dead");
        let durability = DeadLetterDurability::Synced;
        let dead_letters =
            DeadLetterWriter::waiting_on(dead, bound, durability, Box::new(disk.clone())).unwrap();
        FailingQueue { directory, disk, dead_letters, source }
    }

    fn dead(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("dead")
    }

    fn settled(&self) -> u64 {
        self.source.account().settled.dead
    }
}

#[test]
fn whatever_fails_is_tried_again_and_nothing_is_let_go_before_it_is_there() {
    let waiting = FailingQueue::within(1 << 30);
    let look = {
        let (disk, dead) = (waiting.disk.clone(), waiting.dead());
        move |acknowledged: &BTreeSet<usize>| {
            if !acknowledged.is_empty() {
                assert!(acknowledged.is_subset(&disk.survivors(&dead)));
            }
        }
    };
    let faults =
        [(ENOSPC, 0, 0, 0), (EIO, EIO, 0, 0), (0, 0, EIO, 0), (0, EIO, EIO, 0), (0, 0, 0, EIO)];
    for (round, (append, truncate, sync, sync_folder)) in faults.into_iter().enumerate() {
        let (dead_letters, source) = (&waiting.dead_letters, &waiting.source);
        let first = 100 * round;
        kill_and_look(dead_letters, source, first..first + 50, look.clone());
        eventually("the disk is fine", || waiting.settled() == first as u64 + 50);
        if sync_folder != 0 {
            // A new file has a new name.
            std::fs::remove_dir_all(waiting.dead()).unwrap();
        }
        waiting.disk.fail(append, truncate, sync, sync_folder);
        kill_and_look(dead_letters, source, first + 50..first + 100, look.clone());
        eventually("it fails", || waiting.dead_letters.report().trouble.is_some());
        let report = waiting.dead_letters.report();
        assert_eq!((report.waiting, report.refused, report.failure), (50, 0, None));
        assert_eq!(waiting.settled(), first as u64 + 50, "{round}");
        waiting.disk.fail(0, 0, 0, 0);
        eventually("it is fine again", || waiting.settled() == first as u64 + 100);
        let report = waiting.dead_letters.report();
        assert_eq!((report.waiting, report.trouble), (0, None));
        assert!(report.write_errors > round as u64);
    }
    waiting.dead_letters.finish();
    let survivors = waiting.disk.survivors(&waiting.dead());
    // The removed directory contained these dead letters.
    assert!(survivors.is_superset(&(450..500).collect()), "{survivors:?}");
    assert_eq!(waiting.source.account().acknowledged, (0..500).collect());
}

#[test]
fn a_disk_that_fails_for_long_fills_up_with_nothing() {
    let waiting = FailingQueue::within(1 << 30);
    waiting.disk.fail(0, 0, EIO, 0);
    kill(&waiting.dead_letters, &waiting.source, 0..10);
    eventually("it was tried a few times", || waiting.dead_letters.report().write_errors >= 3);
    let files = DeadLetterDirectory::new(waiting.dead()).files().unwrap();
    assert!(files.len() <= 1, "{files:?}");
    waiting.disk.fail(0, 0, 0, 0);
    eventually("all are settled", || waiting.settled() == 10);
    assert_eq!(written(&waiting.dead()), (0..10).collect::<Vec<_>>());
}

#[test]
fn what_waits_is_bounded_and_a_stop_lets_everybody_go() {
    let waiting = FailingQueue::within(1 << 30);
    waiting.disk.fail(ENOSPC, 0, 0, 0);
    let long = vec![b'x'; 1 << 20];
    let push = |number: usize| {
        let name = "in".into();
        let ack = waiting.source.promise(number..number + 1, |_| {});
        let dead_letter = DeadLetter::of_line(Reason::NotJson, "", &name, 1, &long);
        waiting.dead_letters.settle_dead(&dead_letter, &ack, 0);
    };
    let (dead_letters, source) = (&waiting.dead_letters, &waiting.source);
    thread::scope(|scope| {
        let pushed = scope.spawn(|| {
            for number in 0..40 {
                dead_letters.wait_for_room_blocking();
                push(number);
            }
        });
        eventually("as many wait as may", || dead_letters.report().waiting == 16);
        thread::sleep(Duration::from_millis(50));
        assert!(!pushed.is_finished() && dead_letters.report().waiting == 16);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let wait_for_room = async {
            tokio::time::timeout(Duration::from_millis(50), dead_letters.wait_for_room()).await
        };
        assert!(runtime.block_on(wait_for_room).is_err(), "there is no room");
        dead_letters.stop_waiting();
        pushed.join().unwrap();
        runtime.block_on(dead_letters.wait_for_room());
        dead_letters.finish();
    });
    let report = dead_letters.report();
    assert_eq!((report.waiting, report.refused), (0, 40));
    assert!(report.failure.unwrap().contains("No space left"));
    let settled = source.account().settled;
    assert_eq!((settled.undelivered, settled.dead), (40, 0));
    assert_eq!(source.account().acknowledged, BTreeSet::new());
    // Dead letters that arrive too late are refused and counted.
    push(40);
    assert_eq!((dead_letters.report().refused, source.account().settled.undelivered), (41, 41));
}

#[test]
fn a_full_directory_is_waited_for() {
    let waiting = FailingQueue::within(100_000);
    std::fs::create_dir(waiting.dead()).unwrap();
    let old = waiting.dead().join("20260101T000000.000Z-1-0.ndjson");
    std::fs::write(&old, [b'\n'; 100_000]).unwrap();
    kill(&waiting.dead_letters, &waiting.source, 0..20);
    eventually("they wait", || waiting.dead_letters.report().trouble.is_some());
    let trouble = waiting.dead_letters.report().trouble.unwrap();
    assert!(trouble.contains("`max_bytes`") && trouble.contains("100000 bytes"), "{trouble}");
    std::fs::remove_file(old).unwrap();
    eventually("all are settled", || waiting.settled() == 20);
    assert_eq!(written(&waiting.dead()), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_letter_that_never_fits_is_refused_and_holds_up_no_other() {
    let waiting = FailingQueue::within(100_000);
    let (dead_letters, source) = (&waiting.dead_letters, &waiting.source);
    let name = "in".into();
    let ack = source.promise(1000..1001, |_| {});
    let long = vec![b'x'; 100_000];
    dead_letters.settle_dead(&DeadLetter::of_line(Reason::NotJson, "", &name, 1, &long), &ack, 0);
    drop(ack);
    kill(dead_letters, source, 0..20);
    eventually("the others are settled", || waiting.settled() == 20);
    let report = dead_letters.report();
    assert_eq!((report.refused, source.account().settled.undelivered), (1, 1));
    assert!(report.failure.unwrap().contains("`max_bytes`"));
}

#[test]
fn letters_go_on_where_their_files_are_removed() {
    let waiting = FailingQueue::within(1 << 30);
    for round in 0..3 {
        kill(&waiting.dead_letters, &waiting.source, 10 * round..10 * round + 10);
        eventually("they are settled", || waiting.settled() == 10 * round as u64 + 10);
        assert!(
            written(&waiting.dead()).ends_with(&(10 * round..10 * round + 10).collect::<Vec<_>>())
        );
        match round {
            0 => std::fs::remove_dir_all(waiting.dead()).unwrap(),
            _ => std::fs::remove_file(waiting.dead_letters.report().file.unwrap()).unwrap(),
        }
    }
    assert_eq!(waiting.dead_letters.report().refused, 0);
}

/// Replayed dead letters are removed from their files after the new ones are synced. After a failed
/// sync, a second sync says nothing about what the first one lost.
#[test]
fn a_sync_that_failed_once_is_never_believed_again() {
    let directory = tempfile::tempdir().unwrap();
    let disk = PowerLossDisk::default();
    let storage = Box::new(disk.clone());
    let durability = DeadLetterDurability::Written;
    let log = DeadLetterLog::new(
        directory.path().join("dead"),
        DeadLetterLimit::default(),
        durability,
        storage,
    );
    let dead_letters = DeadLetterWriter { log, queue: None, on_refusal: OnceLock::new() };
    let name = "in".into();
    let write = || dead_letters.write(&DeadLetter::of_line(Reason::NotJson, "", &name, 1, b"x"));
    write().unwrap();
    disk.fail(0, 0, EIO, 0);
    assert!(dead_letters.sync().is_err());
    disk.fail(0, 0, 0, 0);
    assert!(dead_letters.sync().is_err());
    write().unwrap();
    assert!(dead_letters.sync().is_err());
}
