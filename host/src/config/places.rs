//! The positions of the keys in a settings file, by the names that errors use.
//!
//! The name of a key is `[section] key`, or `[[sources]] "web": key` in a list of tables, or only
//! the key at the top level. Every error starts with the name of its key, so that its line can be
//! found, whichever check reports it.

use std::collections::HashMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::deprecated::{DeprecatedKey, rename_keys};
use super::error::{ConfigError, Mistake, Position};
use standpipe_core::settings::{SettingsTable, item_labels};

/// The tables with settings of plugins, by their path.
const PLUGIN_SETTINGS: [&[&str]; 5] = [
    &["plugin", "settings"],
    &["plugin", "canary", "settings"],
    &["plugin", "shadow", "settings"],
    &["plugin", "credentials"],
    &["plugin", "function_settings"],
];

/// The names of the built-in plugin for the items of its lists.
const PLUGIN_ITEMS: [(&str, &str); 2] = [("mappings", "mapping"), ("transforms", "transform")];

/// Maximum bytes at the start of an error that can be a key. Names of streams and sources are
/// limited, so a longer text is not a key.
const KEY_BYTES_MAX: usize = 1024;

/// The positions of the keys in a settings file. Empty if the settings do not come from a file.
#[derive(Debug, Clone, Default)]
pub struct KeyPositions(Arc<FoundPositions>);

#[derive(Debug, Default)]
struct FoundPositions {
    keys: HashMap<String, Position>,
    tables: HashMap<String, Position>,
    /// Settings that are valid, but probably a mistake.
    warnings: Vec<Mistake>,
}

/// Positions do not affect the equality of settings.
impl PartialEq for KeyPositions {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl KeyPositions {
    /// Finds the keys of a file, and renames deprecated keys. Also returns mistakes in the use of
    /// deprecated keys.
    pub(super) fn of(lines: &LineIndex<'_>, table: &mut DeTable<'_>) -> (Self, Vec<Mistake>) {
        let mut collector =
            PositionCollector { lines, found: FoundPositions::default(), mistakes: Vec::new() };
        collector.read_table(table, &SettingsTable::top());
        (KeyPositions(Arc::new(collector.found)), collector.mistakes)
    }

    /// Adds the positions of the keys with which the mistakes start. Removes duplicates, and sorts
    /// the mistakes by position.
    pub(super) fn locate_all(&self, error: ConfigError) -> ConfigError {
        let mut mistakes: Vec<Mistake> = Vec::new();
        for mistake in error.into_mistakes() {
            let mistake = self.locate(mistake);
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
        // Mistakes without a position are about missing keys, and come last.
        mistakes.sort_by_key(|mistake| (mistake.line.is_none(), mistake.line, mistake.column));
        ConfigError::of(mistakes).expect("there is one")
    }

    /// Adds the position of the key with which a mistake starts, if it has none yet.
    #[must_use]
    pub(crate) fn locate(&self, mut mistake: Mistake) -> Mistake {
        if mistake.line.is_none() {
            (mistake.line, mistake.column) = self.of_message(&mistake.message).unzip();
        }
        mistake
    }

    /// The position of the key with which a message starts, or else of its table.
    fn of_message(&self, message: &str) -> Option<Position> {
        let find = |name: &str| self.0.keys.get(name).or_else(|| self.0.tables.get(name));
        possible_keys(message).find_map(find).copied()
    }

    /// The position of the key with which a message starts, if the file contains the key.
    pub(super) fn of_key(&self, message: &str) -> Option<Position> {
        let name = possible_keys(message)
            .find(|name| self.0.keys.contains_key(*name) || self.0.tables.contains_key(*name))?;
        self.0.keys.get(name).copied()
    }

    /// The key of a value at this position: the last key before it on its line.
    pub(super) fn key_before(&self, (line, column): Position) -> Option<&str> {
        let keys = self.0.keys.iter();
        let keys = keys.filter(|(_, place)| place.0 == line && place.1 <= column);
        keys.max_by_key(|(_, place)| place.1).map(|(key, _)| key.as_str())
    }

    /// Warnings about keys of the file: deprecated keys, and texts that start or end with a space.
    pub(super) fn warnings(&self) -> &[Mistake] {
        &self.0.warnings
    }
}

/// The starts of a message that can be a key. The longest comes first because it is the most
/// specific.
fn possible_keys(message: &str) -> impl Iterator<Item = &str> {
    let message = ["invalid ", "unknown "]
        .iter()
        .find_map(|word| message.strip_prefix(word))
        .unwrap_or(message);
    let head = &message[..message.floor_char_boundary(KEY_BYTES_MAX)];
    let ends = head.char_indices().rev().filter(|(_, it)| !is_part_of_key(*it));
    let ends = std::iter::once(head.len()).chain(ends.map(|(end, _)| end));
    ends.map(|end| &head[..end])
}

pub(super) fn is_part_of_key(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.')
}

/// The section of a message about a key.
pub(super) fn section_of(message: &str) -> &str {
    let message = message.strip_prefix("invalid ").unwrap_or(message);
    match message.find(']') {
        Some(end) if message.starts_with('[') => message[..=end].trim_matches(['[', ']']),
        _ => "",
    }
}

/// The positions at which the lines of a text start.
#[derive(Debug)]
pub(super) struct LineIndex<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        LineIndex { text, starts: [0].into_iter().chain(breaks.map(|(at, _)| at + 1)).collect() }
    }

