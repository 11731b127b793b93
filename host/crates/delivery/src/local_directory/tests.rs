//! Tests the local directory: killed writers, torn lines, changed files, and arbitrary bytes in a
//! journal. Only the bytes of a noted append are ever cut off.

use std::fs;

use proptest::prelude::*;

use super::*;

fn stream(name: &str) -> StreamName {
    StreamName::parse(name).unwrap()
}

/// Appends a batch of one record.
fn put(
    directory: &LocalDirectory,
    name: &str,
    text: &[u8],
    newline: bool,
) -> Result<(), RequestError> {
    let batch = Arc::new(Batch::of_record(text, newline, None));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(directory.put_record_batch(&stream(name), batch)).map(|_| ())
}

fn open(path: &Path) -> LocalDirectory {
    LocalDirectory::new(path.to_owned()).unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path.join("a.ndjson")).unwrap()
}

/// Leaves the files of a process that was killed while it appended a batch of this stream.
fn kill_while_appending(path: &Path, name: &str, bytes: &[u8], written: usize) {
    let directory = open(path);
    let file_path = path_of(path, name);
    let length = file_path.metadata().map_or(0, |metadata| metadata.len());
    let append = directory.journal.begin_append(&stream(name), length, length + bytes.len() as u64);
    append.unwrap();
    let mut file = OpenOptions::new().append(true).create(true).open(file_path).unwrap();
    file.write_all(&bytes[..written]).unwrap();
    // The note was not cleared, so the journal stays.
    drop(directory);
    assert!(path.join(".standpipe-appends").exists());
}

#[test]
fn the_next_run_cuts_off_a_part_of_a_batch_of_any_form() {
    let batches: [&[u8]; 4] =
        [b"{\"a\":1}\n{\"b\":2}\n", b"{\"a\":1}{\"b\":2}", b"line\nline\n\n", b"\xff\0\n\xfe"];
    for batch in batches {
        for written in 0..=batch.len() {
            let directory = tempfile::tempdir().unwrap();
            put(&open(directory.path()), "a", b"first", false).unwrap();
            kill_while_appending(directory.path(), "a", batch, written);
            kill_while_appending(directory.path(), "b", batch, written);
            drop(open(directory.path()));
            for (name, before) in [("a", "first".as_bytes()), ("b", b"")] {
                let rest: &[u8] = if written == batch.len() { batch } else { b"" };
                let found = fs::read(path_of(directory.path(), name)).unwrap();
                assert_eq!(found, [before, rest].concat(), "{written} of {batch:?}");
            }
            assert!(!directory.path().join(".standpipe-appends").exists());
        }
    }
}

#[test]
fn files_that_somebody_changed_since_are_not_cut() {
    let directory = tempfile::tempdir().unwrap();
    kill_while_appending(directory.path(), "a", b"0123456789", 10);
    let path = path_of(directory.path(), "a");
    // A run of an earlier version has changed the file.
    fs::write(&path, "0123456789 and more").unwrap();
    drop(open(directory.path()));
    assert_eq!(read(directory.path()), "0123456789 and more");
    // A run that ended normally leaves no note about the file.
    put(&open(directory.path()), "a", b"x", false).unwrap();
    fs::write(&path, "01234567890").unwrap();
    drop(open(directory.path()));
    assert_eq!(read(directory.path()), "01234567890");
}

#[test]
fn a_torn_line_of_an_earlier_version_is_cut_off_where_records_are_lines() {
    for (left, newline, expected) in [
        ("{\"a\":1}\n{\"b", true, "{\"a\":1}\n{}\n"),
        ("{\"b", true, "{}\n"),
        ("{\"a\":1}\n", true, "{\"a\":1}\n{}\n"),
        ("{\"a\":1}", true, "{\"a\":1}\n{}\n"),
        ("{\"a\":1}{\"b", true, "{\"a\":1}\n{}\n"),
        ("some text", true, "some text\n{}\n"),
        ("", true, "{}\n"),
        // The end of the record cannot be determined.
        ("{\"a\":1}\n{\"b", false, "{\"a\":1}\n{\"b{}"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(path_of(directory.path(), "a"), left).unwrap();
        let open = open(directory.path());
        put(&open, "a", b"{}", newline).unwrap();
        assert_eq!(read(directory.path()), expected, "{left}");
        put(&open, "a", b"[]", newline).unwrap();
        assert!(read(directory.path()).trim_end().ends_with("[]"));
    }
}

#[test]
fn a_line_that_is_longer_than_a_record_stays() {
    let directory = tempfile::tempdir().unwrap();
    let left = format!("{{{}", "\"a".repeat(600_000));
    fs::write(path_of(directory.path(), "a"), &left).unwrap();
    put(&open(directory.path()), "a", b"{}", true).unwrap();
    assert_eq!(read(directory.path()), left + "\n{}\n");
}

#[test]
fn one_process_uses_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let error = LocalDirectory::new(directory.path().to_owned()).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    // A waiting process gets the directory once it is free.
    let path = directory.path().to_owned();
    let second = std::thread::spawn(move || LocalDirectory::new(path));
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(first);
    let second = second.join().unwrap().unwrap();
    assert!(LocalDirectory::new(directory.path().to_owned()).is_err(), "it is held again");
    put(&second, "a", b"{}", true).unwrap();
}

#[test]
fn what_could_not_be_cut_off_is_before_the_next_batch() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_of(directory.path(), "a");
    fs::write(&path, "{}\n{\"half").unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let inode = file.metadata().unwrap().ino();
    for (inode, expected) in [(inode, "{}\n"), (inode + 1, "{}\n{\"half")] {
        fs::write(&path, "{}\n{\"half").unwrap();
        let mut stream_file = StreamFile { unfinished: Some((inode, 3)), ..StreamFile::default() };
        stream_file.cut_unfinished(&file).unwrap();
        assert_eq!((read(directory.path()).as_str(), stream_file.unfinished), (expected, None));
    }
    file.write_all(b"").unwrap();
}

#[test]
fn a_device_takes_records_too() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/null", path_of(directory.path(), "a")).unwrap();
    put(&open(directory.path()), "a", b"{}", true).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// For any contents of a journal, opening it only cuts off the bytes of a noted append.
    #[test]
    fn no_bytes_in_a_journal_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(path_of(directory.path(), "a"), "{}\n").unwrap();
        fs::write(directory.path().join(".standpipe-appends"), bytes).unwrap();
        drop(open(directory.path()));
        prop_assert_eq!(read(directory.path()), "{}\n");
    }
}
