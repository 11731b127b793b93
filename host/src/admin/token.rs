//! The bearer token of the admin API. Only its SHA-256 is kept and compared, so neither logs nor
//! timing reveal it. Tokens shorter than 16 characters are rejected. The token can be replaced
//! while the server runs.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use thiserror::Error;

use standpipe_core::secret::Secret;

/// The minimum length of a token. Shorter ones can be guessed.
const CHARACTERS_MIN: usize = 16;

/// The maximum length of a token. It must fit into a request's headers.
const CHARACTERS_MAX: usize = 4096;

/// The token of the plugin API. Clones share it.
///
/// Only its SHA-256 is kept, and compared in constant time.
#[derive(Clone)]
pub struct AdminToken(Arc<ArcSwap<[u8; 32]>>);

/// A text that cannot be a token.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error(
    "[admin] token must have {} to {} characters, which are letters, digits, or one of -._~+/=: use the output of \
     `openssl rand -hex 32`",
    CHARACTERS_MIN,
    CHARACTERS_MAX
)]
pub struct InvalidToken;

impl AdminToken {
    /// Creates a token from this text.
    ///
    /// # Errors
    ///
    /// Fails if the text is too short or too long, or contains characters that a header must not
    /// contain.
    pub fn new(token: &Secret) -> Result<Self, InvalidToken> {
        hash_token(token).map(|digest| AdminToken(Arc::new(ArcSwap::from_pointee(digest))))
    }

    /// Replaces the token. Returns whether it has changed.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`AdminToken::new`]. Nothing changes then.
    pub fn replace(&self, token: &Secret) -> Result<bool, InvalidToken> {
        let digest = hash_token(token)?;
        Ok(*self.0.swap(Arc::new(digest)) != digest)
    }

    /// Whether this text is the token.
    pub(super) fn matches(&self, text: &str) -> bool {
        let other: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let kept = self.0.load();
        kept.iter().zip(other).fold(0, |differences, (own, other)| differences | (own ^ other)) == 0
    }
}

/// Shows neither the token nor its hash.
impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Parses the token in the value of a header `Authorization`. Returns `None` if the value has
/// another form. Source: RFC 6750, 2.1.
pub fn parse_bearer_token(header: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then_some(token)
}

fn hash_token(token: &Secret) -> Result<[u8; 32], InvalidToken> {
    let text = token.expose();
    let is_good = (CHARACTERS_MIN..=CHARACTERS_MAX).contains(&text.len()) && is_token(text);
    if is_good { Ok(Sha256::digest(text.as_bytes()).into()) } else { Err(InvalidToken) }
}

fn is_token(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !text.is_empty() && text.bytes().all(is_fit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_token_is_taken_out_of_its_header() {
        for (header, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER  a.b-c_d~e+f/g== ", Some("a.b-c_d~e+f/g==")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Bearer a b", None),
            ("Bearer a,b", None),
            ("Basic abc", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(parse_bearer_token(header.as_bytes()), token, "{header:?}");
        }
        assert_eq!(parse_bearer_token(b"Bearer \xff"), None);
    }

    #[test]
    fn a_token_changes_whole_or_not_at_all() {
        let token = AdminToken::new(&secret("0123456789abcdef")).unwrap();
        assert!(token.matches("0123456789abcdef") && !token.matches("0123456789abcdeg"));
        assert_eq!(token.replace(&secret("0123456789abcdef")), Ok(false));
        for wrong in ["", "short", "a token with blanks", &"x".repeat(4097)] {
            assert_eq!(token.replace(&secret(wrong)), Err(InvalidToken), "{wrong:?}");
        }
        assert!(token.matches("0123456789abcdef"));
        assert_eq!(token.replace(&secret("fedcba9876543210")), Ok(true));
        assert!(token.matches("fedcba9876543210") && !token.matches("0123456789abcdef"));
        assert_eq!(format!("{token:?}"), "Token(hidden)");
    }

    proptest! {
        #[test]
        fn whatever_a_header_holds_a_token_comes_out_as_it_stands(header: Vec<u8>) {
            if let Some(token) = parse_bearer_token(&header) {
                prop_assert!(header.ends_with(token.as_bytes()) || header.ends_with(b" "));
                prop_assert!(is_token(token));
            }
        }

        #[test]
        fn only_the_token_itself_is_admitted(kept in "[a-z]{16,20}", other in "[a-z]{0,20}") {
            let token = AdminToken::new(&secret(&kept)).unwrap();
            let header = format!("Bearer {other}");
            let is_admitted = parse_bearer_token(header.as_bytes()).is_some_and(|other| token.matches(other));
            prop_assert_eq!(is_admitted, kept == other);
        }
    }
}
