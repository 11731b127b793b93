//! Tests files that were changed after they were written.

use proptest::prelude::*;

use super::*;

/// A spool of some entries with two items each, some of them acknowledged. The second directory is
/// a copy from before the spool was closed.
fn written(entries: u32) -> (tempfile::TempDir, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (spool, mut consumer, _) = open(directory.path());
    for number in 0..entries {
        append(&spool, 2, &payload(number, 37 * (number as usize % 13))).unwrap();
    }
    for entry in drain(&mut consumer) {
        spool.acknowledge(entry.place, 0..u32::from(number_of(&entry) % 3 == 1));
    }
    let unclosed = copy(directory.path());
    (directory, unclosed)
}

/// The entries of a spool, and the reports about it.
fn read_all(directory: &Path) -> (Vec<SpoolEntry>, Recovered, SpoolStatus) {
    let (spool, mut consumer, recovered) = open(directory);
    let entries = drain(&mut consumer);
    for entry in &entries {
        assert_eq!(entry.bytes, payload(number_of(entry), entry.bytes.len() - 4), "it is sound");
    }
    let status = spool.status();
    let waiting: u64 =
        entries.iter().map(|entry| u64::from(entry.items) - entry.acked.len() as u64).sum();
    assert_eq!(status.items_waiting, waiting);
    (entries, recovered, status)
}

