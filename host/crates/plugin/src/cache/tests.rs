//! Tests the cache of compiled code: entries of another key, engine or component, changed bytes,
//! foreign directories, torn keys and limits.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

const ORIGIN: CacheOrigin<'_> =
    CacheOrigin { digest: "ab12", engine: "wasmtime 48.0.8", compatibility: 7 };

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn open(directory: &TempDir) -> CompiledCache {
    CompiledCache::open(&directory.path().join("cache")).expect("a cache")
}

fn refusal(path: &Path) -> String {
    CompiledCache::open(path).expect_err("it is refused").to_string()
}

fn load(cache: &CompiledCache, origin: &CacheOrigin<'_>) -> Option<Vec<u8>> {
    cache.load_code(origin, |code| Ok(code.to_vec()))
}

fn entry(directory: &TempDir) -> PathBuf {
    directory.path().join("cache").join(entry_name(&ORIGIN))
}

fn counts(cache: &CompiledCache) -> [u64; 3] {
    let CacheCounts { hits, misses, rejected } = &cache.counts;
    [hits, misses, rejected].map(Counter::get)
}

#[test]
fn what_was_stored_is_found_by_this_process_and_the_next() {
    let directory = TempDir::new().unwrap();
    let cache = open(&directory);
    assert_eq!(load(&cache, &ORIGIN), None);
    cache.store_code(&ORIGIN, b"code");
    assert_eq!(load(&cache, &ORIGIN).as_deref(), Some(&b"code"[..]));
    assert_eq!(counts(&cache), [1, 1, 0]);
    assert_eq!(load(&open(&directory), &ORIGIN).as_deref(), Some(&b"code"[..]));
    for file in [entry(&directory), directory.path().join("cache/key")] {
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600, "{file:?}");
    }
}

/// An attacker who knows all of this code, but not the key, could create such an entry.
#[test]
fn an_entry_of_another_key_is_not_loaded_and_is_replaced() {
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    open(&theirs).store_code(&ORIGIN, b"planted");
    let cache = open(&ours);
    fs::copy(entry(&theirs), entry(&ours)).unwrap();
    fs::set_permissions(entry(&ours), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(load(&cache, &ORIGIN), None);
    assert_eq!(counts(&cache), [0, 0, 1]);
    cache.store_code(&ORIGIN, b"code");
    assert_eq!(load(&cache, &ORIGIN).as_deref(), Some(&b"code"[..]));
}

#[test]
fn an_entry_is_for_its_component_and_engine_alone() {
    let directory = TempDir::new().unwrap();
    let cache = open(&directory);
    cache.store_code(&ORIGIN, b"code");
    for other in [
        CacheOrigin { digest: "ab13", ..ORIGIN },
        CacheOrigin { compatibility: 8, ..ORIGIN },
        CacheOrigin { engine: "wasmtime 48.0.9", ..ORIGIN },
    ] {
        // The attacker could also use the right name.
        let name = directory.path().join("cache").join(entry_name(&other));
        if name != entry(&directory) {
            fs::copy(entry(&directory), name).unwrap();
        }
        assert_eq!(load(&cache, &other), None, "{other:?}");
    }
    assert_eq!(counts(&cache), [0, 0, 3]);
}

#[test]
fn no_change_of_an_entry_passes() {
    let directory = TempDir::new().unwrap();
    let cache = open(&directory);
    cache.store_code(&ORIGIN, b"some code");
    let whole = fs::read(entry(&directory)).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(entry(&directory), &changed).unwrap();
        assert_eq!(load(&cache, &ORIGIN), None, "byte {at}");
        fs::write(entry(&directory), &whole[..at]).unwrap();
        assert_eq!(load(&cache, &ORIGIN), None, "{at} bytes");
    }
    fs::write(entry(&directory), [&whole[..], b"x"].concat()).unwrap();
    assert_eq!(load(&cache, &ORIGIN), None);
    fs::write(entry(&directory), &whole).unwrap();
    assert!(load(&cache, &ORIGIN).is_some());
}

#[test]
fn entries_that_others_could_have_written_are_not_loaded() {
    let directory = TempDir::new().unwrap();
    let cache = open(&directory);
    cache.store_code(&ORIGIN, b"code");
    let (entry, aside) = (entry(&directory), directory.path().join("aside"));
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&entry, Permissions::from_mode(mode)).unwrap();
        assert_eq!(load(&cache, &ORIGIN), None, "mode {mode:o}");
    }
    fs::set_permissions(&entry, Permissions::from_mode(0o600)).unwrap();
    assert!(load(&cache, &ORIGIN).is_some());
    fs::rename(&entry, &aside).unwrap();
    symlink(&aside, &entry).unwrap();
    assert_eq!(load(&cache, &ORIGIN), None, "a symbolic link");
    // Storing replaces the link, and does not change its target.
    cache.store_code(&ORIGIN, b"new");
    assert_eq!(load(&cache, &ORIGIN).as_deref(), Some(&b"new"[..]));
    assert!(fs::read(&aside).unwrap().ends_with(b"code"));
    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    assert_eq!(load(&cache, &ORIGIN), None, "a directory");
}

