//! Conditions on events, in Segment's filter query language (FQL).
//!
//! `type = 'track' and properties.total >= 100 and !match(context.ip, '10.*')`
//!
//! A condition is compiled once and then evaluated over the text of events as
//! it stands: no event is turned into a tree. The language is described for its
//! users in `host/docs/fql.md`, whose examples are run as tests. In short:
//!
//! - What is missing is null. Types are strict: values of different types are
//!   different, and only numbers have an order.
//! - Numbers are compared as they are written, with all their digits.
//! - An invalid condition is an error, never a condition that holds.
//!
//! What evaluation costs is bounded by the length of the condition times that
//! of the event, and memory by the longest string of the two.

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

/// A condition, ready to be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    node: ConditionNode,
}

impl Condition {
    /// Compile a condition.
    ///
    /// # Errors
    ///
    /// The text is not a valid condition, is too long, or is too deeply nested.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        grammar::parse_condition(text).map(|node| Condition { node })
    }

    /// Whether the condition is true for an event.
    pub(crate) fn holds(&self, event: JsonValue<'_>) -> bool {
        self.node.holds(event)
    }

    /// Returns warnings for people about parts that are valid but hardly intended, such as a
    /// condition that never holds.
    pub(crate) fn find_doubts(&self) -> Vec<String> {
        doubt::find_doubts(&self.node)
    }

    /// Every path that is read, as often as it stands there.
    pub(crate) fn paths(&self) -> Vec<&ConditionPath> {
        let mut paths = Vec::new();
        self.node.visit_paths(&mut |path| paths.push(path));
        paths
    }

    /// Whether an event's type and name decide it, where either is as good as
    /// missing if it is empty or no string: this is what a plugin gets that
    /// reads no payloads. `event = ''` and `event = null` want the payload.
    pub(crate) fn reads_only_kind(&self) -> bool {
        kind::kind_decides(&self.node)
    }
}

/// Text that compiles to the same condition, unless the condition is so near
/// the limits of length and depth that this exceeds them.
impl Display for Condition {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.node.fmt(out)
    }
}

#[cfg(test)]
mod tests;
