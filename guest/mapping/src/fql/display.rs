//! Prints a condition in its canonical form.

use std::fmt::{self, Display, Formatter};

use super::function::BinaryFunction;
use super::node::{ConditionNode, Operand};

impl Display for ConditionNode {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ConditionNode::Always(true) => write!(out, "all"),
            ConditionNode::Always(false) => write!(out, "false"),
            ConditionNode::All(nodes) => {
                write_separated(out, " and ", nodes, |node, out| match node {
                    ConditionNode::Any(_) => write!(out, "({node})"),
                    _ => write!(out, "{node}"),
                })
            }
            ConditionNode::Any(nodes) => write_separated(out, " or ", nodes, Display::fmt),
            ConditionNode::Not(node) => match node.as_ref() {
                ConditionNode::True(value) => write!(out, "!{value}"),
                node => write!(out, "!({node})"),
            },
            ConditionNode::Comparison(left, operator, right) => {
                write!(out, "{left} {} {right}", operator.mark())
            }
            ConditionNode::InList(value, list) => {
                write!(out, "{value} in [")?;
                write_separated(out, ", ", list, Display::fmt)?;
                write!(out, "]")
            }
            ConditionNode::InPath(value, path) => write!(out, "{value} in {path}"),
            ConditionNode::True(value) => write!(out, "{value}"),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Null => write!(out, "null"),
            Operand::Bool(bool) => write!(out, "{bool}"),
            Operand::Number(number) => write!(out, "{}", number.to_plain_text()),
            Operand::String(string) => write_string(out, string),
            Operand::Path(path) => write!(out, "{path}"),
            Operand::One(function, value) => write!(out, "{}({value})", function.name()),
            Operand::Two(function, values) => {
                write!(out, "{}({}, {})", function.name(), values[0], values[1])
            }
            Operand::Match(value, glob) => {
                write!(out, "{}({value}, ", BinaryFunction::Match.name())?;
                write_string(out, glob.text())?;
                write!(out, ")")
            }
        }
    }
}

/// Writes a string. It contains at most one kind of quotes, because it was written in quotes of the
/// other kind, and no function adds any.
fn write_string(out: &mut Formatter<'_>, string: &str) -> fmt::Result {
    let quote = if string.contains('\'') { '"' } else { '\'' };
    write!(out, "{quote}{string}{quote}")
}

fn write_separated<T>(
    out: &mut Formatter<'_>,
    separator: &str,
    items: &[T],
    write_item: impl Fn(&T, &mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.write_str(separator)?;
        }
        write_item(item, out)?;
    }
    Ok(())
}
