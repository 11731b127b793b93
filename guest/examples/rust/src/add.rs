//! Members that are added to an event's text. The text is not parsed: numbers, escapes and the
//! order of keys stay unchanged.

use serde_json::{Map, Value};

/// Members as JSON text, with commas between them.
pub(crate) struct Members(String);

impl Members {
    /// Returns the members as JSON text, or `None` if the map is empty. The error is the key of
    /// the first value that is not a string.
    pub(crate) fn new(members: &Map<String, Value>) -> Result<Option<Self>, &str> {
        let mut texts = Vec::new();
        for (key, value) in members {
            if !value.is_string() {
                return Err(key);
            }
            texts.push(format!("{}:{value}", Value::from(key.as_str())));
        }
        // Sorted by code points, independent of the order in the settings.
        texts.sort_unstable();
        Ok((!texts.is_empty()).then(|| Members(texts.join(","))))
    }

    /// Returns the text of an event, which is one JSON object, with these members at its end. If a
    /// key is duplicated, most readers use the last one.
    pub(crate) fn added_to(&self, event: &str) -> Vec<u8> {
        let (before, after) = event.split_at(event.rfind('}').unwrap_or(event.len()));
        let comma = if before.trim_end().ends_with('{') { "" } else { "," };
        [before, comma, &self.0, after].concat().into_bytes()
    }
}
