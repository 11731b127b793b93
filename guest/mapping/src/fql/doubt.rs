//! Warnings about conditions that are valid but probably not intended, because they never or always
//! hold.
//!
//! Only certain contradictions and common mistakes are reported: words without quotes, types in
//! capitals, an order comparison of texts. Decisions about events do not depend on this module.

use super::function::UnaryFunction;
use super::node::{ConditionNode, Operand};
use super::operator::Operator;
use super::path::ConditionPath;

/// The types that SDKs send, in their spelling.
const TYPES: [&str; 6] = ["alias", "group", "identify", "page", "screen", "track"];

/// The top-level members of events from Segment's and RudderStack's SDKs. Another word in a
/// comparison is more likely a text without its quotes.
const MEMBERS: [&str; 24] = [
    "_metadata",
    "anonymousId",
    "category",
    "channel",
    "context",
    "event",
    "groupId",
    "integrations",
    "messageId",
    "name",
    "options",
    "originalTimestamp",
    "previousId",
    "projectId",
    "properties",
    "receivedAt",
    "request_ip",
    "rudderId",
    "sentAt",
    "timestamp",
    "traits",
    "type",
    "userId",
    "version",
];

/// Returns the warnings about a condition, each as the end of a sentence.
pub(super) fn find_doubts(node: &ConditionNode) -> Vec<String> {
    let mut doubts = Vec::new();
    if let ConditionNode::Always(false) = node {
        doubts.push("it never holds: remove what depends on it".to_owned());
    }
    visit_node(node, &mut doubts);
    doubts
}

fn visit_node(node: &ConditionNode, doubts: &mut Vec<String>) {
    match node {
        ConditionNode::Always(_) | ConditionNode::True(_) | ConditionNode::InPath(..) => {}
        ConditionNode::Not(node) => visit_node(node, doubts),
        ConditionNode::Any(nodes) => nodes.iter().for_each(|node| visit_node(node, doubts)),
        ConditionNode::All(nodes) => {
            nodes.iter().for_each(|node| visit_node(node, doubts));
            doubts.extend(find_contradiction(nodes));
        }
        ConditionNode::Comparison(left, operator, right) => {
            doubts.extend(check_comparison(left, *operator, right));
        }
        ConditionNode::InList(value, list) => {
            doubts.extend(list.iter().find_map(|one| check_equality(value, one)));
        }
    }
}

fn check_comparison(left: &Operand, operator: Operator, right: &Operand) -> Option<String> {
    match operator {
        Operator::Equal | Operator::NotEqual => check_equality(left, right),
        _ => [left, right].into_iter().find_map(|operand| check_order(operand, operator)),
    }
}

/// Warns about an order comparison of values that are not numbers.
fn check_order(operand: &Operand, operator: Operator) -> Option<String> {
    let mark = operator.mark();
    let found = match operand {
        Operand::String(text) => format!("{text:?} is a text"),
        Operand::Bool(_) => "true and false are not numbers".to_owned(),
        Operand::Null => "null is not a number".to_owned(),
        _ => return None,
    };
    Some(format!(
        "`{mark}` compares numbers, and {found}, so it never holds: write a number, without quotes"
    ))
}

fn check_equality(left: &Operand, right: &Operand) -> Option<String> {
    match (left, right) {
        (value, Operand::Path(path)) if value != right && is_unquoted(path) => {
            Some(unquoted_message(path))
        }
        (Operand::Path(path), value) if value != left && is_unquoted(path) => match value {
            // `order_id = 'x'` is a valid comparison of the event's own member.
            Operand::Path(_) => Some(unquoted_message(path)),
            _ => None,
        },
        (Operand::Path(path), Operand::String(text))
        | (Operand::String(text), Operand::Path(path))
            if path.keys() == ["type"] =>
        {
            let lower = text.to_lowercase();
            let is_type = TYPES.contains(&lower.as_str()) && lower != *text;
            is_type.then(|| {
                format!("types are in lower case, and {text:?} is not a type: write '{lower}'")
            })
        }
        (Operand::One(function, _), Operand::String(text))
        | (Operand::String(text), Operand::One(function, _)) => never_answered(*function, text),
        _ => None,
    }
}

/// Whether a path is a single word that no SDK's event has at the top level.
fn is_unquoted(path: &ConditionPath) -> bool {
    matches!(path.keys(), [key] if !MEMBERS.contains(&key.as_str()))
}

fn unquoted_message(path: &ConditionPath) -> String {
    format!(
        "`{path}` without quotes is a member of the event, and the events of SDKs have no such \
         member: write '{}' for the text",
        path.keys().join(".")
    )
}

/// A warning about a text that a function never returns.
fn never_answered(function: UnaryFunction, text: &str) -> Option<String> {
    let answered = match function {
        UnaryFunction::Lowercase => text.to_lowercase(),
        UnaryFunction::Uppercase => text.to_uppercase(),
        _ => return None,
    };
    (answered != text).then(|| {
        format!("{} never returns {text:?}: write {answered:?} in single quotes", function.name())
    })
}

/// Finds a value that must equal two different values, among conditions that must all hold.
fn find_contradiction(nodes: &[ConditionNode]) -> Option<String> {
    let mut wanted: Vec<(&ConditionPath, &Operand)> = Vec::new();
    for node in nodes {
        let ConditionNode::Comparison(Operand::Path(path), Operator::Equal, value) = node else {
            continue;
        };
        if !value.is_constant() {
            continue;
        }
        let other = wanted.iter().find(|(known, other)| *known == path && *other != value);
        if other.is_some() {
            return Some(format!(
                "`{path}` is to be two different values at once, so that it never holds: write `or` between them"
            ));
        }
        wanted.push((path, value));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Condition;

    #[test]
    fn doubtful_conditions_are_reported() {
        for (condition, words) in [
            ("type = track", "write 'track'"),
            ("type != track", "write 'track'"),
            ("track = type", "write 'track'"),
            ("type in [track, page]", "write 'track'"),
            ("event = order_completed", "write 'order_completed'"),
            ("type = 'Track'", "write 'track'"),
            ("type = 'track' and type = 'page'", "two different values"),
            ("properties.total > '100'", "without quotes"),
            ("null < properties.total", "`<` compares numbers"),
            ("lowercase(event) = 'Order'", "\"order\""),
            ("false", "never holds"),
            ("!(type = track)", "write 'track'"),
        ] {
            let doubts = Condition::parse(condition).unwrap().find_doubts();
            assert!(doubts.iter().any(|doubt| doubt.contains(words)), "{condition}: {doubts:?}");
        }
    }

    #[test]
    fn plausible_conditions_have_no_warnings() {
        for condition in [
            "type = 'track'",
            "event = type",
            "userId = anonymousId",
            "properties.a = properties.b",
            "order_id = 'x'",
            "type = 'track' or type = 'page'",
            "type = 'purchase'",
            "properties.total > 100",
            "properties.total > properties.limit",
            "lowercase(event) = 'order'",
            "properties.active",
            "all",
            "type = type",
        ] {
            let doubts = Condition::parse(condition).unwrap().find_doubts();
            assert!(doubts.is_empty(), "{condition}: {doubts:?}");
        }
    }
}
