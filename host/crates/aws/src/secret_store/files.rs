//! Secrets from files of one directory, as Kubernetes mounts them. Names that leave the directory
//! are refused, and files are bounded.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::limits;
use standpipe_core::secret::Secret;

/// A file for each secret, in a directory.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn new(directory: PathBuf) -> Self {
        Files { directory }
    }

    /// A file's text without the newline that editors put at its end.
    pub(super) fn read(&self, name: &str) -> Result<Secret, String> {
        let is_plain = |part| matches!(part, Component::Normal(_));
        if !Path::new(name).components().all(is_plain) {
            return Err("the name leaves `directory` under [secrets]: write one without / at its start and without ..".to_owned());
        }
        let path = self.directory.join(name);
        let mut text = String::new();
        let opened = File::open(&path);
        let read =
            opened.and_then(|file| file.take(limits::SECRET_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => {
                let end = text.strip_suffix('\n').map(str::len).unwrap_or(text.len());
                text.truncate(end);
                Ok(Secret::new(text))
            }
            Err(error) => Err(format!(
                "read {}: {error}: check `directory` and `prefix` under [secrets]",
                path.display()
            )),
        }
    }
}
