//! References to secrets, `secret:NAME` or `secret:NAME#FIELD`. A text that begins so and names
//! nothing is an error, not a value.

use std::fmt;

use thiserror::Error;

use super::Secret;

/// What a value begins with that is the name of a secret and not the secret itself.
const PREFIX: &str = "secret:";

/// Characters of a reference. Names in Secrets Manager have at most 512, and ARNs
/// 2048.
const CHARACTERS_MAX: usize = 2048;

/// A setting that is a secret, as it was written.
///
/// The text of a reference cannot be taken for the secret: only
/// [`resolve`](super::SecretResolver) turns one into the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSetting {
    /// The secret itself.
    Value(Secret),
    /// Where it is kept.
    Reference(SecretReference),
}

/// The name of a secret that is kept elsewhere: `secret:NAME`, or
/// `secret:NAME#FIELD` for one field of a secret that is a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretReference {
    name: String,
    field: Option<String>,
}

/// A text that begins like a reference but is not one.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error(
    "begins with \"secret:\" but names no secret: write secret:NAME, or secret:NAME#FIELD for a field of a JSON \
     object, of at most {} characters, without spaces and control characters",
    CHARACTERS_MAX
)]
pub struct InvalidSecretReference;

impl SecretSetting {
    /// Parses a setting that is a secret or a reference to one. A text that does not begin with
    /// `secret:` is a value.
    ///
    /// # Errors
    ///
    /// It begins so but names nothing. Such a text was hardly meant as a value.
    pub fn parse(written: Secret) -> Result<Self, InvalidSecretReference> {
        match written.expose().strip_prefix(PREFIX) {
            Some(rest) => SecretReference::parse(rest).map(SecretSetting::Reference),
            None => Ok(SecretSetting::Value(written)),
        }
    }

    /// The reference, if it is one.
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

/// As it is written in the settings: a name is not a secret.
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
