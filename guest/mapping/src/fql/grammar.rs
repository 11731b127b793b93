//! The language's grammar, over tokens.
//!
//! Whether a text is right shows at each token without reading further, so that
//! every failure is final and names the token that is wrong.

use std::ops::Range;

use winnow::combinator::{repeat, separated};
use winnow::error::ErrMode;
use winnow::prelude::*;
use winnow::stream::TokenSlice;
use winnow::token::any;
use winnow::{Parser, Stateful};

use super::error::ParseError;
use super::failure::{Failure, Outcome, expected};
use super::function::Function;
use super::node::{Node, Operand};
use super::operator::Operator;
use super::token::{Kind, Token, tokens};
use super::word::Keyword;

/// Bytes of a condition's text. Far more than anyone writes by hand, and little
/// enough to be evaluated for every event.
pub(super) const LENGTH_BYTES_MAX: usize = 16 * 1024;

/// Parentheses and calls that may be open at once. Each takes some stack when
/// the condition is read, evaluated and given back.
pub(super) const DEPTH_LEVELS_MAX: usize = 32;

/// The tokens that are left, and how many parentheses and calls are open.
type Tokens<'t> = Stateful<TokenSlice<'t, Token<'t>>, usize>;

/// Compile a text.
pub(super) fn parse(text: &str) -> Result<Node, ParseError> {
    if text.len() > LENGTH_BYTES_MAX {
        let start = text.floor_char_boundary(LENGTH_BYTES_MAX);
        let what = format!("at most {LENGTH_BYTES_MAX} bytes");
        return Err(ParseError::new(text, start..text.len(), what));
    }
    let tokens = tokens(text)?;
    if let [Token { text: "all", .. }] = tokens[..] {
        return Ok(Node::Always(true));
    }
    let input = Stateful { input: TokenSlice::new(&tokens), state: 0 };
    whole.parse(input).map_err(|error| {
        let failure = error.into_inner();
        let token = tokens.get(tokens.len() - failure.left);
        let part: Range<usize> = token.map_or(text.len()..text.len(), Token::span);
        ParseError::new(text, part, failure.expected)
    })
}

fn whole(input: &mut Tokens<'_>) -> Outcome<Node> {
    let node = either(input)?;
    if input.is_empty() { Ok(node) } else { expected(input, "'and', 'or' or the end") }
}

fn either(input: &mut Tokens<'_>) -> Outcome<Node> {
    separated(1.., both, keyword(Keyword::Or)).map(Node::any).parse_next(input)
}

fn both(input: &mut Tokens<'_>) -> Outcome<Node> {
    separated(1.., negated, keyword(Keyword::And)).map(Node::all).parse_next(input)
}

fn negated(input: &mut Tokens<'_>) -> Outcome<Node> {
    let negations: usize = repeat(0.., mark("!")).parse_next(input)?;
    let node = if next_is(input, "(") { group(input)? } else { simple(input)? };
    Ok(if negations % 2 == 1 { Node::not(node) } else { node })
}

fn group(input: &mut Tokens<'_>) -> Outcome<Node> {
    nested(input, |input| {
        let node = either(input)?;
        close(input, ")", "'and', 'or' or ')'")?;
        Ok(node)
    })
}

/// A comparison, a test for membership, or a value alone.
fn simple(input: &mut Tokens<'_>) -> Outcome<Node> {
    let start = input.peek_token();
    let left = value(input, "a condition")?;
    match input.peek_token().map(|token| &token.kind) {
        Some(Kind::Keyword(Keyword::In)) => {
            skip(input);
            return members(input, left);
        }
        Some(Kind::Mark(mark)) => {
            if let Some(operator) = Operator::ALL.into_iter().find(|known| known.mark() == *mark) {
                skip(input);
                let right = value(input, format!("a value after '{mark}'"))?;
                return Ok(Node::comparison(left, operator, right));
            }
        }
        _ => {}
    }
    match start.map(|token| &token.kind) {
        Some(Kind::Path(_) | Kind::Keyword(Keyword::True | Keyword::False)) => {
            Ok(Node::is_true(left))
        }
        // It would never hold.
        _ => expected(input, "an operator or 'in' after the value"),
    }
}

