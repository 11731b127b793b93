use minisign_verify::{PublicKey, Signature};
use thiserror::Error;

/// Which components may be loaded. The default trusts every one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The SHA-256 that a component must have, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// The key that it must be signed with.
    pub public_key: Option<PublicKey>,
}

/// A component that may not be loaded.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Untrusted {
    /// It is another one.
    #[error(
        "its SHA-256 is {found}, and sha256 under [plugin] says {wanted}: give that component, or write this hash \
         there if you trust it"
    )]
    OtherDigest {
        /// The hash of the settings.
        wanted: String,
        /// Its own.
        found: String,
    },
    /// It has no signature.
    #[error(
        "it has no signature, and public_key under [plugin] demands one: sign it with `minisign -S -m FILE.wasm` and \
         keep FILE.wasm.minisig beside it"
    )]
    NotSigned,
    /// What should be its signature is none.
    #[error(
        "its signature is none of minisign's ({0}): sign it again with `minisign -S -m FILE.wasm`"
    )]
    NoSignature(String),
    /// It is signed by somebody else, or was changed afterwards.
    #[error(
        "its signature does not fit it and public_key under [plugin] ({0}): it was changed after it was signed, or \
         signed with another key"
    )]
    BadSignature(String),
}

impl Trust {
    /// Check a component before anything is made of it.
    ///
    /// # Errors
    ///
    /// It may not be loaded.
    pub fn check(
        &self,
        bytes: &[u8],
        digest: &str,
        signature: Option<&str>,
    ) -> Result<(), Untrusted> {
        if let Some(wanted) = self.sha256.as_ref().filter(|wanted| *wanted != digest) {
            let (wanted, found) = (wanted.clone(), digest.to_owned());
            return Err(Untrusted::OtherDigest { wanted, found });
        }
        let Some(public_key) = &self.public_key else { return Ok(()) };
        let signature = signature.ok_or(Untrusted::NotSigned)?;
        let signature = Signature::decode(signature);
        let signature = signature.map_err(|error| Untrusted::NoSignature(error.to_string()))?;
        let verified = public_key.verify(bytes, &signature, false);
        verified.map_err(|error| Untrusted::BadSignature(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Made with minisign 0.11 for this test: `minisign -G -W`, `minisign -S`.
    const KEY: &str = include_str!("../../../tests/data/minisign.pub");
    const SIGNATURE: &str = include_str!("../../../tests/data/sample.ndjson.minisig");
    const SIGNED: &[u8] = include_bytes!("../../../tests/data/sample.ndjson");

    fn trust() -> Trust {
        Trust { sha256: None, public_key: Some(PublicKey::from_base64(KEY.trim()).unwrap()) }
    }

    #[test]
    fn only_what_was_signed_is_taken() {
        assert_eq!(trust().check(SIGNED, "", Some(SIGNATURE)), Ok(()));
        assert_eq!(trust().check(SIGNED, "", None), Err(Untrusted::NotSigned));
        let changed = [SIGNED, b" "].concat();
        let refused = trust().check(&changed, "", Some(SIGNATURE));
        assert!(matches!(refused, Err(Untrusted::BadSignature(_))), "{refused:?}");
        let refused = trust().check(SIGNED, "", Some("nothing"));
        assert!(matches!(refused, Err(Untrusted::NoSignature(_))), "{refused:?}");
    }

    #[test]
    fn a_pin_is_compared() {
        let pinned = Trust { sha256: Some("ab".to_owned()), public_key: None };
        assert_eq!(pinned.check(b"", "ab", None), Ok(()));
        assert!(matches!(pinned.check(b"", "cd", None), Err(Untrusted::OtherDigest { .. })));
    }

    proptest! {
        #[test]
        fn any_change_of_what_was_signed_is_noticed(at in 0..SIGNED.len(), bit in 0..8) {
            let mut changed = SIGNED.to_vec();
            changed[at] ^= 1_u8 << bit;
            let refused = trust().check(&changed, "", Some(SIGNATURE));
            prop_assert!(matches!(refused, Err(Untrusted::BadSignature(_))), "{:?}", refused);
        }

        #[test]
        fn no_text_passes_for_a_signature(text in "\\PC{0,400}") {
            prop_assert!(trust().check(SIGNED, "", Some(&text)).is_err());
        }
    }
}
