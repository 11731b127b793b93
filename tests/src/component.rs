use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use crate::binary::target_directory;
use crate::workspace;

/// The component of `tests/plugins/misbehaving`, built once for each process of
/// tests, where the default mapping plugin is built too.
pub fn misbehaving_plugin() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build("misbehaving")).clone()
}

fn build(package: &str) -> PathBuf {
    let target = target_directory().join("guest");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace())
        .args(["build", "--quiet", "--release", "--package", package, "--lib"])
        .args(["--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target);
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the plugin {package} could not be built");
    let component = target.join(format!("wasm32-wasip2/release/{package}.wasm"));
    fs::canonicalize(component).expect("cargo has built it")
}
