//! The plugin to host, and the settings of `[plugin]` that do not belong to the hosting crate.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::pipeline::OnFailure;
use standpipe_aws::check_proxy_url;
use standpipe_core::event::StreamName;
use standpipe_core::secret::{Secret, SecretReference, SecretSetting};
use standpipe_core::settings::{SettingsChecker, TableChecker};
use standpipe_plugin_host::web::NetworkSettings;
use standpipe_plugin_host::{
    CanarySettings, CircuitBreakerSettings, InstanceLimits, RawNetwork, RawPlugin, RawScriptPaths,
    SCRIPT_MEMBER, SCRIPT_NAME_OPTION, Trust,
};

/// The ends of the names of files that are scripts or bundles of scripts.
const SCRIPT_EXTENSIONS: [&str; 4] = ["js", "mjs", "cjs", "json"];

/// The tables of a plugin's settings that can contain references to secrets: `secrets` of any
/// plugin, and the credentials and function settings of scripts.
const SECRET_TABLES: [&[&str]; 3] =
    [&["secrets"], &[SCRIPT_MEMBER, "credentials"], &[SCRIPT_MEMBER, "settings"]];

/// The source of the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// The built-in plugin, as a part of the program.
    BuiltIn,
    /// The file of a component.
    File(PathBuf),
    /// Scripts, with their libraries.
    Script(ScriptPaths),
    #[cfg(feature = "native-mapping")]
    /// The default mapping as native code, to measure the cost of the component. No settings file
    /// can select it.
    Native,
}

/// The files of scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptPaths {
    /// The scripts in order: files, or one directory.
    pub files: Vec<PathBuf>,
    /// Files of libraries. `*` in the name of a file stands for any characters.
    pub libraries: Vec<PathBuf>,
    /// The component that runs the scripts, if it is not the embedded one.
    pub runner: Option<PathBuf>,
}

impl PluginSource {
    /// The source in the settings. Files of the command line override it.
    pub(super) fn of(raw: &RawPlugin, directory: &Path, over: PluginPaths) -> Self {
        let join = |paths: &[PathBuf]| paths.iter().map(|path| directory.join(path)).collect();
        let libraries = join(&raw.libraries);
        let own_runner = raw.path.as_ref().filter(|_| raw.script.is_some());
        let runner = over.runner.or_else(|| own_runner.map(|path| directory.join(path)));
        match (over.plugin, &raw.script, &raw.path) {
            (Some(path), _, _) => Self::of_file(path, libraries, runner),
            (None, Some(script), _) => {
                PluginSource::Script(ScriptPaths { files: join(&script.0), libraries, runner })
            }
            (None, None, Some(path)) => Self::of_file(directory.join(path), libraries, runner),
            (None, None, None) => PluginSource::BuiltIn,
        }
    }

    /// The source in a file, whose name shows whether it is a script. With a runner, everything but a
    /// component is one, whatever its language.
    fn of_file(path: PathBuf, libraries: Vec<PathBuf>, runner: Option<PathBuf>) -> Self {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_script = match &runner {
            Some(_) => !is_component_name(&path),
            None => extension.is_some_and(|extension| SCRIPT_EXTENSIONS.contains(&extension)),
        };
        match is_script {
            true => PluginSource::Script(ScriptPaths { files: vec![path], libraries, runner }),
            false => PluginSource::File(path),
        }
    }

    /// The component that runs the scripts, if it is not the embedded one.
    fn runner(&self) -> Option<&PathBuf> {
        match self {
            PluginSource::Script(paths) => paths.runner.as_ref(),
            _ => None,
        }
    }

    /// Whether the settings contain rules of the built-in plugin: scripts of the embedded runner use
    /// them to route what they return.
    pub(crate) fn uses_mapping_rules(&self) -> bool {
        !matches!(self, PluginSource::File(_)) && self.runner().is_none()
    }

    /// The source in another file or directory, with the libraries of this one. Scripts have the
    /// runner of this one if none is given.
    #[cfg(feature = "cli")]
    pub(crate) fn with_path(&self, path: PathBuf, runner: Option<PathBuf>) -> Self {
        let libraries = match self {
            PluginSource::Script(paths) => paths.libraries.clone(),
            _ => Vec::new(),
        };
        let runner = runner.or_else(|| self.runner().cloned());
        match path.is_dir() {
            true => PluginSource::Script(ScriptPaths { files: vec![path], libraries, runner }),
            false => Self::of_file(path, libraries, runner),
        }
    }

