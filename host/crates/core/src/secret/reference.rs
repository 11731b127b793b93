//! References to secrets, `secret:NAME` or `secret:NAME#FIELD`. A text with this prefix and without
//! a name is an error, and not a value.

use std::fmt;

use thiserror::Error;

use super::Secret;

/// The prefix of a value that is a reference to a secret, and not the secret itself.
const PREFIX: &str = "secret:";

/// Maximum characters of a reference. Names in Secrets Manager have at most 512, and ARNs 2048.
const CHARACTERS_MAX: usize = 2048;

/// A setting that is a secret, as written.
///
/// The text of a reference cannot be mistaken for the secret: only
/// [`resolve`](super::SecretResolver) converts one to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSetting {
    /// The secret itself.
    Value(Secret),
    /// A reference to the secret.
    Reference(SecretReference),
}

/// The name of a secret in a secret store: `secret:NAME`, or `secret:NAME#FIELD` for one field of a
/// secret that is a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretReference {
    name: String,
    field: Option<String>,
}

/// The text has the prefix, but is not a reference.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error(
    "begins with \"secret:\" but names no secret: write secret:NAME, or secret:NAME#FIELD for a field of a JSON \
     object, of at most {} characters, without spaces and control characters",
    CHARACTERS_MAX
)]
pub struct InvalidSecretReference;

impl SecretSetting {
    /// Parses a setting that is a secret or a reference to one. A text without the prefix `secret:`
    /// is a value.
    ///
    /// # Errors
    ///
    /// Fails if the text has the prefix, but no name. Such a text was probably not meant as a
    /// value.
    pub fn parse(written: Secret) -> Result<Self, InvalidSecretReference> {
        match written.expose().strip_prefix(PREFIX) {
            Some(rest) => SecretReference::parse(rest).map(SecretSetting::Reference),
            None => Ok(SecretSetting::Value(written)),
        }
    }

    /// The reference, if the setting is one.
    pub fn reference(&self) -> Option<&SecretReference> {
        match self {
            SecretSetting::Value(_) => None,
            SecretSetting::Reference(reference) => Some(reference),
        }
    }
}

impl SecretReference {
    fn parse(text: &str) -> Result<Self, InvalidSecretReference> {
        let is_good = |part: &str| {
            let is_bad = |character: char| character.is_control() || character.is_whitespace();
            !part.is_empty() && !part.contains(is_bad)
        };
        let (name, field) = match text.rsplit_once('#') {
            Some((name, field)) => (name, Some(field)),
            None => (text, None),
        };
        let is_short = text.chars().count() <= CHARACTERS_MAX;
        if !is_short || !is_good(name) || !field.is_none_or(is_good) {
            return Err(InvalidSecretReference);
        }
        Ok(SecretReference { name: name.to_owned(), field: field.map(str::to_owned) })
    }

    /// The name of the secret in its manager.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The field of a JSON object, if the secret is one.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

/// Shows the reference as in the settings, because a name is not a secret.
impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.name)?;
        match &self.field {
            Some(field) => write!(f, "#{field}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<SecretSetting, InvalidSecretReference> {
        SecretSetting::parse(Secret::new(text.to_owned()))
    }

    #[test]
    fn references_are_told_from_values() {
        for (text, expected) in [
            ("secret:/my/database/password", Some(("/my/database/password", None))),
            ("secret:aws#access_key_id", Some(("aws", Some("access_key_id")))),
            (
                "secret:arn:aws:secretsmanager:a:1:secret:b#c",
                Some(("arn:aws:secretsmanager:a:1:secret:b", Some("c"))),
            ),
            ("my secret:x", None),
            ("Secret:x", None),
            ("", None),
        ] {
            let setting = parse(text).unwrap();
            let found = setting.reference().map(|found| (found.name(), found.field()));
            assert_eq!(found, expected, "{text}");
            if let SecretSetting::Reference(reference) = setting {
                assert_eq!(reference.to_string(), text);
            }
        }
        let long = "x".repeat(CHARACTERS_MAX + 1);
        for wrong in ["", " ", "a b", "#a", "a#", "a\n", &long] {
            assert_eq!(parse(&format!("secret:{wrong}")), Err(InvalidSecretReference), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_value_stays_as_it_is_and_a_reference_is_none(text in "(secret:)?[a-z/#: é\u{7}]{0,20}") {
            match parse(&text) {
                Ok(SecretSetting::Value(value)) => prop_assert_eq!(value.expose(), text),
                Ok(SecretSetting::Reference(reference)) => prop_assert_eq!(reference.to_string(), text),
                Err(InvalidSecretReference) => prop_assert!(text.starts_with(PREFIX)),
            }
        }
    }
}
