//! How the parsers below this module fail.

use std::borrow::Cow;

use winnow::error::{ErrMode, ParserError};
use winnow::stream::Stream;

/// What a parser returns: it may fail for good or so that another one is tried.
pub(super) type Outcome<T> = Result<T, ErrMode<Failure>>;

/// Where a parser failed, and what it would have taken.
#[derive(Debug)]
pub(super) struct Failure {
    /// How much of the input was left: bytes of a text, or tokens.
    pub(super) left: usize,
    pub(super) expected: Cow<'static, str>,
}

impl<I: Stream> ParserError<I> for Failure {
    type Inner = Self;

    /// Only of a parser for which another one is tried, so that nobody sees it.
    fn from_input(input: &I) -> Self {
        Failure { left: input.eof_offset(), expected: "something else".into() }
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// Fail for good: nothing but this would be right here.
pub(super) fn expected<T>(input: &impl Stream, what: impl Into<Cow<'static, str>>) -> Outcome<T> {
    Err(ErrMode::Cut(Failure { left: input.eof_offset(), expected: what.into() }))
}
