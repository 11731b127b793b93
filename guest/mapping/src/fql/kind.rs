//! Whether a condition can do without an event's payload.
//!
//! A plugin that reads no payloads is told an event's type and name. Where one
//! of them is missing, empty or no string it is told nothing, so that a
//! condition which tells these apart wants the payload.

use super::function::{OfOne, OfTwo};
use super::node::{Node, Operand};
use super::operator::Operator;

/// Whether the type and name that a plugin is told decide the condition.
pub(super) fn decides(node: &Node) -> bool {
    match node {
        Node::Always(_) => true,
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().all(decides),
        Node::Not(node) => decides(node),
        Node::Comparison(left, Operator::Equal | Operator::NotEqual, right) => {
            (is_kind(left) && is_text(right)) || (is_text(left) && is_kind(right))
        }
        Node::InList(value, list) => is_kind(value) && list.iter().all(is_text),
        Node::True(Operand::Two(OfTwo::Contains, values)) => {
            is_kind(&values[0]) && is_text(&values[1])
        }
        Node::True(Operand::Match(value, glob)) => is_kind(value) && !glob.matches(""),
        Node::Comparison(..) | Node::InPath(..) | Node::True(_) => false,
    }
}

/// The type or name, or something that is empty or no string where they are.
fn is_kind(operand: &Operand) -> bool {
    match operand {
        Operand::Path(path) => matches!(path.keys(), [key] if key == "type" || key == "event"),
        Operand::One(function, value) => {
            use OfOne::{Kebabcase, Lowercase, Snakecase, Titlecase, Uppercase};
            let keeps = [Lowercase, Uppercase, Snakecase, Kebabcase, Titlecase];
            keeps.contains(function) && is_kind(value)
        }
        _ => false,
    }
}

/// A constant that nothing empty is equal to.
fn is_text(operand: &Operand) -> bool {
    matches!(operand, Operand::String(string) if !string.is_empty())
}
