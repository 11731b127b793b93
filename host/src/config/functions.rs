//! The functions of sources: `[sources.function]`.

use serde_json::{Map, Value};

use super::plugin::{PluginSource, ScriptPaths, check_own_secrets, check_secret_references};
use standpipe_core::settings::{
    RawSource, RawSourceFunction, SettingsChecker, TableChecker, source_labels,
};
use standpipe_plugin_host::limits::FUNCTIONS_MAX;
use standpipe_plugin_host::{SCRIPT_MEMBER, SCRIPT_NAME_OPTION, check_globals};

/// The functions that the script runner calls for each request.
const DIALECT: &str = "segment-source";

/// A plugin that turns requests into events of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFunction {
    /// The name of the source.
    pub source: String,
    /// The component or the script.
    pub plugin: PluginSource,
    /// The settings with references in place of secrets: JSON text, an object.
    pub settings: String,
}

/// Checks the functions of all sources.
pub(super) fn check_source_functions(
    sources: &[RawSource],
    checker: &mut SettingsChecker,
) -> Vec<SourceFunction> {
    let mut functions = Vec::new();
    for (source, label) in sources.iter().zip(source_labels(sources)) {
        let Some(raw) = &source.function else { continue };
        let mut top = checker.top();
        let mut item = top.item("sources", label);
        let mut check = item.table("function");
        if functions.len() == FUNCTIONS_MAX {
            check.add_mistake(format_args!(
                "is one function too many: at most {FUNCTIONS_MAX} sources can have a function: remove one"
            ));
        }
        functions.extend(check_function(&source.name, raw, &mut check));
    }
    functions
}

fn check_function(
    source: &str,
    raw: &RawSourceFunction,
    check: &mut TableChecker<'_>,
) -> Option<SourceFunction> {
    check_globals(raw.globals.as_deref(), check);
    let plugin = match (&raw.script, &raw.path) {
        (Some(_), Some(_)) => {
            check.add_mistake("script and path name two functions: remove one of them");
            return None;
        }
        (None, None) => {
            check.add_mistake("script is missing: write script = \"FILE.js\"");
            return None;
        }
        (Some(script), None) => PluginSource::Script(ScriptPaths {
            files: vec![check.path(script)],
            libraries: raw.libraries.iter().map(|path| check.path(path)).collect(),
            runner: None,
        }),
        (None, Some(path)) => PluginSource::File(check.path(path)),
    };
    let settings = match &plugin {
        PluginSource::Script(_) => {
            check_secret_references(&raw.settings, &mut check.table("settings"));
            script_settings(raw)
        }
        _ => {
            check_keys_of_component(raw, check);
            check_own_secrets(&raw.settings, check);
            raw.settings.clone()
        }
    };
    let settings = Value::Object(settings).to_string();
    Some(SourceFunction { source: source.to_owned(), plugin, settings })
}

/// The settings of the script runner, which contain those of the function.
fn script_settings(raw: &RawSourceFunction) -> Map<String, Value> {
    let mut options = Map::new();
    options.insert("dialect".to_owned(), DIALECT.into());
    if let Some(globals) = &raw.globals {
        options.insert("globals".to_owned(), globals.as_str().into());
    }
    if !raw.settings.is_empty() {
        options.insert("settings".to_owned(), raw.settings.clone().into());
    }
    let name = raw.script.as_deref().and_then(|script| script.file_name()).unwrap_or_default();
    options.insert(SCRIPT_NAME_OPTION.to_owned(), name.to_string_lossy().into());
    Map::from_iter([(SCRIPT_MEMBER.to_owned(), options.into())])
}

