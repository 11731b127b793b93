//! Secrets in files of a directory, as Kubernetes mounts them.

use std::fs;
use std::path::Path;

/// Changes the value of a secret by replacing its file atomically.
pub fn rotate_secret(directory: &Path, name: &str, value: &str) {
    fs::write(directory.join("new"), value).expect("a file");
    fs::rename(directory.join("new"), directory.join(name)).expect("a file in its place");
}
