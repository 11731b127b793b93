//! The project `tests/gateway`, which is not a member of the workspace.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::binary::{build_with, cargo_command};
use crate::workspace_directory;

const MANIFEST: &str = "tests/gateway/Cargo.toml";

/// The names of all packages from which the project is compiled.
pub fn gateway_dependencies() -> &'static BTreeSet<String> {
    static NAMES: OnceLock<BTreeSet<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        lock_versions();
        let mut tree = cargo_command();
        tree.args(["tree", "--offline", "--manifest-path", MANIFEST, "--edges", "normal,build"]);
        let output = tree.args(["--prefix", "none"]).output().expect("cargo can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    })
}

/// The project's gateway, built in the target directory of the workspace.
pub fn build_gateway() -> PathBuf {
    build_programs().join("test-gateway")
}

/// The project's program that submits one event, which the documentation shows.
pub fn build_submitter() -> PathBuf {
    build_programs().join("submit")
}

fn build_programs() -> PathBuf {
    // Cargo removes from the lock file what the project does not need. Once is enough.
    gateway_dependencies();
    build_with(&["--offline", "--manifest-path", MANIFEST])
}

/// Makes the project use the versions of the workspace, which are already compiled.
fn lock_versions() {
    let locked =
        fs::read(workspace_directory().join("Cargo.lock")).expect("the workspace's lock file");
    fs::write(workspace_directory().join("tests/gateway/Cargo.lock"), locked).expect("a lock file");
}
