//! A small disk that can be full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted disk, in memory; it is unmounted when this is dropped.
#[derive(Debug)]
pub struct Disk {
    directory: TempDir,
    size_bytes: usize,
}

impl Disk {
    /// Mount a disk of this size.
    ///
    /// # Errors
    ///
    /// It is not permitted; the words of `mount`.
    pub fn mount(size_bytes: usize) -> Result<Disk, String> {
        let directory = TempDir::new().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size_bytes}"), "tmpfs"]);
        let output = mount.arg(directory.path()).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Disk { directory, size_bytes })
    }

    /// Write a file that leaves about this much free.
    pub fn fill(&self, free_bytes: usize) -> PathBuf {
        let filler = self.path().join("filler");
        fs::write(&filler, vec![0; self.size_bytes - free_bytes]).expect("it has this much room");
        filler
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.directory.path()).status();
    }
}
