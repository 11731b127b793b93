//! Builds the program under test once for each test process, in the profile and target directory of
//! the test.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::{tools, workspace_directory};

/// The path of the program under test, which is built once for each test process.
///
/// Cargo does not build programs of other packages for a test. So this function builds them, in the
/// profile and the target directory of the test.
pub fn program_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(build_program)
}

/// The target directory of cargo: `target`.
pub(crate) fn target_directory() -> PathBuf {
    profile_directory().parent().expect("a profile's directory is in the target directory").into()
}

/// The directory of the test's profile, such as `target/release`. A test runs in its subdirectory
/// `deps`.
fn profile_directory() -> PathBuf {
    let test = env::current_exe().expect("a test knows its path");
    test.ancestors().nth(2).expect("a test is deep in the target directory").to_owned()
}

/// Cargo in the workspace, without the variables that it sets for tests: build scripts read them,
/// and cargo would build everything again.
pub(crate) fn cargo_command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace_directory());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name.as_ref());
        }
    }
    cargo
}

/// The packages of the workspace with their dependencies, according to cargo.
pub fn cargo_metadata() -> Value {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = cargo_command().args(arguments).output().expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn build_program() -> PathBuf {
    build_with(&["--bin", "host"]).join("host")
}

/// The path of the Pingora gateway, an example of the host.
pub fn pingora_gateway() -> PathBuf {
    // The tests are built with it, so that most parts of the host are already built.
    let packages = [
        "-p",
        "standpipe",
        "-p",
        "standpipe-tests",
        "-p",
        "pingora-gateway",
        "--bin",
        "pingora-gateway",
    ];
    // The build of a crate of Pingora needs cmake.
    tools::find_program("cmake");
    build_with(&packages).join("pingora-gateway")
}

/// Builds the selected programs, and returns their directory.
pub(crate) fn build_with(selection: &[&str]) -> PathBuf {
    let directory = profile_directory();
    let mut cargo = cargo_command();
    cargo.args(["build", "--quiet"]).args(selection).arg("--target-dir").arg(target_directory());
    match directory.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => {}
        Some(profile) => {
            cargo.args(["--profile", profile]);
        }
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "cargo build {selection:?} failed: its words are above");
    directory
}
