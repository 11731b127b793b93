//! Directories and files that only the user of the program can open: stored events and state of the
//! program.
//!
//! Directories have the mode 0700 and files 0600, regardless of the umask, even if an earlier
//! version or someone else set a wider mode. The mode of objects of another user cannot be changed.
//! They are used with a warning, because a platform may provide the volume.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The permissions of the group and of others.
const OTHERS: u32 = 0o077;
/// The permission bits. Higher bits such as set-group-id are not changed.
const PERMISSIONS: u32 = 0o777;

/// Options that create a file for this user only. The caller adds the access mode.
#[expect(clippy::disallowed_methods, reason = "this is what others are to use")]
pub fn file_options() -> OpenOptions {
    let mut options = File::options();
    options.mode(FILE_MODE);
    options
}

/// Creates a directory and its missing parents for this user only. If it exists, removes the
/// permissions of others.
///
/// # Errors
///
/// Fails if the directory can be neither used nor created.
pub fn create_directory(path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)?;
    }
    if narrow_mode(path, DIRECTORY_MODE) {
        let directory = path.display();
        tracing::warn!(%directory, "other users could open this directory; changed its mode to 0700");
    }
    Ok(())
}

/// Removes the permissions of others for a directory and its files, if it exists. Errors are
/// reported when the directory is used.
pub fn narrow_existing(directory: &Path) {
    if directory.is_dir() {
        let _ = create_directory(directory).and_then(|()| narrow_files(directory));
    }
}

/// Removes the permissions of others for the files in a directory. Subdirectories are not changed.
///
/// # Errors
///
/// Fails if the directory cannot be read.
pub fn narrow_files(directory: &Path) -> io::Result<()> {
    let mut narrowed = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // The target of a symbolic link may be shared on purpose.
        let is_file = entry.file_type().is_ok_and(|file_type| file_type.is_file());
        narrowed += u64::from(is_file && narrow_mode(&entry.path(), FILE_MODE));
    }
    if narrowed > 0 {
        let directory = directory.display();
        tracing::warn!(%directory, files = narrowed, "other users could open files in this directory; changed their mode to 0600");
    }
    Ok(())
}

/// Sets the mode of an existing object if others have permissions, or if its own user has none.
/// Returns whether others had permissions and no longer have them.
fn narrow_mode(path: &Path, mode: u32) -> bool {
    let Ok(metadata) = path.metadata() else {
        // The object was removed, or the next attempt to open it reports the error.
        return false;
    };
    let found = metadata.mode();
    if found & PERMISSIONS == mode {
        return false;
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() == user {
        let special = found & !PERMISSIONS & 0o7777;
        match fs::set_permissions(path, Permissions::from_mode(special | mode)) {
            Ok(()) => return found & OTHERS != 0,
            Err(error) => warn_open_to_others(path, found, &error.to_string()),
        }
    } else if found & OTHERS != 0 {
        let why = format!("it belongs to user {}, not to {user}", metadata.uid());
        warn_open_to_others(path, found, &why);
    }
    false
}

fn warn_open_to_others(path: &Path, found: u32, why: &str) {
    let (path, mode) = (path.display(), format!("{:04o}", found & PERMISSIONS));
    tracing::warn!(%path, mode, "other users may open this, and it may hold events; failed to change its permissions: {why}: give it to the program's user with `chown`, or set another `data_dir`");
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn what_is_created_is_for_this_user_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        create_directory(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
        let file = path.join("file");
        file_options().write(true).create_new(true).open(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn what_was_wider_is_narrowed_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        fs::create_dir(&path).unwrap();
        let (file, outside, link) =
            (path.join("file"), directory.path().join("outside"), path.join("link"));
        fs::write(&file, "kept").unwrap();
        fs::write(&outside, "").unwrap();
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        for (path, mode) in [(&path, 0o2777), (&file, 0o644), (&outside, 0o644)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        create_directory(&path).unwrap();
        narrow_files(&path).unwrap();
        assert_eq!((mode(&path), mode(&file), mode(&outside)), (0o2700, 0o600, 0o644));
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        file_options().append(true).open(&file).unwrap().write_all(b" on").unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "").unwrap();
        assert!(create_directory(&path).is_err());
        assert!(create_directory(&path.join("below")).is_err());
    }
}