    /// These settings of a plugin with the options of scripts, if the source is a script.
    pub(super) fn with_script_options(
        &self,
        mut settings: Map<String, Value>,
        options: &Map<String, Value>,
    ) -> Map<String, Value> {
        if let PluginSource::Script(paths) = self {
            let mut options = options.clone();
            let name = paths.files.first().and_then(|file| file.file_name()).unwrap_or_default();
            options.insert(SCRIPT_NAME_OPTION.to_owned(), name.to_string_lossy().into());
            settings.insert(SCRIPT_MEMBER.to_owned(), options.into());
        }
        settings
    }
}

/// Files of the command line that replace those of the settings.
#[derive(Debug, Clone, Default)]
pub(super) struct PluginPaths {
    /// A component or script.
    pub(super) plugin: Option<PathBuf>,
    /// The component that runs the script.
    pub(super) runner: Option<PathBuf>,
}

/// Whether a file is a component, according to its name.
fn is_component_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

/// How the plugin is hosted, regardless of its source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PluginHosting {
    /// Which components may be loaded.
    pub trust: Trust,
    /// A file of cases, or a directory of such files, that a plugin must pass before it is used.
    pub cases: Option<PathBuf>,
    /// What happens to events that the plugin fails on.
    pub on_failure: OnFailure,
    /// Whether the plugin's file and the settings file are watched for changes.
    pub watch: FileWatch,
    /// The limits of an instance.
    pub instance_limits: InstanceLimits,
    /// The servers that plugins can reach.
    pub network: NetworkSettings,
    /// A database of IP addresses.
    pub geolocation: Option<PathBuf>,
    /// When the plugin counts as failing.
    pub breaker: CircuitBreakerSettings,
    /// Another plugin that decides the events of some users.
    pub canary: Option<(SecondaryPlugin, CanarySettings)>,
    /// Another plugin that also gets all events, but whose decisions are only compared.
    pub shadow: Option<SecondaryPlugin>,
}

/// A plugin in another role than the active one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondaryPlugin {
    /// The plugin's component.
    pub source: PluginSource,
    /// The plugin's settings: JSON text, an object.
    pub settings: String,
}

/// Whether files are watched for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileWatch {
    /// A changed plugin is loaded automatically.
    #[default]
    Files,
    /// Only a signal or the admin API loads another plugin.
    Nothing,
}

/// A text in a plugin's settings that can be a reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPlace {
    table: &'static [&'static str],
    /// The key in the table.
    pub name: String,
}

impl SecretPlace {
    /// The table of the settings file that contains the text.
    #[cfg(feature = "cli")]
    pub(crate) fn table_name(&self) -> &'static str {
        match self.table {
            [SCRIPT_MEMBER, "credentials"] => "[plugin.credentials]",
            [SCRIPT_MEMBER, _] => "[plugin.function_settings]",
            _ => "[plugin.settings.secrets]",
        }
    }

    /// The text in settings.
    pub(crate) fn value<'a>(&self, settings: &'a mut Value) -> Option<&'a mut Value> {
        let table = self.table.iter().try_fold(settings, |table, key| table.get_mut(key))?;
        table.get_mut(&self.name)
    }
}

/// The references to secrets in a plugin's settings, with their places. Other values there belong
/// to the plugin.
pub fn secret_references(settings: &str) -> Vec<(SecretPlace, SecretReference)> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let reference = |text: &str| match SecretSetting::parse(Secret::new(text.to_owned())) {
        Ok(SecretSetting::Reference(reference)) => Some(reference),
        _ => None,
    };
    let texts = SECRET_TABLES.into_iter().flat_map(|table| {
        let own = secret_texts(&settings, table);
        own.map(move |(name, text)| (SecretPlace { table, name: name.to_owned() }, text))
    });
    texts.filter_map(|(place, text)| Some((place, reference(text)?))).collect()
}

/// The names of secrets in a plugin's settings that are written out, without a reference.
#[cfg(all(feature = "cli", feature = "queue"))]
pub fn written_secrets(settings: &str) -> Vec<String> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let is_written = |(_, text): &(&str, &str)| {
        let parsed = SecretSetting::parse(Secret::new((*text).to_owned()));
        !matches!(parsed, Ok(SecretSetting::Reference(_)))
    };
    // Settings of functions are not secret as such.
    let tables = SECRET_TABLES.into_iter().filter(|table| *table != [SCRIPT_MEMBER, "settings"]);
    let texts = tables.flat_map(|table| secret_texts(&settings, table));
    texts.filter(is_written).map(|(name, _)| name.to_owned()).collect()
}

