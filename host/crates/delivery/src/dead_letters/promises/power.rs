//! Tests a power failure at each moment at which a source releases events.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const THREADS: usize = 4;
const EVENTS: usize = 400;

/// Dead-letters events from several threads, with a power failure at each acknowledgement. Returns
/// how many acknowledged events would be lost.
fn lost_events(dead_letters: &dyn Fn(&Path, PowerLossDisk) -> DeadLetterWriter) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let dead = directory.path().canonicalize().unwrap().join("data/dead");
    let disk = PowerLossDisk::default();
    let dead_letters = dead_letters(&dead, disk.clone());
    let (source, lost) = (Source::default(), Arc::<AtomicU64>::default());
    let look = {
        let (dead, lost) = (dead.clone(), Arc::clone(&lost));
        move |acknowledged: &BTreeSet<usize>| {
            if !acknowledged.is_empty() {
                let gone = acknowledged.difference(&disk.survivors(&dead)).count();
                lost.fetch_add(gone as u64, Ordering::SeqCst);
            }
        }
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (dead_letters, source, look) = (&dead_letters, &source, look.clone());
            let first = thread * EVENTS;
            scope.spawn(move || kill_and_look(dead_letters, source, first..first + EVENTS, look));
        }
    });
    dead_letters.finish();
    assert_eq!(source.account().acknowledged.len(), THREADS * EVENTS);
    assert_eq!(source.account().settled.dead, (THREADS * EVENTS) as u64);
    let mut written = written(&dead);
    written.sort_unstable();
    assert_eq!(written, (0..THREADS * EVENTS).collect::<Vec<_>>());
    assert_eq!(dead_letters.report().dead_letters[&Reason::NotJson], (THREADS * EVENTS) as u64);
    lost.load(Ordering::SeqCst)
}

fn waiting(dead: &Path, disk: PowerLossDisk, durability: DeadLetterDurability) -> DeadLetterWriter {
    // Files are small, so that some of them become full.
    let bound = DeadLetterLimit { bytes_max: 1 << 20, when_full: WhenFull::Stop };
    DeadLetterWriter::waiting_on(dead.to_owned(), bound, durability, Box::new(disk)).unwrap()
}

#[test]
fn what_a_source_lets_go_outlives_a_loss_of_power_where_that_is_promised() {
    let synced =
        |dead: &Path, disk: PowerLossDisk| waiting(dead, disk, DeadLetterDurability::Synced);
    assert_eq!(lost_events(&synced), 0);
    // The disk of this test does lose unsynced data.
    let written =
        |dead: &Path, disk: PowerLossDisk| waiting(dead, disk, DeadLetterDurability::Written);
    assert!(lost_events(&written) > 0);
}

#[test]
fn letters_that_come_together_share_a_sync_and_none_cost_none() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, source) = (PowerLossDisk::default(), Source::default());
    let dead_letters =
        waiting(&directory.path().join("dead"), disk.clone(), DeadLetterDurability::Synced);
    dead_letters.sync().unwrap();
    assert_eq!(disk.syncs(), 0);
    kill(&dead_letters, &source, 0..2000);
    eventually("all are settled", || source.account().settled.dead == 2000);
    let syncs = disk.syncs();
    assert!((1..200).contains(&syncs), "{syncs} syncs of 2000 letters");
    dead_letters.sync().unwrap();
    dead_letters.finish();
    assert_eq!(disk.syncs(), syncs);
}
