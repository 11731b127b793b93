//! Finds the changed keys of a settings file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::RawSettings;

/// A key whose value differs between two versions of a settings file. It does not contain the
/// values, which may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedKey {
    /// The table of the key, such as `delivery`. Empty for top-level keys.
    pub section: String,
    /// The key in this table. In `streams` and `sources`, it is the name of the stream or source.
    pub key: String,
}

impl RawSettings {
    /// The keys with different values in the other settings, in alphabetical order.
    pub fn changed_keys(&self, other: &RawSettings) -> Vec<ChangedKey> {
        let [before, now] = [self, other].map(values_by_key);
        let keys: BTreeSet<_> = before.keys().chain(now.keys()).collect();
        keys.into_iter().filter(|key| before.get(key) != now.get(key)).cloned().collect()
    }
}

fn values_by_key(settings: &RawSettings) -> BTreeMap<ChangedKey, Value> {
    let mut values = BTreeMap::new();
    let mut add = |section: &str, key: String, value: Value| {
        if !value.is_null() {
            values.insert(ChangedKey { section: section.to_owned(), key }, value);
        }
    };
    for (section, value) in tables_by_name(settings) {
        match value {
            Value::Object(keys) => {
                keys.into_iter().for_each(|(key, value)| add(&section, key, value));
            }
            value => add("", section, value),
        }
    }
    values
}

/// The settings as tables. The list of sources becomes a table by name.
fn tables_by_name(settings: &RawSettings) -> Map<String, Value> {
    let Ok(Value::Object(mut tables)) = serde_json::to_value(settings) else {
        unreachable!("settings are a table of texts, numbers and tables")
    };
    if let Some(Value::Array(sources)) = tables.remove("sources") {
        let by_name = sources.into_iter().map(|source| {
            let name = source.get("name").and_then(Value::as_str).unwrap_or_default();
            (name.to_owned(), source)
        });
        tables.insert("sources".to_owned(), by_name.collect::<Map<_, _>>().into());
    }
    tables
}

impl fmt::Display for ChangedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChangedKey { section, key } = self;
        match section.as_str() {
            "" => f.write_str(key),
            "sources" => write!(f, "[[sources]] {key:?}"),
            "streams" => write!(f, "[streams.{key:?}]"),
            section => write!(f, "[{section}] {key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    fn changed(before: &str, now: &str) -> Vec<String> {
        let [before, now] = [before, now].map(|text| parse(text).expect(text));
        before.changed_keys(&now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn changes_are_named_by_their_place() {
        let before = r#"
            workers = 2
            [delivery]
            max_delay = "1s"
            aggregate = "off"
            [streams.a]
            newline = false
            [[sources]]
            name = "web"
            dialect = "segment"
            write_keys = ["k1"]
            [aws]
            secret_access_key = "s1"
        "#;
        assert_eq!(changed(before, before), [] as [&str; 0]);
        for (from, to, expected) in [
            ("workers = 2", "workers = 3", "workers"),
            ("workers = 2", "", "workers"),
            ("workers = 2", "workers = 2\nlisten = \"off\"", "listen"),
            ("workers = 2", "workers = 2\n[http]\nkeep_alive = \"1m\"", "[http] keep_alive"),
            ("\"1s\"", "\"2s\"", "[delivery] max_delay"),
            ("newline = false", "concurrency = 3", "[streams.\"a\"]"),
            ("[streams.a]\n            newline = false", "", "[streams.\"a\"]"),
            ("\"k1\"", "\"k2\"", "[[sources]] \"web\""),
            ("\"s1\"", "\"s2\"", "[aws] secret_access_key"),
        ] {
            let now = before.replace(from, to);
            assert_ne!(now, before);
            assert_eq!(changed(before, &now), [expected], "{now}");
            assert_eq!(changed(&now, before), [expected], "{now}");
        }
        let renamed = before.replace("\"web\"", "\"site\"");
        assert_eq!(changed(before, &renamed), ["[[sources]] \"site\"", "[[sources]] \"web\""]);
    }
}