/// Checks the references in this table of a plugin's settings.
pub(super) fn check_secret_references(settings: &Map<String, Value>, check: &mut TableChecker<'_>) {
    for (name, text) in texts_of(settings) {
        check.secret(name, Secret::new(text.to_owned()));
    }
}

/// Checks the references in `secrets` of a plugin's settings.
pub(super) fn check_own_secrets(settings: &Map<String, Value>, check: &mut TableChecker<'_>) {
    if let Some(Value::Object(secrets)) = settings.get("secrets") {
        check_secret_references(secrets, &mut check.table("secrets"));
    }
}

fn secret_texts<'a>(
    settings: &'a Value,
    table: &[&str],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let table = table.iter().try_fold(settings, |table, key| table.get(key));
    table.and_then(Value::as_object).into_iter().flat_map(texts_of)
}

fn texts_of(table: &Map<String, Value>) -> impl Iterator<Item = (&str, &str)> {
    table.iter().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)))
}

/// Additional settings for the built-in plugin. With a collector, the built-in plugin respects the
/// destinations that SDKs set in events, unless its settings say otherwise.
pub(super) fn default_plugin_members(is_collecting: bool) -> Map<String, Value> {
    let integrations = is_collecting.then(|| ("integrations".to_owned(), Value::Bool(true)));
    integrations.into_iter().collect()
}

impl PluginHosting {
    /// Checks how a plugin of this source is hosted, with these settings. Plugins in other roles
    /// use the same settings if they have none.
    pub(super) fn check(
        raw: &RawPlugin,
        active: ActivePlugin<'_>,
        checker: &mut SettingsChecker,
    ) -> Self {
        let mut check = checker.table("plugin");
        check_script_keys(raw, active.source, &mut check);
        check_own_secrets(active.settings, &mut check.table("settings"));
        check_secret_references(&raw.credentials, &mut check.table("credentials"));
        check_secret_references(&raw.function_settings, &mut check.table("function_settings"));
        let canary = raw.canary.as_ref().and_then(|raw| {
            let mut check = check.table("canary");
            let beside = (&raw.path, &raw.script, &raw.settings);
            let beside = SecondaryPlugin::check(beside, active, &mut check);
            beside.zip(Some(raw.check(&mut check)))
        });
        let shadow = raw.shadow.as_ref().and_then(|raw| {
            let beside = (&raw.path, &raw.script, &raw.settings);
            SecondaryPlugin::check(beside, active, &mut check.table("shadow"))
        });
        PluginHosting {
            trust: raw.check_trust(&mut check),
            cases: raw.cases.as_ref().map(|path| check.path(path)),
            on_failure: check_on_failure(raw, &mut check),
            watch: match raw.watch {
                None | Some(true) => FileWatch::Files,
                Some(false) => FileWatch::Nothing,
            },
            instance_limits: raw.limits.check(&mut check.table("limits")),
            network: check_network(&raw.network, &mut check.table("network")),
            geolocation: raw.geolocation.as_ref().map(|path| check.path(path)),
            breaker: raw.breaker.check(&mut check.table("breaker")),
            canary,
            shadow,
        }
    }
}

/// The proxy has the form of the one for AWS.
fn check_network(raw: &RawNetwork, check: &mut TableChecker<'_>) -> NetworkSettings {
    let network = raw.check(check);
    check_proxy_url(network.proxy.as_ref(), check);
    network
}

/// The active plugin of the settings, whose values other roles use.
#[derive(Clone, Copy)]
pub(super) struct ActivePlugin<'a> {
    pub(super) source: &'a PluginSource,
    /// The settings without the options of scripts.
    pub(super) settings: &'a Map<String, Value>,
    /// The options of scripts.
    pub(super) script_options: &'a Map<String, Value>,
    /// The libraries of scripts.
    pub(super) libraries: &'a [PathBuf],
}

