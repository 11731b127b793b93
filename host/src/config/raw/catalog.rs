//! `[catalog]` and its subsections, as written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RawAws;
use standpipe_core::secret::Secret;

/// The catalog: what delivery streams there are and where their records end up, told
/// to OpenMetadata, OpenLineage and files.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCatalog {
    /// What the delivery streams are called together, such as `aws_firehose`: the
    /// name of the pipeline service in OpenMetadata.
    #[schemars(example = &"aws_firehose")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Patterns of names of streams that are read; all by default. They are matched
    /// from the beginning of the name, whatever its case.
    #[schemars(example = ["orders.*"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Patterns of names of streams that are not read, also where `include` names
    /// them.
    #[schemars(example = ["test-.*"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// When it is read: `"manual"`, the default, `"hourly"`, `"daily"`, `"weekly"`,
    /// `"every 15m"`, or a cron expression such as `"30 6 * * mon-fri"`, in UTC.
    #[schemars(example = &"every 15m")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The first day or moment of the schedule.
    #[schemars(example = &"2026-01-31")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_date: Option<String>,
    /// The last one.
    #[schemars(example = &"2026-12-31")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_date: Option<String>,
    /// What a run's log tells: `"debug"`, `"info"`, the default, `"warn"` or
    /// `"error"`.
    #[schemars(example = &"info")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// Whether lineage that is not found is a failure of the run; false by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// How many of a hundred must succeed; 90 by default.
    #[schemars(example = 90)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<u64>,
    /// Whether a run that is below that fails; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raise_on_error: Option<bool>,
    /// Calls in a second of each of Amazon's operations; 4 by default, since Amazon
    /// takes 5 in an account and a region. What emulators take may be more.
    #[schemars(example = 4.0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<f64>,
    /// Access to AWS in place of `[aws]`, of which nothing is taken over then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<RawAws>,
    /// What is found out about where records come from and go.
    #[serde(skip_serializing_if = "RawLineage::is_empty")]
    pub lineage: RawLineage,
    /// The OpenMetadata server that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openmetadata: Option<RawOpenMetadata>,
    /// Who is told in OpenLineage's words.
    #[serde(skip_serializing_if = "RawOpenLineage::is_empty")]
    pub openlineage: RawOpenLineage,
    /// Files that are written anew with each run. Relative paths start at the
    /// settings file.
    #[serde(skip_serializing_if = "RawCatalogFiles::is_empty")]
    pub files: RawCatalogFiles,
}

/// What is found out about where records come from and go.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLineage {
    /// Whether OpenMetadata is told of it; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<bool>,
    /// Whether what OpenMetadata knows of a stream's lineage is deleted first; false
    /// by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#override: Option<bool>,
    /// Services of OpenMetadata in which tables are looked for; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_services: Option<Vec<String>>,
    /// Those in which buckets are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_services: Option<Vec<String>>,
    /// Those in which topics and Kinesis streams are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messaging_services: Option<Vec<String>>,
    /// Those in which search indices are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_services: Option<Vec<String>>,
    /// The one in which the topics of streams that are fed by Kafka are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messaging_service: Option<String>,
    /// Whether DynamoDB is asked which tables feed a Kinesis stream; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamodb: Option<bool>,
    /// Whether OpenMetadata is told of edges from a pipeline that nothing but writers
    /// feed to where its records end up; false by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_put: Option<bool>,
    /// Whether columns of the same name are told as one coming from the other; false
    /// by default, and never where a function changes records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<bool>,
    /// Whether pictures and files show buckets for copies and failed records; false
    /// by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backups: Option<bool>,
    /// Whether pictures and files show the tables that columns are taken from; false
    /// by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schemas: Option<bool>,
}

/// An OpenMetadata server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOpenMetadata {
    /// The address of its API, such as `http://localhost:8585/api`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The token of a bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The version of its API; `v1` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Which certificates are believed: `"system"`, the default, `"nothing"` for any
    /// at all, or the path of a file of authorities in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<String>,
    /// Headers of each request. Their values may be references to secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// How long an attempt of a request may take, such as `30s`.
    #[schemars(example = &"30s")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Pipelines that are told with one request; 100 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// Whether its version must be one that is known; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_version: Option<bool>,
    /// Whether region and filters are kept with the service, without credentials; true
    /// by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_connection: Option<bool>,
    /// Whether a service that somebody else made is marked as that of this account
    /// and region, without which nothing is marked as deleted in it; false by
    /// default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt_service: Option<bool>,
    /// Whether descriptions and names that people changed there are overwritten; false
    /// by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<bool>,
    /// Whether pipelines whose stream is gone are marked as deleted; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark_deleted: Option<bool>,
    /// Whether streams that the patterns leave out count as gone; false by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_filtered: Option<bool>,
    /// How many of a hundred pipelines a run may mark as deleted at most; 50 by
    /// default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_percent_max: Option<u64>,
}

/// Who is told in OpenLineage's words.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOpenLineage {
    /// A server that takes events with POST, such as `http://localhost:5000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The path of its API; that of Marquez by default, `/api/v1/lineage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// As for OpenMetadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<String>,
    /// Headers of each request. Their values may be references to secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// A broker's `HOST:PORT` by the ARN of its cluster of Kafka: what OpenLineage
    /// calls a cluster by, and Amazon does not tell.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub brokers: BTreeMap<String, String>,
    /// A file of events, one on each line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// Files that are written anew with each run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCatalogFiles {
    /// The graph as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<PathBuf>,
    /// A picture as SVG.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub svg: Option<PathBuf>,
    /// The graph in Mermaid's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mermaid: Option<PathBuf>,
    /// The graph in Graphviz's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dot: Option<PathBuf>,
}

impl RawLineage {
    fn is_empty(&self) -> bool {
        *self == RawLineage::default()
    }
}

impl RawOpenLineage {
    fn is_empty(&self) -> bool {
        *self == RawOpenLineage::default()
    }
}

impl RawCatalogFiles {
    fn is_empty(&self) -> bool {
        *self == RawCatalogFiles::default()
    }
}
