//! Reads the files of plugins with their detached signatures. Files have a size limit.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::RunError;
use crate::limits;
use standpipe_plugin_host::swap::{Candidate, SignatureCheck};

/// Reads the file of a component or script, and its detached signature if there is one.
pub(crate) fn read_candidate(path: &Path) -> Result<Candidate, RunError> {
    let bytes = Cow::Owned(read_plugin(path)?);
    let signature = match read_bounded(&signature_path(path), limits::PLUGIN_SIGNATURE_BYTES_MAX) {
        Ok(bytes) => SignatureCheck::Detached(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => SignatureCheck::None,
        Err(error) => {
            return Err(RunError::PluginFile { path: signature_path(path), error });
        }
    };
    Ok(Candidate {
        bytes,
        signature,
        runner: None,
        settings: None,
        origin: format!("the plugin {}", path.display()),
    })
}

/// The path of a component's detached signature.
pub(super) fn signature_path(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

/// Reads the file of a component or script.
///
/// # Errors
///
/// Fails if the file cannot be read, or is too large.
pub(crate) fn read_plugin(path: &Path) -> Result<Vec<u8>, RunError> {
    let bytes = read_bounded(path, limits::PLUGIN_FILE_BYTES_MAX);
    bytes.map_err(|error| RunError::PluginFile { path: path.to_owned(), error })
}

fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("the file is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}
