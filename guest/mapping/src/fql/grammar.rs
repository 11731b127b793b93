//! The grammar of the language, over tokens.
//!
//! Each token shows whether the text is still valid, without lookahead. Therefore every error is
//! final and names the wrong token.

use std::ops::Range;

use winnow::combinator::{repeat, separated};
use winnow::error::ErrMode;
use winnow::prelude::*;
use winnow::stream::TokenSlice;
use winnow::token::any;
use winnow::{Parser, Stateful};

use super::error::ParseError;
use super::failure::{ParseFailure, ParseOutcome, fail_expecting};
use super::function::Function;
use super::node::{ConditionNode, Operand};
use super::operator::Operator;
use super::token::{Token, TokenKind, split_tokens};
use super::word::Keyword;

/// Maximum bytes of a condition's text. It is far more than anyone writes by hand, and small enough
/// to be evaluated for every event.
pub(super) const LENGTH_BYTES_MAX: usize = 16 * 1024;

/// Maximum depth of nested parentheses and calls. Each level needs stack when the condition is
/// parsed, evaluated and dropped.
pub(super) const DEPTH_LEVELS_MAX: usize = 32;

/// The remaining tokens, and the number of open parentheses and calls.
type Tokens<'t> = Stateful<TokenSlice<'t, Token<'t>>, usize>;

/// Compiles a text.
pub(super) fn parse_condition(text: &str) -> Result<ConditionNode, ParseError> {
    if text.len() > LENGTH_BYTES_MAX {
        let start = text.floor_char_boundary(LENGTH_BYTES_MAX);
        let what = format!("at most {LENGTH_BYTES_MAX} bytes");
        return Err(ParseError::new(text, start..text.len(), what));
    }
    let tokens = split_tokens(text)?;
    if let [Token { text: "all", .. }] = tokens[..] {
        return Ok(ConditionNode::Always(true));
    }
    let input = Stateful { input: TokenSlice::new(&tokens), state: 0 };
    parse_whole.parse(input).map_err(|error| {
        let failure = error.into_inner();
        let token = tokens.get(tokens.len() - failure.left);
        let part: Range<usize> = token.map_or(text.len()..text.len(), Token::span);
        ParseError::new(text, part, failure.expected)
    })
}

fn parse_whole(input: &mut Tokens<'_>) -> ParseOutcome<ConditionNode> {
    let node = parse_or(input)?;
    if input.is_empty() { Ok(node) } else { fail_expecting(input, "'and', 'or' or the end") }
}

fn parse_or(input: &mut Tokens<'_>) -> ParseOutcome<ConditionNode> {
    separated(1.., parse_and, parse_keyword(Keyword::Or))
        .map(ConditionNode::any_of)
        .parse_next(input)
}

fn parse_and(input: &mut Tokens<'_>) -> ParseOutcome<ConditionNode> {
    separated(1.., parse_not, parse_keyword(Keyword::And))
        .map(ConditionNode::all_of)
        .parse_next(input)
}

fn parse_not(input: &mut Tokens<'_>) -> ParseOutcome<ConditionNode> {
    let negations: usize = repeat(0.., parse_mark("!")).parse_next(input)?;
    let node = if next_is(input, "(") { parse_group(input)? } else { parse_simple(input)? };
    Ok(if negations % 2 == 1 { ConditionNode::negate(node) } else { node })
}

fn parse_group(input: &mut Tokens<'_>) -> ParseOutcome<ConditionNode> {
    parse_nested(input, |input| {
        let node = parse_or(input)?;
        parse_close(input, ")", "'and', 'or' or ')'")?;
        Ok(node)
    })
}

/// Parses a comparison, a membership test, or a single value.
fn parse_simple(input: &mut Tokens<'_>) -> ParseOutcome<ConditionNode> {
    let start = input.peek_token();
    let left = parse_value(input, "a condition")?;
    match input.peek_token().map(|token| &token.kind) {
        Some(TokenKind::Keyword(Keyword::In)) => {
            skip_token(input);
            return parse_membership(input, left);
        }
        Some(TokenKind::Mark(mark)) => {
            if let Some(operator) = Operator::ALL.into_iter().find(|known| known.mark() == *mark) {
                skip_token(input);
                let right = parse_value(input, format!("a value after '{mark}'"))?;
                return Ok(ConditionNode::compare(left, operator, right));
            }
        }
        _ => {}
    }
    match start.map(|token| &token.kind) {
        Some(TokenKind::Path(_) | TokenKind::Keyword(Keyword::True | Keyword::False)) => {
            Ok(ConditionNode::is_true(left))
        }
        // Such a condition would never hold.
        _ => fail_expecting(input, "an operator or 'in' after the value"),
    }
}

