//! Write keys to sources, by SHA-256: comparing a key takes a time that tells nothing about other
//! keys.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use standpipe_core::secret::Secret;

/// Which source a write key belongs to.
///
/// Keys are found by their SHA-256. How long that takes tells something about the
/// hash of what was sent, which nobody can choose byte by byte, and nothing about
/// a key: the comparison is constant in time as far as keys go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keyring {
    sources: HashMap<[u8; 32], usize>,
}

impl Keyring {
    /// Add a source's key. Tells if it is taken.
    pub(super) fn add(&mut self, key: &Secret, source: usize) -> bool {
        self.sources.insert(digest(key.expose()), source).is_some()
    }

    pub(super) fn source(&self, key: &str) -> Option<usize> {
        self.sources.get(&digest(key)).copied()
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