#[test]
fn a_directory_that_others_can_write_to_is_refused_and_left_as_it_is() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("cache");
    fs::create_dir(&path).unwrap();
    for mode in [0o777, 0o1777, 0o770, 0o702, 0o720] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = refusal(&path);
        assert!(error.contains("others can write to it") && error.contains("0700"), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }
    // Other users can read the directory, but could not have written to it.
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    assert!(CompiledCache::open(&path).is_ok());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_directory_of_another_user_and_a_link_are_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("cache");
    let error = CompiledCache::open_as(&path, user() + 1).unwrap_err().to_string();
    assert!(error.contains("another user"), "{error}");
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(refusal(&link).contains("symbolic link"));
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(CompiledCache::open(&file).is_err());
}

#[test]
fn a_key_that_others_could_know_is_refused() {
    let directory = TempDir::new().unwrap();
    drop(open(&directory));
    let (path, key) = (directory.path().join("cache"), directory.path().join("cache/key"));
    for mode in [0o640, 0o604, 0o666] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        assert!(refusal(&path).contains("\"key\" is open to other users"));
    }
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let known = directory.path().join("known");
    fs::hard_link(&key, &known).unwrap();
    assert!(refusal(&path).contains("another name"));
    fs::remove_file(&key).unwrap();
    symlink(&known, &key).unwrap();
    assert!(refusal(&path).contains("symbolic link"));
    fs::remove_file(&key).unwrap();
    fs::write(&key, [7; 33]).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert!(refusal(&path).contains("not a key"));
}

/// A process that ends while it writes the key leaves an incomplete one.
#[test]
fn a_torn_key_is_replaced_and_its_entries_with_it() {
    let directory = TempDir::new().unwrap();
    open(&directory).store_code(&ORIGIN, b"code");
    let key = directory.path().join("cache/key");
    fs::write(&key, [1; 5]).unwrap();
    let cache = open(&directory);
    assert_eq!(fs::metadata(&key).unwrap().len(), 32);
    assert_eq!(load(&cache, &ORIGIN), None);
    cache.store_code(&ORIGIN, b"code");
    assert!(load(&cache, &ORIGIN).is_some());
}

#[test]
fn processes_that_begin_together_have_one_key() {
    let directory = TempDir::new().unwrap();
    let caches: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&directory))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(caches.iter().all(|cache| cache.key.0 == caches[0].key.0));
    assert_ne!(caches[0].key.0, [0; MAC_BYTES]);
}

#[test]
fn there_are_bounds_and_what_was_not_used_for_long_goes_first() {
    let directory = TempDir::new().unwrap();
    let cache = open(&directory);
    let digests: Vec<_> =
        (0..=limits::PLUGIN_CACHE_ENTRIES_MAX).map(|n| format!("{n:04}")).collect();
    let origin = |n: usize| CacheOrigin { digest: &digests[n], ..ORIGIN };
    for n in 0..limits::PLUGIN_CACHE_ENTRIES_MAX {
        cache.store_code(&origin(n), b"code");
        let file = directory.path().join("cache").join(entry_name(&origin(n)));
        let age = Duration::from_secs(10_000 - n as u64);
        let file = File::options().write(true).open(file).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    let left_behind = directory.path().join("cache/x.compiled-1.new");
    let file = File::create(&left_behind).unwrap();
    file.set_modified(SystemTime::now() - NEW_AGE_MAX * 2).unwrap();
    assert!(load(&cache, &origin(0)).is_some(), "it is used, and so not the next to go");
    cache.store_code(&origin(limits::PLUGIN_CACHE_ENTRIES_MAX), b"code");
    let is_there = |n| load(&cache, &origin(n)).is_some();
    assert!(is_there(0) && !is_there(1) && is_there(2));
    assert!(is_there(limits::PLUGIN_CACHE_ENTRIES_MAX));
    assert!(!left_behind.exists());
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    let directory = TempDir::new().unwrap();
    let cache = open(&directory);
    fs::remove_dir_all(directory.path().join("cache")).unwrap();
    cache.store_code(&ORIGIN, b"code");
    assert_eq!(load(&cache, &ORIGIN), None);
}

#[test]
fn code_that_the_engine_does_not_take_counts_as_rejected() {
    let directory = TempDir::new().unwrap();
    let cache = open(&directory);
    cache.store_code(&ORIGIN, b"code");
    assert!(
        cache
            .load_code(&ORIGIN, |_| Err::<(), _>(wasmtime::Error::msg("another machine").into()))
            .is_none()
    );
    assert_eq!(counts(&cache), [0, 0, 1]);
}
