//! Settings: what stands in the file and on the command line, checked once and
//! turned into what the other modules take.
//!
//! Nothing is read or written here: text in, settings or an error out. An error
//! names the setting and what to write instead, and never shows a value that
//! could be a secret.

mod aws;
mod catalog;
mod changes;
mod check;
mod collect;
mod identities;
pub mod import;
mod plugin;
mod raw;
mod secrets;
mod shape;
mod workflow;

pub use catalog::CatalogOverrides;
pub use changes::ChangedKey;
pub use check::{Destination, Overrides, PluginSource, Settings};
pub use collect::{CertificateFiles, CollectSettings, ReferencedKey, is_write_key};
pub use identities::SourceRole;
pub use plugin::{Beside, Hosting, Watch, kept_secrets};
pub use raw::{
    RawAdmin, RawAws, RawBreaker, RawCanary, RawCatalog, RawCatalogFiles, RawDeadLetters,
    RawDelivery, RawEndpoints, RawHttp, RawLineage, RawOpenLineage, RawOpenMetadata, RawPack,
    RawPackUpTo, RawPlugin, RawPluginLimits, RawSecrets, RawSettings, RawShadow, RawSource,
    RawSpool, RawStream,
};
pub use workflow::{Workflow, WorkflowError, WorkflowForm, in_words_of_workflow, read_workflow};

use thiserror::Error;

/// Settings that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}{message}", place_in_words(*line, *column))]
pub struct ConfigError {
    /// The line in the settings file, counted from 1, where one is known.
    pub line: Option<usize>,
    /// The character in that line, counted from 1, where one is known.
    pub column: Option<usize>,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// A line and a character in it, counted from 1.
type Place = (usize, usize);

impl ConfigError {
    fn new(message: impl Into<String>) -> Self {
        ConfigError { line: None, column: None, message: message.into() }
    }

    fn at((line, column): Place, message: impl Into<String>) -> Self {
        ConfigError { line: Some(line), column: Some(column), message: message.into() }
    }
}

fn place_in_words(line: Option<usize>, column: Option<usize>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        (Some(line), None) => format!("line {line}: "),
        (None, _) => String::new(),
    }
}

/// Read a settings file's text.
///
/// # Errors
///
/// It is not TOML, has an unknown key, or a value of the wrong type. The error shows no
/// value, since each of them may be a secret, or stand in a secret's place.
pub fn parse(text: &str) -> Result<RawSettings, ConfigError> {
    shape::check(text)?;
    toml::from_str(text).map_err(|error| located(text, &error))
}

/// The JSON Schema of the settings file, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawSettings).to_value()
}

/// The parser's own rendering would show the line, which may hold a secret.
fn located(text: &str, error: &toml::de::Error) -> ConfigError {
    let message = without_value(error.message());
    match error.span() {
        Some(span) => ConfigError::at(place(text, span.start), message),
        None => ConfigError::new(message),
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
        Some((_, expected)) => format!("invalid value: expected {expected}"),
        None => "invalid value".to_owned(),
    }
}

fn place(text: &str, byte: usize) -> Place {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

#[cfg(test)]
mod tests;
