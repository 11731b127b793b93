//! The settings of scripts: `script` and the options that belong to it.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::RawPlugin;
use standpipe_core::settings::TableChecker;

/// The names of the functions that vendors call.
const DIALECTS: [&str; 5] =
    ["rudderstack", "rudderstack-v0", "segment-destination", "segment-insert", "segment-source"];

/// How long global variables live.
const GLOBALS: [&str; 2] = ["fresh", "keep"];

/// A script's file or directory, or a list of files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawScriptPaths(pub Vec<PathBuf>);

impl RawPlugin {
    /// Checks the options of scripts, and returns those that are set, as the script runner reads
    /// them.
    pub fn check_script_options(&self, check: &mut TableChecker<'_>) -> Map<String, Value> {
        let mut options = Map::new();
        check_word("dialect", self.dialect.as_deref(), &DIALECTS, check);
        check_globals(self.globals.as_deref(), check);
        for (key, word) in [("dialect", &self.dialect), ("globals", &self.globals)] {
            options.extend(word.iter().map(|word| (key.to_owned(), word.as_str().into())));
        }
        for (option, table) in
            [("credentials", &self.credentials), ("settings", &self.function_settings)]
        {
            if !table.is_empty() {
                options.insert(option.to_owned(), table.clone().into());
            }
        }
        options
    }

    /// The first key that is set and only affects scripts.
    pub fn script_key(&self) -> Option<&'static str> {
        let keys = [
            ("dialect", self.dialect.is_some()),
            ("libraries", !self.libraries.is_empty()),
            ("globals", self.globals.is_some()),
            ("credentials", !self.credentials.is_empty()),
            ("function_settings", !self.function_settings.is_empty()),
        ];
        keys.into_iter().find_map(|(key, is_set)| is_set.then_some(key))
    }
}

/// Checks how long global variables of a script live.
pub fn check_globals(word: Option<&str>, check: &mut TableChecker<'_>) {
    check_word("globals", word, &GLOBALS, check);
}

fn check_word(key: &str, word: Option<&str>, known: &[&str], check: &mut TableChecker<'_>) {
    let Some(word) = word.filter(|word| !known.contains(word)) else { return };
    let known: Vec<_> = known.iter().map(|known| format!("{known:?}")).collect();
    check.add_mistake(format_args!("{key} is {word:?}: write {}", known.join(" or ")));
}

impl<'de> Deserialize<'de> for RawScriptPaths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathsVisitor).map(RawScriptPaths)
    }
}

impl Serialize for RawScriptPaths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [path] => path.serialize(serializer),
            paths => paths.serialize(serializer),
        }
    }
}

impl JsonSchema for RawScriptPaths {
    fn schema_name() -> Cow<'static, str> {
        "RawScriptPaths".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        })
    }
}

struct PathsVisitor;

impl<'de> Visitor<'de> for PathsVisitor {
    type Value = Vec<PathBuf>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, or a list of paths")
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<Vec<PathBuf>, E> {
        Ok(vec![path.into()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<PathBuf>, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = items.next_element()? {
            paths.push(path);
        }
        Ok(paths)
    }
}
