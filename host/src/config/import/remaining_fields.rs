//! A vendor's settings while they are read key by key.
//!
//! This module defines how a key is looked up, what counts as a value, and which keys remain at the
//! end and get a note. The meaning of a key depends on the vendor.

use serde_json::Value;

use super::{Imported, JsonObject, Vendor, quote_text};

/// The settings of a vendor that have not been processed yet. Those that remain at the end have no
/// counterpart.
pub(super) struct RemainingFields(pub(super) JsonObject);

impl RemainingFields {
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        let key = find_key(&self.0, key)?.to_owned();
        self.0.remove(&key).filter(|value| !value.is_null())
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        find_field(&self.0, key).is_some_and(|value| value != "")
    }
}

impl Imported {
    /// Takes the text of a setting, unless it is missing or empty. If it cannot be converted, a
    /// note asks for `setting` instead.
    pub(super) fn take_text(
        &mut self,
        unread: &mut RemainingFields,
        key: &str,
        setting: &str,
    ) -> Option<String> {
        let obstacle = match unread.take(key)? {
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => match self.vendor.find_obstacle(&text) {
                None => return Some(text),
                Some(obstacle) => obstacle,
            },
            _ => "is not text",
        };
        self.add_note(format!("`{key}` {obstacle}: set `{setting}` under [aws] to its real value"));
        None
    }

    pub(super) fn note_remaining(&mut self, unread: &RemainingFields) {
        for (key, _) in unread.0.iter().filter(|(_, value)| !is_blank(value)) {
            self.add_note(format!("{} has no counterpart here and is left out", quote_text(key)));
        }
    }
}

impl Vendor {
    /// Why a text is not the setting's value, if it is not.
    fn find_obstacle(self, text: &str) -> Option<&'static str> {
        if is_masked(text) {
            return Some("is masked in the export");
        }
        (self == Vendor::RudderStack && is_filled_in(text))
            .then_some("is filled in by RudderStack, from its environment or from the event")
    }
}

/// The value of a key, ignoring case. Null counts as missing.
pub(super) fn find_field<'a>(fields: &'a JsonObject, key: &str) -> Option<&'a Value> {
    fields.get(find_key(fields, key)?).filter(|value| !value.is_null())
}

/// The spelling of a key: exact, or else in another case.
fn find_key<'a>(fields: &'a JsonObject, key: &str) -> Option<&'a str> {
    let exact = fields.get_key_value(key).map(|(spelling, _)| spelling);
    let spelling =
        exact.or_else(|| fields.keys().find(|spelling| spelling.eq_ignore_ascii_case(key)));
    spelling.map(String::as_str)
}

/// Whether a value is empty, including all nested values.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(fields) => fields.values().all(is_blank),
    }
}

/// Whether RudderStack replaces this text: `env.NAME`, or `{{ path || default }}`.
pub(super) fn is_filled_in(text: &str) -> bool {
    let text = text.trim();
    let template = text.split_once("{{").and_then(|(_, rest)| rest.split_once("}}"));
    text.starts_with("env.") || template.is_some_and(|(inside, _)| inside.contains("||"))
}

/// Whether a text is masked. Exports show dots, with or without the last characters, or asterisks.
fn is_masked(text: &str) -> bool {
    text.contains('•') || (!text.is_empty() && text.chars().all(|c| c == '*'))
}
