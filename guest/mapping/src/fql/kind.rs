//! Determines whether a condition needs an event's payload.
//!
//! A plugin that reads no payloads gets an event's type and name. It gets no value if one of them
//! is missing, empty or not a string. A condition that distinguishes these three cases needs the
//! payload.

use super::function::{BinaryFunction, UnaryFunction};
use super::node::{ConditionNode, Operand};
use super::operator::Operator;

/// Whether the type and name that a plugin gets determine the condition.
pub(super) fn kind_decides(node: &ConditionNode) -> bool {
    match node {
        ConditionNode::Always(_) => true,
        ConditionNode::All(nodes) | ConditionNode::Any(nodes) => nodes.iter().all(kind_decides),
        ConditionNode::Not(node) => kind_decides(node),
        ConditionNode::Comparison(left, Operator::Equal | Operator::NotEqual, right) => {
            (is_kind(left) && is_text(right)) || (is_text(left) && is_kind(right))
        }
        ConditionNode::InList(value, list) => is_kind(value) && list.iter().all(is_text),
        ConditionNode::True(Operand::Two(BinaryFunction::Contains, values)) => {
            is_kind(&values[0]) && is_text(&values[1])
        }
        ConditionNode::True(Operand::Match(value, glob)) => is_kind(value) && !glob.matches(""),
        ConditionNode::Comparison(..) | ConditionNode::InPath(..) | ConditionNode::True(_) => false,
    }
}

/// Whether an operand is the type or name, or a value that is empty or not a string whenever they
/// are.
fn is_kind(operand: &Operand) -> bool {
    match operand {
        Operand::Path(path) => matches!(path.keys(), [key] if key == "type" || key == "event"),
        Operand::One(function, value) => {
            use UnaryFunction::{Kebabcase, Lowercase, Snakecase, Titlecase, Uppercase};
            let keeps = [Lowercase, Uppercase, Snakecase, Kebabcase, Titlecase];
            keeps.contains(function) && is_kind(value)
        }
        _ => false,
    }
}

/// Whether an operand is a constant that no empty value equals.
fn is_text(operand: &Operand) -> bool {
    matches!(operand, Operand::String(string) if !string.is_empty())
}
