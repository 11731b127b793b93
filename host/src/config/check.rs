//! The checked form of a settings file. Combines the checks of all crates.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
#[cfg(feature = "cli")]
use tracing_subscriber::EnvFilter;

use super::functions::{SourceFunction, check_source_functions};
use super::identities::{SourceRole, check_source_roles};
#[cfg(not(feature = "collector"))]
pub use super::not_built::NotBuilt as CollectSettings;
#[cfg(not(feature = "queue"))]
pub use super::not_built::{NotBuilt as FleetSettings, NotBuilt as QueueSettings};
use super::plugin::{
    ActivePlugin, PluginHosting, PluginPaths, PluginSource, default_plugin_members,
};
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
#[cfg(feature = "queue")]
pub use standpipe_queue::QueueSettings;
#[cfg(feature = "queue")]
pub use standpipe_queue::fleet::FleetSettings;

/// The default directory of dead letters and compiled plugins, next to the settings file.
pub const DATA_DIR: &str = "standpipe-data";

/// The maximum of `workers`, above the number of processors in any machine.
const WORKERS_MAX: usize = 256;

/// The checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The inputs, in this order.
    pub inputs: Vec<Input>,
    /// The settings of the collector, if it is enabled.
    pub collect: Option<CollectSettings>,
    /// The queue between collectors and mappers, if there is one.
    pub queue: Option<QueueSettings>,
    /// The fleet that decides which plugin is active, if the run maps events.
    pub fleet: Option<FleetSettings>,
    /// The sources, by the names of today and of before.
    pub source_names: SourceNames,
    /// The sources with their own role.
    pub source_roles: Vec<SourceRole>,
    /// The functions of sources, if the collector is enabled.
    pub functions: Vec<SourceFunction>,
    /// The address of health checks, metrics and the admin API, if one is set.
    pub admin: Option<SocketAddr>,
    /// The token for changes of the plugin through the admin API. Without a token, the API refuses
    /// them.
    pub admin_token: Option<SecretSetting>,
    /// The plugin.
    pub plugin: PluginSource,
    /// The plugin's settings: JSON text, an object.
    pub plugin_settings: String,
    /// The plugin's settings as written in the file, for other components that may become the plugin.
    pub written_plugin_settings: String,
    /// Additional settings of the built-in plugin, used if its own settings do not contain them.
    pub default_plugin_members: serde_json::Map<String, Value>,
    /// How Standpipe hosts the plugin.
    pub hosting: PluginHosting,
    /// The destination of records.
    pub destination: RecordDestination,
    /// How records are delivered.
    pub delivery: DeliverySettings,
    /// The directory of dead letters and compiled plugins.
    pub data_dir: PathBuf,
    /// The limits of dead letters.
    pub dead_letters: DeadLetterLimit,
    /// The secret store for secrets that are not in the settings, if one is set.
    pub secrets: Option<SecretStoreSettings>,
    /// The stream for copies of dead letters, if one is set.
    pub dead_letter_stream: Option<StreamName>,
    /// Threads that map events.
    pub workers: NonZero<usize>,
    /// How long delivery continues after a signal to stop.
    pub drain_timeout: Duration,
    /// Whether the run ends instead of waiting for a person, or for a service that cannot be
    /// reached.
    pub fail_fast: bool,
    /// The catalog that runs on a schedule, if there is one.
    #[cfg(feature = "catalog")]
    pub catalog: Option<Box<CatalogSettings>>,
    /// The log filter, if the settings contain one.
    pub log: Option<String>,
    /// The settings as written in the file, to find later changes.
    pub stated: Arc<RawSettings>,
    /// Settings that are valid, but probably a mistake.
    pub warnings: Vec<Mistake>,
    /// The positions of the keys in the file, for later errors.
    pub places: KeyPositions,
}

/// The destination of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordDestination {
    /// A file for each stream in a local directory.
    Directory(PathBuf),
    /// Amazon Data Firehose.
    Amazon {
        /// Region and credentials.
        aws: Box<AwsSettings>,
        /// A URL that replaces the region's endpoint.
        endpoint_url: Option<String>,
    },
}

/// Options of the command line, which override the settings file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The inputs. Standard input is read if no input is named and the collector is off.
    pub inputs: Vec<Input>,
    /// The address of the collector.
    pub listen: Option<String>,
    /// The address of health checks and metrics, or `off`.
    pub admin: Option<String>,
    /// The plugin's file.
    pub plugin: Option<PathBuf>,
    /// The file of the component that runs the plugin, if it is a script.
    pub runner: Option<PathBuf>,
    /// Further mappings, as event and stream.
    pub mappings: Vec<(String, String)>,
    /// A local directory that replaces Firehose.
    pub local: Option<PathBuf>,
    /// The directory of dead letters and compiled plugins.
    pub data_dir: Option<PathBuf>,
    /// The region.
    pub region: Option<String>,
    /// A URL that replaces the region's endpoint.
    pub endpoint_url: Option<String>,
    /// Whether the run ends instead of waiting.
    pub fail_fast: bool,
}

