//! A table of the settings, with its position for errors.

use serde_json::{Map, Value};

use crate::path::FieldPath;

/// The minimum similarity at which an unknown key suggests a known one.
const SIMILARITY_MIN: f64 = 0.8;

/// A table, and the position with which its errors start: `transform 2`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MappingTable<'a> {
    pub(crate) place: &'a str,
    pub(crate) fields: &'a Map<String, Value>,
}

/// The result of parsing; the error is a sentence for the operator.
pub(crate) type SettingsResult<T> = Result<T, String>;

impl<'a> MappingTable<'a> {
    /// # Errors
    ///
    /// Fails if the value is not a table. The error contains the example.
    pub(crate) fn new(place: &'a str, value: &'a Value, example: &str) -> SettingsResult<Self> {
        let fields = value.as_object();
        let fields = fields.ok_or_else(|| format!("{place} is not a table: write {example}"))?;
        Ok(MappingTable { place, fields })
    }

    /// An item of one of its keys, which must be a table.
    ///
    /// # Errors
    ///
    /// Fails if the item is not a table. The error contains the example.
    pub(crate) fn item_table(
        &self,
        key: &str,
        item: &'a Value,
        example: &str,
    ) -> SettingsResult<Self> {
        let fields = item.as_object();
        let fields = fields.ok_or_else(|| self.key_error(key, format!("write {example}")))?;
        Ok(MappingTable { place: self.place, fields })
    }

    /// # Errors
    ///
    /// Fails if a key is unknown.
    pub(crate) fn check_keys(&self, known: &[&str]) -> SettingsResult<()> {
        let unknown = self.fields.keys().find(|key| !known.contains(&key.as_str()));
        let Some(unknown) = unknown else { return Ok(()) };
        let advice = did_you_mean(unknown, known.iter().copied());
        Err(format!("{} has the unknown key {unknown:?}: {advice}", self.place))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key)
    }

    /// Formats an error about one of the keys.
    pub(crate) fn key_error(&self, key: &str, what: impl std::fmt::Display) -> String {
        format!("{}: `{key}`: {what}", self.place)
    }

    /// # Errors
    ///
    /// Fails if the value is not a string.
    pub(crate) fn get_text(&self, key: &str) -> SettingsResult<Option<&'a str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.key_error(key, "write a string"))
    }

    /// A string, or a list of strings. Empty if the key is missing.
    ///
    /// # Errors
    ///
    /// Fails if the value is neither.
    pub(crate) fn get_texts(&self, key: &str) -> SettingsResult<Vec<&'a str>> {
        self.get_items(key)
            .iter()
            .map(|item| item.as_str().ok_or_else(|| self.key_error(key, "write a list of strings")))
            .collect()
    }

    /// The items of a list. A single value is a list of one item.
    pub(crate) fn get_items(&self, key: &str) -> &'a [Value] {
        match self.get(key) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(item) => std::slice::from_ref(item),
        }
    }

    /// # Errors
    ///
    /// Fails if the value is neither true nor false.
    pub(crate) fn get_flag(&self, key: &str) -> SettingsResult<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.key_error(key, "write true or false")),
        }
    }

    /// # Errors
    ///
    /// Fails if one of the values is not a path.
    pub(crate) fn get_paths(&self, key: &str) -> SettingsResult<Vec<FieldPath>> {
        let texts = self.get_texts(key)?.into_iter();
        texts
            .map(|text| FieldPath::parse(text).map_err(|error| self.key_error(key, error)))
            .collect()
    }

    /// Values by path. Nested tables extend the path, like TOML's dotted keys: `a = { b = 1 }` is
    /// `"a.b" = 1`. An empty table is a value.
    ///
    /// # Errors
    ///
    /// Fails if the value is not a table, or if a key is not a path.
    pub(crate) fn get_values_by_path(
        &self,
        key: &str,
    ) -> SettingsResult<Vec<(FieldPath, &'a Value)>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let fields = value.as_object().ok_or_else(|| {
            self.key_error(key, format!("write a table of paths: {key} = {{ \"a.b\" = ... }}"))
        })?;
        let mut found = Vec::new();
        self.collect_values(key, &FieldPath::default(), fields, &mut found)?;
        Ok(found)
    }

    fn collect_values(
        &self,
        key: &str,
        place: &FieldPath,
        fields: &'a Map<String, Value>,
        found: &mut Vec<(FieldPath, &'a Value)>,
    ) -> SettingsResult<()> {
        for (name, value) in fields {
            let step = FieldPath::parse_any(name).map_err(|error| self.key_error(key, error))?;
            let path = place.join(&step);
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    self.collect_values(key, &path, inner, found)?;
                }
                value => found.push((path, value)),
            }
        }
        Ok(())
    }
}

/// The names of a mapping's keys in RudderStack's settings.
const WORDS_OF_OTHERS: [(&str, &str); 2] = [("from", "event"), ("to", "stream")];

/// The known word most similar to an unknown one, or all known words.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let same = WORDS_OF_OTHERS.iter().find(|(other, ours)| *other == word && known.contains(ours));
    if let Some((_, ours)) = same {
        return format!("did you mean `{ours}`?");
    }
    let alike = known.iter().map(|known| (strsim::jaro_winkler(word, known), known));
    let nearest = alike.max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, nearest)) if likeness >= SIMILARITY_MIN => {
            format!("did you mean `{nearest}`?")
        }
        _ => {
            let known: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
            format!("known here: {}", known.join(", "))
        }
    }
}
