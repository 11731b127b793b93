//! Finds unknown keys, suggests the nearest known one, and finds values of the wrong type.
//!
//! Keys and types come from the JSON Schema of the settings, so there is no second list that could
//! become outdated. Messages show only the type of a value: the value may be a secret, or a secret
//! at the wrong place.
//!
//! Plugins get their settings as JSON, so a number that JSON cannot represent is a mistake there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Mistake};
use super::places::{KeyPositions, LineIndex, section_of};
use super::{nearest_key, schema, syntax};
use standpipe_core::settings::{SettingsTable, toml_key};

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

/// The text of a settings file, with checked keys and types.
pub(super) struct ParsedFile<'a> {
    /// The contents without the mistakes.
    pub(super) table: Spanned<DeTable<'a>>,
    pub(super) places: KeyPositions,
    pub(super) mistakes: Vec<Mistake>,
    /// The paths of tables with mistakes. A key that seems to be missing there may be one of the
    /// mistakes.
    pub(super) wrong_tables: BTreeSet<String>,
}

/// Reads a text.
///
/// # Errors
///
/// Fails if the text is not TOML.
pub(super) fn read_file<'a>(
    text: &'a str,
    lines: &LineIndex<'_>,
) -> Result<ParsedFile<'a>, ConfigError> {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(syntax::explain_syntax_errors(lines, text, &errors));
    }
    let (places, mistakes) = KeyPositions::of(lines, table.get_mut());
    let mut checker = Checker { lines, mistakes, wrong_tables: BTreeSet::new() };
    checker.check_table(table.get_mut(), &SCHEMA, &SettingsTable::top());
    let Checker { mistakes, wrong_tables, .. } = checker;
    Ok(ParsedFile { table, places, mistakes, wrong_tables })
}

struct Checker<'a> {
    lines: &'a LineIndex<'a>,
    mistakes: Vec<Mistake>,
    wrong_tables: BTreeSet<String>,
}

