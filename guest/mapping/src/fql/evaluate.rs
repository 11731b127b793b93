//! Evaluates a condition on an event.

use std::borrow::Cow;

use super::node::{ConditionNode, Operand};
use super::value::FoundValue;
use crate::json::JsonValue;

impl ConditionNode {
    pub(super) fn holds(&self, event: JsonValue<'_>) -> bool {
        match self {
            ConditionNode::Always(always) => *always,
            ConditionNode::All(nodes) => nodes.iter().all(|node| node.holds(event)),
            ConditionNode::Any(nodes) => nodes.iter().any(|node| node.holds(event)),
            ConditionNode::Not(node) => !node.holds(event),
            ConditionNode::Comparison(left, operator, right) => {
                left.find_value(event).compare(*operator, &right.find_value(event))
            }
            ConditionNode::InList(value, list) => {
                value.find_value(event).is_in(list.iter().map(|element| element.find_value(event)))
            }
            ConditionNode::InPath(value, path) => path.find(event).is_some_and(|list| {
                value.find_value(event).is_in(list.elements().map(FoundValue::from_json))
            }),
            ConditionNode::True(value) => value.find_value(event).is_true(),
        }
    }
}

impl Operand {
    pub(super) fn find_value<'a>(&'a self, event: JsonValue<'a>) -> FoundValue<'a> {
        match self {
            Operand::Null => FoundValue::Null,
            Operand::Bool(bool) => FoundValue::Bool(*bool),
            Operand::Number(number) => FoundValue::Number(number.borrowed()),
            Operand::String(string) => FoundValue::String(Cow::Borrowed(string)),
            Operand::Path(path) => path.find(event).map_or(FoundValue::Null, FoundValue::from_json),
            Operand::One(function, value) => function.apply(value.find_value(event)),
            Operand::Two(function, values) => {
                let [one, other] = values.each_ref().map(|value| value.find_value(event));
                FoundValue::Bool(function.apply(&one, &other))
            }
            Operand::Match(value, glob) => {
                let found = value.find_value(event);
                FoundValue::Bool(
                    matches!(found, FoundValue::String(string) if glob.matches(&string)),
                )
            }
        }
    }
}
