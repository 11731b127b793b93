//! Decides which components may be loaded. This is the only gate through which a component gets a
//! role.
//!
//! A component becomes a [`Generation`](super::Generation) in any role only as an
//! [`AdmittedPlugin`], and only [`Trust::admit`] turns a component into one. So no code path can
//! skip the checks of hash and key. The result of a check stays with the component as [`Evidence`],
//! for a later comparison with other settings without the signature.

use std::sync::Arc;

use minisign_verify::{PublicKey, Signature};
use thiserror::Error;

use super::Plugin;

/// Which components may be loaded. The default trusts all components.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The SHA-256 that a component must have, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// The SHA-256 of a canary, in place of `sha256`.
    pub canary_sha256: Option<String>,
    /// The SHA-256 of a shadow, in place of `sha256`.
    pub shadow_sha256: Option<String>,
    /// The key that must have signed a component, in any role.
    pub public_key: Option<PublicKey>,
}

/// The role of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The component decides events.
    Active,
    /// The component decides the events of some users.
    Canary,
    /// The component maps all events, but its decisions are only compared.
    Shadow,
}

/// How a component's signature is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureCheck {
    /// The component has no signature.
    None,
    /// The text of the detached signature is verified.
    Detached(String),
    /// No check: the component is part of this program, and equally trusted.
    BuiltIn,
}

/// The result of a check of a component. Only [`Trust::check`] creates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    digest: Arc<str>,
    signer: Signer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Signer {
    /// No key was required.
    Unknown,
    /// The owner of this key.
    Key(PublicKey),
    /// The authors of this program.
    Program,
}

/// A plugin that may be used in a role.
#[derive(Debug, Clone)]
pub struct AdmittedPlugin {
    plugin: Plugin,
    evidence: Evidence,
}

/// A component that may not be loaded.
#[derive(Debug, Error)]
pub enum Untrusted {
    /// The component has another hash.
    #[error(
        "its SHA-256 is {found}, and sha256 under {place} is {wanted}: use that component, or write this hash \
         there if you trust it"
    )]
    DigestMismatch {
        /// The table of the settings with the expected hash.
        place: &'static str,
        /// The hash in the settings.
        wanted: String,
        /// The hash of the component.
        found: String,
    },
    /// The component was read and verified under another key than the current one.
    #[error(
        "it was not verified with the current public_key under [plugin]: load it again with its signature"
    )]
    OtherKey,
    /// The component has no signature.
    #[error(
        "it has no signature, and public_key under [plugin] requires one: sign it with `minisign \
         -S -m FILE` and keep FILE.minisig next to it; several scripts are signed as one file, which `host plugin \
         bundle` writes"
    )]
    NotSigned,
    /// The signature is not a minisign signature.
    #[error(
        "its signature is not a minisign signature ({0}): sign it again with `minisign -S -m FILE.wasm`"
    )]
    MalformedSignature(#[source] minisign_verify::Error),
    /// The component was signed with another key, or was changed after it was signed.
    #[error(
        "its signature does not match the component and public_key under [plugin] ({0}): the component was changed after it was signed, or \
         signed with another key"
    )]
    BadSignature(#[source] minisign_verify::Error),
}

impl Trust {
    /// Checks a component before it is compiled. `digest` is its SHA-256, in hexadecimal.
    ///
    /// # Errors
    ///
    /// Fails if the component may not be used in this role.
    pub fn check(
        &self,
        role: Role,
        bytes: &[u8],
        digest: &Arc<str>,
        signature: &SignatureCheck,
    ) -> Result<Evidence, Untrusted> {
        // The hash is checked first because a signature costs more.
        self.check_pin(role, digest)?;
        let signer = match (signature, &self.public_key) {
            (SignatureCheck::BuiltIn, _) => Signer::Program,
            (_, None) => Signer::Unknown,
            (SignatureCheck::None, Some(_)) => return Err(Untrusted::NotSigned),
            (SignatureCheck::Detached(signature), Some(key)) => {
                let signature = Signature::decode(signature);
                let signature = signature.map_err(Untrusted::MalformedSignature)?;
                let verified = key.verify(bytes, &signature, false);
                verified.map_err(Untrusted::BadSignature)?;
                Signer::Key(key.clone())
            }
        };
        Ok(Evidence { digest: Arc::clone(digest), signer })
    }

