//! The checked form of a settings file, and how the crates' checks come together.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
#[cfg(feature = "cli")]
use tracing_subscriber::EnvFilter;

use super::identities::{SourceRole, check_source_roles};
use super::plugin::{PluginHosting, PluginSource, default_plugin_members};
use super::{ConfigError, KeyPositions, Mistake, RawSettings};
use crate::source::Input;
use standpipe_aws::secret_store::SecretStoreSettings;
use standpipe_aws::{AwsOverrides, AwsSettings};
#[cfg(feature = "catalog")]
use standpipe_catalog::CatalogSettings;
#[cfg(feature = "collector")]
pub use standpipe_collector::CollectSettings;
#[cfg(feature = "collector")]
use standpipe_collector::RawCollect;
use standpipe_core::event::{SourceNames, StreamName};
use standpipe_core::secret::SecretSetting;
use standpipe_core::settings::{SettingsChecker, check_source_names};
use standpipe_delivery::DeliverySettings;
use standpipe_delivery::dead_letters::DeadLetterLimit;

/// Where dead letters and compiled plugins are kept, beside the settings file.
pub const DATA_DIR: &str = "standpipe-data";

/// Threads that map events: more than any machine's processors gain from.
const WORKERS_MAX: usize = 256;

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
    /// The address that serves health and metrics, if any does.
    pub admin: Option<SocketAddr>,
    /// What gives control of the plugin there; nothing does without it.
    pub admin_token: Option<SecretSetting>,
    /// The plugin.
    pub plugin: PluginSource,
    /// The plugin's settings: JSON text, an object.
    pub plugin_settings: String,
    /// The plugin's settings as written in the file, for other components that may become the plugin.
    pub written_plugin_settings: String,
    /// What the settings of the built-in plugin have on top where they do not say otherwise.
    pub default_plugin_members: serde_json::Map<String, Value>,
    /// How the plugin is hosted.
    pub hosting: PluginHosting,
    /// Where records go.
    pub destination: RecordDestination,
    /// How they are delivered.
    pub delivery: DeliverySettings,
    /// Where dead letters and compiled plugins are kept.
    pub data_dir: PathBuf,
    /// What the dead letters may take.
    pub dead_letters: DeadLetterLimit,
    /// Who keeps the secrets that are not in the settings, if anybody does.
    pub secrets: Option<SecretStoreSettings>,
    /// Where a copy of each dead letter goes.
    pub dead_letter_stream: Option<StreamName>,
    /// Threads that map events.
    pub workers: NonZero<usize>,
    /// How long to go on delivering after a signal to stop.
    pub drain_timeout: Duration,
    /// Whether the run ends where it would otherwise wait until somebody acts, or until
    /// a service is reached.
    pub fail_fast: bool,
    /// The catalog that runs on a schedule, if there is one.
    #[cfg(feature = "catalog")]
    pub catalog: Option<Box<CatalogSettings>>,
    /// Which log lines are written, where the settings say.
    pub log: Option<String>,
    /// The settings as written in the file, to find later what has changed.
    pub stated: Arc<RawSettings>,
    /// What can be meant as it is written, and hardly is.
    pub warnings: Vec<Mistake>,
    /// Where the keys stand in the file, for errors that come up later.
    pub places: KeyPositions,
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordDestination {
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

/// Options of the command line, which override the settings file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// What to read; standard input if nothing is named, and nothing is listened
    /// to.
    pub inputs: Vec<Input>,
    /// The address on which SDKs are listened to.
    pub listen: Option<String>,
    /// The address that serves health and metrics, or `off`.
    pub admin: Option<String>,
    /// The plugin's file.
    pub plugin: Option<PathBuf>,
    /// Further mappings, as event and stream.
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
        let checked = self.check_all(directory, overrides);
        let settings = checked.map_err(|error| places.locate_all(error))?;
        Ok(Settings { warnings: places.warnings().to_vec(), places, ..settings })
    }

    /// Checks the settings, without the places of what is wrong.
    fn check_all(self, directory: &Path, overrides: Overrides) -> Result<Settings, ConfigError> {
        let stated = Arc::new(self.clone());
        let mut checker = SettingsChecker::new(directory, self.secrets.secret_manager());
        #[cfg(feature = "catalog")]
        let catalog = self.check_scheduled_catalog(directory, &overrides, &mut checker);
        #[cfg(not(feature = "catalog"))]
        refuse_scheduled_catalog(&self, &mut checker);
        let data_dir = self.data_dir(directory, overrides.data_dir);
        let listen = overrides.listen.as_ref().or(self.listen.as_ref());
        let plugin = PluginSource::of(&self.plugin, directory, overrides.plugin);
        let default_plugin_members = default_plugin_members(listen.is_some());
        let own_settings = self.plugin.settings.clone();
        let own_settings = with_mappings(own_settings, overrides.mappings, &mut checker);
        let written_plugin_settings = Value::Object(own_settings.clone()).to_string();
        let plugin_settings = with_members(&plugin, &default_plugin_members, own_settings);
        let written = &written_plugin_settings;
        let hosting = PluginHosting::check(&self.plugin, (&plugin, written), &mut checker);
        let aws_overrides =
            AwsOverrides { region: overrides.region, endpoint_url: overrides.endpoint_url };
        let (aws, endpoint_url) = self.aws.check(aws_overrides, &mut checker.table("aws"));
        let source_roles = check_source_roles(&self.sources, aws.role.as_ref(), &mut checker);
        let secrets = self.secrets.check(&aws, &mut checker.table("secrets"));
        let collect = self.check_collect(listen, &data_dir, &mut checker);
        let reads_stdin = overrides.inputs.is_empty() && listen.is_none();
        let has_listener = listen.is_some_and(|listen| listen != "off");
        let admin = overrides.admin.as_deref();
        let mut dead_letters = checker.table("dead_letters");
        let settings = Settings {
            dead_letters: self.dead_letters.check(&mut dead_letters),
            dead_letter_stream: self.dead_letters.check_stream(&mut dead_letters),
            source_names: check_source_names(&self.sources, &mut checker),
            source_roles,
            inputs: if reads_stdin { vec![Input::Stdin] } else { overrides.inputs },
            admin: self.admin.check_address(admin, has_listener, &mut checker),
            admin_token: self.admin.check_token(&mut checker),
            collect,
            plugin,
            plugin_settings,
            written_plugin_settings,
            default_plugin_members,
            hosting,
            destination: match overrides.local {
                Some(directory) => RecordDestination::Directory(directory),
                None => RecordDestination::Amazon { aws: Box::new(aws), endpoint_url },
            },
            delivery: self.delivery.check(&self.streams, &data_dir, &mut checker),
            data_dir,
            secrets,
            workers: check_workers(self.workers, &mut checker),
            drain_timeout: self.delivery.check_drain_timeout(&mut checker.table("delivery")),
            fail_fast: overrides.fail_fast,
            #[cfg(feature = "catalog")]
            catalog,
            log: check_log(self.log, &mut checker),
            stated,
            warnings: Vec::new(),
            places: KeyPositions::default(),
        };
        ConfigError::check(checker, settings)
    }

    /// What is set about a collector is checked also where none runs this time.
    #[cfg(feature = "collector")]
    fn check_collect(
        &self,
        listen: Option<&String>,
        data_dir: &Path,
        checker: &mut SettingsChecker,
    ) -> Option<CollectSettings> {
        if listen.is_none() && self.sources.is_empty() {
            return None;
        }
        let raw = RawCollect {
            listen: listen.map_or("off", String::as_str),
            sources: &self.sources,
            http: &self.http,
            spool: &self.spool,
        };
        let collect = raw.check(data_dir, checker);
        listen.map(|_| collect)
    }

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
    pub(crate) fn all_plugin_settings(&self) -> impl Iterator<Item = &str> {
        let PluginHosting { canary, shadow, .. } = &self.hosting;
        let beside = canary.iter().map(|(canary, _)| canary).chain(shadow);
        let own = [&self.plugin_settings, &self.written_plugin_settings];
        beside.map(|beside| &beside.settings).chain(own).map(String::as_str)
    }
}

