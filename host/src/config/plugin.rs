//! Checks `[plugin]`: source, settings, trust, failures, limits, breaker, canary and shadow.
//! References to secrets are checked for form here and resolved by the run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::check::duration;
use super::error::Mistakes;
use super::raw::{RawBreaker, RawCanary, RawPlugin, RawPluginLimits};
use super::secrets::References;
use super::{ConfigError, PluginSource};
use crate::pipeline::OnFailure;
use standpipe_core::event::StreamName;
use standpipe_core::secret::{Reference, Secret, SecretSetting};
use standpipe_plugin_host::{
    Allowance, BreakerSettings, CanarySettings, PublicKey, Trust, WhenOff,
};

const WINDOW_MAX: Duration = Duration::from_secs(3600);
const CPU_MAX: Duration = Duration::from_secs(60);
/// A second for each kilobyte: more than any mapping needs.
const BYTE_CPU_MAX: Duration = Duration::from_millis(1);
const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
const MEMORY_BYTES_MIN: u64 = 1024 * 1024;
const MEMORY_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
const ANSWER_BYTES_MIN: u64 = 1024 * 1024;
const ANSWER_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// With less, a source whose events fail would stand still.
const FAILING_CPU_MIN: f64 = 0.01;

/// How the plugin is hosted, whichever it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hosting {
    /// Which components may be loaded.
    pub trust: Trust,
    /// A file of cases, or a directory of such files, that a plugin must pass before
    /// it is taken.
    pub cases: Option<PathBuf>,
    /// What becomes of events that it fails on.
    pub on_failure: OnFailure,
    /// Whether its file and the settings are watched for changes.
    pub watch: Watch,
    /// What an instance may take.
    pub allowance: Allowance,
    /// From where on it does badly.
    pub breaker: BreakerSettings,
    /// Another plugin that decides about the events of some users.
    pub canary: Option<(Beside, CanarySettings)>,
    /// Another plugin that is asked about all events, and not listened to.
    pub shadow: Option<Beside>,
}

/// A plugin beside the one in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Its component.
    pub source: PluginSource,
    /// Its settings: JSON text, an object.
    pub settings: String,
}

/// Whether files are watched for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watch {
    /// A plugin that changes is taken without a word.
    #[default]
    Files,
    /// Only a signal or the admin API bring another plugin.
    Nothing,
}

/// The references among `secrets` of a plugin's settings, with their names there.
/// Anything else under that key is the plugin's own affair.
pub fn kept_secrets(settings: &str) -> Vec<(String, Reference)> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let reference = |text: &str| match SecretSetting::parse(Secret::new(text.to_owned())) {
        Ok(SecretSetting::Reference(reference)) => Some(reference),
        _ => None,
    };
    texts_of_secrets(&settings)
        .filter_map(|(name, text)| Some((name.to_owned(), reference(text)?)))
        .collect()
}

pub(super) fn check_kept_secrets(
    place: &str,
    settings: &str,
    references: &References,
) -> Result<(), ConfigError> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let mut mistakes = Mistakes::default();
    for (name, text) in texts_of_secrets(&settings) {
        let key = format!("[{place}.secrets] {name}");
        mistakes.some(references.check(&key, Secret::new(text.to_owned())));
    }
    mistakes.end(())
}

fn texts_of_secrets(settings: &Value) -> impl Iterator<Item = (&str, &str)> {
    let secrets = settings.get("secrets").and_then(Value::as_object);
    secrets.into_iter().flatten().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)))
}

/// Where events are collected, what a vendor's SDK says in them about where they may
/// go is respected by the default plugin, unless its settings have it otherwise.
pub(super) fn default_plugin_members(is_collecting: bool) -> serde_json::Map<String, Value> {
    let integrations = is_collecting.then(|| ("integrations".to_owned(), Value::Bool(true)));
    integrations.into_iter().collect()
}

pub(super) fn check_source(
    raw: &RawPlugin,
    directory: &Path,
    over: Option<PathBuf>,
) -> PluginSource {
    match (over, &raw.path) {
        (Some(path), _) => PluginSource::File(path),
        (None, Some(path)) => PluginSource::File(directory.join(path)),
        (None, None) => PluginSource::BuiltIn,
    }
}

