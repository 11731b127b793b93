//! Settings: what stands in the file and on the command line, checked once and
//! turned into what the other modules take.
//!
//! Each crate owns the settings of what it does: the raw form, the checked form, the
//! defaults and the bounds. Here is what makes one file of them: reading it, the
//! overrides of the command line, what two crates' settings have to do with each other,
//! the places of mistakes in the file, and what has changed from one state of the file to
//! the next.
//!
//! Nothing is read or written here: text in, settings or an error out. An error
//! names the setting and what to write instead, and never shows a value that
//! could be a secret.

#[cfg(feature = "catalog")]
mod catalog;
mod changes;
mod check;
mod deprecated;
mod error;
mod identities;
#[cfg(feature = "cli")]
pub mod import;
mod places;
mod plugin;
mod raw;
mod shape;
mod syntax;
#[cfg(all(feature = "cli", feature = "catalog"))]
mod workflow;

pub use changes::ChangedKey;
pub use check::{CollectSettings, DATA_DIR, Overrides, RecordDestination, Settings};
pub use error::{ConfigError, Mistake};
pub use identities::SourceRole;
pub use places::KeyPositions;
pub use plugin::{FileWatch, PluginHosting, PluginSource, SecondaryPlugin, secret_references};
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

/// How alike two keys must be for one to be taken for the other misspelt.
const SIMILARITY_MIN: f64 = 0.7;

/// Read a settings file's text. Dates and times among the settings of plugins become
/// text there.
///
/// # Errors
///
/// It is not TOML, has an unknown key, or a value of the wrong type; the error also lists
/// all other mistakes. It shows no value of a wrong type, which may be a secret, or be in the
/// place of one.
pub fn parse(text: &str) -> Result<RawSettings, ConfigError> {
    let lines = LineIndex::of(text);
    let ParsedFile { table, places, mut mistakes, wrong_tables } = shape::read_file(text, &lines)?;
    let raw = RawSettings::deserialize(toml::de::Deserializer::from(table));
    let raw = raw.map(|raw| RawSettings { places: places.clone(), ..raw });
    let raw = raw.map_err(|error| locate_error(&lines, &places, &error));
    if mistakes.is_empty() {
        return raw;
    }
    // What is right so far may be wrong for another reason.
    let rest = match raw {
        Ok(raw) => raw.check(Path::new(""), Overrides::default()).err(),
        Err(error) => Some(error),
    };
    let lines_told: Vec<_> = mistakes.iter().filter_map(|mistake| mistake.line).collect();
    // What is missing in a table may be what is wrong there.
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

/// Removes nulls from a default: a setting that is not there has no value.
fn remove_nulls(schema: &mut Schema) {
    match schema.get_mut("default") {
        Some(serde_json::Value::Null) => drop(schema.remove("default")),
        Some(serde_json::Value::Object(table)) => table.retain(|_, value| !value.is_null()),
        _ => {}
    }
}

/// The known key that an unknown one is most like, if it is like one at all.
pub(crate) fn nearest_key<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.map(|known| (strsim::jaro_winkler(key, known), known));
    let alike = alike.filter(|(similarity, _)| *similarity >= SIMILARITY_MIN);
    alike.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, nearest)| nearest)
}

/// The parser's own rendering would show the line, which may hold a secret.
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

/// What serde says of a value that does not fit, without the value.
fn without_value(message: &str) -> String {
    let found = ["invalid type: ", "invalid value: ", "unknown variant "];
    if !found.iter().any(|found| message.starts_with(found)) {
        // The words of the parser, of `deny_unknown_fields`, or of this crate.
        return message.to_owned();
    }
    // The value stands before these words, and may hold them too.
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "the value does not fit".to_owned(),
    }
}

#[cfg(test)]
mod tests;
