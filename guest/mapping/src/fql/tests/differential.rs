//! Evaluates random conditions on random events, and compares with an independent evaluator that
//! works on trees.

use proptest::prelude::*;
use serde_json::{Value as Tree, json};

use super::{check_text, parse_valid};
use crate::json::JsonValue;

/// A condition in the form in which it is written.
#[derive(Debug, Clone)]
enum WrittenCondition {
    And(Box<WrittenCondition>, Box<WrittenCondition>),
    Or(Box<WrittenCondition>, Box<WrittenCondition>),
    Not(Box<WrittenCondition>),
    Compare(Term, &'static str, Term),
    In(Term, Vec<Term>),
    InPath(Term, Vec<&'static str>),
    Alone(Term),
}

#[derive(Debug, Clone)]
enum Term {
    Constant(Tree),
    Path(Vec<&'static str>),
    Call(&'static str, Vec<Term>),
}

impl WrittenCondition {
    fn text(&self) -> String {
        match self {
            WrittenCondition::And(one, other) => {
                format!("{} and {}", one.inner_text(), other.inner_text())
            }
            WrittenCondition::Or(one, other) => format!("{} or {}", one.text(), other.text()),
            WrittenCondition::Not(one) => format!("!{}", one.inner_text()),
            WrittenCondition::Compare(left, operator, right) => {
                format!("{} {operator}{}", left.text(), right.text())
            }
            WrittenCondition::In(term, list) => {
                let list: Vec<_> = list.iter().map(Term::text).collect();
                format!("{} in [{}]", term.text(), list.join(","))
            }
            WrittenCondition::InPath(term, path) => {
                format!("{} in {}", term.text(), path_text(path))
            }
            WrittenCondition::Alone(term) => term.text(),
        }
    }

    /// Its text as an operand of `and` or `!`.
    fn inner_text(&self) -> String {
        match self {
            WrittenCondition::Or(..) => format!("( {})", self.text()),
            WrittenCondition::And(..) => format!("({} )", self.text()),
            _ => self.text(),
        }
    }

    fn holds(&self, event: &Tree) -> bool {
        match self {
            WrittenCondition::And(one, other) => one.holds(event) & other.holds(event),
            WrittenCondition::Or(one, other) => one.holds(event) | other.holds(event),
            WrittenCondition::Not(one) => !one.holds(event),
            WrittenCondition::Compare(left, operator, right) => {
                let (left, right) = (left.evaluate(event), right.evaluate(event));
                let numbers = left.as_f64().zip(right.as_f64());
                match *operator {
                    "=" => are_equal(&left, &right),
                    "!=" => !are_equal(&left, &right),
                    "<" => numbers.is_some_and(|(left, right)| left < right),
                    "<=" => numbers.is_some_and(|(left, right)| left <= right),
                    ">" => numbers.is_some_and(|(left, right)| left > right),
                    ">=" => numbers.is_some_and(|(left, right)| left >= right),
                    _ => unreachable!(),
                }
            }
            WrittenCondition::In(term, list) => {
                let list: Vec<_> = list.iter().map(|term| term.evaluate(event)).collect();
                is_in(&term.evaluate(event), &list)
            }
            WrittenCondition::InPath(term, path) => match get_path(event, path) {
                Tree::Array(list) => is_in(&term.evaluate(event), &list),
                _ => false,
            },
            WrittenCondition::Alone(term) => term.evaluate(event) == json!(true),
        }
    }
}

impl Term {
    fn text(&self) -> String {
        match self {
            Term::Constant(Tree::String(string)) => format!("'{string}'"),
            Term::Constant(constant) => constant.to_string(),
            Term::Path(path) => path_text(path),
            Term::Call(name, terms) => {
                let terms: Vec<_> = terms.iter().map(Term::text).collect();
                format!("{name}( {} )", terms.join(" ,"))
            }
        }
    }

    fn evaluate(&self, event: &Tree) -> Tree {
        let (name, values) = match self {
            Term::Constant(constant) => return constant.clone(),
            Term::Path(path) => return get_path(event, path),
            Term::Call(name, terms) => {
                (*name, terms.iter().map(|term| term.evaluate(event)).collect::<Vec<_>>())
            }
        };
        match (name, &values[..]) {
            ("contains", [Tree::String(text), Tree::String(part)]) => json!(text.contains(part)),
            ("match", [Tree::String(text), Tree::String(glob)]) => json!(glob_matches(glob, text)),
            ("contains" | "match", _) => json!(false),
            ("length", [Tree::String(text)]) => json!(text.len()),
            ("length", [Tree::Array(list)]) => json!(list.len()),
            ("length", [Tree::Null]) => json!(0),
            ("lowercase", [Tree::String(text)]) => json!(text.to_lowercase()),
            ("uppercase", [Tree::String(text)]) => json!(text.to_uppercase()),
            ("snakecase", [Tree::String(text)]) => json!(text.replace(' ', "_")),
            ("kebabcase", [Tree::String(text)]) => json!(text.replace(' ', "-")),
            ("typeof", [Tree::Null]) => json!("null"),
            ("typeof", [Tree::Bool(_)]) => json!("bool"),
            ("typeof", [Tree::Number(_)]) => json!("number"),
            ("typeof", [Tree::String(_)]) => json!("string"),
            ("typeof", [Tree::Array(_)]) => json!("list"),
            ("typeof", [Tree::Object(_)]) => json!("object"),
            ("bool", [Tree::Number(number)]) => json!(number.as_f64() != Some(0.0)),
            ("bool", [Tree::String(text)]) => {
                json!(!["", "0", "false"].contains(&text.to_lowercase().as_str()))
            }
            ("bool", [Tree::Array(list)]) => json!(!list.is_empty()),
            ("bool", [Tree::Object(object)]) => json!(!object.is_empty()),
            ("bool", [value]) => json!(value == &json!(true)),
            ("number", [value @ Tree::Number(_)]) => value.clone(),
            ("number", [Tree::String(text)]) => {
                text.parse().map_or(Tree::Null, |number: f64| json!(number))
            }
            ("string", [value @ (Tree::Bool(_) | Tree::Array(_) | Tree::Object(_))]) => {
                json!(value.to_string())
            }
            ("string", [Tree::Number(number)]) => {
                json!(number.as_f64().expect("a number").to_string())
            }
            ("string", [value @ Tree::String(_)]) => value.clone(),
            _ => Tree::Null,
        }
    }
}

/// A path with every letter escaped, which must not change the result.
fn path_text(path: &[&str]) -> String {
    let keys = path.iter().map(|key| key.chars().flat_map(|letter| ['\\', letter]).collect());
    keys.collect::<Vec<String>>().join(".")
}

fn get_path(event: &Tree, path: &[&str]) -> Tree {
    let value = path.iter().try_fold(event, |value, key| value.as_object()?.get(*key));
    value.cloned().unwrap_or_default()
}

fn are_equal(one: &Tree, other: &Tree) -> bool {
    match (one, other) {
        (Tree::Number(one), Tree::Number(other)) => one.as_f64() == other.as_f64(),
        (Tree::Array(one), Tree::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| are_equal(one, other))
        }
        (Tree::Object(one), Tree::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| one.0 == other.0 && are_equal(one.1, other.1))
        }
        _ => one == other,
    }
}

fn is_in(value: &Tree, list: &[Tree]) -> bool {
    !value.is_array() && !value.is_object() && list.iter().any(|element| are_equal(value, element))
}

/// Matches a pattern of letters, `*` and `?` according to the definition.
fn glob_matches(glob: &str, text: &str) -> bool {
    let mut rest = text.chars();
    match glob.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            glob_matches(&glob[1..], text)
                || rest.next().is_some_and(|_| glob_matches(glob, rest.as_str()))
        }
        Some('?') => rest.next().is_some() && glob_matches(&glob[1..], rest.as_str()),
        Some(letter) => {
            rest.next() == Some(letter) && glob_matches(&glob[letter.len_utf8()..], rest.as_str())
        }
    }
}