/// Checks that a component has no keys of scripts.
fn check_keys_of_component(raw: &RawSourceFunction, check: &mut TableChecker<'_>) {
    let keys = [("libraries", !raw.libraries.is_empty()), ("globals", raw.globals.is_some())];
    for (key, _) in keys.into_iter().filter(|(_, is_set)| *is_set) {
        check.add_mistake(format_args!(
            "{key} is for scripts, and path names a WebAssembly file: write script = \"FILE.js\", or remove {key}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use standpipe_core::settings::SecretManager;

    use super::*;

    fn source(name: &str, function: RawSourceFunction) -> RawSource {
        RawSource { name: name.to_owned(), function: Some(function), ..RawSource::default() }
    }

    fn check(sources: &[RawSource]) -> Result<Vec<SourceFunction>, Vec<String>> {
        let mut checker = SettingsChecker::new(Path::new("/etc/standpipe"), SecretManager::Local);
        let functions = check_source_functions(sources, &mut checker);
        match checker.into_mistakes() {
            mistakes if mistakes.is_empty() => Ok(functions),
            mistakes => Err(mistakes),
        }
    }

    fn script(settings: Value) -> RawSourceFunction {
        let Value::Object(settings) = settings else { unreachable!() };
        RawSourceFunction {
            script: Some("hooks/stripe.js".into()),
            settings,
            ..RawSourceFunction::default()
        }
    }

    #[test]
    fn a_script_and_a_component_get_their_settings() {
        let settings = serde_json::json!({"key": "secret:stripe", "n": 1.5});
        let mut raw = script(settings.clone());
        raw.libraries = vec!["libs/*.js".into()];
        raw.globals = Some("fresh".to_owned());
        let component = RawSourceFunction {
            path: Some("f.wasm".into()),
            settings: script(serde_json::json!({"secrets": {"a": "secret:a"}})).settings,
            ..RawSourceFunction::default()
        };
        let plain = RawSource { name: "plain".to_owned(), ..RawSource::default() };
        let functions = check(&[source("pay", raw), plain, source("own", component)]).unwrap();
        let files = vec!["/etc/standpipe/hooks/stripe.js".into()];
        let libraries = vec!["/etc/standpipe/libs/*.js".into()];
        let written: Value = serde_json::from_str(&functions[0].settings).unwrap();
        assert_eq!(
            written,
            serde_json::json!({"script": {
                "dialect": "segment-source", "globals": "fresh", "settings": settings, "name": "stripe.js"}})
        );
        assert_eq!(
            functions[0].plugin,
            PluginSource::Script(ScriptPaths { files, libraries, runner: None })
        );
        assert_eq!((functions[0].source.as_str(), functions.len()), ("pay", 2));
        assert_eq!(functions[1].settings, r#"{"secrets":{"a":"secret:a"}}"#);
        assert_eq!(functions[1].plugin, PluginSource::File("/etc/standpipe/f.wasm".into()));
    }

    #[test]
    fn each_mistake_names_its_source() {
        let both =
            RawSourceFunction { path: Some("f.wasm".into()), ..script(Value::Object(Map::new())) };
        let component = RawSourceFunction {
            path: Some("f.wasm".into()),
            libraries: vec!["l.js".into()],
            globals: Some("once".to_owned()),
            ..RawSourceFunction::default()
        };
        let bad_secret = script(serde_json::json!({"key": "secret:"}));
        let sources = [
            source("both", both),
            source("none", RawSourceFunction::default()),
            source("component", component),
            source("secret", bad_secret),
        ];
        let mistakes = check(&sources).unwrap_err();
        let starts = [
            "[[sources.function]] \"both\": script and path name two functions",
            "[[sources.function]] \"none\": script is missing: write script = \"FILE.js\"",
            "[[sources.function]] \"component\": globals is \"once\": write \"fresh\" or \"keep\"",
            "[[sources.function]] \"component\": libraries is for scripts",
            "[[sources.function]] \"component\": globals is for scripts",
            "[[sources.function.settings]] \"secret\": key",
        ];
        assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
        for (mistake, start) in mistakes.iter().zip(starts) {
            assert!(mistake.starts_with(start), "{mistake}");
        }
        let many: Vec<_> = (0..=FUNCTIONS_MAX)
            .map(|number| source(&number.to_string(), script(Value::Object(Map::new()))))
            .collect();
        assert_eq!(check(&many[1..]).unwrap().len(), FUNCTIONS_MAX);
        assert!(check(&many).unwrap_err()[0].contains("at most 32 sources can have a function"));
    }
}
