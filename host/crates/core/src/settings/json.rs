//! Reads the own settings of plugins and functions, in TOML or another format, and converts them to JSON.
//!
//! Dates and times of TOML become text: serde has no type for them, and the crate `toml` presents
//! them as a table with a private key. Numbers that JSON cannot represent are errors, because they
//! would become null.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// The private key with which the crate `toml` presents the text of a date or time.
const DATE_TIME: &str = "$__toml_private_datetime";

/// Deserializes a table as a JSON object.
///
/// # Errors
///
/// Fails if the value is not a table, or if JSON cannot represent a number in it.
pub fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    of_object(Json::deserialize(deserializer)?)
}

/// Deserializes an optional table as a JSON object.
///
/// # Errors
///
/// Fails in the same cases as [`object`].
pub fn optional_object<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    Option::<Json>::deserialize(deserializer)?.map(of_object).transpose()
}

fn of_object<E: Error>(Json(value): Json) -> Result<Map<String, Value>, E> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(E::custom("a plugin's settings must be a table")),
    }
}

struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Json)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("JSON has no inf and no nan: write a finite number"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Json::deserialize(deserializer).map(|Json(value)| value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Json(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((key, Json(value))) = entries.next_entry::<String, Json>()? {
            fields.insert(key, value);
        }
        match fields.get_mut(DATE_TIME).map(Value::take) {
            Some(text) if fields.len() == 1 => Ok(text),
            _ => Ok(Value::Object(fields)),
        }
    }
}
