//! Digests and message authentication codes for `crypto`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Digest;

/// A digest of `crypto.createHash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DigestAlgorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl DigestAlgorithm {
    /// The algorithm with a name of Node.js, such as `sha256`, `SHA256` or `RSA-SHA256`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("rsa-").unwrap_or(&name).replace('-', "");
        Some(match name.as_str() {
            "md5" => DigestAlgorithm::Md5,
            "sha1" => DigestAlgorithm::Sha1,
            "sha224" => DigestAlgorithm::Sha224,
            "sha256" => DigestAlgorithm::Sha256,
            "sha384" => DigestAlgorithm::Sha384,
            "sha512" => DigestAlgorithm::Sha512,
            _ => return None,
        })
    }

    pub(super) fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            DigestAlgorithm::Md5 => md5::Md5::digest(data).to_vec(),
            DigestAlgorithm::Sha1 => sha1::Sha1::digest(data).to_vec(),
            DigestAlgorithm::Sha224 => sha2::Sha224::digest(data).to_vec(),
            DigestAlgorithm::Sha256 => sha2::Sha256::digest(data).to_vec(),
            DigestAlgorithm::Sha384 => sha2::Sha384::digest(data).to_vec(),
            DigestAlgorithm::Sha512 => sha2::Sha512::digest(data).to_vec(),
        }
    }

    pub(super) fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        fn authenticate<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
            // A key of any length is valid for HMAC.
            let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
            mac.update(data);
            mac.finalize().into_bytes().to_vec()
        }
        match self {
            DigestAlgorithm::Md5 => authenticate::<Hmac<md5::Md5>>(key, data),
            DigestAlgorithm::Sha1 => authenticate::<Hmac<sha1::Sha1>>(key, data),
            DigestAlgorithm::Sha224 => authenticate::<Hmac<sha2::Sha224>>(key, data),
            DigestAlgorithm::Sha256 => authenticate::<Hmac<sha2::Sha256>>(key, data),
            DigestAlgorithm::Sha384 => authenticate::<Hmac<sha2::Sha384>>(key, data),
            DigestAlgorithm::Sha512 => authenticate::<Hmac<sha2::Sha512>>(key, data),
        }
    }
}
