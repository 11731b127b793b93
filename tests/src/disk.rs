//! A small disk that can become full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::tools;

/// A mounted disk in memory. It is unmounted when it is dropped.
#[derive(Debug)]
pub struct Disk {
    directory: TempDir,
    size_bytes: usize,
}

impl Disk {
    /// Mounts a disk of this size. Fails a test that has no permission to mount.
    pub fn mount(size_bytes: usize) -> Disk {
        let directory = TempDir::new().expect("a directory");
        let mut mount = Command::new(tools::find_program("mount"));
        mount.args(["-t", "tmpfs", "-o", &format!("size={size_bytes}"), "tmpfs"]);
        let output = mount.arg(directory.path()).output().expect("mount starts");
        assert!(
            output.status.success(),
            "this test needs to mount a tmpfs: run it as root, in a container with CAP_SYS_ADMIN: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Disk { directory, size_bytes }
    }

    /// Writes a file that leaves about this many bytes free.
    pub fn fill(&self, free_bytes: usize) -> PathBuf {
        let filler = self.path().join("filler");
        fs::write(&filler, vec![0; self.size_bytes - free_bytes]).expect("it has this much room");
        filler
    }

    /// The mount point.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new(tools::find_program("umount"))
            .arg("--lazy")
            .arg(self.directory.path())
            .status();
    }
}
