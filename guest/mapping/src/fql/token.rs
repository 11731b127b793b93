//! The words and marks that a condition's text consists of.

use std::ops::Range;

use winnow::LocatingSlice;
use winnow::combinator::{alt, opt, peek, preceded, repeat, terminated};
use winnow::error::ErrMode;
use winnow::prelude::*;
use winnow::token::{any, one_of, take_till, take_while};

use super::decimal::Decimal;
use super::error::ParseError;
use super::failure::{Failure, Outcome, expected};
use super::path::Path;
use super::word::{Keyword, Word, is_plain};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    /// As written, with a string's quotes.
    pub(super) text: &'t str,
    start: usize,
}

impl Token<'_> {
    /// Its bytes in the whole text.
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'t> {
    /// A path, or a function's name.
    Path(Path),
    /// What stands between a string's quotes.
    String(&'t str),
    Number(Decimal<'t>),
    Keyword(Keyword),
    /// Everything else: `=` or `(`.
    Mark(&'t str),
}

type Text<'t> = LocatingSlice<&'t str>;

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut all = preceded(space, repeat(0.., terminated(token, space)));
    all.parse(LocatingSlice::new(text)).map_err(|error| {
        let failure = error.into_inner();
        ParseError::new(text, text.len() - failure.left..text.len(), failure.expected)
    })
}

fn space(rest: &mut Text<'_>) -> Outcome<()> {
    take_while(0.., [' ', '\t', '\r', '\n']).void().parse_next(rest)
}

/// Fails so that others are tried at the text's end only.
fn token<'t>(rest: &mut Text<'t>) -> Outcome<Token<'t>> {
    let kind = match peek(any).parse_next(rest)? {
        '\'' | '"' => string,
        '+' | '.' | '\\' => word,
        character if is_plain(character) => word,
        _ => mark,
    };
    let ((kind, text), span) = kind.with_taken().with_span().parse_next(rest)?;
    Ok(Token { kind, text, start: span.start })
}

fn string<'t>(rest: &mut Text<'t>) -> Outcome<Kind<'t>> {
    let start = rest.checkpoint();
    let quote = any.parse_next(rest)?;
    let inside = take_till(0.., quote).parse_next(rest)?;
    if rest.is_empty() {
        rest.reset(&start);
        return expected(rest, format!("a string that ends with {quote}"));
    }
    any.value(Kind::String(inside)).parse_next(rest)
}

fn mark<'t>(rest: &mut Text<'t>) -> Outcome<Kind<'t>> {
    let one = one_of(['=', '<', '>', '!', '(', ')', '[', ']', ',']).take();
    let known: Outcome<_> = alt(("!=", ">=", "<=", one)).map(Kind::Mark).parse_next(rest);
    known.or_else(|_| {
        let what = match rest.chars().next() {
            Some('&') => "the word 'and'",
            Some('|') => "the word 'or'",
            _ => "a path, a value or an operator (other characters of a path follow a \\)",
        };
        expected(rest, what)
    })
}

fn word<'t>(rest: &mut Text<'t>) -> Outcome<Kind<'t>> {
    let plain = take_while(1.., |character| is_plain(character) || character == '.');
    let escaped = ('\\', any);
    let characters = repeat::<_, _, (), _, _>(0.., alt((plain.void(), escaped.void())));
    let start = rest.checkpoint();
    let text = (opt('+'), characters).take().parse_next(rest)?;
    if rest.starts_with('\\') {
        return expected(rest, "a character after the \\");
    }
    match Word::of(text) {
        Word::Keyword(keyword) => return Ok(Kind::Keyword(keyword)),
        Word::Number => {}
        Word::NumberWithExponent => {
            rest.reset(&start);
            return expected(
                rest,
                "a number without an exponent (in a path, write a \\ before it)",
            );
        }
        Word::Path if text.starts_with('+') => {
            rest.reset(&start);
            return expected(rest, "a number after the +");
        }
        Word::Path => return path(text, rest).map(Kind::Path),
    }
    let number = Decimal::parse(text).expect("it has been taken for a number");
    Ok(Kind::Number(number))
}

/// The path that stands before this rest of a text.
fn path(text: &str, rest: &Text<'_>) -> Outcome<Path> {
    let mut keys = vec![String::new()];
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        let is_end = place + 1 == text.len();
        let key = keys.last_mut().expect("there is always one");
        match character {
            '.' if key.is_empty() || is_end => {
                let place = if key.is_empty() { place } else { place + 1 };
                let left = rest.len() + text.len() - place;
                return Err(ErrMode::Cut(Failure { left, expected: "a key".into() }));
            }
            '.' => keys.push(String::new()),
            '\\' => key.extend(characters.next().map(|(_, escaped)| escaped)),
            plain => key.push(plain),
        }
    }
    Ok(Path::new(keys))
}