impl RawSettings {
    /// Checks the settings together with the command line. Relative paths in the settings file
    /// start at `directory`, the directory of the file.
    ///
    /// # Errors
    ///
    /// Fails if a setting is wrong. The error contains its name.
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

    /// Checks the settings without adding positions to the mistakes.
    fn check_all(self, directory: &Path, overrides: Overrides) -> Result<Settings, ConfigError> {
        let stated = Arc::new(self.clone());
        let mut checker = SettingsChecker::new(directory, self.secrets.secret_manager());
        #[cfg(feature = "catalog")]
        let catalog = self.check_scheduled_catalog(directory, &overrides, &mut checker);
        #[cfg(not(feature = "catalog"))]
        reject_scheduled_catalog(&self, &mut checker);
        let data_dir = self.data_dir(directory, overrides.data_dir);
        let listen = overrides.listen.as_ref().or(self.listen.as_ref());
        let over = PluginPaths { plugin: overrides.plugin, runner: overrides.runner };
        let plugin = PluginSource::of(&self.plugin, directory, over.clone());
        check_runner_option(&over, &plugin, &mut checker);
        let default_plugin_members = default_plugin_members(listen.is_some());
        let own_settings = self.plugin.settings.clone();
        let own_settings = with_mappings(own_settings, overrides.mappings, &mut checker);
        let script_options = self.plugin.check_script_options(&mut checker.table("plugin"));
        let active = ActivePlugin {
            source: &plugin,
            settings: &own_settings,
            script_options: &script_options,
            libraries: &self.plugin.libraries,
        };
        let hosting = PluginHosting::check(&self.plugin, active, &mut checker);
        let own_settings = plugin.with_script_options(own_settings, &script_options);
        let written_plugin_settings = Value::Object(own_settings.clone()).to_string();
        let plugin_settings = with_members(&plugin, &default_plugin_members, own_settings);
        let aws_overrides =
            AwsOverrides { region: overrides.region, endpoint_url: overrides.endpoint_url };
        let (aws, endpoint_url) = self.aws.check(aws_overrides, &mut checker.table("aws"));
        let source_roles = check_source_roles(&self.sources, aws.role.as_ref(), &mut checker);
        let functions = check_source_functions(&self.sources, &mut checker);
        let secrets = self.secrets.check(&aws, &mut checker.table("secrets"));
        let queue = self.check_queue(&aws, listen.is_some(), &mut checker);
        let fleet = self.check_fleet(queue.as_ref(), &mut checker);
        let receives = queue.as_ref().is_some_and(QueueSettings::is_mapper);
        let mut collect = self.check_collect(listen, &data_dir, &mut checker);
        if queue.as_ref().is_some_and(|queue| !queue.has_spool()) {
            collect.iter_mut().for_each(CollectSettings::remove_spool);
        }
        let reads_stdin = overrides.inputs.is_empty() && listen.is_none() && !receives;
        let hands_back = receives && listen.is_none() && overrides.inputs.is_empty();
        let has_listener = receives || listen.is_some_and(|listen| listen != "off");
        let admin = overrides.admin.as_deref();
        let mut dead_letters = checker.table("dead_letters");
        let settings = Settings {
            dead_letters: self.dead_letters.check(&mut dead_letters),
            dead_letter_stream: self.dead_letters.check_stream(&mut dead_letters),
            source_names: check_source_names(&self.sources, &mut checker),
            source_roles,
            functions: if collect.is_some() { functions } else { Vec::new() },
            inputs: if reads_stdin { vec![Input::Stdin] } else { overrides.inputs },
            admin: self.admin.check_address(admin, has_listener, &mut checker),
            admin_token: self.admin.check_token(&mut checker),
            collect,
            queue,
            fleet,
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
            drain_timeout: self
                .delivery
                .check_drain_timeout(hands_back, &mut checker.table("delivery")),
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

    /// Checks the settings of the collector, even if this run has none.
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

    #[cfg(feature = "queue")]
    fn check_queue(
        &self,
        aws: &AwsSettings,
        listens: bool,
        checker: &mut SettingsChecker,
    ) -> Option<QueueSettings> {
        let queue = self.queue.as_ref()?.check(aws, &mut checker.table("queue"))?;
        if listens && !queue.is_collector() {
            checker.add(
                "[queue] role is \"mapper\", and a mapper receives events only from the queue: remove listen, or set \
                 role = \"both\"",
            );
        }
        let is_scheduled = self.catalog.as_ref().is_some_and(|catalog| catalog.schedule.is_some());
        if is_scheduled && !queue.is_mapper() {
            checker.add(
                "[catalog] schedule needs a plugin, and a collector has none: set the schedule for one of the mappers",
            );
        }
        Some(queue)
    }

    #[cfg(feature = "queue")]
    fn check_fleet(
        &self,
        queue: Option<&QueueSettings>,
        checker: &mut SettingsChecker,
    ) -> Option<FleetSettings> {
        let fleet = self.fleet.as_ref()?;
        if self.plugin.canary.is_some() {
            checker.add(
                "[plugin.canary] is for a single host: remove it, and use `host fleet canary` for hosts with [fleet]",
            );
        }
        // A queue with mistakes of its own is there all the same.
        if queue.is_none() && self.queue.is_some() {
            return None;
        }
        fleet.check(queue, &mut checker.table("fleet"))
    }

    /// The directory of dead letters and compiled plugins. A directory of the command line
    /// overrides that of the file. `directory` is the directory of the settings file, in which the
    /// default is located.
    pub fn data_dir(&self, directory: &Path, over: Option<PathBuf>) -> PathBuf {
        let own = self.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR));
        over.unwrap_or_else(|| directory.join(own))
    }
}

