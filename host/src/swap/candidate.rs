use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::plugin::cases::Cases;
use crate::plugin::{Trust, Untrusted};

/// A component that may become the plugin.
#[derive(Clone)]
pub struct Candidate {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// What speaks for it.
    pub seal: Seal,
    /// The settings that it gets in place of those of the terms: JSON text, an
    /// object.
    pub settings: Option<String>,
    /// Where it is from, for people.
    pub origin: String,
}

/// What speaks for a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seal {
    /// Nothing does.
    Missing,
    /// The text of its detached signature.
    Detached(String),
    /// It is part of this program, and trusted as much.
    PartOfProgram,
}

/// What the settings ask of every plugin.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The settings that it gets: JSON text, an object.
    pub settings: String,
    /// Who must have made it.
    pub trust: Trust,
    /// What it must do with certain events.
    pub cases: Option<Arc<Cases>>,
}

impl Candidate {
    /// Check that it may be loaded.
    pub(super) fn check(&self, trust: &Trust, digest: &str) -> Result<(), Untrusted> {
        match &self.seal {
            Seal::Missing => trust.check(&self.bytes, digest, None),
            Seal::Detached(signature) => trust.check(&self.bytes, digest, Some(signature)),
            Seal::PartOfProgram => {
                let pinned = Trust { sha256: trust.sha256.clone(), public_key: None };
                pinned.check(&self.bytes, digest, None)
            }
        }
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("bytes", &self.bytes.len())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{PublicKey, sha256_hex};

    const KEY: &str = include_str!("../../../tests/data/minisign.pub");
    const SIGNATURE: &str = include_str!("../../../tests/data/sample.ndjson.minisig");
    const SIGNED: &[u8] = include_bytes!("../../../tests/data/sample.ndjson");

    fn candidate(seal: Seal) -> Candidate {
        Candidate { bytes: SIGNED.into(), seal, settings: None, origin: String::new() }
    }

    #[test]
    fn only_what_is_part_of_the_program_needs_no_signature() {
        let public_key = Some(PublicKey::from_base64(KEY.trim()).unwrap());
        let trust = Trust { sha256: None, public_key };
        let check = |seal| candidate(seal).check(&trust, "");
        assert_eq!(check(Seal::PartOfProgram), Ok(()));
        assert_eq!(check(Seal::Detached(SIGNATURE.to_owned())), Ok(()));
        assert_eq!(check(Seal::Missing), Err(Untrusted::NotSigned));
    }

    #[test]
    fn a_pin_goes_for_all() {
        let digest = sha256_hex(SIGNED);
        for (sha256, is_taken) in [(digest.clone(), true), ("0".repeat(64), false)] {
            let trust = Trust { sha256: Some(sha256), public_key: None };
            for seal in [Seal::PartOfProgram, Seal::Missing, Seal::Detached("none".to_owned())] {
                assert_eq!(candidate(seal).check(&trust, &digest).is_ok(), is_taken);
            }
        }
    }
}
