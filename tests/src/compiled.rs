//! Compiled plugins that tests share. A cache belongs to one data directory, so each test has its
//! own cache, with links to shared entries.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use standpipe_plugin_host::Engine;

use crate::binary::target_directory;

/// How long an unused compiled plugin is kept.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Creates a cache directory with links to the compiled plugins of other tests.
pub fn link_shared_plugins(cache: &Path) {
    let shared = shared_cache();
    DirBuilder::new().mode(0o700).create(cache).expect("a directory for compiled plugins");
    let key = cache.join("key");
    fs::copy(shared.join("key"), &key).expect("the key can be copied");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("its mode can be set");
    link_entries(shared, cache);
}

/// Adds the plugins compiled here to the shared cache. A removed cache is ignored.
pub(crate) fn share_plugins(cache: &Path) {
    let is_shared =
        |name: &str| fs::read(cache.join(name)).ok() == fs::read(shared_cache().join(name)).ok();
    if cache.is_dir() && is_shared("key") {
        link_entries(cache, shared_cache());
    }
}

fn shared_cache() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = target_directory().join("tests-compiled");
        // Creates the key, once for all processes.
        drop(Engine::new(Some(&path)).expect("a cache"));
        for entry in list_entries(&path) {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = modified.is_ok_and(|time| {
                SystemTime::now().duration_since(time).is_ok_and(|age| age > AGE_MAX)
            });
            if is_old {
                let _ = fs::remove_file(entry);
            }
        }
        path
    })
}

fn link_entries(from: &Path, to: &Path) {
    for entry in list_entries(from) {
        let link = to.join(entry.file_name().expect("an entry has a name"));
        // Another test may have been faster. On another file system, which a test creates to be
        // small, the plugin is compiled again.
        let _ = fs::hard_link(&entry, &link);
    }
}

fn list_entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "compiled")).collect()
}
