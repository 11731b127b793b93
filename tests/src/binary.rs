use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::workspace;

/// The program under test, built once for each process of tests.
///
/// Cargo builds no other package's program for a test, so this asks it to; the
/// profile and the target directory are those of the test itself.
pub fn program_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(build)
}

/// Where cargo puts what it builds: `target`.
pub(crate) fn target_directory() -> PathBuf {
    profile_directory().parent().expect("a profile's directory is in the target directory").into()
}

/// `target/release`, say: a test runs from `target/release/deps`.
fn profile_directory() -> PathBuf {
    let test = env::current_exe().expect("a test knows its path");
    test.ancestors().nth(2).expect("a test is deep in the target directory").to_owned()
}

fn build() -> PathBuf {
    let directory = profile_directory();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace())
        .args(["build", "--quiet", "--package", "host", "--bin", "host", "--target-dir"])
        .arg(target_directory());
    match directory.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => {}
        Some(profile) => {
            cargo.args(["--profile", profile]);
        }
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the program could not be built");
    directory.join("host")
}
