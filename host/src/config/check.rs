//! From raw settings and the command line to checked `Settings`. All mistakes are collected before
//! any is reported; the command line overrides the file.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
#[cfg(feature = "cli")]
use tracing_subscriber::EnvFilter;

use super::aws::check_aws;
use super::collect::{
    CollectSettings, check_admin, check_collect, check_source_names, check_token,
};
use super::error::Mistakes;
use super::identities::{SourceRole, check_source_roles};
use super::places::toml_key;
use super::plugin::{Hosting, check_hosting, check_source, default_plugin_members};
use super::secrets::{References, check_secrets};
use super::{
    ConfigError, Mistake, Places, RawAws, RawDeadLetters, RawDelivery, RawPack, RawSettings,
    RawStream,
};
use crate::source::Input;
use standpipe_aws::secret_store::SecretsSettings;
use standpipe_aws::{AwsSettings, Role};
#[cfg(feature = "catalog")]
use standpipe_catalog::CatalogSettings;
use standpipe_core::event::{SourceNames, StreamName};
use standpipe_core::secret::SecretSetting;
use standpipe_delivery::dead::{Bound, WhenFull};
use standpipe_delivery::{DeliverySettings, Pack, StartRate, StreamSettings};

/// Where dead letters and compiled plugins are kept, beside the settings file.
pub const DATA_DIR: &str = "standpipe-data";
const CONCURRENCY: usize = 16;
const CONCURRENCY_MAX: usize = 256;
const PACK_BYTES_MIN: usize = standpipe_delivery::limits::BILLED_STEP_BYTES;
const WORKERS_MAX: usize = 256;
const MAX_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY_MAX: Duration = Duration::from_secs(900);
const MISSING_STREAM_GRACE: Duration = Duration::from_secs(60);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Settings that can be used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What to read, in this order.
    pub inputs: Vec<Input>,
    /// How SDKs are listened to, if they are.
    pub collect: Option<CollectSettings>,
    /// The sources, by the names of today and of before.
    pub source_names: SourceNames,
    /// The sources that do not write with the role of all others.
    pub source_roles: Vec<SourceRole>,
    /// Where health and metrics are told, if they are.
    pub admin: Option<SocketAddr>,
    /// What gives control of the plugin there; nothing does without it.
    pub admin_token: Option<SecretSetting>,
    /// The plugin.
    pub plugin: PluginSource,
    /// The plugin's settings: JSON text, an object.
    pub plugin_settings: String,
    /// The same as they were written, for any other component that may become the plugin.
    pub written_plugin_settings: String,
    /// What the settings of the default plugin have on top where they do not say otherwise.
    pub default_plugin_members: serde_json::Map<String, Value>,
    /// How the plugin is hosted.
    pub hosting: Hosting,
    /// Where records go.
    pub destination: Destination,
    /// How they are delivered.
    pub delivery: DeliverySettings,
    /// Where dead letters and compiled plugins are kept.
    pub data_dir: PathBuf,
    /// What the dead letters may take.
    pub dead_letters: Bound,
    /// Who keeps the secrets that are not in the settings, if anybody does.
    pub secrets: Option<SecretsSettings>,
    /// Where a copy of each dead letter goes.
    pub dead_letter_stream: Option<StreamName>,
    /// Threads that map events.
    pub workers: NonZero<usize>,
    /// How long to go on delivering after a signal to stop.
    pub drain_timeout: Duration,
    /// Whether the run ends where it would otherwise wait until somebody acts, or until
    /// a service is reached.
    pub fail_fast: bool,
    /// What is told about the delivery streams by a schedule, if anything is.
    #[cfg(feature = "catalog")]
    pub catalog: Option<Box<CatalogSettings>>,
    /// Which log lines are written, where the settings say.
    pub log: Option<String>,
    /// What the settings file says, to tell later what has changed in it.
    pub stated: Arc<RawSettings>,
    /// What can be meant as it is written, and hardly is.
    pub warnings: Vec<Mistake>,
    /// Where the keys stand in the file, for errors that come up later.
    pub places: Places,
}

/// Where the plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// The default mapping plugin, which is part of the program.
    BuiltIn,
    /// A component's file.
    File(PathBuf),
    #[cfg(feature = "native-mapping")]
    /// The default mapping as native code. No settings file can ask for it: it
    /// is there to measure what the component costs.
    Native,
}

