//! Distinguishes states of a file without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where a file really is, and what its file system says of it.
///
/// A symbolic link anywhere on its path shows in the real path. The time of the last change
/// of its inode (`ctime`) can be set by nobody: it shows what `cp -p`, `tar` and `rsync -t`
/// write over a file of the same size with the same time of modification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFingerprint {
    real_path: Option<PathBuf>,
    /// None where the file does not exist.
    status: Option<FileStatus>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStatus {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileFingerprint {
    /// The fingerprint of a file as it is now; links are followed.
    pub fn of(path: &Path) -> Self {
        let status = fs::metadata(path).ok().map(|status| FileStatus {
            device: status.dev(),
            inode: status.ino(),
            bytes: status.len(),
            modified: (status.mtime(), status.mtime_nsec()),
            changed: (status.ctime(), status.ctime_nsec()),
        });
        FileFingerprint { real_path: path.canonicalize().ok(), status }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, Instant};

    use super::*;

    /// Writes over a file, and gives it the time of modification that it had before.
    fn replace_as_copied(path: &Path, bytes: &[u8]) {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        fs::write(path, bytes).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    }

    #[test]
    fn a_file_of_the_same_size_and_time_is_another_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "one").unwrap();
        let before = FileFingerprint::of(&path);
        assert_eq!(FileFingerprint::of(&path), before);
        // The clock of some file systems ticks a few times in a millisecond only.
        let deadline = Instant::now() + Duration::from_secs(5);
        while FileFingerprint::of(&path) == before && Instant::now() < deadline {
            replace_as_copied(&path, b"two");
        }
        let now = FileFingerprint::of(&path);
        assert_ne!(now, before);
        let (now, before) = (now.status.unwrap(), before.status.unwrap());
        assert_eq!((now.inode, now.bytes), (before.inode, before.bytes));
        assert_eq!(now.modified, before.modified);
    }

    #[test]
    fn a_link_to_another_file_and_no_file_are_other_states() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("first"), directory.path().join("second"));
        let link = directory.path().join("link");
        assert_eq!(FileFingerprint::of(&link), FileFingerprint::of(&link));
        let missing = FileFingerprint::of(&link);
        fs::write(&first, "one").unwrap();
        fs::hard_link(&first, &second).unwrap();
        symlink(&first, &link).unwrap();
        let to_first = FileFingerprint::of(&link);
        fs::remove_file(&link).unwrap();
        symlink(&second, &link).unwrap();
        assert_ne!(missing, to_first);
        assert_ne!(FileFingerprint::of(&link), to_first);
    }
}
