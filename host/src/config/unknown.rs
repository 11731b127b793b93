//! Unknown keys, told with the nearest known one.
//!
//! The known keys are read off the JSON Schema of the settings, so there is no
//! second list that could go stale.

use std::sync::LazyLock;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, line_at, located, schema};

/// How alike two keys must be for one to be taken for the other misspelt.
const SIMILARITY_MIN: f64 = 0.7;

pub(super) fn check(text: &str) -> Result<(), ConfigError> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(schema);
    let table = DeTable::parse(text).map_err(|error| located(text, &error))?;
    check_table(text, table.get_ref(), &SCHEMA, &mut Vec::new())
}

fn check_table<'a>(
    text: &str,
    table: &'a DeTable<'_>,
    schema: &Value,
    path: &mut Vec<&'a str>,
) -> Result<(), ConfigError> {
    for (key, value) in table {
        let Some(below) = schema_of(schema, key.get_ref()) else {
            return Err(unknown(text, key.span().start, key.get_ref(), schema, path));
        };
        if let (DeValue::Table(table), Some(below)) = (value.get_ref(), below) {
            path.push(key.get_ref());
            check_table(text, table, below, path)?;
            path.pop();
        }
    }
    Ok(())
}

/// The schema of a key: none where the key is unknown, and none inside where
/// anything goes.
fn schema_of<'a>(schema: &'a Value, key: &str) -> Option<Option<&'a Value>> {
    if let Some(property) = schema["properties"].get(key) {
        return Some(Some(resolve(property)));
    }
    match &schema["additionalProperties"] {
        Value::Bool(false) => None,
        Value::Object(_) => Some(Some(resolve(&schema["additionalProperties"]))),
        _ => Some(None),
    }
}

fn resolve(schema: &Value) -> &Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(super::schema);
    // What may be missing is a choice between it and nothing.
    let reference = schema.get("$ref").or_else(|| schema.pointer("/anyOf/0/$ref"));
    let reference = reference.and_then(Value::as_str);
    let definition = reference.and_then(|reference| SCHEMA.pointer(reference.strip_prefix('#')?));
    definition.unwrap_or(schema)
}

fn unknown(text: &str, byte: usize, key: &str, schema: &Value, path: &[&str]) -> ConfigError {
    let place = if path.is_empty() { String::new() } else { format!(" in [{}]", path.join(".")) };
    let known = schema["properties"].as_object().into_iter().flat_map(|known| known.keys());
    let alike = known.clone().map(|known| (strsim::jaro_winkler(key, known), known));
    let nearest =
        alike.filter(|(alike, _)| *alike >= SIMILARITY_MIN).max_by(|a, b| a.0.total_cmp(&b.0));
    let advice = match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => {
            let known: Vec<_> = known.map(|known| format!("`{known}`")).collect();
            format!("known here: {}", known.join(", "))
        }
    };
    let message = format!("unknown setting `{key}`{place}: {advice}");
    ConfigError { line: Some(line_at(text, byte)), message }
}
