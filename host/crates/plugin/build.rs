//! Builds the built-in plugin, which is embedded in the host.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let workspace =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../..");
    println!("cargo:rerun-if-changed=build.rs");
    for input in
        ["Cargo.toml", "Cargo.lock", "wit", "guest/Cargo.toml", "guest/src", "guest/mapping"]
    {
        println!("cargo:rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo:rustc-env=MAPPING_WASM={}", build_mapping(&workspace).display());
    println!("cargo:rustc-env=WASMTIME_VERSION={}", locked_version(&workspace, "wasmtime"));
}

/// Builds `guest/mapping` for WebAssembly, in a separate target directory: cargo holds the lock of
/// the directory that this build is using.
fn build_mapping(workspace: &Path) -> PathBuf {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let target =
        out.ancestors().nth(4).expect("OUT_DIR is deep in the target directory").join("guest");
    let mut cargo = Command::new(env::var_os("CARGO").expect("set by cargo"));
    cargo
        .current_dir(workspace)
        .args([
            "rustc",
            "--release",
            "--package",
            "standpipe-mapping",
            "--lib",
            "--features",
            "component",
            "--crate-type",
            "cdylib",
            "--target",
            "wasm32-wasip2",
        ])
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+simd128")
        // Variables that the outer build sets for its own compiler calls.
        .env_remove("RUSTC")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CLIPPY_ARGS");
    let status = cargo.status().expect("cargo can be started");
    assert!(
        status.success(),
        "the built-in plugin could not be built; if the target is missing: rustup target add wasm32-wasip2"
    );
    target.join("wasm32-wasip2/release/mapping.wasm")
}

/// The version of a dependency, as Cargo.lock pins it.
fn locked_version(workspace: &Path, package: &str) -> String {
    let lock =
        std::fs::read_to_string(workspace.join("Cargo.lock")).expect("Cargo.lock is committed");
    let entry = format!("name = \"{package}\"\nversion = \"");
    let version = lock.split(&entry).nth(1).and_then(|rest| rest.split('"').next());
    version.expect("a dependency of the host").to_owned()
}
