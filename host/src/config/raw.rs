//! The settings file as it is written: the raw forms of all crates together.

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
use standpipe_spool::RawSpool;

/// The settings file of Standpipe's host.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSettings {
    /// The directory of dead letters, compiled plugins and the spool; `standpipe-data` beside
    /// the settings file by default.
    #[schemars(example = &"/var/lib/standpipe")]
    pub data_dir: Option<PathBuf>,
    /// Threads that map events; one for each processor by default.
    #[schemars(example = 4)]
    pub workers: Option<usize>,
    /// Which log lines are written: a level (`error`, `warn`, `info`, `debug`, `trace`,
    /// `off`), or levels of parts of the program, separated by commas:
    /// `info,standpipe_delivery=debug`. `info` by default. The variable `RUST_LOG` overrides
    /// it.
    #[schemars(example = &"info")]
    pub log: Option<String>,
    /// The address that SDKs send to, such as `0.0.0.0:8080`. Without
    /// it, and without `--listen`, the host reads files and standard input.
    #[schemars(example = &"0.0.0.0:8080")]
    pub listen: Option<String>,
    /// The sources that may send events to that address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<RawSource>,
    /// How that address is served.
    #[serde(skip_serializing_if = "is_default")]
    pub http: RawHttp,
    /// The spool, which keeps events from the response until they are delivered.
    #[serde(skip_serializing_if = "is_default")]
    pub spool: RawSpool,
    /// Health and metrics.
    #[serde(skip_serializing_if = "is_default")]
    pub admin: RawAdmin,
    /// The mapping plugin.
    pub plugin: RawPlugin,
    /// Access to AWS. What is missing here is looked for where every AWS SDK
    /// looks.
    #[serde(skip_serializing_if = "is_default")]
    pub aws: RawAws,
    /// The manager that resolves secrets written as `secret:NAME`.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: RawSecrets,
    /// How records are delivered.
    #[serde(skip_serializing_if = "is_default")]
    pub delivery: RawDelivery,
    /// What the dead letters may take, and where copies of them go.
    #[serde(skip_serializing_if = "is_default")]
    pub dead_letters: RawDeadLetters,
    /// What is reported about the delivery streams to data catalogs.
    pub catalog: Option<RawCatalog>,
    /// What differs for a delivery stream, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, RawStream>,
    /// Where its keys stand in the file, for errors.
    #[serde(skip)]
    #[schemars(skip)]
    pub places: KeyPositions,
}

/// What is reported about the delivery streams to data catalogs. This build has no catalog, so
/// that only the key matters by which runs would come by themselves.
#[cfg(not(feature = "catalog"))]
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RawCatalog {
    /// When it is read.
    pub schedule: Option<String>,
}