const KEYS: [&str; 6] = ["a", "b", "c d", "and", "é", "1"];

fn any_leaf() -> impl Strategy<Value = Tree> {
    prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Into::into),
        (-8..8_i32).prop_map(|quarters| json!(f64::from(quarters) / 4.0)),
        (-2..3_i32).prop_map(Into::into),
        "[aBé *?]{0,4}".prop_map(Into::into),
        prop::sample::select(vec!["false", "0", "1.5", "-1", "track"]).prop_map(Into::into),
    ]
}

fn any_event() -> impl Strategy<Value = Tree> {
    let value = any_leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::Array),
            prop::collection::btree_map(prop::sample::select(KEYS.to_vec()), inner, 0..4)
                .prop_map(|members| json!(members)),
        ]
    });
    prop::collection::btree_map(prop::sample::select(KEYS.to_vec()), value, 0..6)
        .prop_map(|members| json!(members))
}

fn any_path() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(KEYS.to_vec()), 1..3)
}

fn any_term() -> impl Strategy<Value = Term> {
    let one = vec![
        "length",
        "lowercase",
        "uppercase",
        "snakecase",
        "kebabcase",
        "typeof",
        "bool",
        "string",
        "number",
    ];
    let simple = prop_oneof![
        any_leaf().prop_map(Term::Constant),
        any_path().prop_map(Term::Path),
        any_path().prop_map(Term::Path),
    ];
    simple.prop_recursive(2, 4, 2, move |inner| {
        let two = prop::sample::select(vec!["contains", "match"]);
        prop_oneof![
            (prop::sample::select(one.clone()), inner.clone())
                .prop_map(|(name, term)| Term::Call(name, vec![term])),
            (two, inner.clone(), inner)
                .prop_map(|(name, one, other)| Term::Call(name, vec![one, other])),
        ]
    })
}

fn any_condition() -> impl Strategy<Value = WrittenCondition> {
    let operator = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let alone = any_term().prop_filter("no condition", |term| {
        matches!(term, Term::Path(_) | Term::Call(..) | Term::Constant(Tree::Bool(_)))
    });
    let simple = prop_oneof![
        (any_term(), operator, any_term())
            .prop_map(|(left, operator, right)| WrittenCondition::Compare(left, operator, right)),
        (any_term(), prop::collection::vec(any_term(), 1..4))
            .prop_map(|(term, list)| WrittenCondition::In(term, list)),
        (any_term(), any_path()).prop_map(|(term, path)| WrittenCondition::InPath(term, path)),
        alone.prop_map(WrittenCondition::Alone),
    ];
    simple.prop_recursive(4, 16, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone()
                .prop_map(|(one, other)| WrittenCondition::And(Box::new(one), Box::new(other))),
            pair.prop_map(|(one, other)| WrittenCondition::Or(Box::new(one), Box::new(other))),
            inner.prop_map(|one| WrittenCondition::Not(Box::new(one))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn agrees_with_another_evaluator(written in any_condition(), event in any_event()) {
        let condition = parse_valid(&written.text());
        check_text(&condition);
        for event in [&event, &Tree::Null] {
            let text = serde_json::to_string_pretty(event).expect("JSON");
            prop_assert_eq!(condition.holds(JsonValue::of_text(&text)), written.holds(event), "{}", written.text());
        }
    }
}