/// The plugin's source and settings are those of plugins beside it that have none of
/// their own.
pub(super) fn check_hosting(
    raw: &RawPlugin,
    directory: &Path,
    source: &PluginSource,
    settings: &str,
    references: &References,
) -> Result<Hosting, ConfigError> {
    let mut mistakes = Mistakes::default();
    mistakes.some(check_kept_secrets("plugin.settings", settings, references));
    let usual = Hosting::default();
    let raw_canary = raw.canary.as_ref();
    let raw_shadow = raw.shadow.as_ref();
    let mut sha256 = |place: &str, text: Option<&String>| {
        let checked = text.map(|text| check_sha256(place, text)).transpose();
        mistakes.or(checked, None)
    };
    let trust = Trust {
        sha256: sha256("plugin", raw.sha256.as_ref()),
        canary_sha256: sha256("plugin.canary", raw_canary.and_then(|raw| raw.sha256.as_ref())),
        shadow_sha256: sha256("plugin.shadow", raw_shadow.and_then(|raw| raw.sha256.as_ref())),
        public_key: mistakes.or(raw.public_key.as_deref().map(check_public_key).transpose(), None),
    };
    let mut beside = |place: &str, path, own: &Option<serde_json::Map<String, Value>>| {
        let beside = mistakes.some(beside(place, path, own, directory, (source, settings)))?;
        if own.is_some() {
            let place = format!("{place}.settings");
            mistakes.some(check_kept_secrets(&place, &beside.settings, references));
        }
        Some(beside)
    };
    let canary = raw_canary.and_then(|raw| beside("plugin.canary", &raw.path, &raw.settings));
    let shadow = raw_shadow.and_then(|raw| beside("plugin.shadow", &raw.path, &raw.settings));
    let how = raw_canary.map(|raw| mistakes.or(check_canary(raw), CanarySettings::default()));
    let watch = match raw.watch {
        None | Some(true) => Watch::Files,
        Some(false) => Watch::Nothing,
    };
    let hosting = Hosting {
        trust,
        cases: raw.cases.as_ref().map(|path| directory.join(path)),
        on_failure: mistakes.or(check_on_failure(raw), usual.on_failure),
        watch,
        allowance: mistakes.or(check_limits(&raw.limits), usual.allowance),
        breaker: mistakes.or(check_breaker(&raw.breaker), usual.breaker),
        canary: canary.zip(how),
        shadow,
    };
    mistakes.end(hosting)
}

fn beside(
    place: &str,
    path: &Option<PathBuf>,
    own: &Option<serde_json::Map<String, Value>>,
    directory: &Path,
    (source, settings): (&PluginSource, &str),
) -> Result<Beside, ConfigError> {
    if path.is_none() && own.is_none() {
        return Err(ConfigError::new(format!(
            "[{place}] is the plugin itself: write path = \"FILE.wasm\", or settings of its own"
        )));
    }
    Ok(Beside {
        source: match path {
            Some(path) => PluginSource::File(directory.join(path)),
            None => source.clone(),
        },
        settings: own
            .as_ref()
            .map_or_else(|| settings.to_owned(), |own| Value::Object(own.clone()).to_string()),
    })
}

fn check_sha256(place: &str, text: &str) -> Result<String, ConfigError> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash {
        return Err(ConfigError::new(format!(
            "[{place}] sha256 is no SHA-256: write its 64 hexadecimal digits, as `sha256sum FILE.wasm` prints them"
        )));
    }
    Ok(text.to_ascii_lowercase())
}

fn check_public_key(text: &str) -> Result<PublicKey, ConfigError> {
    PublicKey::from_base64(text.trim()).map_err(|error| {
        ConfigError::new(format!(
            "[plugin] public_key is no key of minisign's ({error}): write the second line of minisign.pub, which \
             begins with RW"
        ))
    })
}

fn check_on_failure(raw: &RawPlugin) -> Result<OnFailure, ConfigError> {
    let stream = raw.pass_through.as_deref().map(StreamName::parse).transpose();
    let stream =
        stream.map_err(|error| ConfigError::new(format!("[plugin] pass_through: {error}")))?;
    match (raw.on_failure.as_deref(), stream) {
        (None | Some("dead_letter"), None) => Ok(OnFailure::DeadLetter),
        (Some("drop"), None) => Ok(OnFailure::Drop),
        (Some("halt"), None) => Ok(OnFailure::Halt),
        (Some("pass_through"), Some(stream)) => Ok(OnFailure::PassThrough(stream)),
        (Some("pass_through"), None) => Err(ConfigError::new(
            "[plugin] on_failure is \"pass_through\", and no stream is named: write pass_through = \"STREAM\" too",
        )),
        (_, Some(_)) => Err(ConfigError::new(
            "[plugin] pass_through names a stream, and on_failure is another: write on_failure = \"pass_through\", \
             or remove pass_through",
        )),
        (Some(word), None) => Err(ConfigError::new(format!(
            "[plugin] on_failure is {word:?}: write \"dead_letter\", \"drop\", \"pass_through\" or \"halt\""
        ))),
    }
}

