//! Values while a condition is evaluated, and how they compare.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::decimal::Decimal;
use super::operator::Operator;
use crate::json::{Kind, Value};

/// Levels of lists and objects that are compared. Those nested deeper are equal
/// to nothing, so that a hostile event cannot exhaust the stack.
const COMPARED_LEVELS_MAX: usize = 64;

/// A value of an event, of a constant or of a call.
#[derive(Debug, Clone)]
pub(super) enum Found<'a> {
    /// Or missing.
    Null,
    Bool(bool),
    Number(Decimal<'a>),
    String(Cow<'a, str>),
    List(Value<'a>),
    Object(Value<'a>),
}

impl<'a> Found<'a> {
    pub(super) fn of(value: Value<'a>) -> Self {
        match value.kind() {
            Kind::Null => Found::Null,
            Kind::Bool => Found::Bool(value.raw() == "true"),
            Kind::Number => Decimal::parse(value.raw()).map_or(Found::Null, Found::Number),
            Kind::String => Found::String(value.string().unwrap_or_default()),
            Kind::Array => Found::List(value),
            Kind::Object => Found::Object(value),
        }
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self, Found::Bool(true))
    }

    pub(super) fn compare(&self, operator: Operator, other: &Found<'_>) -> bool {
        match operator {
            Operator::Equal => self.equals(other),
            Operator::NotEqual => !self.equals(other),
            Operator::Less => self.order(other).is_some_and(Ordering::is_lt),
            Operator::LessOrEqual => self.order(other).is_some_and(Ordering::is_le),
            Operator::Greater => self.order(other).is_some_and(Ordering::is_gt),
            Operator::GreaterOrEqual => self.order(other).is_some_and(Ordering::is_ge),
        }
    }

    /// Whether it is a list's element. Lists and objects are in no list.
    pub(super) fn is_in(&self, mut list: impl Iterator<Item = Found<'a>>) -> bool {
        let is_scalar = !matches!(self, Found::List(_) | Found::Object(_));
        is_scalar && list.any(|element| self.equals(&element))
    }

    /// Whether type and value are the same.
    fn equals(&self, other: &Found<'_>) -> bool {
        match (self, other) {
            (Found::List(one), Found::List(other)) | (Found::Object(one), Found::Object(other)) => {
                are_equal(*one, *other, COMPARED_LEVELS_MAX)
            }
            _ => self.equals_scalar(other),
        }
    }

    fn equals_scalar(&self, other: &Found<'_>) -> bool {
        match (self, other) {
            (Found::Null, Found::Null) => true,
            (Found::Bool(one), Found::Bool(other)) => one == other,
            (Found::Number(one), Found::Number(other)) => one == other,
            (Found::String(one), Found::String(other)) => one == other,
            _ => false,
        }
    }

    /// Only numbers have one.
    fn order(&self, other: &Found<'_>) -> Option<Ordering> {
        match (self, other) {
            (Found::Number(one), Found::Number(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }
}

/// Lists are equal if their elements are. Objects are if their members are, in
/// the same order.
fn are_equal(one: Value<'_>, other: Value<'_>, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else { return false };
    match (one.kind(), other.kind()) {
        (Kind::Array, Kind::Array) => {
            pairs(one.elements(), other.elements(), |one, other| are_equal(one, other, levels))
        }
        (Kind::Object, Kind::Object) => pairs(one.members(), other.members(), |one, other| {
            one.name() == other.name() && are_equal(one.value, other.value, levels)
        }),
        _ => Found::of(one).equals_scalar(&Found::of(other)),
    }
}

/// Whether there are as many of the one as of the other, and all pairs match.
fn pairs<T>(
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
