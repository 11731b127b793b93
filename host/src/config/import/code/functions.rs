//! Imports Segment's functions.
//!
//! Segment's Public API returns functions with their code, and in another response the instances of
//! insert functions, which name the destination and have values of settings. Sources: the models
//! `FunctionV1`, `FunctionSettingV1` and `InsertFunctionInstanceAlpha` of the Public API's SDK; the
//! resource `segment_function` of Segment's Terraform provider, whose keys have another spelling.

use serde_json::{Value, json};

use super::{
    ExportedCode, UnusedNames, collect_objects, file_stem, quote_path, secret_reference, text_field,
};
use crate::config::import::{Imported, JsonObject, find_field, quote_text};
use standpipe_plugin_host::RawScriptPaths;

/// What a function processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FunctionType {
    /// Requests of other systems.
    Source,
    /// Events of a source, before all destinations.
    SourceInsert,
    /// Events before a destination.
    Insert,
    /// Events in place of a destination.
    Destination,
}

impl FunctionType {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "SOURCE" => Some(FunctionType::Source),
            "INSERT_SOURCE" => Some(FunctionType::SourceInsert),
            "INSERT_DESTINATION" => Some(FunctionType::Insert),
            "DESTINATION" => Some(FunctionType::Destination),
            _ => None,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            FunctionType::Source => "source function",
            FunctionType::SourceInsert => "source insert function",
            FunctionType::Insert => "insert function",
            FunctionType::Destination => "destination function",
        }
    }

    /// `None` if the function does not run as a plugin.
    fn dialect(self) -> Option<&'static str> {
        match self {
            FunctionType::Source => None,
            FunctionType::SourceInsert | FunctionType::Insert => Some("segment-insert"),
            FunctionType::Destination => Some("segment-destination"),
        }
    }
}

/// A function and its file.
struct WrittenFunction<'a> {
    exported: ExportedCode<'a>,
    path: String,
    label: String,
    function_type: FunctionType,
}

/// Imports functions and the settings of those that are used.
pub(super) fn import(
    found: &[ExportedCode<'_>],
    json: &Value,
    destination: Option<&JsonObject>,
    imported: &mut Imported,
) {
    let functions = write_functions(found, imported);
    let mut instances = Vec::new();
    let is_instance = |fields: &JsonObject| {
        text_field(fields, &["integrationId", "integration_id"]).is_some()
            && text_field(fields, &["classId", "functionId", "function_id"]).is_some()
    };
    collect_objects("", json, &is_instance, &mut instances);
    let used = select_functions(&functions, &instances, destination, imported);
    use_functions(&used, imported);
    let mut references = UnusedNames::default();
    for function in used {
        let instance = instances.iter().find(|it| is_instance_of(it, function));
        import_settings(function, instance, &mut references, imported);
        imported.note_code_needs(function.exported.code());
    }
}

fn write_functions<'a>(
    found: &[ExportedCode<'a>],
    imported: &mut Imported,
) -> Vec<WrittenFunction<'a>> {
    let mut names = UnusedNames::default();
    let mut functions = Vec::new();
    for exported in found {
        let name =
            exported.text(&["displayName", "display_name", "name", "id"]).unwrap_or_default();
        let path = format!("{}.js", names.take(&file_stem(name, "function")));
        imported.add_file(path.clone(), exported.code());
        let word = exported.text(&["resourceType", "resource_type"]).unwrap_or_default();
        let Some(function_type) = FunctionType::parse(word) else {
            imported.add_note(format!(
                "the function {} in {} is not used, because its type {} is unknown",
                quote_text(name),
                quote_path(&path),
                quote_text(word)
            ));
            continue;
        };
        let label = format!("the {} {}", function_type.noun(), quote_text(name));
        functions.push(WrittenFunction { exported: *exported, path, label, function_type });
    }
    functions
}

/// The functions of the destination: those with an enabled instance for it, or the only function of
/// a file without instances. A note names each one that is not used.
fn select_functions<'a, 'b>(
    written: &'b [WrittenFunction<'a>],
    instances: &[ExportedCode<'_>],
    destination: Option<&JsonObject>,
    imported: &mut Imported,
) -> Vec<&'b WrittenFunction<'a>> {
    let id = destination.and_then(|fields| text_field(fields, &["id"]));
    let is_for_destination = |instance: &&ExportedCode<'_>| {
        id.is_some() && instance.text(&["integrationId", "integration_id"]) == id
    };
    let runs = |function: &WrittenFunction<'_>| {
        let mut own = instances.iter().filter(is_for_destination);
        own.any(|it| {
            is_instance_of(it, function)
                && find_field(it.fields, "enabled") != Some(&Value::Bool(false))
        })
    };
    let runnable: Vec<_> =
        written.iter().filter(|it| it.function_type.dialect().is_some()).collect();
    let used: Vec<_> = match runnable[..] {
        [only] if instances.is_empty() => vec![only],
        _ => runnable.into_iter().filter(|function| runs(function)).collect(),
    };
    for unused in written.iter().filter(|it| used.iter().all(|used| used.path != it.path)) {
        note_unused(unused, imported);
    }
    used
}

