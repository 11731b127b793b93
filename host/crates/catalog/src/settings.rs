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
    /// The name for all delivery streams together, if one is set.
    pub service: Option<String>,
    /// Settings for reading the streams.
    pub discovery: DiscoverySettings,
    /// The secret store for secrets that are not in the settings, if one is set.
    pub secrets: Option<SecretStoreSettings>,
    /// Options for the lineage graph.
    pub lineage: LineageOptions,
    /// The OpenMetadata server to write to.
    pub openmetadata: Option<OpenMetadataSettings>,
    /// The server for OpenLineage events.
    pub openlineage: Option<OpenLineageServer>,
    /// `HOST:PORT` of a broker by the ARN of its cluster. OpenLineage identifies a cluster by a
    /// broker.
    pub brokers: BTreeMap<String, String>,
    /// The files to write.
    pub files: OutputFiles,
    /// When a run counts as failed.
    pub judgement: SuccessCriteria,
    /// The level of a run's log.
    pub log_level: Level,
    /// When runs start automatically.
    pub schedule: Schedule,
    /// The directory of the run history.
    pub data_dir: PathBuf,
}

impl CatalogSettings {
    /// The name for all delivery streams together, in summaries and in OpenLineage events.
    pub fn service_name(&self) -> &str {
        self.service.as_deref().unwrap_or("standpipe")
    }
}

/// A server that accepts OpenLineage events.
#[derive(Debug, Clone)]
pub struct OpenLineageServer {
    /// The server's URL, such as `http://localhost:5000`.
    pub url: String,
    /// The path of the API on the server. Default: the path of Marquez.
    pub path: Option<String>,
    /// The token for requests.
    pub token: Option<SecretSetting>,
    /// Headers of each request.
    pub headers: Headers,
    /// Which server certificates are trusted.
    pub verify: TlsVerification,
}

/// Files that each run writes again, if they are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputFiles {
    /// Streams and lineage as JSON.
    pub json: Option<PathBuf>,
    /// The picture as SVG.
    pub svg: Option<PathBuf>,
    /// The picture as a Mermaid flowchart.
    pub mermaid: Option<PathBuf>,
    /// The picture as a Graphviz graph.
    pub dot: Option<PathBuf>,
    /// OpenLineage events, one in each line.
    pub openlineage: Option<PathBuf>,
}

/// When a run counts as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessCriteria {
    /// Whether unresolved lineage fails the run, regardless of the other criteria.
    pub strict: bool,
    /// The percentage that must succeed.
    pub success_threshold: u64,
    /// Whether a run below this percentage fails.
    pub raise_on_error: bool,
}

impl Default for SuccessCriteria {
    fn default() -> Self {
        SuccessCriteria { strict: false, success_threshold: 90, raise_on_error: true }
    }
}
