//! The tokens of a condition's text.

use std::ops::Range;

use winnow::LocatingSlice;
use winnow::combinator::{alt, opt, peek, preceded, repeat, terminated};
use winnow::error::ErrMode;
use winnow::prelude::*;
use winnow::token::{any, one_of, take_till, take_while};

use super::decimal::Decimal;
use super::error::ParseError;
use super::failure::{ParseFailure, ParseOutcome, fail_expecting};
use super::path::ConditionPath;
use super::word::{Keyword, Word, is_plain};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind<'t>,
    /// The text as written, including the quotes of a string.
    pub(super) text: &'t str,
    start: usize,
}

impl Token<'_> {
    /// The token's bytes in the whole text.
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind<'t> {
    /// A path, or a function's name.
    Path(ConditionPath),
    /// The text between a string's quotes.
    String(&'t str),
    Number(Decimal<'t>),
    Keyword(Keyword),
    /// Any other token: `=` or `(`.
    Mark(&'t str),
}

type TokenText<'t> = LocatingSlice<&'t str>;

/// The tokens of a text.
pub(super) fn split_tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut all = preceded(skip_space, repeat(0.., terminated(read_token, skip_space)));
    all.parse(LocatingSlice::new(text)).map_err(|error| {
        let failure = error.into_inner();
        ParseError::new(text, text.len() - failure.left..text.len(), failure.expected)
    })
}

fn skip_space(rest: &mut TokenText<'_>) -> ParseOutcome<()> {
    take_while(0.., [' ', '\t', '\r', '\n']).void().parse_next(rest)
}

/// Returns a recoverable error only at the text's end, so that other parsers are tried there.
fn read_token<'t>(rest: &mut TokenText<'t>) -> ParseOutcome<Token<'t>> {
    let kind = match peek(any).parse_next(rest)? {
        '\'' | '"' => read_string,
        '+' | '.' | '\\' => read_word,
        character if is_plain(character) => read_word,
        _ => read_mark,
    };
    let ((kind, text), span) = kind.with_taken().with_span().parse_next(rest)?;
    Ok(Token { kind, text, start: span.start })
}

fn read_string<'t>(rest: &mut TokenText<'t>) -> ParseOutcome<TokenKind<'t>> {
    let quote = any.parse_next(rest)?;
    let inside = take_till(0.., quote).parse_next(rest)?;
    if rest.is_empty() {
        return fail_expecting(rest, format!("a closing {quote}"));
    }
    any.value(TokenKind::String(inside)).parse_next(rest)
}

fn read_mark<'t>(rest: &mut TokenText<'t>) -> ParseOutcome<TokenKind<'t>> {
    let one = one_of(['=', '<', '>', '!', '(', ')', '[', ']', ',']).take();
    let known: ParseOutcome<_> = alt(("!=", ">=", "<=", one)).map(TokenKind::Mark).parse_next(rest);
    known.or_else(|_| {
        let what = match rest.chars().next() {
            Some('&') => "the word 'and'",
            Some('|') => "the word 'or'",
            _ => "a path, a value or an operator (other characters of a path follow a \\)",
        };
        fail_expecting(rest, what)
    })
}

fn read_word<'t>(rest: &mut TokenText<'t>) -> ParseOutcome<TokenKind<'t>> {
    let plain = take_while(1.., |character| is_plain(character) || character == '.');
    let escaped = ('\\', any);
    let characters = repeat::<_, _, (), _, _>(0.., alt((plain.void(), escaped.void())));
    let start = rest.checkpoint();
    let text = (opt('+'), characters).take().parse_next(rest)?;
    if rest.starts_with('\\') {
        return fail_expecting(rest, "a character after the \\");
    }
    match Word::parse(text) {
        Word::Keyword(keyword) => return Ok(TokenKind::Keyword(keyword)),
        Word::Number => {}
        Word::NumberWithExponent => {
            rest.reset(&start);
            return fail_expecting(
                rest,
                "a number without an exponent (in a path, write a \\ before it)",
            );
        }
        Word::Path if text.starts_with('+') => {
            rest.reset(&start);
            return fail_expecting(rest, "a number after the +");
        }
        Word::Path => return read_path(text, rest).map(TokenKind::Path),
    }
    let number = Decimal::parse(text).expect("it has been taken for a number");
    Ok(TokenKind::Number(number))
}

/// The path before this rest of a text.
fn read_path(text: &str, rest: &TokenText<'_>) -> ParseOutcome<ConditionPath> {
    let mut keys = vec![String::new()];
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        let is_end = place + 1 == text.len();
        let key = keys.last_mut().expect("there is always one");
        match character {
            '.' if key.is_empty() || is_end => {
                let place = if key.is_empty() { place } else { place + 1 };
                let left = rest.len() + text.len() - place;
                return Err(ErrMode::Cut(ParseFailure { left, expected: "a key".into() }));
            }
            '.' => keys.push(String::new()),
            '\\' => key.extend(characters.next().map(|(_, escaped)| escaped)),
            plain => key.push(plain),
        }
    }
    Ok(ConditionPath::new(keys))
}
