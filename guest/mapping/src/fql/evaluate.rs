//! Whether a condition is true of an event.

use std::borrow::Cow;

use super::node::{Node, Operand};
use super::value::Found;
use crate::json::Value;

impl Node {
    pub(super) fn holds(&self, event: Value<'_>) -> bool {
        match self {
            Node::Always(always) => *always,
            Node::All(nodes) => nodes.iter().all(|node| node.holds(event)),
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(event)),
            Node::Not(node) => !node.holds(event),
            Node::Comparison(left, operator, right) => {
                left.find(event).compare(*operator, &right.find(event))
            }
            Node::InList(value, list) => {
                value.find(event).is_in(list.iter().map(|element| element.find(event)))
            }
            Node::InPath(value, path) => path
                .find(event)
                .is_some_and(|list| value.find(event).is_in(list.elements().map(Found::of))),
            Node::True(value) => value.find(event).is_true(),
        }
    }
}

impl Operand {
    pub(super) fn find<'a>(&'a self, event: Value<'a>) -> Found<'a> {
        match self {
            Operand::Null => Found::Null,
            Operand::Bool(bool) => Found::Bool(*bool),
            Operand::Number(number) => Found::Number(number.borrowed()),
            Operand::String(string) => Found::String(Cow::Borrowed(string)),
            Operand::Path(path) => path.find(event).map_or(Found::Null, Found::of),
            Operand::One(function, value) => function.of(value.find(event)),
            Operand::Two(function, values) => {
                let [one, other] = values.each_ref().map(|value| value.find(event));
                Found::Bool(function.of(&one, &other))
            }
            Operand::Match(value, glob) => {
                let found = value.find(event);
                Found::Bool(matches!(found, Found::String(string) if glob.matches(&string)))
            }
        }
    }
}