impl Settings {
    /// Whether the run publishes events to a queue.
    pub fn publishes(&self) -> bool {
        self.queue.as_ref().is_some_and(QueueSettings::is_collector)
    }

    /// Whether the run maps events and delivers them.
    pub fn is_mapper(&self) -> bool {
        self.queue.as_ref().is_none_or(QueueSettings::is_mapper)
    }

    /// The settings of all plugins: those in all roles, and the functions of sources.
    pub(crate) fn all_plugin_settings(&self) -> impl Iterator<Item = &str> {
        self.mapper_settings().chain(self.function_settings())
    }

    /// The settings of the plugins that map events, in all roles.
    pub(crate) fn mapper_settings(&self) -> impl Iterator<Item = &str> {
        let PluginHosting { canary, shadow, .. } = &self.hosting;
        let beside = canary.iter().map(|(canary, _)| canary).chain(shadow);
        let own = [&self.plugin_settings, &self.written_plugin_settings];
        beside.map(|beside| &beside.settings).chain(own).map(String::as_str)
    }

    /// The settings of the functions of sources.
    pub(crate) fn function_settings(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().map(|function| function.settings.as_str())
    }
}

/// Checks that there is a script for the runner of the command line.
fn check_runner_option(over: &PluginPaths, plugin: &PluginSource, checker: &mut SettingsChecker) {
    if over.runner.is_some() && !matches!(plugin, PluginSource::Script(_)) {
        checker.table("plugin").add_mistake(
            "--runner names the component that runs a script, and there is no script: add --plugin FILE, or script",
        );
    }
}

/// A plugin's settings, with additional members if they contain rules of the built-in plugin.
fn with_members(
    plugin: &PluginSource,
    members: &serde_json::Map<String, Value>,
    own: serde_json::Map<String, Value>,
) -> String {
    let mut settings = match plugin.uses_mapping_rules() {
        true => members.clone(),
        false => serde_json::Map::new(),
    };
    settings.extend(own);
    Value::Object(settings).to_string()
}

#[cfg(not(feature = "collector"))]
impl RawSettings {
    /// Rejects `listen`, because this build does not contain the collector.
    fn check_collect(
        &self,
        listen: Option<&String>,
        _: &Path,
        checker: &mut SettingsChecker,
    ) -> Option<CollectSettings> {
        if listen.is_some() {
            reject_without_feature("listen", "collector", "collector", checker);
        }
        None
    }
}

#[cfg(not(feature = "queue"))]
impl RawSettings {
    /// Rejects `[queue]`, because this build does not contain queues.
    fn check_queue(
        &self,
        _: &AwsSettings,
        _: bool,
        checker: &mut SettingsChecker,
    ) -> Option<QueueSettings> {
        if self.queue.is_some() {
            reject_without_feature("[queue]", "queues", "queue", checker);
        }
        None
    }

    /// Rejects `[fleet]`, because this build does not contain fleets.
    fn check_fleet(
        &self,
        _: Option<&QueueSettings>,
        checker: &mut SettingsChecker,
    ) -> Option<FleetSettings> {
        if self.fleet.is_some() {
            reject_without_feature("[fleet]", "fleets", "queue", checker);
        }
        None
    }
}

/// Rejects a scheduled catalog, because this build does not contain the catalog and could not run
/// it.
#[cfg(not(feature = "catalog"))]
fn reject_scheduled_catalog(settings: &RawSettings, checker: &mut SettingsChecker) {
    if settings.catalog.as_ref().is_some_and(|catalog| catalog.schedule.is_some()) {
        reject_without_feature("[catalog] schedule", "catalog", "catalog", checker);
    }
}

/// Rejects a section or a key for a part of the program that this build does not contain.
#[cfg(not(all(feature = "catalog", feature = "collector", feature = "queue")))]
fn reject_without_feature(setting: &str, part: &str, feature: &str, checker: &mut SettingsChecker) {
    checker.add(format!(
        "invalid {setting}: this program has no {part}: build it with the feature `{feature}` of the crate \
         `standpipe`, or remove {setting}"
    ));
}

/// An embedding program has its own logger, so the filter is not checked.
#[cfg(not(feature = "cli"))]
fn check_log(filter: Option<String>, _: &mut SettingsChecker) -> Option<String> {
    filter
}

/// Checks a filter in the syntax of the variable `RUST_LOG`.
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
