//! Converts the Firehose settings of other vendors into settings of Standpipe.
//!
//! An export of a vendor is accepted unchanged: a single destination, alone or in the response of
//! an API, or a whole workspace that contains one such destination. The code of transformations and
//! functions becomes files beside the settings. Nothing is dropped silently: options without a
//! counterpart, or options that cannot be read, become a note for the operator.
//!
//! This module does no input or output. Notes and errors never contain the value of a secret.

mod code;
mod consent;
mod destination;
mod filters;
mod remaining_fields;
mod rudderstack;
mod segment;

pub use code::ImportedFile;

use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;

use self::remaining_fields::{RemainingFields, find_field, is_blank};
use super::{Overrides, RawSettings};
use standpipe_aws::RawAws;
use standpipe_core::event::StreamName;
use standpipe_plugin_host::check_mapping_settings;

/// Maximum characters of an export that a note, an error or a comment quotes.
const QUOTED_CHARS_MAX: usize = 80;

type JsonObject = serde_json::Map<String, Value>;

/// The vendor of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Vendor {
    /// RudderStack's destination FIREHOSE.
    #[cfg_attr(feature = "cli", value(name = "rudderstack"))]
    RudderStack,
    /// Segment's destination Amazon Kinesis Firehose.
    Segment,
}

/// Whether settings are written with their secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretDisplay {
    /// Secrets are shown. The text is ready for use and must be kept confidential.
    Shown,
    /// Secrets are hidden. The text can be shown, and a comment replaces each secret.
    Hidden,
}

/// The settings of a vendor, converted for Standpipe.
///
/// The secret access key and the session token are secrets. The external id is a secret if it comes
/// from Segment, which treats its `secretId` as one, but not if it is RudderStack's `externalID`.
/// `Debug` shows no settings.
#[derive(Clone)]
pub struct Imported {
    /// The converted settings.
    pub settings: RawSettings,
    /// Options without a counterpart, or options that need the operator's attention. Each is one
    /// sentence without the value of a secret.
    pub notes: Vec<String>,
    /// The files with the code of transformations and functions. The settings name those that are
    /// used, by their paths.
    pub files: Vec<ImportedFile>,
    /// What the operator has to fill in, one sentence each.
    tasks: Vec<String>,
    vendor: Vendor,
    /// The imported destination, described on one line.
    origin: String,
}

/// Settings that cannot be imported.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ImportError {
    /// The text is not JSON.
    #[error("the file is not JSON ({reason}): provide the {vendor} destination's settings as JSON")]
    NotJson {
        /// The expected vendor.
        vendor: Vendor,
        /// The message and the position of the parser.
        reason: String,
    },
    /// The file contains no destination of the vendor.
    #[error("the file has no {vendor} destination: provide {}", vendor.expected())]
    NoDestination {
        /// The expected vendor.
        vendor: Vendor,
    },
    /// The file contains destinations, but none for Firehose.
    #[error(
        "the file's destination is for {found}: provide the {vendor} destination for Amazon Kinesis \
         Firehose"
    )]
    OtherDestination {
        /// The expected vendor.
        vendor: Vendor,
        /// The types of the destinations.
        found: String,
    },
    /// The file contains several destinations for Firehose.
    #[error(
        "the file has {count} {vendor} destinations for Firehose: provide a file with only one of \
         them"
    )]
    Several {
        /// The vendor.
        vendor: Vendor,
        /// The number of destinations.
        count: usize,
    },
    /// A setting about credentials is neither true nor false.
    #[error("`{key}` is not a boolean: write true or false, or remove it")]
    NotBoolean {
        /// The setting's name at the vendor.
        key: &'static str,
    },
}

