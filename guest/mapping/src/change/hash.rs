//! Replaces values with their digests.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::json::HEX;

/// The algorithm of a digest, which is written in lower-case hexadecimal.
#[derive(Clone)]
pub(crate) enum Hash {
    /// Anyone can compute this digest, so values that can be guessed can be found.
    Sha256,
    /// Only holders of the secret can compute this digest. The state after hashing the secret is
    /// stored.
    HmacSha256(Hmac<Sha256>),
}

impl Hash {
    pub(crate) fn with_secret(secret: &str) -> Self {
        let keyed = Hmac::new_from_slice(secret.as_bytes()).expect("it takes keys of any length");
        Hash::HmacSha256(keyed)
    }

    /// Replaces a text with its digest.
    pub(crate) fn replace_with_digest(&self, text: &mut String) {
        let digest: [u8; 32] = match self {
            Hash::Sha256 => Sha256::digest(text.as_bytes()).into(),
            Hash::HmacSha256(keyed) => {
                let mut keyed = keyed.clone();
                keyed.update(text.as_bytes());
                keyed.finalize().into_bytes().into()
            }
        };
        let mut digits = [0; 64];
        for (digits, byte) in digits.chunks_exact_mut(2).zip(digest) {
            digits[0] = HEX[usize::from(byte >> 4)];
            digits[1] = HEX[usize::from(byte & 0xf)];
        }
        text.clear();
        // Appending all digits at once is faster: one at a time would cost half as much as the
        // digest.
        text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
    }
}

/// Hides the secret.
impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Hash::Sha256 => "Sha256",
            Hash::HmacSha256(_) => "HmacSha256",
        })
    }
}
