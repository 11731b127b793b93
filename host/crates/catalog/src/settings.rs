//! The settings of the catalog: `[catalog]` and the tables in it.

mod lineage;
mod openlineage;
mod openmetadata;
mod raw;
mod servers;

pub use lineage::RawLineage;
pub use openlineage::RawOpenLineage;
pub use openmetadata::RawOpenMetadata;
pub use raw::{RawCatalog, RawCatalogFiles};

use std::collections::BTreeMap;
use std::path::PathBuf;

use tracing::Level;

use super::discovery::DiscoverySettings;
use super::http_client::{Headers, TlsVerification};
use super::lineage::LineageOptions;
use super::openmetadata::OpenMetadataSettings;
use super::schedule::Schedule;
use standpipe_aws::secret_store::SecretStoreSettings;
use standpipe_core::secret::SecretSetting;

/// What the catalog reads, where it writes, and when.
#[derive(Debug, Clone)]
pub struct CatalogSettings {
    /// What the delivery streams are called together, if they are.
    pub service: Option<String>,
    /// What is read, and with what.
    pub discovery: DiscoverySettings,
    /// Who keeps the secrets that are not in the settings, if anybody does.
    pub secrets: Option<SecretStoreSettings>,
    /// What is drawn.
    pub lineage: LineageOptions,
    /// The OpenMetadata server to write to.
    pub openmetadata: Option<OpenMetadataSettings>,
    /// The server for OpenLineage events.
    pub openlineage: Option<OpenLineageServer>,
    /// `HOST:PORT` of a broker by the ARN of its cluster, which is what OpenLineage
    /// calls a cluster by.
    pub brokers: BTreeMap<String, String>,
    /// The files that are written.
    pub files: OutputFiles,
    /// When a run has failed.
    pub judgement: SuccessCriteria,
    /// The level of a run's log.
    pub log_level: Level,
    /// When it runs on its own.
    pub schedule: Schedule,
    /// Where its history is kept.
    pub data_dir: PathBuf,
}

impl CatalogSettings {
    /// What the delivery streams are called together, in summaries and by OpenLineage.
    pub fn service_name(&self) -> &str {
        self.service.as_deref().unwrap_or("standpipe")
    }
}

/// A server that takes events of OpenLineage.
#[derive(Debug, Clone)]
pub struct OpenLineageServer {
    /// The server, such as `http://localhost:5000`.
    pub url: String,
    /// The path of the API there, if it is not that of Marquez.
    pub path: Option<String>,
    /// The token of its requests.
    pub token: Option<SecretSetting>,
    /// Their headers.
    pub headers: Headers,
    /// Checks which certificates are trusted.
    pub verify: TlsVerification,
}

/// Files that are written anew with each run, where they are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputFiles {
    /// Streams and lineage as JSON.
    pub json: Option<PathBuf>,
    /// The picture.
    pub svg: Option<PathBuf>,
    /// The picture as a Mermaid flowchart.
    pub mermaid: Option<PathBuf>,
    /// The picture as a Graphviz graph.
    pub dot: Option<PathBuf>,
    /// Events of OpenLineage, one on each line.
    pub openlineage: Option<PathBuf>,
}

/// When a run has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessCriteria {
    /// Whether lineage that was not resolved is a failure, whatever the rest says.
    pub strict: bool,
    /// How many of a hundred must succeed.
    pub success_threshold: u64,
    /// Whether a run that is below that fails.
    pub raise_on_error: bool,
}

impl Default for SuccessCriteria {
    fn default() -> Self {
        SuccessCriteria { strict: false, success_threshold: 90, raise_on_error: true }
    }
}
