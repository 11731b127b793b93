use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::binary::target_directory;

/// What is installed. boto3, AWS's own client, comes with it.
const REQUIREMENT: &str = "moto[server]==5.2.*";

/// Python with moto. The first process that wants it makes it, and the others
/// wait.
pub(super) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let directory = target_directory().join("moto-venv");
        let lock = File::create(directory.with_extension("lock")).expect("a lock file");
        lock.lock().expect("a lock");
        let python = directory.join("bin/python");
        let mark = directory.join("installed");
        if fs::read_to_string(&mark).ok().as_deref() != Some(REQUIREMENT) {
            install(&directory, &python);
            fs::write(&mark, REQUIREMENT).expect("a mark that it is whole");
        }
        python
    })
}

fn install(directory: &Path, python: &Path) {
    // What an interrupted attempt has left is not worth keeping.
    let _ = fs::remove_dir_all(directory);
    let make = || succeeds("python3", [OsStr::new("-m"), "venv".as_ref(), directory.as_os_str()]);
    if !make() {
        // Debian's Python brings the module `venv`, but not what it needs.
        let installed = succeeds("apt-get", ["update"])
            && succeeds("apt-get", ["install", "-y", "python3-venv"]);
        let made = installed && make();
        assert!(
            made,
            "python3 -m venv fails: install it, on Debian with: apt-get install python3-venv"
        );
    }
    let installed = succeeds(python, ["-m", "pip", "install", "--quiet", REQUIREMENT]);
    assert!(installed, "pip could not install {REQUIREMENT}: its words are above");
}

fn succeeds(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}