    /// Checks an earlier result again, under other settings or for another role.
    ///
    /// # Errors
    ///
    /// Fails if the component may not be used in this role.
    pub fn check_again(&self, role: Role, evidence: &Evidence) -> Result<(), Untrusted> {
        self.check_pin(role, &evidence.digest)?;
        match (&self.public_key, &evidence.signer) {
            (None, _) | (_, Signer::Program) => Ok(()),
            (Some(key), Signer::Key(signer)) if key == signer => Ok(()),
            (Some(_), Signer::Key(_) | Signer::Unknown) => Err(Untrusted::OtherKey),
        }
    }

    /// Admits a plugin to a role, based on the evidence of its component.
    ///
    /// # Errors
    ///
    /// Fails if the plugin may not have the role, or if the evidence is about another component.
    pub fn admit(
        &self,
        role: Role,
        plugin: Plugin,
        evidence: Evidence,
    ) -> Result<AdmittedPlugin, Untrusted> {
        if *plugin.digest() != evidence.digest {
            let (wanted, found) = (evidence.digest.to_string(), plugin.digest().to_string());
            return Err(Untrusted::DigestMismatch { place: "[plugin]", wanted, found });
        }
        self.check_again(role, &evidence)?;
        Ok(AdmittedPlugin { plugin, evidence })
    }

    fn check_pin(&self, role: Role, digest: &str) -> Result<(), Untrusted> {
        let (place, own) = match role {
            Role::Active => ("[plugin]", None),
            Role::Canary => ("[plugin.canary]", self.canary_sha256.as_ref()),
            Role::Shadow => ("[plugin.shadow]", self.shadow_sha256.as_ref()),
        };
        let (place, wanted) = match (own, &self.sha256) {
            (Some(own), _) => (place, own),
            (None, Some(pin)) => ("[plugin]", pin),
            (None, None) => return Ok(()),
        };
        if wanted != digest {
            let (wanted, found) = (wanted.clone(), digest.to_owned());
            return Err(Untrusted::DigestMismatch { place, wanted, found });
        }
        Ok(())
    }
}