impl PluginSource {
    /// The component's file; none where the default mapping plugin decides.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            PluginSource::File(path) => Some(path),
            _ => None,
        }
    }
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A file for each stream in a local directory.
    Directory(PathBuf),
    /// Amazon Data Firehose.
    Amazon {
        /// Region and credentials.
        aws: Box<AwsSettings>,
        /// A URL in place of the region's endpoint.
        endpoint_url: Option<String>,
    },
}

/// What the command line says; it goes before the settings file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// What to read; standard input if nothing is named, and nothing is listened
    /// to.
    pub inputs: Vec<Input>,
    /// The address on which SDKs are listened to.
    pub listen: Option<String>,
    /// The address on which health and metrics are told, or `off`.
    pub admin: Option<String>,
    /// The plugin's file.
    pub plugin: Option<PathBuf>,
    /// Further mapping rows, as event and stream.
    pub mappings: Vec<(String, String)>,
    /// A local directory in Firehose's place.
    pub local: Option<PathBuf>,
    /// Where dead letters and compiled plugins are kept.
    pub data_dir: Option<PathBuf>,
    /// The region.
    pub region: Option<String>,
    /// A URL in place of the region's endpoint.
    pub endpoint_url: Option<String>,
    /// Whether the run ends where it would otherwise wait.
    pub fail_fast: bool,
}

impl RawSettings {
    /// Check the settings, with what the command line says. Relative paths of
    /// the settings file start at `directory`, where it stands.
    ///
    /// # Errors
    ///
    /// A setting is wrong; the error names it.
    pub fn check(
        mut self,
        directory: &Path,
        overrides: Overrides,
    ) -> Result<Settings, ConfigError> {
        let places = std::mem::take(&mut self.places);
        let stated = Arc::new(self.clone());
        let checked = self.check_all(directory, overrides, stated);
        let settings = checked.map_err(|error| error.located(&places))?;
        Ok(Settings { warnings: places.blanks(), places, ..settings })
    }

    /// The same, without the places of what is wrong.
    fn check_all(
        self,
        directory: &Path,
        overrides: Overrides,
        stated: Arc<RawSettings>,
    ) -> Result<Settings, ConfigError> {
        let mut mistakes = Mistakes::default();
        #[cfg(feature = "catalog")]
        let catalog = mistakes.or(self.scheduled_catalog(directory, &overrides), None);
        #[cfg(not(feature = "catalog"))]
        mistakes.or(refuse_scheduled_catalog(&self), ());
        let data_dir = self.data_dir(directory, overrides.data_dir);
        let listen = overrides.listen.or(self.listen);
        let plugin = check_source(&self.plugin, directory, overrides.plugin);
        let default_plugin_members = default_plugin_members(listen.is_some());
        let own_settings = self.plugin.settings.clone();
        let own_settings = with_mappings(own_settings, overrides.mappings);
        let own_settings = mistakes.or(own_settings, serde_json::Map::new());
        let written_plugin_settings = Value::Object(own_settings.clone()).to_string();
        let plugin_settings = with_members(&plugin, &default_plugin_members, own_settings);
        let references = References::new(&self.secrets);
        let written = &written_plugin_settings;
        let hosting = check_hosting(&self.plugin, directory, &plugin, written, &references);
        let hosting = mistakes.or(hosting, Hosting::default());
        let drain_timeout = self.delivery.drain_timeout.as_deref();
        let drain_timeout =
            duration("[delivery] drain_timeout", drain_timeout, DRAIN_TIMEOUT, DURATION_MAX);
        let drain_timeout = mistakes.or(drain_timeout, DRAIN_TIMEOUT);
        let unchecked = unchecked_aws(&self.aws);
        let aws =
            check_aws(self.aws, overrides.region, overrides.endpoint_url, directory, &references);
        let (aws, endpoint_url) = mistakes.or(aws, unchecked);
        let admin_token = mistakes.or(check_token(self.admin.token, &references), None);
        let source_roles = check_source_roles(&self.sources, aws.role.as_ref(), &references);
        let source_roles = mistakes.or(source_roles, Vec::new());
        let source_names = mistakes.or(check_source_names(&self.sources), SourceNames::default());
        let secrets = mistakes.or(check_secrets(self.secrets, &aws, directory), None);
        let destination = match overrides.local {
            Some(directory) => Destination::Directory(directory),
            None => Destination::Amazon { aws: Box::new(aws), endpoint_url },
        };
        let listens = listen.is_some();
        let has_listener = listen.as_deref().is_some_and(|listen| listen != "off");
        // What is set about a collector is checked also where none runs this time.
        let has_collector = listens || !self.sources.is_empty();
        let collect = has_collector.then(|| {
            let listen = listen.as_deref().unwrap_or("off");
            check_collect(
                listen,
                directory,
                self.sources,
                &references,
                self.http,
                &self.spool,
                &data_dir,
            )
        });
        let collect = collect.and_then(|it| mistakes.some(it)).filter(|_| listens);
        let reads_stdin = overrides.inputs.is_empty() && !listens;
        let inputs = if reads_stdin { vec![Input::Stdin] } else { overrides.inputs };
        let admin = overrides.admin.or(self.admin.listen);
        let admin = check_admin(admin.as_deref(), has_listener);
        let settings = Settings {
            source_names,
            source_roles,
            inputs,
            admin: mistakes.or(admin, None),
            admin_token,
            collect,
            plugin,
            plugin_settings,
            written_plugin_settings,
            default_plugin_members,
            hosting,
            destination,
            delivery: check_delivery(&mut mistakes, &self.delivery, &self.streams, &data_dir),
            data_dir,
            dead_letters: mistakes.or(check_dead_letters(&self.dead_letters), Bound::default()),
            secrets,
            dead_letter_stream: mistakes.or(dead_letter_stream(&self.dead_letters), None),
            workers: mistakes.or(workers(self.workers), NonZero::<usize>::MIN),
            drain_timeout,
            fail_fast: overrides.fail_fast,
            #[cfg(feature = "catalog")]
            catalog,
            log: mistakes.or(check_log(self.log), None),
            stated,
            warnings: Vec::new(),
            places: Places::default(),
        };
        mistakes.end(settings)
    }
}