impl Checker<'_> {
    /// Checks the keys of a table, and removes the wrong ones.
    fn check_table(&mut self, table: &mut DeTable<'_>, schema: &Value, section: &SettingsTable) {
        let mut wrong = Vec::new();
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            let is_good = match schema_of(schema, name) {
                None => self.unknown(key.span().start, name, schema, section),
                Some(None) => self.own_value(value, &section.key(name), section),
                Some(Some(below)) => self.check_value(value, below, section, name),
            };
            if !is_good {
                wrong.push(name.to_owned());
            }
        }
        for key in wrong {
            table.remove(key.as_str());
        }
    }

    /// Whether a key accepts a value.
    fn check_value(
        &mut self,
        value: &mut Spanned<DeValue<'_>>,
        schema: &Value,
        section: &SettingsTable,
        key: &str,
    ) -> bool {
        let at = value.span().start;
        if !fits_schema(value.get_ref(), schema) {
            return self.wrong_type(at, value.get_ref(), schema, (section, key, schema));
        }
        match value.get_mut() {
            DeValue::Table(table) => {
                self.check_table(table, schema, &section.table(key));
                true
            }
            DeValue::Array(items) => {
                let Some(of_items) = schema.get("items").map(resolve_reference) else {
                    return true;
                };
                let mut is_good = true;
                for item in items.iter_mut() {
                    let at = item.span().start;
                    if !fits_schema(item.get_ref(), of_items) {
                        let key = (section, key, schema);
                        is_good = self.wrong_type(at, item.get_ref(), of_items, key);
                    } else if let DeValue::Table(table) = item.get_mut() {
                        self.check_table(table, of_items, &section.list(key));
                    }
                }
                is_good
            }
            DeValue::Integer(number) => {
                let number = i128::from_str_radix(number.as_str(), number.radix());
                let least = schema["minimum"].as_i64().map(i128::from);
                match (number, least) {
                    (Ok(number), Some(least)) if number < least => {
                        let problem = format!("expected an integer of {least} or more");
                        self.wrong(at, section, &section.key(key), &problem)
                    }
                    _ => true,
                }
            }
            _ => true,
        }
    }

    /// Checks a value that only a plugin interprets. The plugin gets it as JSON.
    fn own_value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        key: &str,
        section: &SettingsTable,
    ) -> bool {
        let at = value.span().start;
        let problem = match value.get_ref() {
            DeValue::Array(items) => {
                let good = items.iter().map(|item| self.own_value(item, key, section));
                return good.fold(true, |all, good| all & good);
            }
            DeValue::Table(table) => {
                let mut is_good = true;
                for (name, value) in table.iter() {
                    let key = format!("{key}.{}", toml_key(name.get_ref()));
                    is_good &= self.own_value(value, &key, section);
                }
                return is_good;
            }
            DeValue::Float(number) => {
                let is_finite = number.as_str().parse().is_ok_and(f64::is_finite);
                (!is_finite).then_some("cannot be a JSON number, as plugins get it")
            }
            DeValue::Integer(number) => {
                let number = i128::from_str_radix(number.as_str(), number.radix());
                let fits = |it| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&it);
                (!number.is_ok_and(fits)).then_some("is too large for a JSON number")
            }
            DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => None,
        };
        match problem {
            Some(problem) => {
                let problem = format!("{problem}: write a smaller number, or text in quotes");
                self.wrong(at, section, key, &problem)
            }
            None => true,
        }
    }

    /// Adds a mistake. Returns false because the value cannot be used.
    fn wrong(&mut self, byte: usize, section: &SettingsTable, key: &str, problem: &str) -> bool {
        self.add_mistake(byte, section, format!("invalid {key}: {problem}"))
    }

    fn add_mistake(&mut self, byte: usize, section: &SettingsTable, message: String) -> bool {
        self.mistakes.push(Mistake::at(self.lines.position_at(byte), message));
        if !section.is_top() {
            self.wrong_tables.insert(section_of(&section.to_string()).to_owned());
        }
        false
    }

    fn wrong_type(
        &mut self,
        byte: usize,
        found: &DeValue<'_>,
        expected: &Value,
        (section, key, schema): (&SettingsTable, &str, &Value),
    ) -> bool {
        let mut problem =
            format!("expected {}, found {}", in_words(expected), type_of(found).in_words);
        if let Some(example) = example_of_key(section, key, schema) {
            let _ = write!(problem, ": write for example `{example}`");
        }
        // If the key should be a table, its contents are missing now.
        self.wrong_tables.insert(section_of(&section.table(key).to_string()).to_owned());
        self.wrong(byte, section, &section.key(key), &problem)
    }

    fn unknown(&mut self, byte: usize, key: &str, schema: &Value, section: &SettingsTable) -> bool {
        let within = if section.is_top() { String::new() } else { format!(" in {section}") };
        let known = schema["properties"].as_object().into_iter().flat_map(|known| known.keys());
        let advice = match nearest_key(key, known.clone().map(String::as_str)) {
            Some(nearest) => {
                // The contents of the table are missing.
                self.wrong_tables
                    .insert(section_of(&section.table(nearest).to_string()).to_owned());
                format!("did you mean `{nearest}`?")
            }
            None => {
                let known: Vec<_> = known.map(|known| format!("`{known}`")).collect();
                format!("known here: {}", known.join(", "))
            }
        };
        self.add_mistake(byte, section, format!("unknown setting `{key}`{within}: {advice}"))
    }
}

/// The type of a value, in TOML and in JSON Schema.
#[derive(Debug, PartialEq, Eq)]
struct ValueType {
    toml: &'static str,
    /// The name in JSON Schema. It is empty for dates, which JSON does not have.
    json: &'static str,
    in_words: &'static str,
    /// A value of the type, for settings without their own example.
    example: &'static str,
}

