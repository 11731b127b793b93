//! Unknown keys, told with the nearest known one, and values of the wrong type.
//!
//! Keys and types are read off the JSON Schema of the settings, so there is no second
//! list that could go stale. A value is never shown: it may be a secret, or a secret
//! that stands in the wrong place. What is said of it is its type.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, located, place, schema};

/// How alike two keys must be for one to be taken for the other misspelt.
const SIMILARITY_MIN: f64 = 0.7;

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

pub(super) fn check(text: &str) -> Result<(), ConfigError> {
    let table = DeTable::parse(text).map_err(|error| located(text, &error))?;
    Settings { text }.check_table(table.get_ref(), &SCHEMA, &mut Vec::new())
}

/// A settings file's text.
struct Settings<'a> {
    text: &'a str,
}

impl Settings<'_> {
    fn check_table<'a>(
        &self,
        table: &'a DeTable<'_>,
        schema: &Value,
        path: &mut Vec<&'a str>,
    ) -> Result<(), ConfigError> {
        for (key, value) in table {
            let Some(below) = schema_of(schema, key.get_ref()) else {
                return Err(self.unknown(key.span().start, key.get_ref(), schema, path));
            };
            let Some(below) = below else { continue };
            path.push(key.get_ref());
            self.check_value(value, below, path)?;
            path.pop();
        }
        Ok(())
    }

    fn check_value<'a>(
        &self,
        value: &'a Spanned<DeValue<'_>>,
        schema: &Value,
        path: &mut Vec<&'a str>,
    ) -> Result<(), ConfigError> {
        let found = Type::of(value.get_ref());
        let expected = types(schema);
        let fits = |expected: &[Type]| expected.iter().any(|expected| expected.takes(found));
        if expected.as_deref().is_some_and(|expected| !fits(expected)) {
            return Err(self.wrong_type(value.span().start, found, schema, path));
        }
        match value.get_ref() {
            DeValue::Table(table) => self.check_table(table, schema, path),
            DeValue::Array(items) => match schema.get("items") {
                Some(schema) => {
                    let schema = resolve(schema);
                    items.iter().try_for_each(|item| self.check_value(item, schema, path))
                }
                None => Ok(()),
            },
            DeValue::Integer(number) => {
                let number = i128::from_str_radix(number.as_str(), number.radix());
                let least = schema["minimum"].as_i64().map(i128::from);
                match (number, least) {
                    (Ok(number), Some(least)) if number < least => {
                        let expected = format!("expected an integer of {least} or more");
                        Err(self.wrong(value.span().start, path, &expected))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn wrong_type(&self, byte: usize, found: Type, schema: &Value, path: &[&str]) -> ConfigError {
        let mut problem = format!("expected {}, found {}", in_words(schema), found.in_words());
        let takes_text = types(schema).is_some_and(|types| types.contains(&Type::String));
        match found {
            Type::Integer | Type::Number | Type::Boolean | Type::DateTime if takes_text => {
                problem += ": put it in quotes";
            }
            Type::String if types(schema).is_some_and(|types| types.contains(&Type::Array)) => {
                problem += ": put it in brackets";
            }
            _ => {}
        }
        self.wrong(byte, path, &problem)
    }

    fn wrong(&self, byte: usize, path: &[&str], problem: &str) -> ConfigError {
        let message = format!("invalid setting `{}`: {problem}", path.join("."));
        ConfigError::at(place(self.text, byte), message)
    }

    fn unknown(&self, byte: usize, key: &str, schema: &Value, path: &[&str]) -> ConfigError {
        let within =
            if path.is_empty() { String::new() } else { format!(" in [{}]", path.join(".")) };
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
        let message = format!("unknown setting `{key}`{within}: {advice}");
        ConfigError::at(place(self.text, byte), message)
    }
}

/// The type of a value, in TOML or in JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    String,
    Integer,
    Number,
    Boolean,
    DateTime,
    Array,
    Table,
}

impl Type {
    fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(_) => Type::String,
            DeValue::Integer(_) => Type::Integer,
            DeValue::Float(_) => Type::Number,
            DeValue::Boolean(_) => Type::Boolean,
            DeValue::Datetime(_) => Type::DateTime,
            DeValue::Array(_) => Type::Array,
            DeValue::Table(_) => Type::Table,
        }
    }

    /// What JSON Schema calls it. None for null, which TOML has not.
    fn parse(word: &str) -> Option<Self> {
        match word {
            "string" => Some(Type::String),
            "integer" => Some(Type::Integer),
            "number" => Some(Type::Number),
            "boolean" => Some(Type::Boolean),
            "array" => Some(Type::Array),
            "object" => Some(Type::Table),
            _ => None,
        }
    }

    fn takes(self, found: Type) -> bool {
        self == found || (self, found) == (Type::Number, Type::Integer)
    }

    fn in_words(self) -> &'static str {
        match self {
            Type::String => "a string",
            Type::Integer => "an integer",
            Type::Number => "a number",
            Type::Boolean => "true or false",
            Type::DateTime => "a date or time",
            Type::Array => "an array",
            Type::Table => "a table",
        }
    }
}

/// The types that a schema takes. None where it takes any, or says so in another way:
/// serde tells those that are wrong then.
fn types(schema: &Value) -> Option<Vec<Type>> {
    let words = match &schema["type"] {
        Value::String(word) => vec![word.as_str()],
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    Some(words.into_iter().filter_map(Type::parse).collect())
}

/// What a schema takes, for people.
fn in_words(schema: &Value) -> String {
    let expected = types(schema).unwrap_or_default();
    let mut words = String::new();
    for (number, one) in expected.iter().enumerate() {
        let _ = write!(words, "{}{}", if number > 0 { " or " } else { "" }, one.in_words());
        if *one == Type::Array
            && let Some([of]) = schema.get("items").and_then(|of| types(resolve(of))).as_deref()
        {
            let _ = match of {
                Type::String => write!(words, " of strings"),
                Type::Table => write!(words, " of tables"),
                _ => Ok(()),
            };
        }
    }
    words
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
    // What may be missing is a choice between it and nothing.
    let reference = schema.get("$ref").or_else(|| schema.pointer("/anyOf/0/$ref"));
    let reference = reference.and_then(Value::as_str);
    let definition = reference.and_then(|reference| SCHEMA.pointer(reference.strip_prefix('#')?));
    definition.unwrap_or(schema)
}