/// Parses the part after `in`.
fn parse_membership(input: &mut Tokens<'_>, left: Operand) -> ParseOutcome<ConditionNode> {
    if next_is(input, "[") {
        skip_token(input);
        let list = parse_values(input)?;
        parse_close(input, "]", "',' or ']'")?;
        return Ok(ConditionNode::in_list(left, list));
    }
    let place = input.checkpoint();
    match parse_value(input, "'[' or a path after 'in'") {
        Ok(Operand::Path(path)) => Ok(ConditionNode::InPath(left, path)),
        Err(failure) => Err(failure),
        Ok(_) => {
            input.reset(&place);
            fail_expecting(input, "'[' or a path after 'in'")
        }
    }
}

fn parse_values(input: &mut Tokens<'_>) -> ParseOutcome<Vec<Operand>> {
    let value = |input: &mut Tokens<'_>| parse_value(input, "a value");
    separated(1.., value, parse_mark(",")).parse_next(input)
}

fn parse_value(
    input: &mut Tokens<'_>,
    what: impl Into<std::borrow::Cow<'static, str>>,
) -> ParseOutcome<Operand> {
    let Some(token) = input.peek_token() else { return fail_expecting(input, what) };
    let operand = match &token.kind {
        TokenKind::String(string) => Operand::String((*string).to_owned()),
        TokenKind::Number(number) => Operand::Number(number.clone().into_owned()),
        TokenKind::Keyword(Keyword::True) => Operand::Bool(true),
        TokenKind::Keyword(Keyword::False) => Operand::Bool(false),
        TokenKind::Keyword(Keyword::Null) => Operand::Null,
        TokenKind::Path(path) => match input.get(1) {
            Some(Token { kind: TokenKind::Mark("("), .. }) => return parse_call(input, token.text),
            _ => Operand::Path(path.clone()),
        },
        TokenKind::Keyword(Keyword::And | Keyword::Or | Keyword::In) | TokenKind::Mark(_) => {
            return fail_expecting(input, what);
        }
    };
    skip_token(input);
    Ok(operand)
}

fn parse_call(input: &mut Tokens<'_>, name: &str) -> ParseOutcome<Operand> {
    let Some(function) = Function::from_name(name) else {
        let names = Function::ALL.map(Function::name).join(", ");
        return fail_expecting(input, format!("a function before '(' ({names})"));
    };
    skip_token(input);
    parse_nested(input, |input| match function {
        Function::OfOne(function) => {
            let value = parse_value(input, "a value")?;
            parse_close(input, ")", format!("')' after the value of {name}"))?;
            Ok(Operand::call_unary(function, value))
        }
        Function::OfTwo(function) => {
            let one = parse_value(input, "a value")?;
            parse_close(input, ",", format!("',' and another value of {name}"))?;
            let other = parse_value(input, "a value")?;
            parse_close(input, ")", format!("')' after the two values of {name}"))?;
            Ok(Operand::call_binary(function, [one, other]))
        }
    })
}

/// Parses the part after an opening parenthesis.
fn parse_nested<'t, T>(
    input: &mut Tokens<'t>,
    inside: impl FnOnce(&mut Tokens<'t>) -> ParseOutcome<T>,
) -> ParseOutcome<T> {
    if input.state == DEPTH_LEVELS_MAX {
        return fail_expecting(input, format!("at most {DEPTH_LEVELS_MAX} levels of parentheses"));
    }
    skip_token(input);
    input.state += 1;
    let inside = inside(input)?;
    input.state -= 1;
    Ok(inside)
}

fn parse_close(
    input: &mut Tokens<'_>,
    wanted: &'static str,
    what: impl Into<std::borrow::Cow<'static, str>>,
) -> ParseOutcome<()> {
    if !next_is(input, wanted) {
        return fail_expecting(input, what);
    }
    skip_token(input);
    Ok(())
}

fn next_is(input: &Tokens<'_>, wanted: &str) -> bool {
    input.first().is_some_and(|token| token.kind == TokenKind::Mark(wanted))
}

fn skip_token(input: &mut Tokens<'_>) {
    input.next_token();
}

fn parse_keyword<'t>(wanted: Keyword) -> impl Parser<Tokens<'t>, (), ErrMode<ParseFailure>> {
    any.verify(move |token: &Token<'t>| token.kind == TokenKind::Keyword(wanted)).void()
}

fn parse_mark<'t>(wanted: &'static str) -> impl Parser<Tokens<'t>, (), ErrMode<ParseFailure>> {
    any.verify(move |token: &Token<'t>| token.kind == TokenKind::Mark(wanted)).void()
}