const VALUE_TYPES: [ValueType; 7] = [
    ValueType { toml: "string", json: "string", in_words: "a string", example: "\"...\"" },
    ValueType { toml: "integer", json: "integer", in_words: "an integer", example: "1" },
    ValueType { toml: "float", json: "number", in_words: "a number", example: "0.5" },
    ValueType { toml: "boolean", json: "boolean", in_words: "true or false", example: "true" },
    ValueType { toml: "datetime", json: "", in_words: "a date or time", example: "2026-01-31" },
    ValueType { toml: "array", json: "array", in_words: "an array", example: "[\"...\"]" },
    ValueType { toml: "table", json: "object", in_words: "a table", example: "{ ... }" },
];

/// The type of a value.
fn type_of(value: &DeValue<'_>) -> &'static ValueType {
    let found = VALUE_TYPES.iter().find(|known| known.toml == value.type_str());
    found.expect("the types are those of TOML")
}

/// Whether a schema accepts the type of a value.
fn fits_schema(value: &DeValue<'_>, schema: &Value) -> bool {
    let found = type_of(value).json;
    let takes = |expected: &str| expected == found || (expected, found) == ("number", "integer");
    schema_types(schema).is_none_or(|expected| expected.iter().any(|expected| takes(expected.json)))
}

/// The types that a schema accepts. `None` if it accepts any type, or expresses it in another way:
/// serde then reports wrong values.
fn schema_types(schema: &Value) -> Option<Vec<&'static ValueType>> {
    let words = match &schema["type"] {
        Value::String(word) => vec![word.as_str()],
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    // TOML has no null.
    let known =
        words.into_iter().filter_map(|word| VALUE_TYPES.iter().find(|known| known.json == word));
    Some(known.collect())
}

/// The accepted types of a schema, as text for people.
fn in_words(schema: &Value) -> String {
    let expected = schema_types(schema).unwrap_or_default();
    let mut words = String::new();
    for (number, one) in expected.iter().enumerate() {
        let _ = write!(words, "{}{}", if number > 0 { " or " } else { "" }, one.in_words);
        if one.json == "array"
            && let Some([of]) =
                schema.get("items").and_then(|of| schema_types(resolve_reference(of))).as_deref()
        {
            match of.json {
                "string" => words += " of strings",
                "object" => words += " of tables",
                _ => {}
            }
        }
    }
    words
}

/// An example of a key: that of its schema, or any value of its type.
fn example_of_key(section: &SettingsTable, key: &str, schema: &Value) -> Option<String> {
    if let Some(example) = schema["examples"].get(0) {
        return Some(format!("{} = {}", toml_key(key), toml_value(example)));
    }
    let expected = schema_types(schema)?.first().copied()?;
    Some(match expected.json {
        "object" => section.table(key).to_string(),
        "array"
            if schema
                .get("items")
                .is_some_and(|items| resolve_reference(items)["type"] == "object") =>
        {
            section.list(key).to_string()
        }
        _ => format!("{} = {}", toml_key(key), expected.example),
    })
}

/// An example of the schema, in TOML.
fn toml_value(example: &Value) -> String {
    match example {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields =
                fields.iter().map(|(key, it)| format!("{} = {}", toml_key(key), toml_value(it)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        // Strings of examples contain no character that TOML and JSON write differently.
        other => other.to_string(),
    }
}

/// The schema of a key. The outer `None` means an unknown key, the inner one a value of any form.
fn schema_of<'a>(schema: &'a Value, key: &str) -> Option<Option<&'a Value>> {
    if let Some(property) = schema["properties"].get(key) {
        return Some(Some(resolve_reference(property)));
    }
    match &schema["additionalProperties"] {
        Value::Bool(false) => None,
        Value::Object(_) => Some(Some(resolve_reference(&schema["additionalProperties"]))),
        _ => Some(None),
    }
}

fn resolve_reference(schema: &Value) -> &Value {
    // The schema of an optional value is a choice between it and null.
    let reference = schema.get("$ref").or_else(|| schema.pointer("/anyOf/0/$ref"));
    let reference = reference.and_then(Value::as_str);
    let definition = reference.and_then(|reference| SCHEMA.pointer(reference.strip_prefix('#')?));
    definition.unwrap_or(schema)
}