impl RawSettings {
    /// Where dead letters and compiled plugins are kept; a directory of the
    /// command line goes before that of the file, which stands in `directory`, as the
    /// default one does.
    pub fn data_dir(&self, directory: &Path, over: Option<PathBuf>) -> PathBuf {
        let own = self.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR));
        over.unwrap_or_else(|| directory.join(own))
    }
}

impl Settings {
    /// The settings of all plugins, whichever role they have.
    pub(crate) fn plugins_settings(&self) -> impl Iterator<Item = &str> {
        let Hosting { canary, shadow, .. } = &self.hosting;
        let beside = canary.iter().map(|(canary, _)| canary).chain(shadow);
        let own = [&self.plugin_settings, &self.written_plugin_settings];
        beside.map(|beside| &beside.settings).chain(own).map(String::as_str)
    }
}

/// A plugin's settings, with members that are meant for the default plugin alone.
fn with_members(
    plugin: &PluginSource,
    members: &serde_json::Map<String, Value>,
    own: serde_json::Map<String, Value>,
) -> String {
    let mut settings = match plugin.file() {
        Some(_) => serde_json::Map::new(),
        None => members.clone(),
    };
    settings.extend(own);
    Value::Object(settings).to_string()
}

/// What stands for settings of AWS that are wrong: their role, which the roles of sources
/// are checked with.
fn unchecked_aws(raw: &RawAws) -> (AwsSettings, Option<String>) {
    let role = raw.role_arn.clone().map(|arn| Role { arn, ..Role::default() });
    (AwsSettings { role, ..AwsSettings::default() }, None)
}

/// Whether the catalog is left out of this build, so that no run of it can come by itself.
#[cfg(not(feature = "catalog"))]
fn refuse_scheduled_catalog(settings: &RawSettings) -> Result<(), ConfigError> {
    let schedule = settings.catalog.as_ref().and_then(|catalog| catalog.schedule.as_ref());
    match schedule {
        Some(_) => Err(ConfigError::new(
            "invalid [catalog] schedule: this program has no catalog: build it with the feature `catalog` \
             of the crate `standpipe`, or remove the schedule",
        )),
        None => Ok(()),
    }
}

/// What an embedder's logger makes of `log` is its own matter.
#[cfg(not(feature = "cli"))]
fn check_log(filter: Option<String>) -> Result<Option<String>, ConfigError> {
    Ok(filter)
}

/// As the variable `RUST_LOG` has it.
#[cfg(feature = "cli")]
fn check_log(filter: Option<String>) -> Result<Option<String>, ConfigError> {
    let Some(filter) = filter else { return Ok(None) };
    match EnvFilter::try_new(&filter) {
        Ok(_) => Ok(Some(filter)),
        Err(error) => Err(ConfigError::new(format!(
            "invalid log {filter:?}: {error}: expected a level such as \"info\" or \"debug\", or levels of \
             parts of the program such as \"info,standpipe_delivery=debug\""
        ))),
    }
}

