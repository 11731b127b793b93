//! What a condition consists of once it is compiled.
//!
//! Nodes are made by functions that leave out what is decided already: calls
//! and comparisons of constants, and what such a result decides.

use super::decimal::Decimal;
use super::function::{OfOne, OfTwo};
use super::glob::Glob;
use super::operator::Operator;
use super::path::Path;
use super::value::Found;
use crate::json::Value;

/// Something that is true or false of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// It is this of every event.
    Always(bool),
    /// Each of them is true: at least two, none of them of this sort.
    All(Vec<Node>),
    /// One of them is true, likewise.
    Any(Vec<Node>),
    /// It is not true. Never of another negation.
    Not(Box<Node>),
    Comparison(Operand, Operator, Operand),
    /// The value is one of these.
    InList(Operand, Vec<Operand>),
    /// The value is an element of the list that lies there.
    InPath(Operand, Path),
    /// The value is literally `true`.
    True(Operand),
}

/// What stands for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operand {
    Null,
    Bool(bool),
    Number(Decimal<'static>),
    String(String),
    Path(Path),
    One(OfOne, Box<Operand>),
    Two(OfTwo, Box<[Operand; 2]>),
    /// `match` with a constant pattern.
    Match(Box<Operand>, Glob),
}

impl Node {
    pub(super) fn all(nodes: Vec<Node>) -> Node {
        let mut left = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Node::Always(true) => {}
                Node::Always(false) => return Node::Always(false),
                Node::All(inner) => left.extend(inner),
                node => left.push(node),
            }
        }
        match left.len() {
            0 => Node::Always(true),
            1 => left.remove(0),
            _ => Node::All(left),
        }
    }

    pub(super) fn any(nodes: Vec<Node>) -> Node {
        let mut left = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Node::Always(false) => {}
                Node::Always(true) => return Node::Always(true),
                Node::Any(inner) => left.extend(inner),
                node => left.push(node),
            }
        }
        match left.len() {
            0 => Node::Always(false),
            1 => left.remove(0),
            _ => Node::Any(left),
        }
    }

    pub(super) fn not(node: Node) -> Node {
        match node {
            Node::Always(always) => Node::Always(!always),
            Node::Not(inner) => *inner,
            node => Node::Not(Box::new(node)),
        }
    }

    pub(super) fn comparison(left: Operand, operator: Operator, right: Operand) -> Node {
        let is_decided = left.is_constant() && right.is_constant();
        Node::Comparison(left, operator, right).decided_if(is_decided)
    }

    pub(super) fn in_list(value: Operand, list: Vec<Operand>) -> Node {
        let is_decided = value.is_constant() && list.iter().all(Operand::is_constant);
        Node::InList(value, list).decided_if(is_decided)
    }

    pub(super) fn is_true(value: Operand) -> Node {
        let is_decided = value.is_constant();
        Node::True(value).decided_if(is_decided)
    }

    fn decided_if(self, is_decided: bool) -> Node {
        if is_decided { Node::Always(self.holds(Value::of_text("null"))) } else { self }
    }

    /// Hand out every path that is read.
    pub(super) fn visit_paths<'a>(&'a self, visit: &mut impl FnMut(&'a Path)) {
        match self {
            Node::Always(_) => {}
            Node::All(nodes) | Node::Any(nodes) => {
                nodes.iter().for_each(|node| node.visit_paths(visit));
            }
            Node::Not(node) => node.visit_paths(visit),
            Node::Comparison(left, _, right) => {
                left.visit_paths(visit);
                right.visit_paths(visit);
            }
            Node::InList(value, list) => {
                value.visit_paths(visit);
                list.iter().for_each(|value| value.visit_paths(visit));
            }
            Node::InPath(value, path) => {
                value.visit_paths(visit);
                visit(path);
            }
            Node::True(value) => value.visit_paths(visit),
        }
    }
}

impl Operand {
    pub(super) fn one(function: OfOne, value: Operand) -> Operand {
        let is_decided = value.is_constant();
        Operand::One(function, Box::new(value)).decided_if(is_decided)
    }

    pub(super) fn two(function: OfTwo, values: [Operand; 2]) -> Operand {
        let is_decided = values.iter().all(Operand::is_constant);
        match (function, values) {
            (OfTwo::Match, [value, Operand::String(pattern)]) => {
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

    /// The constant that a call of constants comes to. A number that would be
    /// long without an exponent stays a call, since it could not be written.
    fn decided_if(self, is_decided: bool) -> Operand {
        if !is_decided {
            return self;
        }
        match self.find(Value::of_text("null")) {
            Found::Null => Operand::Null,
            Found::Bool(bool) => Operand::Bool(bool),
            Found::Number(number) if number.is_plain() => Operand::Number(number.into_owned()),
            Found::String(string) => Operand::String(string.into_owned()),
            Found::Number(_) | Found::List(_) | Found::Object(_) => self,
        }
    }

    fn visit_paths<'a>(&'a self, visit: &mut impl FnMut(&'a Path)) {
        match self {
            Operand::Null | Operand::Bool(_) | Operand::Number(_) | Operand::String(_) => {}
            Operand::Path(path) => visit(path),
            Operand::One(_, value) | Operand::Match(value, _) => value.visit_paths(visit),
            Operand::Two(_, values) => values.iter().for_each(|value| value.visit_paths(visit)),
        }
    }
}