fn note_unused(function: &WrittenFunction<'_>, imported: &mut Imported) {
    let (label, path) = (&function.label, quote_path(&function.path));
    imported.add_note(match function.function_type {
        FunctionType::Source => format!(
            "{label} in {path} is not used: it receives requests of other systems, and this import \
             only converts what events pass on their way to the destination"
        ),
        _ => format!(
            "{label} is not used, because the file does not say that it is enabled for the \
             destination: to run it, add {path} to `script` and its settings to \
             `function_settings` under [plugin]"
        ),
    });
}

/// Whether an instance belongs to a function. The id of a class is that of the function, or the part
/// after its prefix, which is also its id in the catalogue.
fn is_instance_of(instance: &ExportedCode<'_>, function: &WrittenFunction<'_>) -> bool {
    let class = instance.text(&["classId", "functionId", "function_id"]).unwrap_or_default();
    let id = function.exported.text(&["id"]).unwrap_or_default();
    let without_prefix = id.rsplit_once('_').map_or(id, |(_, rest)| rest);
    let catalogue_id = function.exported.text(&["catalogId", "catalog_id"]);
    !class.is_empty() && (class == id || class == without_prefix || Some(class) == catalogue_id)
}

fn use_functions(used: &[&WrittenFunction<'_>], imported: &mut Imported) {
    let [first, ..] = used else { return };
    let plugin = &mut imported.settings.plugin;
    plugin.script = Some(RawScriptPaths(used.iter().map(|it| it.path.clone().into()).collect()));
    let dialect = first.function_type.dialect();
    let is_same = used.iter().all(|it| it.function_type.dialect() == dialect);
    plugin.dialect = dialect.filter(|_| is_same).map(str::to_owned);
    if used.iter().any(|it| it.function_type == FunctionType::SourceInsert) {
        imported.add_note(
            "at Segment, a source insert function runs for the events of one source: here it runs \
             for those of all sources",
        );
    }
    if imported.settings.plugin.settings.contains_key("transforms") {
        imported.add_note(
            "Segment applies destination filters and consent before insert functions, and this host \
             applies `transforms` to the events that the functions return: check the conditions",
        );
    }
}

/// Imports the settings of a function. Values are in its instance, but not those of secrets.
fn import_settings(
    function: &WrittenFunction<'_>,
    instance: Option<&ExportedCode<'_>>,
    references: &mut UnusedNames,
    imported: &mut Imported,
) {
    let settings = find_field(function.exported.fields, "settings").and_then(Value::as_array);
    for setting in settings.into_iter().flatten() {
        let Some((name, setting)) =
            setting.as_object().and_then(|fields| Some((text_field(fields, &["name"])?, fields)))
        else {
            imported
                .add_note(format!("a setting of {} without a name is left out", function.label));
            continue;
        };
        if imported.settings.plugin.function_settings.contains_key(name) {
            imported.add_note(format!(
                "several functions have the setting {}: they get the same value",
                quote_text(name)
            ));
            continue;
        }
        let values = instance.and_then(|it| find_field(it.fields, "settings")?.as_object());
        let value = values.and_then(|values| values.get(name));
        let value = setting_value(name, setting, value, references, imported);
        imported.settings.plugin.function_settings.insert(name.to_owned(), value);
    }
}

fn setting_value(
    name: &str,
    setting: &JsonObject,
    known: Option<&Value>,
    references: &mut UnusedNames,
    imported: &mut Imported,
) -> Value {
    let label = text_field(setting, &["label", "description"]).unwrap_or(name);
    let label = format!("{} ({})", quote_text(name), quote_text(label));
    if find_field(setting, "sensitive") == Some(&Value::Bool(true)) {
        let reference = secret_reference(name, references);
        imported.add_task(format!(
            "save the function's setting {label} as the secret that `{reference}` under \
             [plugin.function_settings] means, and set its manager under [secrets]"
        ));
        return reference.into();
    }
    if let Some(value) = known.filter(|value| is_toml(value)) {
        return value.clone();
    }
    let required = match find_field(setting, "required") {
        Some(Value::Bool(true)) => ", which is required",
        _ => "",
    };
    imported.add_task(format!("set {label}{required}, under [plugin.function_settings]"));
    match text_field(setting, &["type"]).unwrap_or_default() {
        "BOOLEAN" => json!(false),
        "ARRAY" => json!([]),
        "TEXT_MAP" => json!({}),
        _ => json!(""),
    }
}

/// Whether TOML can express a value: it has no null.
fn is_toml(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().all(is_toml),
        Value::Object(fields) => fields.values().all(is_toml),
        Value::Number(number) => number.as_i64().is_some() || number.is_f64(),
        Value::Bool(_) | Value::String(_) => true,
    }
}