/// Rows of the command line come after those of the file, and so go before them.
fn with_mappings(
    mut settings: serde_json::Map<String, Value>,
    mappings: Vec<(String, String)>,
) -> Result<serde_json::Map<String, Value>, ConfigError> {
    if !mappings.is_empty() {
        let rows = settings.entry("mappings").or_insert_with(|| json!([]));
        let rows = rows.as_array_mut().ok_or_else(|| {
            ConfigError::new("[plugin.settings] mappings must be rows of `event` and `stream` for --map to add to")
        })?;
        rows.extend(
            mappings.into_iter().map(|(event, stream)| json!({"event": event, "stream": stream})),
        );
    }
    Ok(settings)
}

fn check_delivery(
    mistakes: &mut Mistakes,
    delivery: &RawDelivery,
    streams: &std::collections::BTreeMap<String, RawStream>,
    data_dir: &Path,
) -> DeliverySettings {
    let stream = StreamSettings {
        newline: delivery.newline.unwrap_or(true),
        concurrency: mistakes
            .or(concurrency("[delivery]", delivery.concurrency), None)
            .unwrap_or(CONCURRENCY),
        pack: mistakes.or(pack("[delivery]", delivery.pack.as_ref()), None).unwrap_or(Pack::Off),
    };
    let is_packed = mistakes.some(check_packed("[delivery]", stream)).is_some();
    let mut by_name = HashMap::with_capacity(streams.len());
    for (name, settings) in streams {
        let place = format!("[streams.{}]", toml_key(name));
        let own_concurrency = mistakes.or(concurrency(&place, settings.concurrency), None);
        let own_pack = mistakes.or(pack(&place, settings.pack.as_ref()), None);
        let own = StreamSettings {
            newline: settings.newline.unwrap_or(stream.newline),
            concurrency: own_concurrency.unwrap_or(stream.concurrency),
            pack: own_pack.unwrap_or(stream.pack),
        };
        // What is wrong for all streams is told once.
        if is_packed || own != stream {
            mistakes.or(check_packed(&place, own), ());
        }
        let name =
            StreamName::parse(name).map_err(|error| ConfigError::new(format!("{place}: {error}")));
        if let Some(name) = mistakes.some(name) {
            by_name.insert(name, own);
        }
    }
    let mut time = |key: &str, value: &Option<String>, usual, most| {
        mistakes.or(duration(&format!("[delivery] {key}"), value.as_deref(), usual, most), usual)
    };
    let grace = &delivery.missing_stream_grace;
    DeliverySettings {
        stream,
        streams: by_name,
        start_rate: StartRate::Unbounded,
        max_delay: time("max_delay", &delivery.max_delay, MAX_DELAY, MAX_DELAY_MAX),
        in_flight_bytes_max: standpipe_delivery::limits::IN_FLIGHT_BYTES_MAX,
        request_bytes_enough: standpipe_delivery::limits::REQUEST_BYTES_ENOUGH,
        missing_stream_grace: time(
            "missing_stream_grace",
            grace,
            MISSING_STREAM_GRACE,
            DURATION_MAX,
        ),
        stream_idle_timeout: time(
            "stream_idle_timeout",
            &delivery.stream_idle_timeout,
            standpipe_delivery::limits::STREAM_IDLE_TIMEOUT,
            DURATION_MAX,
        ),
        overflow_directory: data_dir.join("overflow"),
        overflow_bytes_max: delivery
            .overflow_max_bytes
            .unwrap_or(standpipe_delivery::limits::OVERFLOW_BYTES_MAX),
        dynamic_streams_max: mistakes.or(
            dynamic_streams(delivery.max_dynamic_streams),
            standpipe_delivery::limits::DYNAMIC_STREAMS_MAX,
        ),
    }
}

fn dynamic_streams(streams: Option<usize>) -> Result<usize, ConfigError> {
    match streams.unwrap_or(standpipe_delivery::limits::DYNAMIC_STREAMS_MAX) {
        streams @ ..=standpipe_delivery::limits::DYNAMIC_STREAMS_MAX_MAX => Ok(streams),
        streams => Err(ConfigError::new(format!(
            "invalid [delivery] max_dynamic_streams: expected at most {}, found {streams}",
            standpipe_delivery::limits::DYNAMIC_STREAMS_MAX_MAX
        ))),
    }
}

