//! Conditions on events, in Segment's filter query language (FQL).
//!
//! `type = 'track' and properties.total >= 100 and !match(context.ip, '10.*')`
//!
//! A condition is compiled once and then evaluated on the text of events: no event is converted to
//! a tree. `host/docs/fql.md` describes the language for users, and its examples run as tests. In
//! short:
//!
//! - A missing value is null. Types are strict: values of different types are not equal, and only
//!   numbers have an order.
//! - Numbers are compared exactly, with all of their digits.
//! - An invalid condition is an error, and never a condition that holds.
//!
//! The time of an evaluation is limited by the length of the condition times that of the event, and
//! its memory by the longest string in both.

mod decimal;
mod display;
mod doubt;
mod error;
mod evaluate;
mod failure;
mod function;
mod glob;
mod grammar;
mod kind;
mod node;
mod operator;
mod path;
mod token;
mod value;
mod word;

use std::fmt::{self, Display, Formatter};

use crate::json::JsonValue;
use node::ConditionNode;

pub(crate) use error::ParseError;
pub(crate) use path::ConditionPath;

/// A compiled condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    node: ConditionNode,
}

impl Condition {
    /// Compiles a condition.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a valid condition, is too long, or is too deeply nested.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        grammar::parse_condition(text).map(|node| Condition { node })
    }

    /// Whether the condition is true for an event.
    pub(crate) fn holds(&self, event: JsonValue<'_>) -> bool {
        self.node.holds(event)
    }

    /// Returns warnings for people about parts that are valid but probably not intended, such as a
    /// condition that never holds.
    pub(crate) fn find_doubts(&self) -> Vec<String> {
        doubt::find_doubts(&self.node)
    }

    /// Every path that is read, including duplicates.
    pub(crate) fn paths(&self) -> Vec<&ConditionPath> {
        let mut paths = Vec::new();
        self.node.visit_paths(&mut |path| paths.push(path));
        paths
    }

    /// Whether an event's type and name determine the result. An empty type or name, or one that is
    /// not a string, counts as missing: a plugin that reads no payloads gets them in this form.
    /// `event = ''` and `event = null` need the payload.
    pub(crate) fn reads_only_kind(&self) -> bool {
        kind::kind_decides(&self.node)
    }
}

/// Writes text that compiles to the same condition, unless the text exceeds the limits of length
/// and depth because the condition is close to them.
impl Display for Condition {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.node.fmt(out)
    }
}

#[cfg(test)]
mod tests;
