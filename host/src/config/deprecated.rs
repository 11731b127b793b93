//! Renamed settings. The old key is still accepted, with a warning that contains the new one.
//!
//! A key is renamed in the parsed file before any other code reads it: schema, checks and errors
//! know only the new key, and find it at the position of the old one. To rename a setting, rename
//! it in its crate and add an entry to [`RENAMED_KEYS`].

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeTable;

use standpipe_core::settings::SettingsTable;

/// A renamed setting.
struct RenamedKey {
    /// The keys that lead to its table, or to each table of a list. `*` stands for any key.
    table: &'static [&'static str],
    old: &'static str,
    new: &'static str,
}

/// All renamed settings. An entry stays as long as the old key is accepted.
const RENAMED_KEYS: &[RenamedKey] = &[
    RenamedKey { table: &["plugin"], old: "pass_through", new: "pass_through_stream" },
    RenamedKey { table: &["delivery"], old: "pack", new: "aggregate" },
    RenamedKey { table: &["streams", "*"], old: "pack", new: "aggregate" },
];

/// A deprecated key in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeprecatedKey {
    /// The byte in the file at which it starts.
    pub(super) byte: usize,
    /// The warning with the new key.
    pub(super) message: String,
    /// Whether the file also contains the new key, which is a mistake.
    pub(super) is_conflict: bool,
}

/// Renames the deprecated keys of a table.
pub(super) fn rename_keys(table: &mut DeTable<'_>, section: &SettingsTable) -> Vec<DeprecatedKey> {
    let here = RENAMED_KEYS.iter().filter(|renamed| section.is_at(renamed.table));
    here.filter_map(|renamed| rename_key(table, section, renamed)).collect()
}

fn rename_key(
    table: &mut DeTable<'_>,
    section: &SettingsTable,
    RenamedKey { old, new, .. }: &RenamedKey,
) -> Option<DeprecatedKey> {
    let (key, value) = table.remove_entry(*old)?;
    let (byte, old) = (key.span().start, section.key(old));
    let is_conflict = table.contains_key(*new);
    let message = if is_conflict {
        format!("{old} is the former name of {new}, which is set too: remove it")
    } else {
        table.insert(Spanned::new(key.span(), Cow::Borrowed(*new)), value);
        format!("{old} is deprecated: rename it to {new}")
    };
    Some(DeprecatedKey { byte, message, is_conflict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_is_renamed_and_one_beside_its_new_one_is_a_mistake() {
        let renamed = RenamedKey { table: &["a"], old: "old", new: "new" };
        let rename = |text: &'static str| {
            let mut file = DeTable::parse(text).unwrap().into_inner();
            let found = rename_key(&mut file, &SettingsTable::top().table("a"), &renamed);
            let value = file.get("new").and_then(|value| value.get_ref().as_str());
            (found, value.map(str::to_owned), file.contains_key("old"))
        };
        let message = "[a] old is deprecated: rename it to new".to_owned();
        let found = DeprecatedKey { byte: 6, message, is_conflict: false };
        assert_eq!(rename("b = 1\nold = 'x'"), (Some(found), Some("x".to_owned()), false));
        let message = "[a] old is the former name of new, which is set too: remove it".to_owned();
        let found = DeprecatedKey { byte: 10, message, is_conflict: true };
        assert_eq!(rename("new = 'x'\nold = 'y'"), (Some(found), Some("x".to_owned()), false));
        assert_eq!(rename("new = 'x'"), (None, Some("x".to_owned()), false));
    }
}
