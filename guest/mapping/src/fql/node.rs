//! The nodes of a compiled condition.
//!
//! The functions that create nodes simplify them: calls and comparisons of constants are evaluated,
//! and parts whose result is then known are removed.

use super::decimal::Decimal;
use super::function::{BinaryFunction, UnaryFunction};
use super::glob::Glob;
use super::operator::Operator;
use super::path::ConditionPath;
use super::value::FoundValue;
use crate::json::JsonValue;

/// An expression that is true or false for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConditionNode {
    /// The same result for every event.
    Always(bool),
    /// All of these are true. There are at least two, and none of them is an `All`.
    All(Vec<ConditionNode>),
    /// One of these is true. There are at least two, and none of them is an `Any`.
    Any(Vec<ConditionNode>),
    /// The node is not true. It is never a negation.
    Not(Box<ConditionNode>),
    Comparison(Operand, Operator, Operand),
    /// The value is one of these.
    InList(Operand, Vec<Operand>),
    /// The value is an element of the list at this path.
    InPath(Operand, ConditionPath),
    /// The value is the literal `true`.
    True(Operand),
}

/// An expression with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operand {
    Null,
    Bool(bool),
    Number(Decimal<'static>),
    String(String),
    Path(ConditionPath),
    One(UnaryFunction, Box<Operand>),
    Two(BinaryFunction, Box<[Operand; 2]>),
    /// `match` with a constant pattern.
    Match(Box<Operand>, Glob),
}

impl ConditionNode {
    pub(super) fn all_of(nodes: Vec<ConditionNode>) -> ConditionNode {
        let mut left = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                ConditionNode::Always(true) => {}
                ConditionNode::Always(false) => return ConditionNode::Always(false),
                ConditionNode::All(inner) => left.extend(inner),
                node => left.push(node),
            }
        }
        match left.len() {
            0 => ConditionNode::Always(true),
            1 => left.remove(0),
            _ => ConditionNode::All(left),
        }
    }

    pub(super) fn any_of(nodes: Vec<ConditionNode>) -> ConditionNode {
        let mut left = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                ConditionNode::Always(false) => {}
                ConditionNode::Always(true) => return ConditionNode::Always(true),
                ConditionNode::Any(inner) => left.extend(inner),
                node => left.push(node),
            }
        }
        match left.len() {
            0 => ConditionNode::Always(false),
            1 => left.remove(0),
            _ => ConditionNode::Any(left),
        }
    }

    pub(super) fn negate(node: ConditionNode) -> ConditionNode {
        match node {
            ConditionNode::Always(always) => ConditionNode::Always(!always),
            ConditionNode::Not(inner) => *inner,
            node => ConditionNode::Not(Box::new(node)),
        }
    }

    pub(super) fn compare(left: Operand, operator: Operator, right: Operand) -> ConditionNode {
        let is_decided = left.is_constant() && right.is_constant();
        ConditionNode::Comparison(left, operator, right).decided_if(is_decided)
    }

    pub(super) fn in_list(value: Operand, list: Vec<Operand>) -> ConditionNode {
        let is_decided = value.is_constant() && list.iter().all(Operand::is_constant);
        ConditionNode::InList(value, list).decided_if(is_decided)
    }

    pub(super) fn is_true(value: Operand) -> ConditionNode {
        let is_decided = value.is_constant();
        ConditionNode::True(value).decided_if(is_decided)
    }

    fn decided_if(self, is_decided: bool) -> ConditionNode {
        if is_decided {
            ConditionNode::Always(self.holds(JsonValue::of_text("null")))
        } else {
            self
        }
    }

    /// Calls `visit` for each path that is read.
    pub(super) fn visit_paths<'a>(&'a self, visit: &mut impl FnMut(&'a ConditionPath)) {
        match self {
            ConditionNode::Always(_) => {}
            ConditionNode::All(nodes) | ConditionNode::Any(nodes) => {
                nodes.iter().for_each(|node| node.visit_paths(visit));
            }
            ConditionNode::Not(node) => node.visit_paths(visit),
            ConditionNode::Comparison(left, _, right) => {
                left.visit_paths(visit);
                right.visit_paths(visit);
            }
            ConditionNode::InList(value, list) => {
                value.visit_paths(visit);
                list.iter().for_each(|value| value.visit_paths(visit));
            }
            ConditionNode::InPath(value, path) => {
                value.visit_paths(visit);
                visit(path);
            }
            ConditionNode::True(value) => value.visit_paths(visit),
        }
    }
}

impl Operand {
    pub(super) fn call_unary(function: UnaryFunction, value: Operand) -> Operand {
        let is_decided = value.is_constant();
        Operand::One(function, Box::new(value)).decided_if(is_decided)
    }

    pub(super) fn call_binary(function: BinaryFunction, values: [Operand; 2]) -> Operand {
        let is_decided = values.iter().all(Operand::is_constant);
        match (function, values) {
            (BinaryFunction::Match, [value, Operand::String(pattern)]) => {
                Operand::Match(Box::new(value), Glob::new(&pattern))
            }
            (function, values) => Operand::Two(function, Box::new(values)),
        }
        .decided_if(is_decided)
    }

    pub(super) fn is_constant(&self) -> bool {
        use Operand::{Bool, Null, Number, String};
        matches!(self, Null | Bool(_) | Number(_) | String(_))
    }

    /// Evaluates a call with constant arguments. A number that would be long without an exponent
    /// stays a call, because it could not be written.
    fn decided_if(self, is_decided: bool) -> Operand {
        if !is_decided {
            return self;
        }
        match self.find_value(JsonValue::of_text("null")) {
            FoundValue::Null => Operand::Null,
            FoundValue::Bool(bool) => Operand::Bool(bool),
            FoundValue::Number(number) if number.is_plain() => Operand::Number(number.into_owned()),
            FoundValue::String(string) => Operand::String(string.into_owned()),
            FoundValue::Number(_) | FoundValue::List(_) | FoundValue::Object(_) => self,
        }
    }

    fn visit_paths<'a>(&'a self, visit: &mut impl FnMut(&'a ConditionPath)) {
        match self {
            Operand::Null | Operand::Bool(_) | Operand::Number(_) | Operand::String(_) => {}
            Operand::Path(path) => visit(path),
            Operand::One(_, value) | Operand::Match(value, _) => value.visit_paths(visit),
            Operand::Two(_, values) => values.iter().for_each(|value| value.visit_paths(visit)),
        }
    }
}
