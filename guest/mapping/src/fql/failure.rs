//! The errors of the parsers in this module.

use std::borrow::Cow;

use winnow::error::{ErrMode, ParserError};
use winnow::stream::Stream;

/// What a parser returns: it may fail for good or so that another one is tried.
pub(super) type ParseOutcome<T> = Result<T, ErrMode<ParseFailure>>;

/// Where a parser failed, and what it expected.
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

/// Fails without trying another parser: only this is valid here.
pub(super) fn fail_expecting<T>(
    input: &impl Stream,
    what: impl Into<Cow<'static, str>>,
) -> ParseOutcome<T> {
    Err(ErrMode::Cut(ParseFailure { left: input.eof_offset(), expected: what.into() }))
}
