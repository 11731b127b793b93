//! Secrets in files of one directory, as Kubernetes mounts them. Names that leave the directory are
//! rejected, and file sizes are limited.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use super::{SECRET_BYTES_MAX, SecretError};
use standpipe_core::secret::Secret;

/// Reads a file in the directory, without the newline that editors append.
pub(super) fn read_file(directory: &Path, name: &str) -> Result<Secret, SecretError> {
    let is_plain = |part| matches!(part, Component::Normal(_));
    if !Path::new(name).components().all(is_plain) {
        return Err(SecretError::OutsideDirectory);
    }
    let path = directory.join(name);
    let mut bytes = Vec::new();
    // The newline, and one more byte to detect a file that is too long.
    let read_max = SECRET_BYTES_MAX + 2;
    let read = File::open(&path).and_then(|file| file.take(read_max).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 == read_max => Err(SecretError::TooLong),
        Ok(_) => {
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            let text = String::from_utf8(bytes);
            text.map(Secret::new).map_err(|_| SecretError::FileNotUtf8(path))
        }
        Err(error) => Err(SecretError::File { path, error }),
    }
}
