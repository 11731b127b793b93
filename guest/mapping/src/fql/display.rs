//! The one text of a condition: however it was written, it reads like this.

use std::fmt::{self, Display, Formatter};

use super::function::OfTwo;
use super::node::{Node, Operand};

impl Display for Node {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Node::Always(true) => write!(out, "all"),
            Node::Always(false) => write!(out, "false"),
            Node::All(nodes) => separated(out, " and ", nodes, |node, out| match node {
                Node::Any(_) => write!(out, "({node})"),
                _ => write!(out, "{node}"),
            }),
            Node::Any(nodes) => separated(out, " or ", nodes, Display::fmt),
            Node::Not(node) => match node.as_ref() {
                Node::True(value) => write!(out, "!{value}"),
                node => write!(out, "!({node})"),
            },
            Node::Comparison(left, operator, right) => {
                write!(out, "{left} {} {right}", operator.mark())
            }
            Node::InList(value, list) => {
                write!(out, "{value} in [")?;
                separated(out, ", ", list, Display::fmt)?;
                write!(out, "]")
            }
            Node::InPath(value, path) => write!(out, "{value} in {path}"),
            Node::True(value) => write!(out, "{value}"),
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
                write!(out, "{}({value}, ", OfTwo::Match.name())?;
                write_string(out, glob.text())?;
                write!(out, ")")
            }
        }
    }
}

/// A string has at most one sort of quotes inside, since it was written between
/// those of the other sort, and no function adds any.
fn write_string(out: &mut Formatter<'_>, string: &str) -> fmt::Result {
    let quote = if string.contains('\'') { '"' } else { '\'' };
    write!(out, "{quote}{string}{quote}")
}

fn separated<T>(
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
