//! The functions of conditions.
//!
//! If the language's documentation does not mention an argument, its type is wrong: the result is
//! null, or false for a function that returns a boolean.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::glob::Glob;
use super::value::FoundValue;
use crate::json::JsonValue;

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnaryFunction {
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
pub(super) enum BinaryFunction {
    Contains,
    Match,
}

/// Any function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    OfOne(UnaryFunction),
    OfTwo(BinaryFunction),
}

impl Function {
    pub(super) const ALL: [Function; 12] = [
        Function::OfTwo(BinaryFunction::Contains),
        Function::OfTwo(BinaryFunction::Match),
        Function::OfOne(UnaryFunction::Length),
        Function::OfOne(UnaryFunction::Lowercase),
        Function::OfOne(UnaryFunction::Uppercase),
        Function::OfOne(UnaryFunction::Snakecase),
        Function::OfOne(UnaryFunction::Kebabcase),
        Function::OfOne(UnaryFunction::Titlecase),
        Function::OfOne(UnaryFunction::Typeof),
        Function::OfOne(UnaryFunction::Bool),
        Function::OfOne(UnaryFunction::String),
        Function::OfOne(UnaryFunction::Number),
    ];

    pub(super) fn from_name(name: &str) -> Option<Function> {
        Function::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Function::OfOne(function) => function.name(),
            Function::OfTwo(function) => function.name(),
        }
    }
}

impl UnaryFunction {
    pub(super) fn name(self) -> &'static str {
        match self {
            UnaryFunction::Length => "length",
            UnaryFunction::Lowercase => "lowercase",
            UnaryFunction::Uppercase => "uppercase",
            UnaryFunction::Snakecase => "snakecase",
            UnaryFunction::Kebabcase => "kebabcase",
            UnaryFunction::Titlecase => "titlecase",
            UnaryFunction::Typeof => "typeof",
            UnaryFunction::Bool => "bool",
            UnaryFunction::String => "string",
            UnaryFunction::Number => "number",
        }
    }

    pub(super) fn apply(self, value: FoundValue<'_>) -> FoundValue<'_> {
        match self {
            UnaryFunction::Length => length_of(&value)
                .map_or(FoundValue::Null, |length| FoundValue::Number(Decimal::of_count(length))),
            UnaryFunction::Lowercase => of_string(value, str::to_lowercase),
            UnaryFunction::Uppercase => of_string(value, str::to_uppercase),
            UnaryFunction::Snakecase => of_string(value, |string| string.replace(' ', "_")),
            UnaryFunction::Kebabcase => of_string(value, |string| string.replace(' ', "-")),
            UnaryFunction::Titlecase => of_string(value, title_case),
            UnaryFunction::Typeof => FoundValue::String(Cow::Borrowed(type_name(&value))),
            UnaryFunction::Bool => FoundValue::Bool(to_bool(&value)),
            UnaryFunction::String => to_string(value).map_or(FoundValue::Null, FoundValue::String),
            UnaryFunction::Number => to_number(value).map_or(FoundValue::Null, FoundValue::Number),
        }
    }
}

impl BinaryFunction {
    pub(super) fn name(self) -> &'static str {
        match self {
            BinaryFunction::Contains => "contains",
            BinaryFunction::Match => "match",
        }
    }

    pub(super) fn apply(self, one: &FoundValue<'_>, other: &FoundValue<'_>) -> bool {
        let (FoundValue::String(one), FoundValue::String(other)) = (one, other) else {
            return false;
        };
        match self {
            BinaryFunction::Contains => one.contains(other.as_ref()),
            BinaryFunction::Match => Glob::new(other).matches(one),
        }
    }
}

fn of_string<'a>(value: FoundValue<'a>, function: impl Fn(&str) -> String) -> FoundValue<'a> {
    match value {
        FoundValue::String(string) => FoundValue::String(Cow::Owned(function(&string))),
        _ => FoundValue::Null,
    }
}

/// The bytes of a string, or the elements of a list.
fn length_of(value: &FoundValue<'_>) -> Option<usize> {
    match value {
        FoundValue::Null => Some(0),
        FoundValue::String(string) => Some(string.len()),
        FoundValue::List(list) => Some(list.elements().count()),
        FoundValue::Bool(_) | FoundValue::Number(_) | FoundValue::Object(_) => None,
    }
}

/// Converts the first letter of each word to upper case. Words are separated by spaces.
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

fn type_name(value: &FoundValue<'_>) -> &'static str {
    match value {
        FoundValue::Null => "null",
        FoundValue::Bool(_) => "bool",
        FoundValue::Number(_) => "number",
        FoundValue::String(_) => "string",
        FoundValue::List(_) => "list",
        FoundValue::Object(_) => "object",
    }
}

/// Returns false for null, zero, an empty value, or a string such as `false`.
fn to_bool(value: &FoundValue<'_>) -> bool {
    match value {
        FoundValue::Null => false,
        FoundValue::Bool(bool) => *bool,
        FoundValue::Number(number) => !number.is_zero(),
        FoundValue::String(string) => {
            !matches!(string.as_ref(), "" | "0") && !string.eq_ignore_ascii_case("false")
        }
        FoundValue::List(list) => list.elements().next().is_some(),
        FoundValue::Object(object) => object.members().next().is_some(),
    }
}

/// Converts a value to a string. Equal numbers have the same text; lists and objects become JSON.
fn to_string(value: FoundValue<'_>) -> Option<Cow<'_, str>> {
    Some(match value {
        FoundValue::Null => return None,
        FoundValue::Bool(bool) => Cow::Borrowed(if bool { "true" } else { "false" }),
        FoundValue::Number(number) => Cow::Owned(number.to_text()),
        FoundValue::String(string) => string,
        FoundValue::List(value) | FoundValue::Object(value) => {
            Cow::Owned(without_whitespace(value))
        }
    })
}

/// JSON as in the event, without whitespace between its tokens.
fn without_whitespace(value: JsonValue<'_>) -> String {
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
    value.raw_text().chars().filter(stays).collect()
}

fn to_number(value: FoundValue<'_>) -> Option<Decimal<'_>> {
    match value {
        FoundValue::Number(number) => Some(number),
        FoundValue::String(Cow::Borrowed(string)) => Decimal::parse(string.trim_ascii()),
        FoundValue::String(Cow::Owned(string)) => {
            Decimal::parse(string.trim_ascii()).map(Decimal::into_owned)
        }
        FoundValue::Null | FoundValue::Bool(_) | FoundValue::List(_) | FoundValue::Object(_) => {
            None
        }
    }
}
