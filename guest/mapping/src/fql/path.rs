//! The path to a value in an event.

use std::fmt::{self, Display, Formatter};

use super::word::{Word, is_plain};
use crate::json::JsonValue;

/// The decoded keys that lead to a value. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConditionPath {
    keys: Vec<String>,
}

impl ConditionPath {
    pub(super) fn new(keys: Vec<String>) -> Self {
        ConditionPath { keys }
    }

    /// The keys, outermost first.
    pub(crate) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The value in an event. `None` if any of the keys is missing. Paths do not lead into arrays.
    pub(super) fn find<'a>(&self, event: JsonValue<'a>) -> Option<JsonValue<'a>> {
        self.keys.iter().try_fold(event, |value, key| value.get(key))
    }
}

impl Display for ConditionPath {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (index, key) in self.keys.iter().enumerate() {
            if index > 0 {
                text.push('.');
            }
            for character in key.chars() {
                if !is_plain(character) {
                    text.push('\\');
                }
                text.push(character);
            }
        }
        // Without a backslash, the key would be a number or a keyword.
        let is_path = matches!(Word::parse(&text), Word::Path) && text != "all";
        out.write_str(if is_path { "" } else { "\\" })?;
        out.write_str(&text)
    }
}
