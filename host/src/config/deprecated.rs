//! Settings that have been renamed. The old key is still read, with a warning that names the new one.
//!
//! A key is renamed in the parsed file, before anything else looks at it: schema, checks and errors know the new key
//! alone, and find it where the old one stands. To rename a setting, rename it in its crate and add a row to
//! [`RENAMED_KEYS`].

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeTable;

use standpipe_core::settings::SettingsTable;

/// A setting that has another name than before.
struct RenamedKey {
    /// The keys that lead to its table, or to each table of a list; `*` stands for any key.
    table: &'static [&'static str],
    old: &'static str,
    new: &'static str,
}

/// All renamed settings. A row stays as long as the old key is to be read.
const RENAMED_KEYS: &[RenamedKey] = &[
    RenamedKey { table: &["plugin"], old: "pass_through", new: "pass_through_stream" },
    RenamedKey { table: &["delivery"], old: "pack", new: "aggregate" },
    RenamedKey { table: &["streams", "*"], old: "pack", new: "aggregate" },
];

/// An old key of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeprecatedKey {
    /// The byte of the file where it begins.
    pub(super) byte: usize,
    /// What it is called now.
    pub(super) message: String,
    /// Whether the new key stands beside it, which is a mistake.
    pub(super) is_conflict: bool,
}

/// Renames the old keys of a table.
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
