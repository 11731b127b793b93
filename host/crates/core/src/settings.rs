//! Checking settings.
//!
//! A crate owns its settings: the raw form as it stands in the file (serde, JSON Schema), the checked form, the
//! defaults and the bounds stand beside what they configure. What turns the one into the other is a function of the
//! raw form and a [`TableChecker`], which collects all mistakes of a file, so that they are reported at once.
//!
//! This module knows neither files nor TOML. A mistake is a message that begins with the key that it is about, such as
//! `[spool] max_bytes`, as [`SettingsTable`] writes it; by that the program finds the line in the file.

mod checker;
mod source;
mod table;

pub use checker::{SecretManager, SettingsChecker, TableChecker};
pub use source::{
    NAME_CHARACTERS_MAX, RawSource, check_source_names, is_printable_within, source_labels,
};
pub use table::{SettingsTable, item_labels, toml_key};

/// Returns whether a table of raw settings says nothing, so that it need not be written.
pub fn is_default<T: Default + PartialEq>(table: &T) -> bool {
    *table == T::default()
}