/// Converts the settings of a vendor.
///
/// # Errors
///
/// Fails if the text is not JSON, does not contain exactly one destination of the vendor for
/// Firehose, or does not determine the credentials for AWS.
pub fn import(vendor: Vendor, json: &str) -> Result<Imported, ImportError> {
    let json = serde_json::from_str(json.trim_start_matches('\u{feff}'));
    let json: Value =
        json.map_err(|error| ImportError::NotJson { vendor, reason: error.to_string() })?;
    let destination = match destination::find_destination(vendor, &json) {
        Err(error @ ImportError::NoDestination { .. }) => {
            return import_only_code(vendor, &json, error);
        }
        destination => destination?,
    };
    let mut imported = Imported::new(vendor, destination);
    match vendor {
        Vendor::RudderStack => rudderstack::import_destination(destination, &mut imported)?,
        Vendor::Segment => {
            let filters = destination::find_filters(&json, destination);
            segment::import_destination(destination, &filters, &mut imported);
        }
    }
    code::import_code(vendor, &json, Some(destination), &mut imported);
    imported.note_what_holds_for_every_vendor(destination);
    Ok(imported)
}

/// Imports transformations or functions without their destination.
fn import_only_code(
    vendor: Vendor,
    json: &Value,
    error: ImportError,
) -> Result<Imported, ImportError> {
    let mut imported = Imported::new(vendor, &JsonObject::new());
    if !code::import_code(vendor, json, None, &mut imported) {
        return Err(error);
    }
    imported.origin = format!("the code of {vendor}");
    imported.add_note(format!(
        "the file has no {vendor} destination: add [aws] and [[plugin.settings.mappings]], or import \
         a list with the destination and the code"
    ));
    imported.note_refusals();
    Ok(imported)
}

impl Imported {
    /// The text of the settings file. With secrets, it is equivalent to [`Imported::settings`].
    ///
    /// # Panics
    ///
    /// Panics if `settings` were changed and contain something that TOML cannot express, such as a
    /// null in the plugin's settings.
    pub fn to_toml(&self, secrets: SecretDisplay) -> String {
        let mut settings = self.settings.clone();
        let mut aws = std::mem::take(&mut settings.aws);
        let hidden = match secrets {
            SecretDisplay::Shown => Vec::new(),
            SecretDisplay::Hidden => self.take_secrets(&mut aws),
        };
        let mut text = format!("# Imported from {}.\n", self.origin);
        self.tasks.iter().for_each(|task| text += &format!("# To do: {task}.\n"));
        text += &format!("\n{}", toml_of(&settings));
        if self.settings.aws != RawAws::default() {
            text += &format!("\n[aws]\n{}", toml_of(&aws));
        }
        for key in hidden {
            text += &format!(
                "# {key} = \"...\" is hidden: run again with --show-secrets, or send the output to \
                 a file\n"
            );
        }
        text
    }

