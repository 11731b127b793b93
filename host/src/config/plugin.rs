//! Which plugin is hosted, and what of `[plugin]` is not for the crate that hosts it to decide.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::pipeline::OnFailure;
use standpipe_core::event::StreamName;
use standpipe_core::secret::{Secret, SecretReference, SecretSetting};
use standpipe_core::settings::{SettingsChecker, TableChecker};
use standpipe_plugin_host::{
    CanarySettings, CircuitBreakerSettings, InstanceLimits, RawPlugin, Trust,
};

/// Where the plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// The built-in plugin, which is part of the program.
    BuiltIn,
    /// A component's file.
    File(PathBuf),
    #[cfg(feature = "native-mapping")]
    /// The default mapping as native code. No settings file can ask for it: it
    /// is there to measure what the component costs.
    Native,
}

impl PluginSource {
    /// The source that the settings name; a file of the command line overrides it.
    pub(super) fn of(raw: &RawPlugin, directory: &Path, over: Option<PathBuf>) -> Self {
        match (over, &raw.path) {
            (Some(path), _) => PluginSource::File(path),
            (None, Some(path)) => PluginSource::File(directory.join(path)),
            (None, None) => PluginSource::BuiltIn,
        }
    }

    /// The component's file; none where the built-in plugin decides.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            PluginSource::File(path) => Some(path),
            _ => None,
        }
    }
}

/// How the plugin is hosted, whichever it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PluginHosting {
    /// Which components may be loaded.
    pub trust: Trust,
    /// A file of cases, or a directory of such files, that a plugin must pass before
    /// it is taken.
    pub cases: Option<PathBuf>,
    /// What becomes of events that it fails on.
    pub on_failure: OnFailure,
    /// Whether its file and the settings are watched for changes.
    pub watch: FileWatch,
    /// What an instance may take.
    pub instance_limits: InstanceLimits,
    /// From where on it does badly.
    pub breaker: CircuitBreakerSettings,
    /// Another plugin that decides about the events of some users.
    pub canary: Option<(SecondaryPlugin, CanarySettings)>,
    /// Another plugin that also gets all events; its decisions are only compared.
    pub shadow: Option<SecondaryPlugin>,
}

/// A plugin beside the one in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondaryPlugin {
    /// Its component.
    pub source: PluginSource,
    /// Its settings: JSON text, an object.
    pub settings: String,
}

/// Whether files are watched for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileWatch {
    /// A changed plugin is loaded automatically.
    #[default]
    Files,
    /// Only a signal or the admin API load another plugin.
    Nothing,
}

/// The references among `secrets` of a plugin's settings, with their names there.
/// Anything else under that key is the plugin's own affair.
pub fn secret_references(settings: &str) -> Vec<(String, SecretReference)> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let reference = |text: &str| match SecretSetting::parse(Secret::new(text.to_owned())) {
        Ok(SecretSetting::Reference(reference)) => Some(reference),
        _ => None,
    };
    secret_texts(&settings)
        .filter_map(|(name, text)| Some((name.to_owned(), reference(text)?)))
        .collect()
}

/// Checks the references among `secrets` of a plugin's settings.
fn check_secret_references(settings: &str, check: &mut TableChecker<'_>) {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let mut check = check.table("secrets");
    for (name, text) in secret_texts(&settings) {
        check.secret(name, Secret::new(text.to_owned()));
    }
}

fn secret_texts(settings: &Value) -> impl Iterator<Item = (&str, &str)> {
    let secrets = settings.get("secrets").and_then(Value::as_object);
    secrets.into_iter().flatten().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)))
}

/// Where events are collected, what a vendor's SDK says in them about where they may
/// go is respected by the built-in plugin, unless its settings have it otherwise.
pub(super) fn default_plugin_members(is_collecting: bool) -> serde_json::Map<String, Value> {
    let integrations = is_collecting.then(|| ("integrations".to_owned(), Value::Bool(true)));
    integrations.into_iter().collect()
}

impl PluginHosting {
    /// Checks how a plugin of this source is hosted, with these settings. They are those of plugins beside it that have
    /// none of their own.
    pub(super) fn check(
        raw: &RawPlugin,
        own: (&PluginSource, &str),
        checker: &mut SettingsChecker,
    ) -> Self {
        let mut check = checker.table("plugin");
        check_secret_references(own.1, &mut check.table("settings"));
        let canary = raw.canary.as_ref().and_then(|raw| {
            let mut check = check.table("canary");
            let beside = SecondaryPlugin::check((&raw.path, &raw.settings), own, &mut check);
            beside.zip(Some(raw.check(&mut check)))
        });
        let shadow = raw.shadow.as_ref();
        let shadow = shadow.and_then(|raw| {
            SecondaryPlugin::check((&raw.path, &raw.settings), own, &mut check.table("shadow"))
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
            breaker: raw.breaker.check(&mut check.table("breaker")),
            canary,
            shadow,
        }
    }
}

impl SecondaryPlugin {
    /// Checks a plugin beside the one of this source and these settings, which it has where it has none of its own.
    fn check(
        (path, settings): (&Option<PathBuf>, &Option<serde_json::Map<String, Value>>),
        (source, settings_of_active): (&PluginSource, &str),
        check: &mut TableChecker<'_>,
    ) -> Option<Self> {
        if path.is_none() && settings.is_none() {
            check.add_mistake(
                "is the plugin itself: write path = \"FILE.wasm\", or settings of its own",
            );
            return None;
        }
        let source = match path {
            Some(path) => PluginSource::File(check.path(path)),
            None => source.clone(),
        };
        let settings = match settings {
            Some(own) => {
                let own = Value::Object(own.clone()).to_string();
                check_secret_references(&own, &mut check.table("settings"));
                own
            }
            None => settings_of_active.to_owned(),
        };
        Some(SecondaryPlugin { source, settings })
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
            "on_failure is \"pass_through\", and no stream is named: write pass_through_stream = \"STREAM\" too",
        ),
        (_, Some(_)) => check.add_mistake(
            "pass_through_stream names a stream, and on_failure is another: write on_failure = \"pass_through\", \
             or remove pass_through_stream",
        ),
        (Some(word), None) => check.add_mistake(format_args!(
            "on_failure is {word:?}: write \"dead_letter\", \"drop\", \"pass_through\" or \"halt\""
        )),
    }
    OnFailure::default()
}
