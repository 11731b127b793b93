//! Typed access to JSON responses. A field with a wrong type counts as missing.

use serde_json::Value;

use super::Arn;
use standpipe_core::clock;

/// Maximum characters of an unknown word of AWS that are kept.
const UNKNOWN_WORD_CHARACTERS_MAX: usize = 100;

/// A JSON object in a response. A field with a wrong type counts as missing.
#[derive(Debug, Clone, Copy)]
pub struct JsonFields<'a>(&'a Value);

impl<'a> JsonFields<'a> {
    /// Reads the members of this value. A value that is not an object has none.
    pub fn new(value: &'a Value) -> Self {
        JsonFields(value)
    }

    /// A nested object.
    pub fn object(self, key: &str) -> Option<JsonFields<'a>> {
        self.0.get(key).filter(|value| value.is_object()).map(JsonFields)
    }

    /// A nested object, or an empty one if it is missing.
    pub fn inner(self, key: &str) -> JsonFields<'a> {
        self.object(key).unwrap_or(JsonFields(&Value::Null))
    }

    /// Whether a field exists, with any type.
    pub fn has(self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.is_null())
    }

    /// A list of objects. `None` if it is missing or contains anything else.
    pub fn all_objects(self, key: &str) -> Option<Vec<JsonFields<'a>>> {
        let list = self.0.get(key)?.as_array()?.iter();
        list.map(|value| value.is_object().then_some(JsonFields(value))).collect()
    }

    /// A non-empty text.
    pub fn text(self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// A non-empty text, as an owned string.
    pub fn owned(self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    /// An ARN.
    pub fn arn(self, key: &str) -> Option<Arn> {
        Arn::parse(self.text(key)?)
    }

    /// A boolean.
    pub fn is(self, key: &str) -> Option<bool> {
        self.0.get(key)?.as_bool()
    }

    /// A number without a sign.
    pub fn number(self, key: &str) -> Option<u64> {
        self.0.get(key)?.as_u64()
    }

    /// The items of a list.
    pub fn list(self, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.0.get(key).and_then(Value::as_array).into_iter().flatten()
    }

    /// The objects of a list.
    pub fn objects(self, key: &str) -> impl Iterator<Item = JsonFields<'a>> + use<'a> {
        self.list(key).filter(|value| value.is_object()).map(JsonFields)
    }

    /// The texts of a list.
    pub fn texts(self, key: &str) -> Vec<String> {
        self.list(key).filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The texts of a list. `None` if it contains anything else.
    pub fn names(self, key: &str) -> Option<Vec<&'a str>> {
        self.0.get(key)?.as_array()?.iter().map(Value::as_str).collect()
    }

    /// A port, as a number or a text.
    pub fn port(self, key: &str) -> Option<u16> {
        match self.0.get(key)? {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64().and_then(|port| port.try_into().ok()),
        }
    }

    /// A time in seconds since 1970. Some services write it as a date.
    pub fn seconds(self, key: &str) -> Option<f64> {
        let seconds = match self.0.get(key)? {
            Value::String(text) => match clock::parse_rfc3339(text) {
                Some(time) => time.unix_timestamp_nanos() as f64 / 1e9,
                None => text.parse().ok()?,
            },
            number => number.as_f64()?,
        };
        seconds.is_finite().then_some(seconds)
    }

    /// The keys whose values are objects.
    pub fn keys_of_objects(self) -> impl Iterator<Item = &'a str> {
        let fields = self.0.as_object().into_iter().flatten();
        fields.filter(|(_, value)| value.is_object()).map(|(key, _)| key.as_str())
    }
}

/// Truncates an unknown word of AWS for display.
pub(super) fn unknown_word(word: &str) -> String {
    word.chars().take(UNKNOWN_WORD_CHARACTERS_MAX).collect()
}