/// A plugin's settings, with members that are meant for the built-in plugin alone.
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

#[cfg(not(feature = "collector"))]
impl RawSettings {
    /// Refuses to listen, since the collector is left out of this build.
    fn check_collect(
        &self,
        listen: Option<&String>,
        _: &Path,
        checker: &mut SettingsChecker,
    ) -> Option<CollectSettings> {
        if listen.is_some() {
            checker.add(
                "invalid listen: this program has no collector: build it with the feature `collector` of the crate \
                 `standpipe`, or remove listen",
            );
        }
        None
    }
}

/// The settings of a collector, of which there are none in a build without the feature
/// `collector`.
#[cfg(not(feature = "collector"))]
#[derive(Debug, Clone)]
pub enum CollectSettings {}

/// The catalog is left out of this build, so that no run of it can come by itself.
#[cfg(not(feature = "catalog"))]
fn refuse_scheduled_catalog(settings: &RawSettings, checker: &mut SettingsChecker) {
    if settings.catalog.as_ref().is_some_and(|catalog| catalog.schedule.is_some()) {
        checker.add(
            "invalid [catalog] schedule: this program has no catalog: build it with the feature `catalog` \
             of the crate `standpipe`, or remove the schedule",
        );
    }
}

/// What an embedder's logger makes of `log` is its own matter.
#[cfg(not(feature = "cli"))]
fn check_log(filter: Option<String>, _: &mut SettingsChecker) -> Option<String> {
    filter
}

/// Checks a filter that is written as in the variable `RUST_LOG`.
#[cfg(feature = "cli")]
fn check_log(filter: Option<String>, checker: &mut SettingsChecker) -> Option<String> {
    let filter = filter?;
    if let Err(error) = EnvFilter::try_new(&filter) {
        checker.add(format!(
            "invalid log {filter:?}: {error}: expected a level such as \"info\" or \"debug\", or levels of \
             parts of the program such as \"info,standpipe_delivery=debug\""
        ));
    }
    Some(filter)
}

/// Appends the mappings of the command line to those of the file: of equal mappings the last one counts.
fn with_mappings(
    mut settings: serde_json::Map<String, Value>,
    mappings: Vec<(String, String)>,
    checker: &mut SettingsChecker,
) -> serde_json::Map<String, Value> {
    if mappings.is_empty() {
        return settings;
    }
    let rows = settings.entry("mappings").or_insert_with(|| json!([]));
    match rows.as_array_mut() {
        Some(rows) => rows.extend(
            mappings.into_iter().map(|(event, stream)| json!({"event": event, "stream": stream})),
        ),
        None => checker.add(
            "[plugin.settings] mappings must be a list of tables with `event` and `stream`, for --map to add to",
        ),
    }
    settings
}

fn check_workers(workers: Option<usize>, checker: &mut SettingsChecker) -> NonZero<usize> {
    let one = NonZero::<usize>::MIN;
    let Some(workers) = workers else {
        return std::thread::available_parallelism().unwrap_or(one);
    };
    let workers = checker.top().number("workers", workers, 1..=WORKERS_MAX);
    workers.and_then(NonZero::new).unwrap_or(one)
}
