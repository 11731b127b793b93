//! Secrets in files of a directory, as Kubernetes mounts them.

use std::fs;
use std::path::Path;

/// Give a secret another value: its file is another one, whole, from one moment to
/// the next.
pub fn rotate_secret(directory: &Path, name: &str, value: &str) {
    fs::write(directory.join("new"), value).expect("a file");
    fs::rename(directory.join("new"), directory.join(name)).expect("a file in its place");
}
