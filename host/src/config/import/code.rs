//! Imports the code of transformations and functions.
//!
//! Vendors return code in other responses than destinations, so it is looked for anywhere in the
//! file. All code is kept as files. The settings use only the code that belongs to the destination,
//! because other code would drop or change events that it has never received. This module decides
//! the names of the files: no name leaves the directory of the settings, and no two names differ only
//! in case.

mod credentials;
mod functions;
mod transformations;

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::Value;

use super::{Imported, JsonObject, Vendor, find_field, quote_text};

/// Maximum characters of the name of a file or of a secret, without its extension and its number.
const NAME_CHARACTERS_MAX: usize = 64;

/// Members that an object with code has, but no other object with a member `code`.
const CODE_MARKS: [&str; 7] = [
    "codeVersion",
    "displayName",
    "display_name",
    "importName",
    "language",
    "resourceType",
    "resource_type",
];

/// A file with code, beside the settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedFile {
    /// The path from the directory of the settings file.
    pub path: PathBuf,
    /// The code as exported.
    pub code: String,
}

/// An object of an export with code, and the key of the list that contains it.
#[derive(Debug, Clone, Copy)]
struct ExportedCode<'a> {
    list: &'a str,
    fields: &'a JsonObject,
}

impl<'a> ExportedCode<'a> {
    fn text(&self, keys: &[&str]) -> Option<&'a str> {
        text_field(self.fields, keys)
    }

    fn code(&self) -> &'a str {
        self.text(&["code"]).unwrap_or_default()
    }

    fn is_in(&self, list: &str) -> bool {
        self.list.eq_ignore_ascii_case(list)
    }
}

/// Imports all code of an export. The destination is missing if the export contains only code.
/// Returns whether there was code.
pub(super) fn import_code(
    vendor: Vendor,
    json: &Value,
    destination: Option<&JsonObject>,
    imported: &mut Imported,
) -> bool {
    let mut found = Vec::new();
    collect_objects("", json, &is_code, &mut found);
    match vendor {
        Vendor::RudderStack => transformations::import(&found, json, destination, imported),
        Vendor::Segment => functions::import(&found, json, destination, imported),
    }
    !found.is_empty()
}

fn is_code(fields: &JsonObject) -> bool {
    find_field(fields, "code").is_some_and(Value::is_string)
        && CODE_MARKS.iter().any(|mark| find_field(fields, mark).is_some())
}

/// The objects of an export that match, without duplicates. Nothing is looked for inside of them.
fn collect_objects<'a>(
    list: &'a str,
    json: &'a Value,
    is_match: &impl Fn(&JsonObject) -> bool,
    found: &mut Vec<ExportedCode<'a>>,
) {
    match json {
        Value::Array(items) => {
            items.iter().for_each(|item| collect_objects(list, item, is_match, found));
        }
        Value::Object(fields) if is_match(fields) => {
            if found.iter().all(|known| known.fields != fields) {
                found.push(ExportedCode { list, fields });
            }
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, json)| collect_objects(key, json, is_match, found));
        }
        _ => {}
    }
}

/// The first of these members with a text that is not empty.
fn text_field<'a>(fields: &'a JsonObject, keys: &[&str]) -> Option<&'a str> {
    let texts = keys.iter().filter_map(|key| find_field(fields, key)?.as_str());
    texts.into_iter().find(|text| !text.is_empty())
}

/// Names that are not used yet, without regard to case.
#[derive(Debug, Default)]
struct UnusedNames(HashSet<String>);

impl UnusedNames {
    /// A name like `wanted` that is still unused. A number follows a name that is used.
    fn take(&mut self, wanted: &str) -> String {
        let numbered = (2_u32..).map(|number| format!("{wanted}-{number}"));
        let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
        // It ends, because only as many names are used as there are objects in the export.
        names.find(|name| self.0.insert(name.to_lowercase())).unwrap_or_default()
    }
}

/// A name with only small ASCII letters, digits and hyphens.
fn file_stem(name: &str, fallback: &str) -> String {
    let words = name.split(|character: char| !character.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let stem: String = words.join("-").to_ascii_lowercase();
    let stem: String = stem.chars().take(NAME_CHARACTERS_MAX).collect();
    match stem.trim_matches('-') {
        "" => fallback.to_owned(),
        stem => stem.to_owned(),
    }
}

/// A reference to a secret with a name that every secret manager accepts.
fn secret_reference(name: &str, unused: &mut UnusedNames) -> String {
    let allowed = |character: char| match character {
        '_' | '-' => character,
        _ if character.is_ascii_alphanumeric() => character,
        _ => '-',
    };
    let name: String = name.chars().map(allowed).take(NAME_CHARACTERS_MAX).collect();
    let name = if name.is_empty() { "secret" } else { &name };
    format!("secret:{}", unused.take(name))
}

impl Imported {
    fn add_file(&mut self, path: String, code: &str) {
        self.files.push(ImportedFile { path: path.into(), code: code.to_owned() });
    }

    /// Adds a sentence about what the operator has to fill in, as a comment of the settings file.
    fn add_task(&mut self, task: String) {
        if !self.tasks.contains(&task) {
            self.tasks.push(task);
        }
    }

    /// Notes what the code needs that is off by default.
    fn note_code_needs(&mut self, code: &str) {
        if code.contains("fetch") {
            self.add_task(
                "if the code sends requests: write its servers to `allow` under [plugin.network]"
                    .to_owned(),
            );
        }
    }
}

/// Quotes a file's path for a note.
fn quote_path(path: &str) -> String {
    quote_text(path)
}
