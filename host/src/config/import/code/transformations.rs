//! Imports RudderStack's transformations and libraries.
//!
//! RudderStack's Transformations API returns both with their code. The configuration of a workspace
//! contains only their ids, so the export is a list with both responses. Sources: the documentation
//! of the Transformations API; `backend-config/types.go` of rudder-server.

use serde_json::Value;

use super::credentials::import_credentials;
use super::{ExportedCode, UnusedNames, file_stem, quote_path, text_field};
use crate::config::import::{Imported, JsonObject, find_field, is_blank, quote_text};
use standpipe_plugin_host::RawScriptPaths;

/// The list of a transformation's earlier code.
const EARLIER_LISTS: [&str; 2] = ["TransformationVersions", "libraryVersions"];

/// The directory of libraries.
const LIBRARY_DIRECTORY: &str = "libraries";

/// Maximum bytes of a library's name. File systems accept 255 bytes with the extension.
const NAME_BYTES_MAX: usize = 200;

/// A language of transformations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CodeLanguage {
    JavaScript,
    Python,
}

impl CodeLanguage {
    /// The language of a transformation. `pythonfaas` is the API's word for Python.
    fn of(code: &ExportedCode<'_>) -> Self {
        match code.text(&["language"]) {
            Some(word) if word.to_ascii_lowercase().starts_with("python") => CodeLanguage::Python,
            _ => CodeLanguage::JavaScript,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            CodeLanguage::JavaScript => "js",
            CodeLanguage::Python => "py",
        }
    }
}

/// A transformation and its file.
struct WrittenTransformation<'a> {
    exported: ExportedCode<'a>,
    path: String,
    label: String,
    language: CodeLanguage,
}

/// Imports transformations, libraries and credentials.
pub(super) fn import(
    found: &[ExportedCode<'_>],
    json: &Value,
    destination: Option<&JsonObject>,
    imported: &mut Imported,
) {
    let is_earlier = |code: &&ExportedCode<'_>| EARLIER_LISTS.iter().any(|list| code.is_in(list));
    let (earlier, current): (Vec<&ExportedCode<'_>>, Vec<_>) = found.iter().partition(is_earlier);
    if !earlier.is_empty() {
        imported.add_note(
            "versions of transformations and libraries are left out: provide RudderStack's response \
             to `GET /transformations` or `GET /libraries`, which contain the published versions",
        );
    }
    let is_library =
        |code: &&ExportedCode<'_>| code.text(&["importName"]).is_some() || code.is_in("libraries");
    let (libraries, transformations): (Vec<&ExportedCode<'_>>, Vec<_>) =
        current.into_iter().partition(is_library);
    let transformations = write_transformations(&transformations, imported);
    let used = select_transformations(&transformations, destination, imported);
    let libraries = write_libraries(&libraries, !used.is_empty(), imported);
    use_transformations(&used, imported);
    let mut code: Vec<&str> = used.iter().map(|used| used.exported.code()).collect();
    if !used.is_empty() {
        code.extend(libraries);
        import_credentials(json, &code, imported);
    }
    code.into_iter().for_each(|code| imported.note_code_needs(code));
}

fn write_transformations<'a>(
    found: &[&ExportedCode<'a>],
    imported: &mut Imported,
) -> Vec<WrittenTransformation<'a>> {
    let mut names = UnusedNames::default();
    let mut write = |exported: &&ExportedCode<'a>| {
        let name = exported.text(&["name"]).or(exported.text(&["id"])).unwrap_or_default();
        let language = CodeLanguage::of(exported);
        let stem = names.take(&file_stem(name, "transformation"));
        let path = format!("{stem}.{}", language.extension());
        let label = format!("the transformation {}", quote_text(name));
        imported.add_file(path.clone(), exported.code());
        WrittenTransformation { exported: **exported, path, label, language }
    };
    found.iter().map(&mut write).collect()
}

/// The transformations of the destination, in its order. A note names each one that is not used.
fn select_transformations<'a, 'b>(
    written: &'b [WrittenTransformation<'a>],
    destination: Option<&JsonObject>,
    imported: &mut Imported,
) -> Vec<&'b WrittenTransformation<'a>> {
    let listed = destination.and_then(|fields| find_field(fields, "transformations"));
    let listed: Vec<_> = match listed {
        Some(Value::Array(references)) => references.iter().filter(|it| !is_blank(it)).collect(),
        Some(reference) => vec![reference],
        None => Vec::new(),
    };
    let used: Vec<_> = if listed.is_empty() {
        find_connected(written, destination)
    } else {
        let find = |reference: &&Value| {
            let transformation = written.iter().find(|known| is_reference_to(reference, known));
            if transformation.is_none() {
                note_missing(reference, imported);
            }
            transformation
        };
        listed.iter().filter_map(find).collect()
    };
    for unused in written.iter().filter(|it| used.iter().all(|used| used.path != it.path)) {
        imported.add_note(format!(
            "{} is not used, because the file does not say that it belongs to the destination: to \
             run it, add {} to `script` under [plugin]",
            unused.label,
            quote_path(&unused.path)
        ));
    }
    used
}

