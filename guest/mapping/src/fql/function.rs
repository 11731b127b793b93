//! The functions.
//!
//! Where the language's documentation says nothing about an argument, it is a
//! value of the wrong type: the result is null, or false where the function
//! says yes or no.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::glob::Glob;
use super::value::Found;
use crate::json::Value;

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfOne {
    Length,
    Lowercase,
    Uppercase,
    Snakecase,
    Kebabcase,
    Titlecase,
    Typeof,
    Bool,
    String,
    Number,
}

/// A function of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfTwo {
    Contains,
    Match,
}

/// Any function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    OfOne(OfOne),
    OfTwo(OfTwo),
}

impl Function {
    pub(super) const ALL: [Function; 12] = [
        Function::OfTwo(OfTwo::Contains),
        Function::OfTwo(OfTwo::Match),
        Function::OfOne(OfOne::Length),
        Function::OfOne(OfOne::Lowercase),
        Function::OfOne(OfOne::Uppercase),
        Function::OfOne(OfOne::Snakecase),
        Function::OfOne(OfOne::Kebabcase),
        Function::OfOne(OfOne::Titlecase),
        Function::OfOne(OfOne::Typeof),
        Function::OfOne(OfOne::Bool),
        Function::OfOne(OfOne::String),
        Function::OfOne(OfOne::Number),
    ];

    pub(super) fn named(name: &str) -> Option<Function> {
        Function::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Function::OfOne(function) => function.name(),
            Function::OfTwo(function) => function.name(),
        }
    }
}

impl OfOne {
    pub(super) fn name(self) -> &'static str {
        match self {
            OfOne::Length => "length",
            OfOne::Lowercase => "lowercase",
            OfOne::Uppercase => "uppercase",
            OfOne::Snakecase => "snakecase",
            OfOne::Kebabcase => "kebabcase",
            OfOne::Titlecase => "titlecase",
            OfOne::Typeof => "typeof",
            OfOne::Bool => "bool",
            OfOne::String => "string",
            OfOne::Number => "number",
        }
    }

    pub(super) fn of(self, value: Found<'_>) -> Found<'_> {
        match self {
            OfOne::Length => length(&value)
                .map_or(Found::Null, |length| Found::Number(Decimal::of_count(length))),
            OfOne::Lowercase => of_string(value, str::to_lowercase),
            OfOne::Uppercase => of_string(value, str::to_uppercase),
            OfOne::Snakecase => of_string(value, |string| string.replace(' ', "_")),
            OfOne::Kebabcase => of_string(value, |string| string.replace(' ', "-")),
            OfOne::Titlecase => of_string(value, title_case),
            OfOne::Typeof => Found::String(Cow::Borrowed(type_name(&value))),
            OfOne::Bool => Found::Bool(to_bool(&value)),
            OfOne::String => to_string(value).map_or(Found::Null, Found::String),
            OfOne::Number => to_number(value).map_or(Found::Null, Found::Number),
        }
    }
}

impl OfTwo {
    pub(super) fn name(self) -> &'static str {
        match self {
            OfTwo::Contains => "contains",
            OfTwo::Match => "match",
        }
    }

    pub(super) fn of(self, one: &Found<'_>, other: &Found<'_>) -> bool {
        let (Found::String(one), Found::String(other)) = (one, other) else { return false };
        match self {
            OfTwo::Contains => one.contains(other.as_ref()),
            OfTwo::Match => Glob::new(other).matches(one),
        }
    }
}

fn of_string<'a>(value: Found<'a>, function: impl Fn(&str) -> String) -> Found<'a> {
    match value {
        Found::String(string) => Found::String(Cow::Owned(function(&string))),
        _ => Found::Null,
    }
}

/// Bytes of a string, elements of a list.
fn length(value: &Found<'_>) -> Option<usize> {
    match value {
        Found::Null => Some(0),
        Found::String(string) => Some(string.len()),
        Found::List(list) => Some(list.elements().count()),
        Found::Bool(_) | Found::Number(_) | Found::Object(_) => None,
    }
}

/// The first letter of each word in upper case. Words stand between spaces.
fn title_case(string: &str) -> String {
    let mut title = String::with_capacity(string.len());
    let mut begins_word = true;
    for character in string.chars() {
        if begins_word {
            title.extend(character.to_uppercase());
        } else {
            title.push(character);
        }
        begins_word = character == ' ';
    }
    title
}

fn type_name(value: &Found<'_>) -> &'static str {
    match value {
        Found::Null => "null",
        Found::Bool(_) => "bool",
        Found::Number(_) => "number",
        Found::String(_) => "string",
        Found::List(_) => "list",
        Found::Object(_) => "object",
    }
}

/// False for what is null, zero, empty, or a string that says so.
fn to_bool(value: &Found<'_>) -> bool {
    match value {
        Found::Null => false,
        Found::Bool(bool) => *bool,
        Found::Number(number) => !number.is_zero(),
        Found::String(string) => {
            !matches!(string.as_ref(), "" | "0") && !string.eq_ignore_ascii_case("false")
        }
        Found::List(list) => list.elements().next().is_some(),
        Found::Object(object) => object.members().next().is_some(),
    }
}

/// Numbers that are equal have the same text; lists and objects are JSON.
fn to_string(value: Found<'_>) -> Option<Cow<'_, str>> {
    Some(match value {
        Found::Null => return None,
        Found::Bool(bool) => Cow::Borrowed(if bool { "true" } else { "false" }),
        Found::Number(number) => Cow::Owned(number.to_text()),
        Found::String(string) => string,
        Found::List(value) | Found::Object(value) => Cow::Owned(without_whitespace(value)),
    })
}

/// JSON as it stands in the event, without whitespace between its parts.
fn without_whitespace(value: Value<'_>) -> String {
    let (mut is_in_string, mut is_escaped) = (false, false);
    let stays = |&character: &char| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_in_string => is_escaped = true,
            '"' => is_in_string = !is_in_string,
            ' ' | '\t' | '\r' | '\n' => return is_in_string,
            _ => {}
        }
        true
    };
    value.raw().chars().filter(stays).collect()
}

fn to_number(value: Found<'_>) -> Option<Decimal<'_>> {
    match value {
        Found::Number(number) => Some(number),
        Found::String(Cow::Borrowed(string)) => Decimal::parse(string.trim_ascii()),
        Found::String(Cow::Owned(string)) => {
            Decimal::parse(string.trim_ascii()).map(Decimal::into_owned)
        }
        Found::Null | Found::Bool(_) | Found::List(_) | Found::Object(_) => None,
    }
}