    pub(super) fn position_at(&self, byte: usize) -> Position {
        let byte = self.text.floor_char_boundary(byte.min(self.text.len()));
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts[line - 1];
        (line, self.text[start..byte].chars().count() + 1)
    }

    /// A line by its number, counted from 1.
    pub(super) fn line_text(&self, number: usize) -> &'a str {
        let start = self.starts.get(number - 1).copied().unwrap_or(self.text.len());
        self.text[start..].lines().next().unwrap_or_default()
    }
}

struct PositionCollector<'a> {
    lines: &'a LineIndex<'a>,
    found: FoundPositions,
    mistakes: Vec<Mistake>,
}

impl PositionCollector<'_> {
    fn read_table(&mut self, table: &mut DeTable<'_>, section: &SettingsTable) {
        for DeprecatedKey { byte, message, is_conflict } in rename_keys(table, section) {
            let found = if is_conflict { &mut self.mistakes } else { &mut self.found.warnings };
            found.push(Mistake::at(self.lines.position_at(byte), message));
        }
        let is_of_plugin = PLUGIN_SETTINGS.iter().any(|path| section.is_at(path));
        for (key, value) in table.iter_mut() {
            let (name, at) = (key.get_ref(), key.span().start);
            self.add_key(section.key(name), at);
            if is_of_plugin {
                self.plugin_items(name, value, section);
                continue;
            }
            match value.get_mut() {
                DeValue::String(text) => self.check_text(text, &section.key(name), at),
                DeValue::Table(inner) => {
                    let inner_section = section.table(name);
                    self.add_table(&inner_section, at);
                    self.read_table(inner, &inner_section);
                }
                DeValue::Array(items) => {
                    self.add_table(&section.list(name), at);
                    let labels = item_labels(items.iter().map(|item| item_name(item.get_ref())));
                    for (item, label) in items.iter_mut().zip(labels) {
                        let at = item.span().start;
                        match item.get_mut() {
                            DeValue::String(text) => self.check_text(text, &section.key(name), at),
                            DeValue::Table(inner) => {
                                let item_section = section.item(name, label);
                                self.add_table(&item_section, at);
                                self.read_table(inner, &item_section);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes the items of a plugin's lists, under the names of the built-in plugin.
    fn plugin_items(&mut self, key: &str, value: &Spanned<DeValue<'_>>, section: &SettingsTable) {
        let Some((_, word)) = PLUGIN_ITEMS.iter().find(|(list, _)| *list == key) else { return };
        match value.get_ref() {
            DeValue::Array(items) => {
                for (number, item) in (1..).zip(items.iter()) {
                    self.add_key(format!("{section} {word} {number}"), item.span().start);
                }
            }
            _ => self.add_key(format!("{section} {word} 1"), value.span().start),
        }
    }

    fn add_table(&mut self, section: &SettingsTable, byte: usize) {
        let place = self.lines.position_at(byte);
        self.found.tables.entry(section.to_string()).or_insert(place);
    }

    fn check_text(&mut self, text: &str, key: &str, byte: usize) {
        if text.trim() != text {
            let message = format!(
                "{key} begins or ends with a blank, which is part of the value: remove it unless it is intended"
            );
            self.found.warnings.push(Mistake::at(self.lines.position_at(byte), message));
        }
    }

    fn add_key(&mut self, key: String, byte: usize) {
        let place = self.lines.position_at(byte);
        // If several keys are equal, the error is about the first one.
        self.found.keys.entry(key).or_insert(place);
    }
}

/// The value of `name` in an item of a list.
fn item_name<'a>(item: &'a DeValue<'_>) -> &'a str {
    let name = item.as_table().and_then(|item| item.get("name"));
    name.and_then(|name| name.get_ref().as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_what_errors_call_them() {
        let text = "workers = 2\n[delivery]\nmax_delay = '1s'\n[streams.'a b']\npack = 'off'\n\
                    [[sources]]\nname = 'web'\nrate_limit = 7\n[[sources]]\ndialect = 'segment'\n\
                    [plugin.settings]\nmappings = [\n  { event = 'ä' },\n  { event = 'b' },\n]\n";
        let lines = LineIndex::of(text);
        let mut table = DeTable::parse(text).unwrap();
        let (places, _) = KeyPositions::of(&lines, table.get_mut());
        for (message, place) in [
            ("workers is 0: write", Some((1, 1))),
            ("[delivery] max_delay is 5", Some((3, 1))),
            ("invalid [delivery] max_delay: expected", Some((3, 1))),
            ("[delivery] max_delays is 5", Some((2, 2))),
            ("[streams.\"a b\"] aggregate is", Some((5, 1))),
            ("[[sources]] \"web\": rate_limit is 0", Some((8, 1))),
            ("[[sources]] \"web\": enabled is", Some((6, 1))),
            ("[[sources]] number 2: dialect is", Some((10, 1))),
            ("[plugin.settings] mapping 1: `stream`", Some((13, 3))),
            ("[plugin.settings] mapping 2 (\"b\"): no", Some((14, 3))),
            ("[plugin.settings] fan_out", Some((11, 9))),
            ("nothing of the kind", None),
        ] {
            assert_eq!(places.of_message(message), place, "{message}");
        }
        assert_eq!(lines.line_text(7), "name = 'web'");
        assert_eq!(section_of("[[sources]] \"web\": rate_limit"), "sources");
        assert_eq!(section_of("invalid [aws.endpoints] sts: no"), "aws.endpoints");
        assert_eq!(section_of("workers is 0"), "");
    }
}
