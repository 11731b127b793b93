//! Replaces a whole file: readers see either the old or the new file, and the new one is synced
//! first.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The mode of files, which the umask of the process reduces. Without it, files would keep the
/// private mode of temporary files.
const MODE: u32 = 0o666;

/// Replaces a file. A reader sees either the old or the new one, never a part.
pub(super) fn replace_file(
    path: &Path,
    text: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let file = builder.permissions(Permissions::from_mode(MODE)).tempfile_in(directory)?;
    let mut writer = BufWriter::new(file.as_file());
    text(&mut writer)?;
    writer.flush()?;
    drop(writer);
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failure| failure.error)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        replace_file(&path, |file| file.write_all(b"one")).unwrap();
        let failed = replace_file(&path, |file| {
            file.write_all(b"two")?;
            Err(io::Error::other("no more"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        let mode = path.metadata().unwrap().permissions().mode();
        assert_ne!(mode & 0o040, 0, "others may read it: {mode:o}");
    }
}
