//! The requests that OpenMetadata's API accepts, as our own rules in the form of JSON Schema, based
//! on its documentation. This module supports the part of JSON Schema that the rules need.

use std::sync::LazyLock;

use serde_json::Value;

static RULES: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/openmetadata/rules.json"))
        .expect("the rules are JSON")
});

/// Returns the first error of a value.
pub fn find_violation(rule: &str, value: &Value) -> Option<String> {
    check_value(rule_definition(rule), value, rule)
}

fn rule_definition(name: &str) -> &'static Value {
    RULES["definitions"].get(name).unwrap_or_else(|| panic!("unknown rule {name:?}"))
}

fn check_value(rule: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = rule["$ref"].as_str() {
        return check_value(rule_definition(name), value, at);
    }
    let is_type = match rule["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some(other) => panic!("the type {other} is not understood"),
    };
    if !is_type {
        return Some(format!("{at} is not of the type {}", rule["type"]));
    }
    if rule["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Some(format!("{at}: value not one of the values accepted for Enum class"));
    }
    match value {
        Value::String(text) => check_text(rule, text, at),
        Value::Array(items) if rule.get("items").is_some() => {
            items.iter().enumerate().find_map(|(number, item)| {
                check_value(&rule["items"], item, &format!("{at}[{number}]"))
            })
        }
        Value::Object(object) => {
            let required =
                rule["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let missing = required.into_iter().find(|key| !object.contains_key(*key));
            if let Some(key) = missing {
                return Some(format!("{at} has no {key}"));
            }
            object.iter().find_map(|(key, value)| match rule["properties"].get(key) {
                Some(rule) => check_value(rule, value, &format!("{at}.{key}")),
                None if rule["additionalProperties"] == false => {
                    Some(format!("Unrecognized field \"{key}\" in {at}"))
                }
                None => None,
            })
        }
        _ => None,
    }
}

fn check_text(rule: &Value, text: &str, at: &str) -> Option<String> {
    let length = text.chars().count() as u64;
    if rule["minLength"].as_u64().is_some_and(|least| length < least) {
        return Some(format!("{at} is too short"));
    }
    if rule["maxLength"].as_u64().is_some_and(|most| length > most) {
        return Some(format!("{at} is too long"));
    }
    let is_good = match rule["format"].as_str() {
        None => true,
        Some("uuid") => is_uuid(text),
        Some("entity-name") => !text.contains("::") && !text.contains(['\n', '>']),
        Some("full-name") => split_full_name(text).is_some(),
        Some("uri") => text.starts_with("https://") || text.starts_with("http://"),
        Some("date-time") => text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z'),
        Some(other) => panic!("the format {other} is not understood"),
    };
    (!is_good).then(|| format!("{at} is not a valid {}", rule["format"]))
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// The parts of a full name. Parts with dots are quoted.
pub fn split_full_name(name: &str) -> Option<Vec<String>> {
    let (mut parts, mut part, mut is_quoted, mut was_quoted) =
        (Vec::new(), String::new(), false, false);
    for letter in name.chars() {
        match letter {
            '"' if is_quoted => (is_quoted, was_quoted) = (false, true),
            '"' if part.is_empty() && !was_quoted => is_quoted = true,
            '.' if !is_quoted => {
                parts.push(std::mem::take(&mut part));
                was_quoted = false;
            }
            '"' => return None,
            _ if was_quoted => return None,
            letter => part.push(letter),
        }
    }
    parts.push(part);
    (!is_quoted && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

/// A part of a full name.
pub fn quote_part(part: &str) -> String {
    if part.contains('.') { format!("\"{part}\"") } else { part.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn invalid_values_are_refused() {
        let id = "00000000-0000-4000-8000-000000000001";
        let good = json!({"edge": {"fromEntity": {"id": id, "type": "table"}, "toEntity": {"id": id, "type": "topic"}}});
        assert_eq!(find_violation("addLineage", &good), None);
        for (pointer, value) in [
            ("/edge/fromEntity", json!({"fullyQualifiedName": "a.b", "type": "table"})),
            ("/edge/fromEntity/id", json!("1")),
            ("/edge/toEntity/type", json!("bucket")),
            ("/edge", json!({"fromEntity": {"id": id, "type": "table"}})),
        ] {
            let mut wrong = good.clone();
            *wrong.pointer_mut(pointer).unwrap() = value;
            assert!(find_violation("addLineage", &wrong).is_some(), "{wrong}");
        }
        for (wrong, word) in [
            (json!({"name": "a::b", "service": "s"}), "entity-name"),
            (json!({"name": "a", "service": "s", "more": 1}), "more"),
            (json!({"name": "a", "service": "s", "sourceHash": "x".repeat(33)}), "long"),
            (json!({"name": "a", "service": "s", "tasks": [{"name": "t", "kind": 1}]}), "kind"),
            (json!({"name": "a", "service": "a.\"b"}), "full-name"),
        ] {
            assert!(find_violation("createPipeline", &wrong).unwrap().contains(word), "{wrong}");
        }
    }

    #[test]
    fn full_names_are_split() {
        assert_eq!(split_full_name("a.\"b.c\".d").unwrap(), ["a", "b.c", "d"]);
        for wrong in ["", "a.", "\"a", "a\"b\"", "\"a\"b"] {
            assert_eq!(split_full_name(wrong), None, "{wrong}");
        }
    }
}
