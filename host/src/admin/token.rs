//! The admin API's bearer token. Only its SHA-256 is kept and compared, so neither logs nor timing
//! tell anything about it; tokens shorter than 16 characters are refused. It can be replaced while
//! the server runs.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use thiserror::Error;

use standpipe_core::secret::Secret;

/// The fewest characters of a token: fewer can be found out by trying.
const CHARACTERS_MIN: usize = 16;

/// The most, so that it fits into a header with all the others.
const CHARACTERS_MAX: usize = 4096;

/// What requests about the plugin must bring along; clones are the same one.
///
/// Only its SHA-256 is kept, and compared whole: how long that takes tells nothing
/// about the token.
#[derive(Clone)]
pub struct Token(Arc<ArcSwap<[u8; 32]>>);

/// What can be no token.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error(
    "[admin] token must have {} to {} characters, which are letters, digits, or one of -._~+/=: take what \
     `openssl rand -hex 32` prints",
    CHARACTERS_MIN,
    CHARACTERS_MAX
)]
pub struct BadToken;

impl Token {
    /// This token.
    ///
    /// # Errors
    ///
    /// It is too short, or cannot stand in a header.
    pub fn new(token: &Secret) -> Result<Self, BadToken> {
        digest(token).map(|digest| Token(Arc::new(ArcSwap::from_pointee(digest))))
    }

    /// From now on it is this one. Tells whether that changes anything.
    ///
    /// # Errors
    ///
    /// As for [`Token::new`]; nothing changes then.
    pub fn set(&self, token: &Secret) -> Result<bool, BadToken> {
        let digest = digest(token)?;
        Ok(*self.0.swap(Arc::new(digest)) != digest)
    }

    /// Whether it is this one.
    pub(super) fn is(&self, text: &str) -> bool {
        let other: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let kept = self.0.load();
        kept.iter().zip(other).fold(0, |differences, (own, other)| differences | (own ^ other)) == 0
    }
}

/// Neither the token nor its hash is for a log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// The token in the value of a header `Authorization`; none if that is of another
/// form. Source: RFC 6750, 2.1.
pub fn bearer(header: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then_some(token)
}

fn digest(token: &Secret) -> Result<[u8; 32], BadToken> {
    let text = token.expose();
    let is_good = (CHARACTERS_MIN..=CHARACTERS_MAX).contains(&text.len()) && is_token(text);
    if is_good { Ok(Sha256::digest(text.as_bytes()).into()) } else { Err(BadToken) }
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
            assert_eq!(bearer(header.as_bytes()), token, "{header:?}");
        }
        assert_eq!(bearer(b"Bearer \xff"), None);
    }

    #[test]
    fn a_token_changes_whole_or_not_at_all() {
        let token = Token::new(&secret("0123456789abcdef")).unwrap();
        assert!(token.is("0123456789abcdef") && !token.is("0123456789abcdeg"));
        assert_eq!(token.set(&secret("0123456789abcdef")), Ok(false));
        for wrong in ["", "short", "a token with blanks", &"x".repeat(4097)] {
            assert_eq!(token.set(&secret(wrong)), Err(BadToken), "{wrong:?}");
        }
        assert!(token.is("0123456789abcdef"));
        assert_eq!(token.set(&secret("fedcba9876543210")), Ok(true));
        assert!(token.is("fedcba9876543210") && !token.is("0123456789abcdef"));
        assert_eq!(format!("{token:?}"), "Token(hidden)");
    }

    proptest! {
        #[test]
        fn whatever_a_header_holds_a_token_comes_out_as_it_stands(header: Vec<u8>) {
            if let Some(token) = bearer(&header) {
                prop_assert!(header.ends_with(token.as_bytes()) || header.ends_with(b" "));
                prop_assert!(is_token(token));
            }
        }

        #[test]
        fn only_the_token_itself_is_admitted(kept in "[a-z]{16,20}", other in "[a-z]{0,20}") {
            let token = Token::new(&secret(&kept)).unwrap();
            let header = format!("Bearer {other}");
            let is_admitted = bearer(header.as_bytes()).is_some_and(|other| token.is(other));
            prop_assert_eq!(is_admitted, kept == other);
        }
    }
}
