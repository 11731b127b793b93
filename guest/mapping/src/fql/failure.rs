//! The errors of the parsers in this module.

use std::borrow::Cow;

use winnow::error::{ErrMode, ParserError};
use winnow::stream::Stream;

/// The result of a parser. An error is either final, or recoverable so that another parser is
/// tried.
pub(super) type ParseOutcome<T> = Result<T, ErrMode<ParseFailure>>;

/// Where a parser failed, and what it expected.
#[derive(Debug)]
pub(super) struct ParseFailure {
    /// The length of the remaining input: bytes of a text, or tokens.
    pub(super) left: usize,
    pub(super) expected: Cow<'static, str>,
}

impl<I: Stream> ParserError<I> for ParseFailure {
    type Inner = Self;

    /// Only for a recoverable error, after which another parser is tried, so it is never shown.
    fn from_input(input: &I) -> Self {
        ParseFailure { left: input.eof_offset(), expected: "something else".into() }
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// Fails with a final error, because only this is valid here.
pub(super) fn fail_expecting<T>(
    input: &impl Stream,
    what: impl Into<Cow<'static, str>>,
) -> ParseOutcome<T> {
    Err(ErrMode::Cut(ParseFailure { left: input.eof_offset(), expected: what.into() }))
}
