//! The error about a condition's text.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;

/// Maximum characters of the text in an error.
const SHOWN_CHARS_MAX: usize = 32;

/// Why a text is not a valid condition: what was expected, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParseError {
    column: usize,
    expected: Cow<'static, str>,
    found: String,
}

impl ParseError {
    /// An error about a part of a text, given in bytes.
    pub(super) fn new(
        text: &str,
        part: Range<usize>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        let column = text[..part.start].chars().count() + 1;
        ParseError { column, expected: expected.into(), found: quote_part(&text[part]) }
    }
}

/// Quotes a part of a text, and truncates it if it is long.
fn quote_part(part: &str) -> String {
    if part.is_empty() {
        return "the end".to_owned();
    }
    let (part, rest) = match part.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => (&part[..end], "..."),
        None => (part, ""),
    };
    format!("'{}{rest}'", part.replace(char::is_control, "\u{fffd}"))
}

/// The column counts characters from 1 in the whole text, regardless of lines.
impl Display for ParseError {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let ParseError { column, expected, found } = self;
        write!(out, "column {column}: expected {expected}, found {found}")
    }
}

impl std::error::Error for ParseError {}