fn flip(file: &Path, byte: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[byte] ^= 0x40;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_flipped_byte_takes_its_own_entry_only() {
    let (closed, unclosed) = written(20);
    for original in [closed.path(), unclosed.path()] {
        let logs = files(original, "log");
        assert!(logs.len() > 2);
        for log in logs {
            for byte in (0..fs::metadata(&log).unwrap().len() as usize).step_by(5) {
                let directory = copy(original);
                flip(&directory.path().join(log.file_name().unwrap()), byte);
                let (entries, recovered, status) = read_all(directory.path());
                assert!(entries.windows(2).all(|pair| number_of(&pair[0]) < number_of(&pair[1])));
                assert!(entries.len() >= 19, "{byte}");
                // A flipped byte is not an interrupted write.
                assert_eq!((status.corrupt_regions, recovered.torn_bytes), (1, 0), "{byte}");
                let is_lost = entries.len() < 20;
                assert!(is_lost == (status.set_aside_bytes > 0), "{byte}: {status:?}");
                assert_eq!(files(directory.path(), "corrupt").len(), usize::from(is_lost));
                if original == closed.path() {
                    let lost = 2 * (20 - entries.len()) as u64;
                    assert!(
                        status.corrupt_items <= lost && (lost == 0) == (status.corrupt_items == 0),
                        "{byte}: {status:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_cut_off_is_all_that_is_lost() {
    let (closed, unclosed) = written(20);
    for original in [closed.path(), unclosed.path()] {
        let last = files(original, "log").pop().unwrap();
        let full = fs::metadata(&last).unwrap().len();
        let mut most = 20;
        for length in (0..full).rev().step_by(11) {
            let directory = copy(original);
            let file = directory.path().join(last.file_name().unwrap());
            fs::File::options().write(true).open(&file).unwrap().set_len(length).unwrap();
            let (entries, recovered, status) = read_all(directory.path());
            let numbers: Vec<_> = entries.iter().map(number_of).collect();
            assert_eq!(numbers, (0..entries.len() as u32).collect::<Vec<_>>());
            assert!(entries.len() <= most && entries.len() + 1 >= most, "{length}");
            most = entries.len();
            // A complete segment cannot be torn.
            let is_corrupt = original == closed.path();
            assert_eq!(
                (status.corrupt_regions > 0, recovered.torn_bytes > 0 && is_corrupt),
                (is_corrupt, false)
            );
        }
    }
}

#[test]
fn corrupt_acknowledgements_lose_nothing() {
    let (closed, _) = written(20);
    for acks in files(closed.path(), "acks") {
        let name = acks.file_name().unwrap();
        let try_with = |change: &dyn Fn(&Path)| {
            let directory = copy(closed.path());
            change(&directory.path().join(name));
            let (entries, recovered, status) = read_all(directory.path());
            assert_eq!(entries.len(), 20);
            assert_eq!((recovered.torn_bytes, status.corrupt_regions), (0, 0));
            recovered.acks_corrupt
        };
        let length = fs::metadata(&acks).unwrap().len() as usize;
        // Of the reserved part, only a few bytes.
        for byte in (0..length.min(300)).step_by(3).chain((300..length).step_by(701)) {
            assert_eq!(try_with(&|file| flip(file, byte)), 1);
        }
        assert_eq!(try_with(&|file| fs::remove_file(file).unwrap()), 1);
        assert!(try_with(&|file| fs::write(file, [0xff; 1000]).unwrap()) > 1);
        assert_eq!(try_with(&|file| fs::write(file, "").unwrap()), 0);
        assert_eq!(try_with(&|file| fs::write(file, vec![0; length]).unwrap()), 0);
    }
}

#[test]
fn other_files_are_left_alone() {
    let (directory, _) = written(5);
    let others =
        ["notes.log", "1.log", "0000000000000000000x.log", "99999999999999999999.log", "a"];
    for other in others {
        fs::write(directory.path().join(other), "mine").unwrap();
    }
    fs::create_dir(directory.path().join("00000000000000000077.log")).unwrap();
    fs::write(directory.path().join("00000000000000000050.log"), "").unwrap();
    fs::write(directory.path().join("00000000000000000060.acks"), "").unwrap();
    fs::write(directory.path().join("00000000000000000070.log"), "no frames at all, but bytes")
        .unwrap();
    let (entries, recovered, status) = read_all(directory.path());
    assert_eq!((entries.len(), recovered.torn_bytes), (5, 0));
    // The header is corrupt too, if the reader reaches it before the file is removed.
    assert!([11, 16 + 11].contains(&status.corrupt_bytes) && status.set_aside_bytes == 11);
    for other in others {
        assert_eq!(fs::read(directory.path().join(other)).unwrap(), b"mine");
    }
    // Old acknowledgements never apply to a new segment.
    fs::write(directory.path().join("00000000000000000080.acks"), [0xff; 64]).unwrap();
    let (spool, _outlet, _) = open(directory.path());
    append(&spool, 1, b"next").unwrap();
    let next = directory.path().join("00000000000000000081.log");
    assert!(fs::read(next).unwrap().ends_with(b"next"));
    assert!(!directory.path().join("00000000000000000080.acks").exists());
}

#[test]
fn a_file_of_another_version_is_not_touched() {
    let (directory, _) = written(5);
    let file = &files(directory.path(), "log")[0];
    let mut bytes = fs::read(file).unwrap();
    bytes[8] = 9;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..12]);
    hasher.update(&1_u64.to_le_bytes());
    hasher.update(&0_u64.to_le_bytes());
    bytes[12..16].copy_from_slice(&hasher.finalize().to_le_bytes());
    fs::write(file, &bytes).unwrap();
    let opened = Spool::open(settings(directory.path(), 1 << 20));
    assert!(matches!(opened, Err(SpoolOpenError::Version { version: 9, .. })), "{opened:?}");
    assert_eq!(fs::read(file).unwrap(), bytes);
}

/// The last segment of a killed process, and the position of its last entry.
fn last_segment(directory: &Path) -> (PathBuf, usize) {
    let last = files(directory, "log").pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    let start = memchr::memmem::rfind(&bytes, &frame::FRAME_MAGIC).unwrap();
    (last, start)
}

/// Reads a spool whose last segment was changed, twice.
fn after(change: impl Fn(&mut Vec<u8>, usize)) -> (tempfile::TempDir, Vec<u32>, u64, SpoolStatus) {
    let (_, directory) = written(20);
    let (last, start) = last_segment(directory.path());
    let mut bytes = fs::read(&last).unwrap();
    change(&mut bytes, start);
    fs::write(&last, bytes).unwrap();
    let (entries, recovered, status) = read_all(directory.path());
    let numbers = entries.iter().map(number_of).collect();
    let (again, recovered_again, status_again) = read_all(directory.path());
    assert_eq!((again, recovered_again.torn_bytes), (entries, 0));
    assert_eq!(status_again.set_aside_bytes, status.set_aside_bytes, "it is kept, once");
    (directory, numbers, recovered.torn_bytes, status)
}

#[test]
fn the_beginning_of_a_write_is_cut_off_and_is_no_corruption() {
    let all: Vec<u32> = (0..20).collect();
    for kept in [1, 7, 27, 28, 29, 100] {
        let (directory, numbers, torn, status) = after(|bytes, start| bytes.truncate(start + kept));
        assert_eq!((&numbers[..], torn), (&all[..19], kept as u64));
        assert_eq!((status.corrupt_regions, status.corrupt_bytes), (0, 0));
        assert_eq!(files(directory.path(), "corrupt"), [] as [PathBuf; 0]);
    }
    // Zeros in space that the file system allocated before a power failure.
    for zeros in [1, 5000] {
        let (_, numbers, torn, status) = after(|bytes, _| bytes.resize(bytes.len() + zeros, 0));
        assert_eq!((numbers, torn, status.corrupt_regions), (all.clone(), zeros as u64, 0));
    }
}

#[test]
fn an_end_that_was_damaged_is_counted_and_kept() {
    type Change = fn(&mut Vec<u8>, usize);
    let changes: [(Change, usize); 5] = [
        // The header of an acknowledged entry.
        (|bytes, start| bytes[start + 9] ^= 1, 19),
        (|bytes, start| bytes[start] ^= 1, 19),
        // An interrupted write follows it.
        (
            |bytes, start| {
                bytes[start + 9] ^= 1;
                bytes.extend_from_slice(b"\xf5spo\xffol\xfa");
            },
            19,
        ),
        (
            |bytes, start| {
                bytes.truncate(start);
                bytes.extend_from_slice(b"a message of somebody else");
            },
            19,
        ),
        (|bytes, _| bytes.extend_from_slice(&[7; 100_000]), 20),
    ];
    for (number, (change, left)) in changes.into_iter().enumerate() {
        let (directory, numbers, torn, status) = after(change);
        assert_eq!((numbers.len(), torn), (left, 0), "{number}");
        assert_eq!(status.corrupt_regions, 1, "{number}: {status:?}");
        let (_, original) = written(20);
        let (path, start) = last_segment(original.path());
        let mut bytes = fs::read(&path).unwrap();
        let end = if left == 20 { bytes.len() } else { start };
        change(&mut bytes, start);
        let kept = files(directory.path(), "corrupt");
        assert_eq!(fs::read(&kept[0]).unwrap(), &bytes[end..], "{number}: what was cut off");
        assert_eq!((kept.len(), status.corrupt_bytes), (1, (bytes.len() - end) as u64));
        let log = files(directory.path(), "log").pop().unwrap();
        assert_eq!(fs::metadata(log).unwrap().len() as usize, end);
    }
}

#[test]
fn corrupt_entries_are_kept_up_to_a_bound() {
    let (_, directory) = written(20);
    let (last, start) = last_segment(directory.path());
    let bound = limits::SPOOL_SET_ASIDE_BYTES_MAX;
    let other = directory.path().join("of_before.corrupt");
    fs::File::create(&other).unwrap().set_len(bound - 20).unwrap();
    flip(&last, start);
    let (entries, _, status) = read_all(directory.path());
    assert_eq!(
        (entries.len(), status.corrupt_regions, status.set_aside_bytes),
        (19, 1, bound - 20)
    );
    assert_eq!(files(directory.path(), "corrupt"), [other]);
    let length = fs::metadata(&last).unwrap().len() as usize;
    assert!(length > start, "what is not kept elsewhere stays for now");
}

#[test]
fn a_renamed_segment_is_refused_and_not_touched() {
    let (closed, unclosed) = written(20);
    for original in [closed.path(), unclosed.path()] {
        for (which, log) in files(original, "log").into_iter().enumerate() {
            let directory = copy(original);
            let name = |number: u64| directory.path().join(format!("{number:020}.log"));
            let log = directory.path().join(log.file_name().unwrap());
            fs::rename(&log, name(900)).unwrap();
            let before = snapshot(directory.path());
            let opened = Spool::open(settings(directory.path(), 1 << 20));
            let Err(SpoolOpenError::Renamed { file, original }) = opened else {
                panic!("{opened:?}")
            };
            assert_eq!((file, &original), (name(900), &log), "{which}");
            assert_eq!(snapshot(directory.path()), before);
            fs::rename(name(900), log).unwrap();
            assert_eq!(read_all(directory.path()).0.len(), 20);
        }
    }
}

/// The names and contents of the segment files.
fn snapshot(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let all = [files(directory, "log"), files(directory, "acks")].concat();
    all.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    /// After any damage of the files, reading ends, and the entries are a subset of those written,
    /// in order.
    #[test]
    fn arbitrary_damage_is_passed_over(
        damages in proptest::collection::vec((any::<usize>(), any::<usize>(), proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 1..6),
        is_closed in any::<bool>(),
    ) {
        let (closed, unclosed) = written(20);
        let directory = if is_closed { closed } else { unclosed };
        let mut all = files(directory.path(), "log");
        all.extend(files(directory.path(), "acks"));
        for (which, at, bytes, is_insert) in damages {
            let file = &all[which % all.len()];
            let mut content = fs::read(file).unwrap();
            let at = at % (content.len() + 1);
            let end = if is_insert { at } else { (at + bytes.len()).min(content.len()) };
            content.splice(at..end, bytes);
            fs::write(file, content).unwrap();
        }
        let (entries, ..) = read_all(directory.path());
        prop_assert!(entries.windows(2).all(|pair| number_of(&pair[0]) < number_of(&pair[1])));
        let (spool, ..) = open(directory.path());
        append(&spool, 1, b"it goes on").unwrap();
    }
}
