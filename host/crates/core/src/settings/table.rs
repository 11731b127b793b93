//! What errors call the tables and keys of a settings file.
//!
//! A key is called `[section] key`, or `[[sources]] "web": key` in a list of tables, or by its name alone at the top.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Display};

/// A table of a settings file.
#[derive(Debug, Clone, Default)]
pub struct SettingsTable {
    /// The keys that lead to it.
    path: Vec<String>,
    /// Whether it is one of a list of tables, and which, where that is said.
    list: Option<Option<String>>,
}

impl SettingsTable {
    /// The table that holds all others.
    pub fn top() -> Self {
        SettingsTable::default()
    }

    /// A table in this one.
    #[must_use]
    pub fn table(&self, key: &str) -> Self {
        SettingsTable {
            path: [&self.path[..], &[key.to_owned()]].concat(),
            list: self.list.clone(),
        }
    }

    /// Each table of a list in this one.
    #[must_use]
    pub fn list(&self, key: &str) -> Self {
        SettingsTable { list: Some(None), ..self.table(key) }
    }

    /// One table of a list in this one, by its label: see [`item_labels`].
    #[must_use]
    pub fn item(&self, key: &str, label: String) -> Self {
        SettingsTable { list: Some(Some(label)), ..self.table(key) }
    }

    /// Whether it is the one that holds all others.
    pub fn is_top(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether these keys lead to it; `*` stands for any key.
    pub fn is_at(&self, path: &[&str]) -> bool {
        let mut keys = self.path.iter().zip(path);
        self.path.len() == path.len() && keys.all(|(key, known)| *known == "*" || key == known)
    }

    /// A key in it.
    pub fn key(&self, key: &str) -> String {
        self.message_about(&toml_key(key))
    }

    /// A text that begins with one of its keys.
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

/// A key as it is written: bare where that is possible.
pub fn toml_key(key: &str) -> Cow<'_, str> {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match !key.is_empty() && key.bytes().all(is_bare) {
        true => Cow::Borrowed(key),
        false => Cow::Owned(format!("{key:?}")),
    }
}

/// What the items of a list of tables are called: by their names where they have one, and by their number where they
/// have none, or that of one before.
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
