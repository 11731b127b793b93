//! Settings: what stands in the file and on the command line, checked once and
//! turned into what the other modules take.
//!
//! Nothing is read or written here: text in, settings or an error out. An error
//! names the setting and what to write instead, and never shows a value that
//! could be a secret.

mod aws;
mod catalog;
mod check;
mod collect;
mod identities;
pub mod import;
mod plugin;
mod raw;
mod secrets;
mod unknown;
mod workflow;

pub use catalog::CatalogOverrides;
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
#[error("{}{message}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct ConfigError {
    /// The line in the settings file, counted from 1, where one is known.
    pub line: Option<usize>,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl ConfigError {
    fn new(message: impl Into<String>) -> Self {
        ConfigError { line: None, message: message.into() }
    }
}

/// Read a settings file's text.
///
/// # Errors
///
/// It is not TOML, has an unknown key, or a value of the wrong type.
pub fn parse(text: &str) -> Result<RawSettings, ConfigError> {
    unknown::check(text)?;
    toml::from_str(text).map_err(|error| located(text, &error))
}

/// The JSON Schema of the settings file, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawSettings).to_value()
}

/// The parser's own rendering would show the line, which may hold a secret.
fn located(text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map(|span| line_at(text, span.start));
    ConfigError { line, message: error.message().to_owned() }
}

fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