fn check_dead_letters(dead_letters: &RawDeadLetters) -> Result<Bound, ConfigError> {
    let mut mistakes = Mistakes::default();
    let when_full = match dead_letters.when_full.as_deref() {
        None | Some("stop") => WhenFull::Stop,
        Some("drop_oldest") => WhenFull::DropOldest,
        Some(word) => {
            mistakes.add(ConfigError::new(format!(
                "[dead_letters] when_full is {word:?}: write \"stop\" or \"drop_oldest\""
            )));
            WhenFull::Stop
        }
    };
    let bytes_max = dead_letters.max_bytes.unwrap_or(standpipe_delivery::limits::DEAD_BYTES_MAX);
    if bytes_max < standpipe_delivery::limits::DEAD_BYTES_MAX_MIN {
        mistakes.add(ConfigError::new(format!(
            "[dead_letters] max_bytes is {bytes_max}: write at least {}",
            standpipe_delivery::limits::DEAD_BYTES_MAX_MIN
        )));
    }
    mistakes.end(Bound { bytes_max, when_full })
}

fn dead_letter_stream(dead_letters: &RawDeadLetters) -> Result<Option<StreamName>, ConfigError> {
    let parse = |name: &String| {
        StreamName::parse(name)
            .map_err(|error| ConfigError::new(format!("[dead_letters] stream: {error}")))
    };
    dead_letters.stream.as_ref().map(parse).transpose()
}

fn concurrency(place: &str, value: Option<usize>) -> Result<Option<usize>, ConfigError> {
    match value {
        Some(value) if !(1..=CONCURRENCY_MAX).contains(&value) => Err(ConfigError::new(format!(
            "{place} concurrency is {value}: write a number from 1 to {CONCURRENCY_MAX}"
        ))),
        value => Ok(value),
    }
}

fn pack(place: &str, value: Option<&RawPack>) -> Result<Option<Pack>, ConfigError> {
    let wrong = |what: &str| {
        Err(ConfigError::new(format!(
            "{place} pack is {what}: write \"off\", \"auto\", or {{ max_bytes = N }} with N from {PACK_BYTES_MIN} to {}",
            standpipe_delivery::limits::RECORD_BYTES_MAX
        )))
    };
    match value {
        None => Ok(None),
        Some(RawPack::Word(word)) if word == "off" => Ok(Some(Pack::Off)),
        Some(RawPack::Word(word)) if word == "auto" => Ok(Some(Pack::Auto)),
        Some(RawPack::Word(word)) => wrong(&format!("{word:?}")),
        Some(RawPack::UpTo(up_to)) => match up_to.max_bytes {
            bytes_max @ PACK_BYTES_MIN..=standpipe_delivery::limits::RECORD_BYTES_MAX => {
                Ok(Some(Pack::UpTo { bytes_max }))
            }
            bytes => wrong(&format!("{{ max_bytes = {bytes} }}")),
        },
    }
}

fn check_packed(place: &str, stream: StreamSettings) -> Result<(), ConfigError> {
    if stream.pack != Pack::Off && !stream.newline {
        return Err(ConfigError::new(format!(
            "{place} pack joins events without newlines between them: set newline = true, or pack = \"off\""
        )));
    }
    Ok(())
}

fn workers(value: Option<usize>) -> Result<NonZero<usize>, ConfigError> {
    let one = NonZero::<usize>::MIN;
    match value {
        None => Ok(std::thread::available_parallelism().unwrap_or(one)),
        Some(value) => {
            NonZero::new(value).filter(|value| value.get() <= WORKERS_MAX).ok_or_else(|| {
                ConfigError::new(format!(
                    "workers is {value}: write a number from 1 to {WORKERS_MAX}"
                ))
            })
        }
    }
}

pub(super) fn duration(
    key: &str,
    value: Option<&str>,
    default: Duration,
    longest: Duration,
) -> Result<Duration, ConfigError> {
    let Some(text) = value else { return Ok(default) };
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= longest => Ok(duration),
        Ok(_) => Err(ConfigError::new(format!(
            "{key} is {text:?}: write at most {}",
            humantime::format_duration(longest)
        ))),
        Err(error) => Err(ConfigError::new(format!(
            "{key} is {text:?}, which is no duration ({error}): write for instance \"500ms\", \"30s\" or \"5m\""
        ))),
    }
}