    fn take_secrets(&self, aws: &mut RawAws) -> Vec<&'static str> {
        let external_id = match self.vendor {
            Vendor::RudderStack => None,
            Vendor::Segment => aws.external_id.take(),
        };
        let secrets = [
            ("secret_access_key", aws.secret_access_key.take().is_some()),
            ("session_token", aws.session_token.take().is_some()),
            ("external_id", external_id.is_some()),
        ];
        secrets.into_iter().filter_map(|(key, is_set)| is_set.then_some(key)).collect()
    }

    fn new(vendor: Vendor, destination: &JsonObject) -> Self {
        let word = |key| find_field(destination, key).and_then(Value::as_str).map(quote_text);
        let origin = match (word("name"), word("id")) {
            (None, None) => format!("{vendor} settings"),
            (None, Some(id)) => format!("the {vendor} destination with the id {id}"),
            (Some(name), None) => format!("the {vendor} destination {name}"),
            (Some(name), Some(id)) => format!("the {vendor} destination {name} with the id {id}"),
        };
        Imported {
            settings: RawSettings::default(),
            notes: Vec::new(),
            files: Vec::new(),
            tasks: Vec::new(),
            vendor,
            origin,
        }
    }

    fn add_note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Converts the usable rows, in their order. Each row has its position, for a note if it cannot
    /// be converted.
    fn set_mappings(
        &mut self,
        rows: impl IntoIterator<Item = (String, Result<ImportedRow, String>)>,
    ) {
        let mut mappings = Vec::new();
        for (place, row) in rows {
            match row.and_then(ImportedRow::check) {
                Ok(row) => mappings.push(row),
                Err(reason) => self.add_note(format!("{place} is left out: {reason}")),
            }
        }
        if mappings.iter().all(|row| row.stream.is_empty()) {
            self.add_note(
                "no mapping names both an event and a stream, and the built-in plugin \
                 needs one: add [[plugin.settings.mappings]] with `event` and `stream`",
            );
        }
        if !mappings.is_empty() {
            let mappings = mappings
                .into_iter()
                .map(|ImportedRow { event, stream }| json!({"event": event, "stream": stream}));
            self.settings.plugin.settings.insert("mappings".to_owned(), mappings.collect());
        }
    }

    fn note_what_holds_for_every_vendor(&mut self, destination: &JsonObject) {
        if find_field(destination, "enabled") == Some(&Value::Bool(false)) {
            let vendor = self.vendor;
            self.add_note(format!(
                "the destination is disabled at {vendor}, but this host delivers whenever it runs"
            ));
        }
        self.add_note(
            "this host calls `firehose:PutRecordBatch`, so the AWS policy must allow it in \
             addition to the vendor's `firehose:PutRecord`",
        );
        self.note_refusals();
    }

    /// Notes why this host would not start with the settings.
    fn note_refusals(&mut self) {
        let checked = self.settings.clone().check(Path::new(""), Overrides::default());
        let refusals = match checked.err() {
            Some(error) => error.mistakes().iter().map(ToString::to_string).collect(),
            None => Vec::from_iter(self.refused_by_plugin()),
        };
        for error in refusals {
            self.add_note(format!(
                "this host refuses the settings until they are changed: {error}"
            ));
        }
    }

    /// The error of the mapping plugin about its settings. Missing rows are noted elsewhere, when
    /// they are read.
    fn refused_by_plugin(&self) -> Option<String> {
        let mut settings = self.settings.plugin.settings.clone();
        let rows = settings.entry("mappings").or_insert_with(|| json!([]));
        rows.as_array_mut()?.push(json!({"event": "*", "stream": "s"}));
        check_mapping_settings(&Value::Object(settings).to_string()).err()
    }
}

impl fmt::Debug for Imported {
    /// Hides the settings, because the external id is an ordinary text there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imported")
            .field("vendor", &self.vendor)
            .field("origin", &self.origin)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Vendor::RudderStack => "RudderStack",
            Vendor::Segment => "Segment",
        })
    }
}

/// A row of the mapping. An empty stream means that the lookup continues with the next row.
#[derive(Debug)]
struct ImportedRow {
    event: String,
    stream: String,
}

impl ImportedRow {
    /// Checks the row, because the mapping plugin rejects all rows if one of them has an invalid
    /// stream.
    fn check(self) -> Result<Self, String> {
        if self.stream.is_empty() {
            return Ok(self);
        }
        match StreamName::parse(&self.stream) {
            Ok(_) => Ok(self),
            Err(error) => Err(format!(
                "{error}; other mappings may now match the event {}",
                quote_text(&self.event)
            )),
        }
    }
}

/// The type that a destination states.
#[derive(Debug, PartialEq, Eq)]
enum DestinationType {
    Firehose,
    Other(String),
    Unstated,
}

/// A name as a step of a path. Special characters are escaped with a backslash.
fn escape_path(name: &str, is_special: impl Fn(char) -> bool) -> String {
    let escape = |character| is_special(character).then_some('\\').into_iter().chain([character]);
    name.chars().flat_map(escape).collect()
}

/// Quotes a text of an export on one line, without control characters.
fn quote_text(text: &str) -> String {
    let start: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let rest = if start.len() < text.len() { " (and more)" } else { "" };
    format!("{start:?}{rest}")
}

fn toml_of<T: Serialize>(settings: &T) -> String {
    toml::to_string(settings).expect("imported settings hold nothing but texts and tables")
}

#[cfg(test)]
mod tests;
