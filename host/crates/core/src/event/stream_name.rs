//! Names of delivery streams that Firehose accepts and that are safe in file names, and patterns of
//! such names.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The maximum length of a delivery stream's name, in characters. Source: Firehose,
/// `CreateDeliveryStream`.
const CHARS_MAX: usize = 64;

/// The name of a delivery stream, as Firehose accepts it.
///
/// It contains neither a path separator nor white space, so it is safe as a part of a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

/// Firehose would reject the name.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error(
    "{0:?} is not the name of a delivery stream: expected 1 to 64 of the characters a-z, A-Z, 0-9, _ . and -"
)]
pub struct InvalidStreamName(String);

impl StreamName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// Fails if Firehose would reject the name.
    pub fn parse(name: &str) -> Result<Self, InvalidStreamName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || name.len() > CHARS_MAX || !name.chars().all(allowed) {
            let shown = name.chars().take(2 * CHARS_MAX).collect();
            return Err(InvalidStreamName(shown));
        }
        Ok(StreamName(name.into()))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a pattern matches a name, or everything that another pattern matches. Each `*` stands
/// for any characters. A text without `*` matches only itself.
pub fn covers(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(found) = left.find(part) else { return false };
        left = &left[found + part.len()..];
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_firehose_takes() {
        for good in ["a", "A-z_0.9", &"x".repeat(64)] {
            assert_eq!(StreamName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "ä", "a\n", "*", &"x".repeat(65)] {
            assert!(StreamName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pattern_covers_names() {
        for (pattern, name, fits) in [
            ("events-*", "events-a", true),
            ("events-*", "events-", true),
            ("events-*", "event", false),
            ("*", "x", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*a", "aaab", false),
            ("**a", "baa", true),
        ] {
            assert_eq!(covers(pattern, name), fits, "{pattern} {name}");
        }
    }
}
