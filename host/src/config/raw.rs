//! The settings file as written: the raw forms of all crates.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyPositions;
use crate::admin::RawAdmin;
use standpipe_aws::RawAws;
use standpipe_aws::secret_store::RawSecrets;
#[cfg(feature = "catalog")]
use standpipe_catalog::RawCatalog;
use standpipe_core::settings::{RawSource, is_default};
use standpipe_delivery::dead_letters::RawDeadLetters;
use standpipe_delivery::{RawDelivery, RawStream};
use standpipe_http::RawHttp;
use standpipe_plugin_host::RawPlugin;
#[cfg(feature = "queue")]
use standpipe_queue::RawQueue;
#[cfg(feature = "queue")]
use standpipe_queue::fleet::RawFleet;
use standpipe_spool::RawSpool;

/// The settings of Standpipe. Relative paths start at the directory of the settings file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSettings {
    /// Directory for dead letters, compiled plugins, the spool and the overflow. Default:
    /// `standpipe-data` in the directory of the settings file. Protect the directory:
    /// Standpipe runs the files in `cache/` as native code.
    #[schemars(example = &"/var/lib/standpipe")]
    pub data_dir: Option<PathBuf>,
    /// Number of threads that run the plugin, 1 to 256. Default: one for each processor.
    #[schemars(example = 4)]
    pub workers: Option<usize>,
    /// Log level: `error`, `warn`, `info`, `debug`, `trace` or `off`. Default: `info`. Parts
    /// of the program can have other levels: `info,standpipe_delivery=debug`. The environment
    /// variable `RUST_LOG` overrides this key.
    #[schemars(example = &"info")]
    pub log: Option<String>,
    /// Address that SDKs send events to, such as `0.0.0.0:8080`. If neither this key nor the
    /// option `--listen` is set, Standpipe reads files or standard input. `off` is for a
    /// program that embeds Standpipe and passes the requests of SDKs to Standpipe.
    #[schemars(example = &"0.0.0.0:8080")]
    pub listen: Option<String>,
    /// The sources: websites and apps whose SDKs may send events to the address in `listen`.
    /// With `listen`, at least one source is required.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<RawSource>,
    /// Connections and request bodies at the address in `listen`.
    #[serde(skip_serializing_if = "is_default")]
    pub http: RawHttp,
    /// The spool: the queue on disk that holds accepted events until they are delivered.
    #[serde(skip_serializing_if = "is_default")]
    pub spool: RawSpool,
    /// The queue between collectors and mappers on several machines. Without this table, one
    /// process receives events and delivers them.
    pub queue: Option<RawQueue>,
    /// The fleet that this mapper is a part of. All hosts of a fleet change to another plugin at once.
    pub fleet: Option<RawFleet>,
    /// Health checks, metrics and the admin API.
    #[serde(skip_serializing_if = "is_default")]
    pub admin: RawAdmin,
    /// The plugin that chooses the delivery streams of each event.
    pub plugin: RawPlugin,
    /// Access to AWS. If the keys for credentials, region and endpoints are not set, Standpipe
    /// looks for them in the same places as the AWS SDKs.
    #[serde(skip_serializing_if = "is_default")]
    pub aws: RawAws,
    /// The manager that Standpipe reads secrets from. Settings refer to these secrets as
    /// `secret:NAME`.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: RawSecrets,
    /// Delivery of the records to Firehose.
    #[serde(skip_serializing_if = "is_default")]
    pub delivery: RawDelivery,
    /// The size of the files of dead letters, and the delivery stream for copies of dead
    /// letters.
    #[serde(skip_serializing_if = "is_default")]
    pub dead_letters: RawDeadLetters,
    /// Reports on the delivery streams and their lineage for OpenMetadata and OpenLineage, and
    /// as files.
    pub catalog: Option<RawCatalog>,
    /// Settings of single delivery streams, by the name of the stream. They override
    /// `[delivery]`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, RawStream>,
    /// The positions of the keys in the file, for errors.
    #[serde(skip)]
    #[schemars(skip)]
    pub places: KeyPositions,
}

/// A queue between collectors and mappers. This build of Standpipe does not accept this table.
#[cfg(not(feature = "queue"))]
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RawQueue {}

/// A fleet of mappers. This build of Standpipe does not accept this table.
#[cfg(not(feature = "queue"))]
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RawFleet {}

// Without the feature `catalog`, `schedule` is an error, and all other keys are ignored.
/// Reports on the delivery streams. This build of Standpipe has no catalog.
#[cfg(not(feature = "catalog"))]
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RawCatalog {
    /// When runs of the catalog start. This build of Standpipe does not accept this key.
    pub schedule: Option<String>,
}
