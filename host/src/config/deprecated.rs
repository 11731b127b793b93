//! Settings that have been renamed. The old key is still read, with a warning that names the new one.
//!
//! A key is renamed in the parsed file, before anything else looks at it: schema, checks and errors know the new key
//! alone, and find it where the old one stands. To rename a setting, rename it in its crate and add a row to
//! [`RENAMED_KEYS`].

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Mistake;
use super::places::Lines;
use standpipe_core::settings::SettingsTable;

/// A setting that has another name than before.
struct RenamedKey {
    /// The keys that lead to its table; `*` stands for any key, and a list of tables for each of them.
    table: &'static [&'static str],
    old: &'static str,
    new: &'static str,
}

/// All renamed settings. A row stays as long as the old key is to be read.
const RENAMED_KEYS: &[RenamedKey] =
    &[RenamedKey { table: &["plugin"], old: "pass_through", new: "pass_through_stream" }];

/// What is to be said about the old keys of a file.
#[derive(Debug, Default)]
pub(super) struct DeprecatedKeys {
    /// One warning for each old key, with its place.
    pub(super) warnings: Vec<Mistake>,
    /// Old keys whose new one stands beside them.
    pub(super) mistakes: Vec<Mistake>,
}

impl DeprecatedKeys {
    /// Renames the old keys of a file.
    pub(super) fn rename(file: &mut DeTable<'_>, lines: &Lines<'_>) -> Self {
        let mut found = DeprecatedKeys::default();
        for renamed in RENAMED_KEYS {
            found.rename_below(file, &SettingsTable::top(), renamed.table, renamed, lines);
        }
        found
    }

    /// Renames a key in all tables that the rest of its path leads to.
    fn rename_below(
        &mut self,
        table: &mut DeTable<'_>,
        section: &SettingsTable,
        path: &[&str],
        renamed: &RenamedKey,
        lines: &Lines<'_>,
    ) {
        let Some((step, rest)) = path.split_first() else {
            return self.rename_in(table, section, renamed, lines);
        };
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            if *step != "*" && *step != name {
                continue;
            }
            match value.get_mut() {
                DeValue::Table(below) => {
                    self.rename_below(below, &section.table(name), rest, renamed, lines);
                }
                DeValue::Array(items) => {
                    let items = items.iter_mut().filter_map(|item| match item.get_mut() {
                        DeValue::Table(item) => Some(item),
                        _ => None,
                    });
                    for item in items {
                        self.rename_below(item, &section.list(name), rest, renamed, lines);
                    }
                }
                _ => {}
            }
        }
    }

    fn rename_in(
        &mut self,
        table: &mut DeTable<'_>,
        section: &SettingsTable,
        RenamedKey { old, new, .. }: &RenamedKey,
        lines: &Lines<'_>,
    ) {
        let Some((key, value)) = table.remove_entry(*old) else { return };
        let place = lines.place(key.span().start);
        let old = section.key(old);
        if table.contains_key(*new) {
            let problem = format!("{old} is the former name of {new}, which is set too: remove it");
            self.mistakes.push(Mistake::at(place, problem));
            return;
        }
        table.insert(Spanned::new(key.span(), Cow::Borrowed(*new)), value);
        let warning = format!("{old} is deprecated: rename it to {new}");
        self.warnings.push(Mistake::at(place, warning));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rename(text: &str, renamed: &RenamedKey) -> (Vec<String>, Vec<String>, String) {
        let mut file = DeTable::parse(text).unwrap();
        let mut found = DeprecatedKeys::default();
        let (lines, top) = (Lines::of(text), SettingsTable::top());
        found.rename_below(file.get_mut(), &top, renamed.table, renamed, &lines);
        let words = |found: Vec<Mistake>| found.iter().map(ToString::to_string).collect();
        let file: toml::Table =
            serde::Deserialize::deserialize(toml::de::Deserializer::from(file)).unwrap();
        (words(found.warnings), words(found.mistakes), toml::to_string(&file).unwrap())
    }

    #[test]
    fn an_old_key_is_renamed_in_every_table_that_has_it() {
        let in_streams = RenamedKey { table: &["streams", "*"], old: "old", new: "new" };
        let in_sources = RenamedKey { table: &["sources"], old: "old", new: "new" };
        let at_top = RenamedKey { table: &[], old: "old", new: "new" };
        let text = "old = 1\n[streams.a]\nold = 2\n[streams.b]\nnew = 3\n[[sources]]\nold = 4\n[[sources]]\nold = 5\n";
        let (warnings, mistakes, file) = rename(text, &in_streams);
        assert_eq!(warnings, ["line 3, column 1: [streams.a] old is deprecated: rename it to new"]);
        assert!(mistakes.is_empty() && file.contains("[streams.a]\nnew = 2"), "{file}");
        let (warnings, _, file) = rename(text, &in_sources);
        assert_eq!(
            warnings,
            [
                "line 7, column 1: [[sources]] old is deprecated: rename it to new",
                "line 9, column 1: [[sources]] old is deprecated: rename it to new",
            ]
        );
        assert!(file.contains("new = 4") && file.contains("new = 5"), "{file}");
        let (warnings, _, file) = rename(text, &at_top);
        assert_eq!(warnings, ["line 1, column 1: old is deprecated: rename it to new"]);
        assert!(file.starts_with("new = 1"), "{file}");
    }

    #[test]
    fn an_old_key_beside_its_new_one_is_a_mistake() {
        let renamed = RenamedKey { table: &["a"], old: "old", new: "new" };
        let (warnings, mistakes, file) = rename("[a]\nnew = 1\nold = 2\n", &renamed);
        assert!(warnings.is_empty() && file == "[a]\nnew = 1\n", "{file}");
        assert_eq!(
            mistakes,
            ["line 3, column 1: [a] old is the former name of new, which is set too: remove it"]
        );
    }
}
