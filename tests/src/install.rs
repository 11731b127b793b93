//! What the tests need of others is installed into `target` when it is first
//! wanted, and stays there.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::target_directory;

/// A directory in `target` with what was wanted in it. The first process that
/// wants it installs it, and the others wait.
pub(crate) fn once(name: &str, wanted: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let _lock = lock(name);
    let directory = target_directory().join(name);
    let mark = directory.join("installed");
    if fs::read_to_string(&mark).ok().as_deref() != Some(wanted) {
        // What an interrupted attempt has left is not worth keeping.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("a directory");
        install(&directory);
        fs::write(&mark, wanted).expect("a mark that it is whole");
    }
    directory
}

/// Keep others from installing the same, until this is dropped.
fn lock(name: &str) -> File {
    let path = target_directory().join(format!("{name}.lock"));
    let lock = File::create(path).expect("a lock file");
    lock.lock().expect("a lock");
    lock
}

/// Python with packages of PyPI, which are named with spaces between them, in
/// this directory of `target`.
pub(crate) fn python(name: &str, requirements: &str) -> PathBuf {
    let directory = once(name, requirements, |directory| {
        let arguments = [OsStr::new("-m"), "venv".as_ref(), directory.as_os_str()];
        // Debian's Python brings the module `venv`, but not what it needs.
        needs("python3-venv", || succeeds("python3", arguments).then_some(()));
        let python = directory.join("bin/python");
        let arguments = ["-m", "pip", "install", "--quiet"];
        let installed = succeeds(python, arguments.into_iter().chain(requirements.split(' ')));
        assert!(installed, "pip could not install {requirements}: its words are above");
    });
    directory.join("bin/python")
}

/// Do what a package of Debian's is needed for, and install that if it fails.
pub(crate) fn needs<T>(package: &str, attempt: impl Fn() -> Option<T>) -> T {
    let install = || {
        let _lock = lock("apt-get");
        let installed = succeeds("apt-get", ["update"])
            && succeeds("apt-get", ["install", "-y", "--no-install-recommends", package]);
        installed.then(&attempt).flatten()
    };
    attempt().or_else(install).unwrap_or_else(|| {
        panic!("{package} is missing: install it, on Debian with: apt-get install {package}")
    })
}

/// A program that has one of these names.
pub(crate) fn find(names: &[&str]) -> Option<PathBuf> {
    let directories: Vec<_> = env::split_paths(&env::var_os("PATH")?).collect();
    let paths = names.iter().flat_map(|name| directories.iter().map(move |path| path.join(name)));
    paths.into_iter().find(|path| path.is_file())
}

/// Whether a program could be started and succeeded.
pub(crate) fn succeeds(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}
