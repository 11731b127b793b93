//! Checking settings.
//!
//! Each crate owns its settings: the raw form as in the file (serde, JSON Schema), the checked
//! form, the defaults and the limits are beside the code that they configure. A function converts
//! the raw form, with a [`TableChecker`] that collects all mistakes of a file, so that they are
//! reported at once.
//!
//! This module does not depend on files or TOML. A mistake is a message that starts with its key,
//! such as `[spool] max_bytes`, as written by [`SettingsTable`]. With the key, the program finds
//! the line in the file.

mod checker;
pub mod json;
mod source;
mod table;

pub use checker::{SecretManager, SettingsChecker, TableChecker};
pub use source::{
    NAME_CHARACTERS_MAX, RawSource, RawSourceFunction, check_source_names, is_printable_within,
    source_labels,
};
pub use table::{SettingsTable, item_labels, toml_key};

/// Returns whether all settings of a table have their defaults, so that the table does not have to
/// be written.
pub fn is_default<T: Default + PartialEq>(table: &T) -> bool {
    *table == T::default()
}
