//! The names of tables and keys in errors about a settings file.
//!
//! The name of a key is `[section] key`, or `[[sources]] "web": key` in a list of tables, or only
//! the key at the top level.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Display};

/// A table of a settings file.
#[derive(Debug, Clone, Default)]
pub struct SettingsTable {
    /// The keys that lead to the table.
    path: Vec<String>,
    /// Whether the table is in a list of tables, and its label, if it is known.
    list: Option<Option<String>>,
}

impl SettingsTable {
    /// The top-level table.
    pub fn top() -> Self {
        SettingsTable::default()
    }

    /// A table in this table.
    #[must_use]
    pub fn table(&self, key: &str) -> Self {
        SettingsTable {
            path: [&self.path[..], &[key.to_owned()]].concat(),
            list: self.list.clone(),
        }
    }

    /// All tables of a list in this table.
    #[must_use]
    pub fn list(&self, key: &str) -> Self {
        SettingsTable { list: Some(None), ..self.table(key) }
    }

    /// A table of a list in this table, by its label: see [`item_labels`].
    #[must_use]
    pub fn item(&self, key: &str, label: String) -> Self {
        SettingsTable { list: Some(Some(label)), ..self.table(key) }
    }

    /// Whether this is the top-level table.
    pub fn is_top(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether these keys lead to the table. `*` stands for any key.
    pub fn is_at(&self, path: &[&str]) -> bool {
        let mut keys = self.path.iter().zip(path);
        self.path.len() == path.len() && keys.all(|(key, known)| *known == "*" || key == known)
    }

    /// The name of a key in the table.
    pub fn key(&self, key: &str) -> String {
        self.message_about(&toml_key(key))
    }

    /// A text that starts with one of the table's keys.
    pub(super) fn message_about(&self, text: &dyn Display) -> String {
        match &self.list {
            _ if self.is_top() => text.to_string(),
            Some(Some(_)) => format!("{self}: {text}"),
            _ => format!("{self} {text}"),
        }
    }
}

impl Display for SettingsTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.path.iter().map(|key| toml_key(key)).collect();
        let path = keys.join(".");
        match &self.list {
            None => write!(f, "[{path}]"),
            Some(None) => write!(f, "[[{path}]]"),
            Some(Some(label)) => write!(f, "[[{path}]] {label}"),
        }
    }
}

/// A key as written in TOML, without quotes if possible.
pub fn toml_key(key: &str) -> Cow<'_, str> {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match !key.is_empty() && key.bytes().all(is_bare) {
        true => Cow::Borrowed(key),
        false => Cow::Owned(format!("{key:?}")),
    }
}

/// The labels of the tables in a list: their names, or their numbers if they have no name or the
/// name of an earlier table.
pub fn item_labels<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut known = HashSet::new();
    let label = |(number, name): (usize, &'a str)| match name {
        "" => format!("number {number}"),
        name if known.insert(name) => format!("{name:?}"),
        name => format!("{name:?} (number {number})"),
    };
    (1..).zip(names).map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_in_the_file() {
        let top = SettingsTable::top();
        assert_eq!(top.key("workers"), "workers");
        assert_eq!(top.table("plugin").table("limits").key("max_age"), "[plugin.limits] max_age");
        assert_eq!(
            top.table("streams").table("a b").key("aggregate"),
            "[streams.\"a b\"] aggregate"
        );
        assert_eq!(top.list("sources").key("name"), "[[sources]] name");
        let stream = top.table("streams").table("a");
        assert!(stream.is_at(&["streams", "*"]) && stream.is_at(&["streams", "a"]));
        assert!(!stream.is_at(&["streams"]) && !stream.is_at(&["streams", "b"]) && top.is_at(&[]));
        let labels = item_labels(["web", "", "web"]);
        assert_eq!(labels, ["\"web\"", "number 2", "\"web\" (number 3)"]);
        assert_eq!(top.item("sources", labels[0].clone()).key("name"), "[[sources]] \"web\": name");
    }
}
