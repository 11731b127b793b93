//! Tests that the cache of compiled plugins runs nothing that others could have put there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use standpipe_tests::Program;

const INPUT: &str = "{\"type\":\"track\",\"event\":\"a\"}\n";

fn new_program(data_dir: &Path) -> Program {
    let program = Program::host_run_locally().mapping(&[("*", "all")]).stdin(INPUT);
    program.args(["--data-dir"]).args([data_dir])
}

/// A data directory with a cache that a run has filled.
fn filled_data_dir() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::TempDir::new().unwrap();
    // The cache is separate, because the test changes it.
    let data_dir = directory.path().join("data");
    let ran = new_program(&data_dir).run().expect_exit(0);
    assert_eq!(ran.count("delivered"), 1);
    (directory, data_dir)
}

fn find_entry(data_dir: &Path) -> PathBuf {
    let names = fs::read_dir(data_dir.join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let mut entries = names.filter(|path| path.extension().is_some_and(|end| end == "compiled"));
    let entry = entries.next().expect("an entry");
    assert_eq!(entries.next(), None);
    entry
}

#[test]
fn a_cache_that_others_can_write_to_is_refused_and_not_changed() {
    let (_directory, data_dir) = filled_data_dir();
    let cache = data_dir.join("cache");
    for mode in [0o777, 0o1777, 0o770, 0o720] {
        fs::set_permissions(&cache, Permissions::from_mode(mode)).unwrap();
        let ran = new_program(&data_dir).run().expect_exit(2);
        let _ = ran.expect_stderr(&["others can write to it", "0700", "--data-dir"]);
        assert_eq!(fs::metadata(&cache).unwrap().mode() & 0o7777, mode);
    }
    fs::set_permissions(&cache, Permissions::from_mode(0o700)).unwrap();
    new_program(&data_dir).run().expect_exit(0);
}

#[test]
fn a_cache_of_another_user_is_refused() {
    let (_directory, data_dir) = filled_data_dir();
    let nobody = 65534;
    // Only root can change the owner of a directory. Unit tests check the same with a simulated
    // user.
    if std::os::unix::fs::chown(data_dir.join("cache"), Some(nobody), Some(nobody)).is_ok() {
        let ran = new_program(&data_dir).run().expect_exit(2);
        let _ = ran.expect_stderr(&["it belongs to another user", "data/cache"]);
    }
}

#[test]
fn a_cache_that_is_a_link_is_refused() {
    let (_directory, data_dir) = filled_data_dir();
    let (cache, elsewhere) = (data_dir.join("cache"), data_dir.join("elsewhere"));
    fs::rename(&cache, &elsewhere).unwrap();
    symlink(&elsewhere, &cache).unwrap();
    let _ = new_program(&data_dir).run().expect_exit(2).expect_stderr(&["symbolic link"]);
}

/// The entry contains compiled code for the right engine and component, written with another key.
#[test]
fn a_planted_cache_entry_is_replaced_and_not_run() {
    let (_ours, data_dir) = filled_data_dir();
    let (_theirs, theirs) = filled_data_dir();
    let planted = fs::read(find_entry(&theirs)).unwrap();
    let own = fs::read(find_entry(&data_dir)).unwrap();
    assert_ne!(planted, own, "the keys are not the same");
    fs::write(find_entry(&data_dir), &planted).unwrap();
    let ran = new_program(&data_dir).run().expect_exit(0);
    assert_eq!(ran.count("delivered"), 1);
    let ran = ran.expect_stderr(&["ignoring compiled code in", "not written by this user"]);
    assert!(!ran.stderr.contains("panicked"));
    assert_eq!(fs::read(find_entry(&data_dir)).unwrap(), own, "it was compiled anew");
    // This time without a warning.
    assert!(!new_program(&data_dir).run().expect_exit(0).stderr.contains("ignoring compiled code"));
}

#[test]
fn a_torn_or_linked_cache_entry_is_compiled_again() {
    let (_directory, data_dir) = filled_data_dir();
    let (entry, own) = (find_entry(&data_dir), fs::read(find_entry(&data_dir)).unwrap());
    fs::write(&entry, &own[..own.len() / 2]).unwrap();
    let _ = new_program(&data_dir).run().expect_exit(0).expect_stderr(&["is damaged"]);
    let aside = data_dir.join("aside");
    fs::rename(&entry, &aside).unwrap();
    symlink(&aside, &entry).unwrap();
    let _ = new_program(&data_dir).run().expect_exit(0).expect_stderr(&["is a symbolic link"]);
    assert!(fs::symlink_metadata(&entry).unwrap().is_file(), "it was replaced");
    assert_eq!(fs::read(&entry).unwrap(), own);
}
