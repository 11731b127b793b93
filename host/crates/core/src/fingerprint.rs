//! Distinguishes versions of a file without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The real path of a file, and its metadata.
///
/// The real path shows the targets of all symbolic links in the path. The time of the inode's last
/// change (`ctime`) cannot be set: it shows that `cp -p`, `tar` or `rsync -t` has overwritten a
/// file with the same size and modification time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFingerprint {
    real_path: Option<PathBuf>,
    /// `None` if the file does not exist.
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
    /// The current fingerprint of a file. Links are followed.
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

    /// Overwrites a file, and restores its modification time.
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
        // The clock of some file systems has a resolution of some hundred microseconds.
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