impl SecondaryPlugin {
    /// Checks a plugin in another role. It uses the source and the settings of the active plugin if
    /// it has none of its own.
    fn check(
        (path, script, settings): (
            &Option<PathBuf>,
            &Option<RawScriptPaths>,
            &Option<Map<String, Value>>,
        ),
        active: ActivePlugin<'_>,
        check: &mut TableChecker<'_>,
    ) -> Option<Self> {
        if path.is_none() && script.is_none() && settings.is_none() {
            check.add_mistake(
                "is the plugin itself: write path = \"FILE.wasm\" or script = \"FILE.js\", or separate settings",
            );
            return None;
        }
        check_one_source(path, script, check);
        let libraries = || active.libraries.iter().map(|path| check.path(path)).collect();
        let source = match (path, script) {
            (path, Some(script)) => {
                let files = script.0.iter().map(|path| check.path(path)).collect();
                let runner = path.as_ref().map(|path| check.path(path));
                let runner = runner.or_else(|| active.source.runner().cloned());
                PluginSource::Script(ScriptPaths { files, libraries: libraries(), runner })
            }
            (Some(path), None) => PluginSource::of_file(check.path(path), libraries(), None),
            (None, None) => active.source.clone(),
        };
        if let Some(own) = settings {
            check_own_secrets(own, &mut check.table("settings"));
        }
        let settings = settings.as_ref().unwrap_or(active.settings).clone();
        check_reserved_member(&source, &settings, check);
        let settings = source.with_script_options(settings, active.script_options);
        Some(SecondaryPlugin { source, settings: Value::Object(settings).to_string() })
    }
}

/// Checks that the keys of scripts belong to a script.
fn check_script_keys(raw: &RawPlugin, source: &PluginSource, check: &mut TableChecker<'_>) {
    check_one_source(&raw.path, &raw.script, check);
    check_reserved_member(source, &raw.settings, check);
    let beside = [
        raw.canary.as_ref().map(|canary| (&canary.path, &canary.script)),
        raw.shadow.as_ref().map(|shadow| (&shadow.path, &shadow.script)),
    ];
    let is_script = |(path, script): (&Option<PathBuf>, &Option<RawScriptPaths>)| {
        let of_path = path.clone().map(|path| PluginSource::of_file(path, Vec::new(), None));
        script.is_some() || matches!(of_path, Some(PluginSource::Script(_)))
    };
    let has_script = matches!(source, PluginSource::Script(_))
        || is_script((&raw.path, &raw.script))
        || beside.into_iter().flatten().any(is_script);
    match raw.script_key() {
        Some(key) if !has_script => check.add_mistake(format_args!(
            "{key} is for scripts, and the plugin is none: write script = \"FILE.js\", or remove {key}"
        )),
        _ => {}
    }
}

fn check_one_source(
    path: &Option<PathBuf>,
    script: &Option<RawScriptPaths>,
    check: &mut TableChecker<'_>,
) {
    match (path, script) {
        (Some(path), Some(_)) if !is_component_name(path) => check.add_mistake(format_args!(
            "script and path name two plugins, because path {path:?} is not the component *.wasm that runs the script: \
             remove path to run the script, or remove script"
        )),
        (_, Some(script)) if script.0.is_empty() => {
            check.add_mistake("script is an empty list: write script = \"FILE.js\"");
        }
        _ => {}
    }
}

/// The member of the settings of scripts that contains the options is filled in.
fn check_reserved_member(
    source: &PluginSource,
    settings: &Map<String, Value>,
    check: &mut TableChecker<'_>,
) {
    if matches!(source, PluginSource::Script(_)) && settings.contains_key(SCRIPT_MEMBER) {
        check.table("settings").add_mistake(
            "script is reserved for scripts: write dialect, libraries, globals, [plugin.credentials] \
             and [plugin.function_settings] under [plugin] instead",
        );
    }
}

fn check_on_failure(raw: &RawPlugin, check: &mut TableChecker<'_>) -> OnFailure {
    let stream = raw.pass_through_stream.as_deref().map(StreamName::parse);
    let stream = match stream.transpose() {
        Ok(stream) => stream,
        Err(error) => {
            check.add_mistake(format_args!("pass_through_stream: {error}"));
            return OnFailure::default();
        }
    };
    match (raw.on_failure.as_deref(), stream) {
        (None | Some("dead_letter"), None) => return OnFailure::DeadLetter,
        (Some("drop"), None) => return OnFailure::Drop,
        (Some("halt"), None) => return OnFailure::Halt,
        (Some("pass_through"), Some(stream)) => return OnFailure::PassThrough(stream),
        (Some("pass_through"), None) => check.add_mistake(
            "on_failure is \"pass_through\", but no stream is named: add pass_through_stream = \"STREAM\"",
        ),
        (_, Some(_)) => check.add_mistake(
            "pass_through_stream names a stream, but on_failure is not \"pass_through\": write \
             on_failure = \"pass_through\", or remove pass_through_stream",
        ),
        (Some(word), None) => check.add_mistake(format_args!(
            "on_failure is {word:?}: write \"dead_letter\", \"drop\", \"pass_through\" or \"halt\""
        )),
    }
    OnFailure::default()
}
