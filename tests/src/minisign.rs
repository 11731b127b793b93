//! Signatures by Debian's `minisign`, with keys made for the test.
//!
//! The crate of that name would have features of the program's own dependencies
//! turned on, and much of it built twice.

use std::ffi::OsStr;
use std::fs;

use tempfile::TempDir;

use crate::install;

/// A secret key without a password, and its public key.
#[derive(Debug)]
pub struct KeyPair(TempDir);

impl KeyPair {
    /// A new pair.
    pub fn generate() -> Self {
        install::needs("minisign", || {
            // A directory of its own for each attempt: minisign overwrites no key.
            let pair = KeyPair(TempDir::new().expect("a directory"));
            let arguments = ["-G", "-W", "-p"].map(OsStr::new).map(OsStr::to_owned);
            let arguments = arguments.into_iter().chain([
                pair.path("public").into(),
                "-s".into(),
                pair.path("secret").into(),
            ]);
            install::succeeds("minisign", arguments).then_some(pair)
        })
    }

    /// The line that settings have.
    pub fn public_key(&self) -> String {
        let text = fs::read_to_string(self.path("public")).expect("a key");
        text.lines().nth(1).expect("a second line").to_owned()
    }

    /// The text of the detached signature.
    pub fn sign(&self, bytes: &[u8]) -> String {
        fs::write(self.path("file"), bytes).expect("a file is written");
        let (secret, file) = (self.path("secret"), self.path("file"));
        let arguments =
            [OsStr::new("-S"), "-s".as_ref(), secret.as_ref(), "-m".as_ref(), file.as_ref()];
        assert!(install::succeeds("minisign", arguments), "minisign signs");
        fs::read_to_string(self.path("file.minisig")).expect("a signature")
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }
}
