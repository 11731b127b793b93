//! Text that must never be printed, and references to where it is kept.

mod reference;
mod resolve;

pub use reference::{InvalidSecretReference, SecretReference, SecretSetting};
pub use resolve::{NoSecretManager, ResolvingSecret, SecretResolver, UnresolvedSecret};

use std::fmt;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

// `Debug` and errors do not show the text, and its memory is overwritten when it is dropped.
/// A secret. Some keys also accept a reference `secret:NAME` to a secret in the manager of
/// `[secrets]`.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Secret(#[schemars(with = "String")] Zeroizing<String>);

/// Implemented by hand because the derived error shows a value of the wrong type: a key of
/// digits without quotes is a number.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer);
        text.map(Secret::new)
            .map_err(|_| D::Error::custom("a secret must be a string: put it in quotes"))
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl Secret {
    /// Creates a secret from a text.
    pub fn new(text: String) -> Self {
        Secret(Zeroizing::new(text))
    }

    /// Returns the text, for code that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_text() {
        assert_eq!(format!("{:?}", Secret::new("abc123".into())), "Secret(hidden)");
    }
}
