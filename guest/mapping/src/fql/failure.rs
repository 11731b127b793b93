//! How the parsers below this module fail.

use std::borrow::Cow;

use winnow::error::{ErrMode, ParserError};
use winnow::stream::Stream;

/// What a parser returns: it may fail for good or so that another one is tried.
pub(super) type ParseOutcome<T> = Result<T, ErrMode<ParseFailure>>;

/// Where a parser failed, and what it would have taken.
#[derive(Debug)]
pub(super) struct ParseFailure {
    /// How much of the input was left: bytes of a text, or tokens.
    pub(super) left: usize,
    pub(super) expected: Cow<'static, str>,
}

impl<I: Stream> ParserError<I> for ParseFailure {
    type Inner = Self;

    /// Only of a parser for which another one is tried, so that nobody sees it.
    fn from_input(input: &I) -> Self {
        ParseFailure { left: input.eof_offset(), expected: "something else".into() }
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// Fail for good: nothing but this would be right here.
pub(super) fn fail_expecting<T>(
    input: &impl Stream,
    what: impl Into<Cow<'static, str>>,
) -> ParseOutcome<T> {
    Err(ErrMode::Cut(ParseFailure { left: input.eof_offset(), expected: what.into() }))
}
