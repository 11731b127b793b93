//! The plugin to host, and the settings of `[plugin]` that do not belong to the hosting crate.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::pipeline::OnFailure;
use standpipe_core::event::StreamName;
use standpipe_core::secret::{Secret, SecretReference, SecretSetting};
use standpipe_core::settings::{SettingsChecker, TableChecker};
use standpipe_plugin_host::{
    CanarySettings, CircuitBreakerSettings, InstanceLimits, RawPlugin, Trust,
};

/// The source of the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// The built-in plugin, as a part of the program.
    BuiltIn,
    /// The file of a component.
    File(PathBuf),
    #[cfg(feature = "native-mapping")]
    /// The default mapping as native code, to measure the cost of the component. No settings file
    /// can select it.
    Native,
}

impl PluginSource {
    /// The source in the settings. A file of the command line overrides it.
    pub(super) fn of(raw: &RawPlugin, directory: &Path, over: Option<PathBuf>) -> Self {
        match (over, &raw.path) {
            (Some(path), _) => PluginSource::File(path),
            (None, Some(path)) => PluginSource::File(directory.join(path)),
            (None, None) => PluginSource::BuiltIn,
        }
    }

    /// The component's file, or `None` for the built-in plugin.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            PluginSource::File(path) => Some(path),
            _ => None,
        }
    }
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

/// The references in `secrets` of a plugin's settings, with their names. Other values under this
/// key belong to the plugin.
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

/// The names of secrets in a plugin's settings that are written out, without a reference.
#[cfg(all(feature = "cli", feature = "queue"))]
pub fn written_secrets(settings: &str) -> Vec<String> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let is_written = |(_, text): &(&str, &str)| {
        let parsed = SecretSetting::parse(Secret::new((*text).to_owned()));
        !matches!(parsed, Ok(SecretSetting::Reference(_)))
    };
    secret_texts(&settings).filter(is_written).map(|(name, _)| name.to_owned()).collect()
}

/// Checks the references in `secrets` of a plugin's settings.
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

/// Additional settings for the built-in plugin. With a collector, the built-in plugin respects the
/// destinations that SDKs set in events, unless its settings say otherwise.
pub(super) fn default_plugin_members(is_collecting: bool) -> serde_json::Map<String, Value> {
    let integrations = is_collecting.then(|| ("integrations".to_owned(), Value::Bool(true)));
    integrations.into_iter().collect()
}

impl PluginHosting {
    /// Checks how a plugin of this source is hosted, with these settings. Plugins in other roles
    /// use the same settings if they have none.
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
    /// Checks a plugin in another role. It uses this source and these settings if it has none of
    /// its own.
    fn check(
        (path, settings): (&Option<PathBuf>, &Option<serde_json::Map<String, Value>>),
        (source, settings_of_active): (&PluginSource, &str),
        check: &mut TableChecker<'_>,
    ) -> Option<Self> {
        if path.is_none() && settings.is_none() {
            check.add_mistake(
                "is the plugin itself: write path = \"FILE.wasm\", or separate settings",
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
