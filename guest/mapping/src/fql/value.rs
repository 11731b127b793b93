//! Values during the evaluation of a condition, and their comparison.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::decimal::Decimal;
use super::operator::Operator;
use crate::json::{JsonKind, JsonValue};

/// Maximum depth of lists and objects in a comparison. Deeper values are equal to nothing, so that
/// a hostile event cannot exhaust the stack.
const COMPARED_LEVELS_MAX: usize = 64;

/// A value of an event, of a constant or of a call.
#[derive(Debug, Clone)]
pub(super) enum FoundValue<'a> {
    /// Null, or a missing value.
    Null,
    Bool(bool),
    Number(Decimal<'a>),
    String(Cow<'a, str>),
    List(JsonValue<'a>),
    Object(JsonValue<'a>),
}

impl<'a> FoundValue<'a> {
    pub(super) fn from_json(value: JsonValue<'a>) -> Self {
        match value.kind() {
            JsonKind::Null => FoundValue::Null,
            JsonKind::Bool => FoundValue::Bool(value.raw_text() == "true"),
            JsonKind::Number => {
                Decimal::parse(value.raw_text()).map_or(FoundValue::Null, FoundValue::Number)
            }
            JsonKind::String => FoundValue::String(value.as_string().unwrap_or_default()),
            JsonKind::Array => FoundValue::List(value),
            JsonKind::Object => FoundValue::Object(value),
        }
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self, FoundValue::Bool(true))
    }

    pub(super) fn compare(&self, operator: Operator, other: &FoundValue<'_>) -> bool {
        match operator {
            Operator::Equal => self.equals(other),
            Operator::NotEqual => !self.equals(other),
            Operator::Less => self.compare_order(other).is_some_and(Ordering::is_lt),
            Operator::LessOrEqual => self.compare_order(other).is_some_and(Ordering::is_le),
            Operator::Greater => self.compare_order(other).is_some_and(Ordering::is_gt),
            Operator::GreaterOrEqual => self.compare_order(other).is_some_and(Ordering::is_ge),
        }
    }

    /// Whether the value is an element of a list. Lists and objects are never elements.
    pub(super) fn is_in(&self, mut list: impl Iterator<Item = FoundValue<'a>>) -> bool {
        let is_scalar = !matches!(self, FoundValue::List(_) | FoundValue::Object(_));
        is_scalar && list.any(|element| self.equals(&element))
    }

    /// Whether type and value are equal.
    fn equals(&self, other: &FoundValue<'_>) -> bool {
        match (self, other) {
            (FoundValue::List(one), FoundValue::List(other))
            | (FoundValue::Object(one), FoundValue::Object(other)) => {
                are_equal(*one, *other, COMPARED_LEVELS_MAX)
            }
            _ => self.equals_scalar(other),
        }
    }

    fn equals_scalar(&self, other: &FoundValue<'_>) -> bool {
        match (self, other) {
            (FoundValue::Null, FoundValue::Null) => true,
            (FoundValue::Bool(one), FoundValue::Bool(other)) => one == other,
            (FoundValue::Number(one), FoundValue::Number(other)) => one == other,
            (FoundValue::String(one), FoundValue::String(other)) => one == other,
            _ => false,
        }
    }

    /// Compares the order of numbers. Other values have no order.
    fn compare_order(&self, other: &FoundValue<'_>) -> Option<Ordering> {
        match (self, other) {
            (FoundValue::Number(one), FoundValue::Number(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }
}

/// Whether two values are equal. Lists are equal if their elements are equal. Objects are equal if
/// their members are equal and in the same order.
fn are_equal(one: JsonValue<'_>, other: JsonValue<'_>, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else { return false };
    match (one.kind(), other.kind()) {
        (JsonKind::Array, JsonKind::Array) => {
            all_pairs_match(one.elements(), other.elements(), |one, other| {
                are_equal(one, other, levels)
            })
        }
        (JsonKind::Object, JsonKind::Object) => {
            all_pairs_match(one.members(), other.members(), |one, other| {
                one.name() == other.name() && are_equal(one.value, other.value, levels)
            })
        }
        _ => FoundValue::from_json(one).equals_scalar(&FoundValue::from_json(other)),
    }
}

/// Whether both iterators have the same length, and all pairs match.
fn all_pairs_match<T>(
    mut one: impl Iterator<Item = T>,
    mut other: impl Iterator<Item = T>,
    matches: impl Fn(T, T) -> bool,
) -> bool {
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) => {
                if !matches(one, other) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}
