//! Opens and reads a spool with arbitrary changes of its files. Both must end. The entries of a
//! damaged spool are the stored ones, in order, and it accepts new entries.
#![no_main]

use std::fs;
use std::path::Path;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use standpipe_spool::{Consumer, Durability, NextEntry, Spool, SpoolEntry, SpoolSettings};

const LOG: &str = "00000000000000000001.log";
const ACKS: &str = "00000000000000000001.acks";
const ENTRIES: u8 = 12;

fuzz_target!(|files: (bool, bool, &[u8], &[u8])| {
    let (is_damage, is_closed, log, acks) = files;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    if is_damage {
        write_entries(path, is_closed);
        damage_file(&path.join(LOG), log);
        damage_file(&path.join(ACKS), acks);
    } else {
        fs::write(path.join(LOG), log).expect("a file");
        fs::write(path.join(ACKS), acks).expect("a file");
    }
    let Ok((spool, mut consumer, _)) = Spool::open(spool_settings(path)) else {
        return;
    };
    let entries = read_entries(&mut consumer);
    if is_damage {
        assert!(entries.iter().all(|entry| entry.bytes == make_payload(entry.bytes[0])));
        assert!(entries.windows(2).all(|pair| pair[0].bytes[0] < pair[1].bytes[0]));
    }
    entries.iter().for_each(|entry| spool.acknowledge(entry.place, 0..entry.items));
    assert_eq!(spool.status().items_waiting, 0);
    append_entry(&spool, 1, make_payload(ENTRIES));
    assert_eq!(read_entries(&mut consumer).len(), 1);
});

/// Writes twelve entries of different sizes, with some acknowledged items. The files are those of a
/// process that ended, or of a killed one.
fn write_entries(path: &Path, is_closed: bool) {
    let (spool, mut consumer, _) = Spool::open(spool_settings(path)).expect("an empty spool");
    (0..ENTRIES).for_each(|number| append_entry(&spool, 3, make_payload(number)));
    for entry in read_entries(&mut consumer).iter().step_by(2) {
        spool.acknowledge(entry.place, [0, 2].into_iter());
    }
    let files = [LOG, ACKS].map(|name| (name, fs::read(path.join(name)).expect("a file")));
    drop((spool, consumer));
    if !is_closed {
        files.iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).expect("a file"));
    }
}

/// Changes the file at one position for each four bytes, which determine the position, the new
/// value and the kind of change.
fn damage_file(file: &Path, changes: &[u8]) {
    let mut bytes = fs::read(file).expect("a file");
    for change in changes.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % (bytes.len() + 1);
        let length = usize::from(change[3] >> 2);
        match change[3] % 4 {
            0 if at < bytes.len() => bytes[at] ^= change[2],
            1 => drop(bytes.splice(at..at, std::iter::repeat_n(change[2], length))),
            2 => drop(bytes.drain(at..(at + length).min(bytes.len()))),
            3 => bytes.truncate(at.max(bytes.len() / 2)),
            _ => {}
        }
    }
    fs::write(file, bytes).expect("a file");
}

fn make_payload(number: u8) -> Vec<u8> {
    let length = 20 * usize::from(number) + 1;
    (0..length).map(|at| number.wrapping_add(at as u8 & 0xf0)).collect()
}

fn spool_settings(path: &Path) -> SpoolSettings {
    let durability = Durability::Os;
    SpoolSettings { directory: path.to_owned(), bytes_max: 1 << 30, durability }
}

fn append_entry(spool: &Spool, items: u32, bytes: Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(spool.append(items, bytes)).expect("room");
}

fn read_entries(consumer: &mut Consumer) -> Vec<SpoolEntry> {
    let next = || match consumer.next(Duration::ZERO) {
        NextEntry::Entry(entry) => Some(entry),
        NextEntry::Nothing | NextEntry::End => None,
    };
    std::iter::from_fn(next).collect()
}
