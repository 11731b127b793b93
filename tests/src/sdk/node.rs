//! The vendors' SDKs for Node and browsers, as their lock file pins them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{install, workspace};

/// `node_modules` with what `tests/sdks/package-lock.json` names.
pub(super) fn modules() -> PathBuf {
    let source = workspace().join("tests/sdks");
    let lock = fs::read_to_string(source.join("package-lock.json")).expect("the lock file of npm");
    install::once("sdks-node", &lock, |directory| fetch(&source, directory)).join("node_modules")
}

fn fetch(source: &Path, directory: &Path) {
    for name in ["package.json", "package-lock.json"] {
        fs::copy(source.join(name), directory.join(name)).expect("a file is copied");
    }
    let npm = install::needs("npm", || install::find(&["npm"]));
    let quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    let prefix = directory.to_str().expect("a path in UTF-8");
    let installed = install::succeeds(npm, [&["ci", "--prefix", prefix][..], &quietly].concat());
    assert!(installed, "npm could not install what tests/sdks names: its words are above");
}
