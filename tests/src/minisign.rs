//! Signatures by Debian's `minisign`, with keys generated for the test.
//!
//! The crate of the same name would enable features of the program's own dependencies, and cause
//! much of it to be built twice.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::tools;

/// A secret key without a password, and its public key.
#[derive(Debug)]
pub struct KeyPair(TempDir);

impl KeyPair {
    /// Generates a new key pair.
    pub fn generate() -> Self {
        let pair = KeyPair(TempDir::new().expect("a directory"));
        let mut generate = minisign_command();
        generate.args(["-G", "-W", "-p"]).arg(pair.file_path("public"));
        generate.arg("-s").arg(pair.file_path("secret"));
        let output = generate.output().expect("minisign starts");
        assert!(output.status.success(), "minisign makes no keys: {output:?}");
        pair
    }

    /// The public key as in settings.
    pub fn public_key(&self) -> String {
        let text = fs::read_to_string(self.file_path("public")).expect("a key");
        text.lines().nth(1).expect("a second line").to_owned()
    }

    /// The text of the detached signature.
    pub fn sign(&self, bytes: &[u8]) -> String {
        fs::write(self.file_path("file"), bytes).expect("a file is written");
        let mut sign = minisign_command();
        sign.args(["-S", "-s"]).arg(self.file_path("secret")).arg("-m").arg(self.file_path("file"));
        let output = sign.output().expect("minisign starts");
        assert!(output.status.success(), "minisign does not sign: {output:?}");
        fs::read_to_string(self.file_path("file.minisig")).expect("a signature")
    }

    fn file_path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn minisign_command() -> Command {
    Command::new(tools::find_program("minisign"))
}