/// Whether a destination's reference means this transformation. A version is more exact than an id.
fn is_reference_to(reference: &Value, known: &WrittenTransformation<'_>) -> bool {
    let Some(reference) = reference.as_object() else { return false };
    if reference == known.exported.fields {
        return true;
    }
    let is_same = |key| {
        let own = known.exported.text(&[key]);
        own.is_some() && own == text_field(reference, &[key])
    };
    is_same("versionId") || is_same("id")
}

fn note_missing(reference: &Value, imported: &mut Imported) {
    let id = reference.as_object().and_then(|fields| text_field(fields, &["id", "versionId"]));
    imported.add_note(format!(
        "the code of the destination's transformation {} is not in the file: import a list with the \
         destination and RudderStack's responses to `GET /transformations` and `GET /libraries`",
        quote_text(id.unwrap_or_default())
    ));
}

/// The transformations that name the destination, or the only one of a file that names none.
fn find_connected<'a, 'b>(
    written: &'b [WrittenTransformation<'a>],
    destination: Option<&JsonObject>,
) -> Vec<&'b WrittenTransformation<'a>> {
    let id = destination.and_then(|fields| text_field(fields, &["id"]));
    let names = |it: &WrittenTransformation<'_>| {
        let lists = ["destinations", "destinationIds"];
        let lists = lists.iter().filter_map(|key| find_field(it.exported.fields, key)?.as_array());
        let ids: Vec<_> = lists.flatten().filter_map(destination_id).map(str::to_owned).collect();
        ids
    };
    let connected: Vec<_> = written
        .iter()
        .filter(|it| id.is_some_and(|id| names(it).iter().any(|it| it == id)))
        .collect();
    match written {
        [only] if connected.is_empty() && names(only).is_empty() => vec![only],
        _ => connected,
    }
}

/// The id in a list of destinations: a text, or an object with the id.
fn destination_id(destination: &Value) -> Option<&str> {
    destination.as_str().or_else(|| text_field(destination.as_object()?, &["id"]))
}

fn use_transformations(used: &[&WrittenTransformation<'_>], imported: &mut Imported) {
    let of_language =
        |language: CodeLanguage| used.iter().filter(move |it| it.language == language);
    for transformation in of_language(CodeLanguage::Python) {
        imported.add_note(format!(
            "{} is in Python: create a plugin with `host plugin new --lang python --dialect \
             rudderstack DIR`, and copy the code from {} to its settings",
            transformation.label,
            quote_path(&transformation.path)
        ));
    }
    let scripts: Vec<_> = of_language(CodeLanguage::JavaScript).collect();
    if scripts.is_empty() {
        return;
    }
    let plugin = &mut imported.settings.plugin;
    let paths = scripts.iter().map(|it| it.path.clone().into());
    plugin.script = Some(RawScriptPaths(paths.collect()));
    let versions: Vec<_> = scripts.iter().map(|it| code_version(&it.exported)).collect();
    let is_same = |dialect: &str| versions.iter().all(|version| *version == Some(dialect));
    let dialect = ["rudderstack", "rudderstack-v0"].into_iter().find(|dialect| is_same(dialect));
    plugin.dialect = dialect.map(str::to_owned);
}

/// The dialect of a code version.
fn code_version(code: &ExportedCode<'_>) -> Option<&'static str> {
    match find_field(code.fields, "codeVersion")?.to_string().trim_matches('"') {
        "1" => Some("rudderstack"),
        "0" => Some("rudderstack-v0"),
        _ => None,
    }
}

/// Writes libraries, and returns the code of those in JavaScript.
fn write_libraries<'a>(
    found: &[&ExportedCode<'a>],
    is_used: bool,
    imported: &mut Imported,
) -> Vec<&'a str> {
    let mut names = UnusedNames::default();
    let mut code = Vec::new();
    for library in found {
        let name = library.text(&["importName", "name", "id"]).unwrap_or_default();
        let wanted = library_stem(name);
        let stem = names.take(&wanted);
        let language = CodeLanguage::of(library);
        let path = format!("{LIBRARY_DIRECTORY}/{stem}.{}", language.extension());
        imported.add_file(path.clone(), library.code());
        let label = format!("the library {}", quote_text(name));
        match language {
            CodeLanguage::Python => imported.add_note(format!(
                "{label} is in Python: copy the code from {} to the settings of a plugin that you \
                 create with `host plugin new --lang python --dialect rudderstack DIR`",
                quote_path(&path)
            )),
            CodeLanguage::JavaScript => {
                if stem != wanted {
                    imported.add_note(format!(
                        "{label} has another name here: import it by the name of its file {} in camel case",
                        quote_path(&path)
                    ));
                }
                if is_used {
                    imported.settings.plugin.libraries.push(path.into());
                }
                code.push(library.code());
            }
        }
    }
    code
}

/// The name of a library's file. Its camel case, which scripts import, is that of the library's name.
fn library_stem(name: &str) -> String {
    let words = name.split(|character: char| !character.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let stem = words.join("-");
    if stem.is_empty() || stem.len() > NAME_BYTES_MAX { "library".to_owned() } else { stem }
}