impl AdmittedPlugin {
    #[cfg(any(test, feature = "native-mapping", feature = "testing"))]
    /// Admits a plugin that is native code or a script of this program. Returns `None` for a plugin
    /// with a component.
    pub fn without_component(plugin: Plugin) -> Option<Self> {
        if plugin.has_component() {
            return None;
        }
        let evidence = Evidence { digest: Arc::clone(plugin.digest()), signer: Signer::Program };
        Some(AdmittedPlugin { plugin, evidence })
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Admits this or another plugin of its component under other settings.
    pub(super) fn admit_again(
        &self,
        plugin: Plugin,
        trust: &Trust,
        role: Role,
    ) -> Result<AdmittedPlugin, Untrusted> {
        trust.admit(role, plugin, self.evidence.clone())
    }

    pub(super) fn into_parts(self) -> (Plugin, Evidence) {
        (self.plugin, self.evidence)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sha256_hex;

    // Made with minisign 0.11 for this test: `minisign -G -W`, `minisign -S`.
    const KEY: &str = include_str!("../../../../tests/data/minisign.pub");
    const SIGNATURE: &str = include_str!("../../../../tests/data/sample.ndjson.minisig");
    const SIGNED: &[u8] = include_bytes!("../../../../tests/data/sample.ndjson");
    const ROLES: [Role; 3] = [Role::Active, Role::Canary, Role::Shadow];

    fn trust() -> Trust {
        let public_key = Some(PublicKey::from_base64(KEY.trim()).unwrap());
        Trust { public_key, ..Trust::default() }
    }

    fn other_key() -> PublicKey {
        // The public key of a pair that signed nothing in these tests.
        PublicKey::from_base64("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3").unwrap()
    }

    fn check(trust: &Trust, role: Role, signature: &SignatureCheck) -> Result<Evidence, Untrusted> {
        trust.check(role, SIGNED, &sha256_hex(SIGNED).into(), signature)
    }

    fn signed() -> SignatureCheck {
        SignatureCheck::Detached(SIGNATURE.to_owned())
    }

    #[test]
    fn only_what_was_signed_is_taken_in_every_role() {
        for role in ROLES {
            assert!(check(&trust(), role, &signed()).is_ok());
            assert!(check(&trust(), role, &SignatureCheck::BuiltIn).is_ok());
            let refused = check(&trust(), role, &SignatureCheck::None);
            assert!(matches!(refused, Err(Untrusted::NotSigned)), "{refused:?}");
            let changed = [SIGNED, b" "].concat();
            let digest = sha256_hex(&changed).into();
            let refused = trust().check(role, &changed, &digest, &signed());
            assert!(matches!(refused, Err(Untrusted::BadSignature(_))), "{refused:?}");
            let refused = check(&trust(), role, &SignatureCheck::Detached("nothing".to_owned()));
            assert!(matches!(refused, Err(Untrusted::MalformedSignature(_))), "{refused:?}");
        }
    }

    #[test]
    fn a_pin_holds_for_every_role_and_whatever_speaks_for_the_component() {
        let own = sha256_hex(SIGNED);
        let other = "0".repeat(64);
        let pin = |digest: &String| Trust { sha256: Some(digest.clone()), ..Trust::default() };
        for role in ROLES {
            for signature in [SignatureCheck::None, SignatureCheck::BuiltIn, signed()] {
                assert!(check(&pin(&own), role, &signature).is_ok());
                let refused = check(&pin(&other), role, &signature);
                assert!(matches!(
                    refused,
                    Err(Untrusted::DigestMismatch { place: "[plugin]", .. })
                ));
            }
        }
    }

    #[test]
    fn a_canary_and_a_shadow_can_have_a_pin_of_their_own() {
        let (own, other) = (sha256_hex(SIGNED), "0".repeat(64));
        let trust = |active: &str, canary: &str, shadow: &str| Trust {
            sha256: Some(active.to_owned()),
            canary_sha256: Some(canary.to_owned()),
            shadow_sha256: Some(shadow.to_owned()),
            public_key: None,
        };
        for (trust, allowed) in [
            (trust(&own, &other, &other), [true, false, false]),
            (trust(&other, &own, &other), [false, true, false]),
            (trust(&other, &other, &own), [false, false, true]),
        ] {
            let taken = ROLES.map(|role| check(&trust, role, &SignatureCheck::None).is_ok());
            assert_eq!(taken, allowed);
        }
    }

    #[test]
    fn what_was_checked_before_is_held_against_the_present_settings() {
        let unchecked = check(&Trust::default(), Role::Canary, &signed()).unwrap();
        let ours = check(&trust(), Role::Canary, &signed()).unwrap();
        let built_in = check(&trust(), Role::Canary, &SignatureCheck::BuiltIn).unwrap();
        let pinned = Trust { sha256: Some("0".repeat(64)), ..Trust::default() };
        let moved = Trust { public_key: Some(other_key()), ..Trust::default() };
        for role in ROLES {
            for evidence in [&unchecked, &ours, &built_in] {
                assert!(Trust::default().check_again(role, evidence).is_ok());
                assert!(pinned.check_again(role, evidence).is_err());
            }
            let refused = trust().check_again(role, &unchecked);
            assert!(matches!(refused, Err(Untrusted::OtherKey)), "{refused:?}");
            assert!(trust().check_again(role, &ours).is_ok());
            let refused = moved.check_again(role, &ours);
            assert!(matches!(refused, Err(Untrusted::OtherKey)), "{refused:?}");
            assert!(moved.check_again(role, &built_in).is_ok());
        }
    }

    #[test]
    fn evidence_speaks_for_its_own_component_alone() {
        let settings = r#"{"mappings":[{"event":"*","stream":"all"}]}"#;
        let native = Plugin::native(settings).unwrap();
        let evidence = check(&Trust::default(), Role::Active, &SignatureCheck::None).unwrap();
        let refused = Trust::default().admit(Role::Active, native.clone(), evidence);
        assert!(matches!(refused, Err(Untrusted::DigestMismatch { .. })));
        assert!(AdmittedPlugin::without_component(native).is_some());
    }

    proptest! {
        #[test]
        fn any_change_of_what_was_signed_is_noticed(at in 0..SIGNED.len(), bit in 0..8) {
            let mut changed = SIGNED.to_vec();
            changed[at] ^= 1_u8 << bit;
            let digest = sha256_hex(&changed).into();
            let refused = trust().check(Role::Active, &changed, &digest, &signed());
            prop_assert!(matches!(refused, Err(Untrusted::BadSignature(_))), "{:?}", refused);
        }

        #[test]
        fn no_text_passes_for_a_signature(text in "\\PC{0,400}") {
            prop_assert!(check(&trust(), Role::Active, &SignatureCheck::Detached(text)).is_err());
        }
    }
}