fn check_limits(raw: &RawPluginLimits) -> Result<Allowance, ConfigError> {
    let usual = Allowance::default();
    let mut mistakes = Mistakes::default();
    let mut time = |key: &str, value: &Option<String>, default, most| {
        let key = format!("[plugin.limits] {key}");
        let checked = duration(&key, value.as_deref(), default, most);
        mistakes.or(checked.and_then(|time| not_zero(&key, time)), default)
    };
    let allowance = Allowance {
        configure_cpu: time("configure_cpu", &raw.configure_cpu, usual.configure_cpu, CPU_MAX),
        call_cpu: time("call_cpu", &raw.call_cpu, usual.call_cpu, CPU_MAX),
        event_cpu: time("event_cpu", &raw.event_cpu, usual.event_cpu, CPU_MAX),
        byte_cpu: time("byte_cpu", &raw.byte_cpu, usual.byte_cpu, BYTE_CPU_MAX),
        age: time("max_age", &raw.max_age, usual.age, AGE_MAX),
        calls: raw.max_calls.unwrap_or(usual.calls),
        memory_bytes: mistakes.or(
            bytes(
                "memory_bytes",
                raw.memory_bytes,
                usual.memory_bytes,
                MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX,
            ),
            usual.memory_bytes,
        ),
        answer_bytes: mistakes.or(
            bytes(
                "answer_bytes",
                raw.answer_bytes,
                usual.answer_bytes,
                ANSWER_BYTES_MIN..=ANSWER_BYTES_MAX,
            ),
            usual.answer_bytes,
        ),
    };
    if allowance.calls == 0 {
        mistakes.add(ConfigError::new("[plugin.limits] max_calls is 0: write 1 or more"));
    }
    mistakes.end(allowance)
}

fn bytes(
    key: &str,
    value: Option<u64>,
    default: usize,
    allowed: std::ops::RangeInclusive<u64>,
) -> Result<usize, ConfigError> {
    match value {
        None => Ok(default),
        Some(bytes) if allowed.contains(&bytes) => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
        Some(bytes) => Err(ConfigError::new(format!(
            "[plugin.limits] {key} is {bytes}: write a number from {} to {}",
            allowed.start(),
            allowed.end()
        ))),
    }
}

fn check_breaker(raw: &RawBreaker) -> Result<BreakerSettings, ConfigError> {
    let usual = BreakerSettings::default();
    let mut mistakes = Mistakes::default();
    let mut time = |key: &str, value: &Option<String>, default| {
        let key = format!("[plugin.breaker] {key}");
        let checked = duration(&key, value.as_deref(), default, WINDOW_MAX);
        mistakes.or(checked.and_then(|time| not_zero(&key, time)), default)
    };
    let window = time("window", &raw.window, usual.window);
    let retry = time("retry", &raw.retry, usual.retry);
    let mut share_of = |key: &str, value, default| {
        mistakes.or(share(&format!("[plugin.breaker] {key}"), value), None).unwrap_or(default)
    };
    let degraded_from = share_of("degraded_from", raw.degraded_from, usual.degraded_from);
    let off_from = share_of("off_from", raw.off_from, usual.off_from);
    let failing_cpu = raw.failing_cpu.unwrap_or(usual.failing_cpu);
    if !(FAILING_CPU_MIN..=1.0).contains(&failing_cpu) {
        mistakes.add(ConfigError::new(format!(
            "[plugin.breaker] failing_cpu is {failing_cpu}: write a share from {FAILING_CPU_MIN} to 1, such as 0.5 for \
             half of the workers' time"
        )));
    }
    let when_off = match raw.when_off.as_deref() {
        None | Some("wait") => WhenOff::Wait,
        Some("fail") => WhenOff::Fail,
        Some(word) => {
            mistakes.add(ConfigError::new(format!(
                "[plugin.breaker] when_off is {word:?}: write \"wait\" or \"fail\""
            )));
            WhenOff::Wait
        }
    };
    mistakes.end(BreakerSettings { degraded_from, off_from, window, retry, failing_cpu, when_off })
}

fn check_canary(raw: &RawCanary) -> Result<CanarySettings, ConfigError> {
    let usual = CanarySettings::default();
    let mut mistakes = Mistakes::default();
    let percent = raw.percent.unwrap_or(usual.percent);
    if !(0.0..=100.0).contains(&percent) {
        mistakes.add(ConfigError::new(format!(
            "[plugin.canary] percent is {percent}: write a number from 0 to 100"
        )));
    }
    let error_rate_max = share("[plugin.canary] max_error_rate", raw.max_error_rate);
    let error_rate_max = mistakes.or(error_rate_max, None).unwrap_or(usual.error_rate_max);
    let events_min = raw.min_events.unwrap_or(usual.events_min);
    mistakes.end(CanarySettings { percent, error_rate_max, events_min })
}

fn share(key: &str, value: Option<f64>) -> Result<Option<f64>, ConfigError> {
    match value {
        Some(share) if !(0.0..=1.0).contains(&share) => Err(ConfigError::new(format!(
            "{key} is {share}: write a share from 0 to 1, such as 0.05 for 5 %"
        ))),
        value => Ok(value),
    }
}

fn not_zero(key: &str, value: Duration) -> Result<Duration, ConfigError> {
    if value.is_zero() {
        return Err(ConfigError::new(format!("{key} is no time at all: write more than \"0s\"")));
    }
    Ok(value)
}
