//! Settings: reads the file and the command line, checks them once, and converts them for the other
//! modules.
//!
//! Each crate owns its settings: the raw form, the checked form, the defaults and the limits. This
//! module combines them into one file: it reads the file, applies the overrides of the command
//! line, checks dependencies between settings of two crates, finds the positions of mistakes in the
//! file, and finds the changes between two versions of the file.
//!
//! This module does no input or output: it converts text to settings or an error. An error contains
//! the setting and what to write instead, and never a value that could be a secret.

#[cfg(feature = "catalog")]
mod catalog;
mod changes;
mod check;
mod deprecated;
mod error;
mod functions;
mod identities;
#[cfg(feature = "cli")]
pub mod import;
#[cfg(not(all(feature = "collector", feature = "queue")))]
mod not_built;
mod places;
mod plugin;
mod raw;
mod shape;
mod syntax;
#[cfg(all(feature = "cli", feature = "catalog"))]
mod workflow;

pub use changes::ChangedKey;
pub use check::{
    CollectSettings, DATA_DIR, FleetSettings, Overrides, QueueSettings, RecordDestination, Settings,
};
pub use error::{ConfigError, Mistake};
pub use functions::SourceFunction;
pub use identities::SourceRole;
pub use places::KeyPositions;
#[cfg(all(feature = "cli", feature = "queue"))]
pub use plugin::written_secrets;
pub use plugin::{
    FileWatch, PluginHosting, PluginSource, ScriptPaths, SecondaryPlugin, SecretPlace,
    secret_references,
};
#[cfg(not(feature = "catalog"))]
pub use raw::RawCatalog;
pub use raw::RawSettings;
#[cfg(all(feature = "cli", feature = "catalog"))]
pub use workflow::{
    Workflow, WorkflowError, WorkflowFormat, read_workflow, translate_to_workflow_keys,
};

use std::path::Path;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde::Deserialize;

use places::{LineIndex, section_of};
use shape::ParsedFile;

/// The minimum similarity at which an unknown key counts as a misspelled known one.
const SIMILARITY_MIN: f64 = 0.7;

/// Parses the text of a settings file. Dates and times in the settings of plugins become text.
///
/// # Errors
///
/// Fails if the text is not TOML, has an unknown key, or has a value of the wrong type. The error
/// also contains all other mistakes. It never contains a value of a wrong type, which may be a
/// secret, or be at the place of one.
pub fn parse(text: &str) -> Result<RawSettings, ConfigError> {
    let lines = LineIndex::of(text);
    let ParsedFile { table, places, mut mistakes, wrong_tables } = shape::read_file(text, &lines)?;
    let raw = RawSettings::deserialize(toml::de::Deserializer::from(table));
    let raw = raw.map(|raw| RawSettings { places: places.clone(), ..raw });
    let raw = raw.map_err(|error| locate_error(&lines, &places, &error));
    if mistakes.is_empty() {
        return raw;
    }
    // The valid part may contain other mistakes.
    let rest = match raw {
        Ok(raw) => raw.check(Path::new(""), Overrides::default()).err(),
        Err(error) => Some(error),
    };
    let lines_told: Vec<_> = mistakes.iter().filter_map(|mistake| mistake.line).collect();
    // A missing key in a table may be the misspelled one.
    let is_news = |mistake: &Mistake| match places.of_key(&mistake.message) {
        Some((line, _)) => !lines_told.contains(&line),
        None => !wrong_tables.contains(section_of(&mistake.message)),
    };
    let rest = rest.into_iter().flat_map(ConfigError::into_mistakes);
    mistakes.extend(rest.filter(is_news));
    let error = ConfigError::of(mistakes).expect("there is one");
    Err(places.locate_all(error))
}

/// The JSON Schema of the settings file, for editors.
pub fn schema() -> serde_json::Value {
    let settings = SchemaSettings::default().with_transform(RecursiveTransform(remove_nulls));
    settings.into_generator().into_root_schema_for::<RawSettings>().to_value()
}

/// Removes nulls from a default, because a missing setting has no value.
fn remove_nulls(schema: &mut Schema) {
    match schema.get_mut("default") {
        Some(serde_json::Value::Null) => drop(schema.remove("default")),
        Some(serde_json::Value::Object(table)) => table.retain(|_, value| !value.is_null()),
        _ => {}
    }
}

/// The known key most similar to an unknown one, if any is similar enough.
pub(crate) fn nearest_key<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.map(|known| (strsim::jaro_winkler(key, known), known));
    let alike = alike.filter(|(similarity, _)| *similarity >= SIMILARITY_MIN);
    alike.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, nearest)| nearest)
}

/// Locates an error without the parser's own message, which would quote the line, and so possibly a
/// secret.
fn locate_error(
    lines: &LineIndex<'_>,
    places: &KeyPositions,
    error: &toml::de::Error,
) -> ConfigError {
    let message = without_value(error.message());
    let place = error.span().map(|span| lines.position_at(span.start));
    match place.and_then(|place| places.key_before(place)) {
        Some(key) => ConfigError::at(place, format!("invalid {key}: {message}")),
        None => ConfigError::at(place, message),
    }
}

/// Serde's message about an invalid value, without the value.
fn without_value(message: &str) -> String {
    let found = ["invalid type: ", "invalid value: ", "unknown variant "];
    if !found.iter().any(|found| message.starts_with(found)) {
        // The messages of the parser, of `deny_unknown_fields`, or of this crate.
        return message.to_owned();
    }
    // The value precedes these words, and may contain them too.
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "the value does not fit".to_owned(),
    }
}

#[cfg(test)]
mod tests;
