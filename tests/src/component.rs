//! Builds the misbehaving plugin, and stamps components so that they differ only in their hash.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::binary::{cargo_command, target_directory};

/// The component of `tests/plugins/misbehaving`, built once for each test process, in the same
/// directory as the built-in plugin.
pub fn misbehaving_plugin() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build_plugin("misbehaving")).clone()
}

/// Appends a custom section to a component, which changes only its digest.
pub fn stamp_component(component: &[u8], stamp: &[u8]) -> Vec<u8> {
    let name = b"stamp";
    let length = 1 + name.len() + stamp.len();
    let mut section = vec![0];
    let mut left = length;
    while left >= 0x80 {
        section.push(left as u8 | 0x80);
        left >>= 7;
    }
    section.push(left as u8);
    section.push(name.len() as u8);
    [component, &section, name, stamp].concat()
}

fn build_plugin(package: &str) -> PathBuf {
    let target = target_directory().join("guest");
    let mut cargo = cargo_command();
    cargo
        .args(["build", "--quiet", "--release", "--package", package, "--lib"])
        .args(["--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target);
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the plugin {package} could not be built");
    let component = target.join(format!("wasm32-wasip2/release/{package}.wasm"));
    fs::canonicalize(component).expect("cargo has built it")
}