/// What follows `in`.
fn members(input: &mut Tokens<'_>, left: Operand) -> Outcome<Node> {
    if next_is(input, "[") {
        skip(input);
        let list = values(input)?;
        close(input, "]", "',' or ']'")?;
        return Ok(Node::in_list(left, list));
    }
    let place = input.checkpoint();
    match value(input, "'[' or a path after 'in'") {
        Ok(Operand::Path(path)) => Ok(Node::InPath(left, path)),
        Err(failure) => Err(failure),
        Ok(_) => {
            input.reset(&place);
            expected(input, "'[' or a path after 'in'")
        }
    }
}

fn values(input: &mut Tokens<'_>) -> Outcome<Vec<Operand>> {
    let value = |input: &mut Tokens<'_>| value(input, "a value");
    separated(1.., value, mark(",")).parse_next(input)
}

fn value(
    input: &mut Tokens<'_>,
    what: impl Into<std::borrow::Cow<'static, str>>,
) -> Outcome<Operand> {
    let Some(token) = input.peek_token() else { return expected(input, what) };
    let operand = match &token.kind {
        Kind::String(string) => Operand::String((*string).to_owned()),
        Kind::Number(number) => Operand::Number(number.clone().into_owned()),
        Kind::Keyword(Keyword::True) => Operand::Bool(true),
        Kind::Keyword(Keyword::False) => Operand::Bool(false),
        Kind::Keyword(Keyword::Null) => Operand::Null,
        Kind::Path(path) => match input.get(1) {
            Some(Token { kind: Kind::Mark("("), .. }) => return call(input, token.text),
            _ => Operand::Path(path.clone()),
        },
        Kind::Keyword(Keyword::And | Keyword::Or | Keyword::In) | Kind::Mark(_) => {
            return expected(input, what);
        }
    };
    skip(input);
    Ok(operand)
}

fn call(input: &mut Tokens<'_>, name: &str) -> Outcome<Operand> {
    let Some(function) = Function::named(name) else {
        let names = Function::ALL.map(Function::name).join(", ");
        return expected(input, format!("a function before '(' ({names})"));
    };
    skip(input);
    nested(input, |input| match function {
        Function::OfOne(function) => {
            let value = value(input, "a value")?;
            close(input, ")", format!("')' after the value of {name}"))?;
            Ok(Operand::one(function, value))
        }
        Function::OfTwo(function) => {
            let one = value(input, "a value")?;
            close(input, ",", format!("',' and another value of {name}"))?;
            let other = value(input, "a value")?;
            close(input, ")", format!("')' after the two values of {name}"))?;
            Ok(Operand::two(function, [one, other]))
        }
    })
}

/// What stands behind an opening parenthesis.
fn nested<'t, T>(
    input: &mut Tokens<'t>,
    inside: impl FnOnce(&mut Tokens<'t>) -> Outcome<T>,
) -> Outcome<T> {
    if input.state == DEPTH_LEVELS_MAX {
        return expected(input, format!("at most {DEPTH_LEVELS_MAX} levels of parentheses"));
    }
    skip(input);
    input.state += 1;
    let inside = inside(input)?;
    input.state -= 1;
    Ok(inside)
}

fn close(
    input: &mut Tokens<'_>,
    wanted: &'static str,
    what: impl Into<std::borrow::Cow<'static, str>>,
) -> Outcome<()> {
    if !next_is(input, wanted) {
        return expected(input, what);
    }
    skip(input);
    Ok(())
}

fn next_is(input: &Tokens<'_>, wanted: &str) -> bool {
    input.first().is_some_and(|token| token.kind == Kind::Mark(wanted))
}

fn skip(input: &mut Tokens<'_>) {
    input.next_token();
}

fn keyword<'t>(wanted: Keyword) -> impl Parser<Tokens<'t>, (), ErrMode<Failure>> {
    any.verify(move |token: &Token<'t>| token.kind == Kind::Keyword(wanted)).void()
}

fn mark<'t>(wanted: &'static str) -> impl Parser<Tokens<'t>, (), ErrMode<Failure>> {
    any.verify(move |token: &Token<'t>| token.kind == Kind::Mark(wanted)).void()
}
