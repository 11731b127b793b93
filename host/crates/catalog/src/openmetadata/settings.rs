//! Checked settings of an OpenMetadata server: its address, what the catalog writes, and what it
//! may delete.

use std::time::Duration;

use crate::http_client::{Headers, TlsVerification};
use standpipe_core::secret::SecretSetting;

/// Checked settings of the OpenMetadata server to write to.
#[derive(Debug, Clone)]
pub struct OpenMetadataSettings {
    /// The address of the API: `https://HOST/api`.
    pub host_port: String,
    /// The token of a bot, if the server requires one.
    pub token: Option<SecretSetting>,
    /// Which server certificates are trusted.
    pub verify: TlsVerification,
    /// Headers of every request.
    pub extra_headers: Headers,
    /// Timeout for each attempt of a request.
    pub timeout: Duration,
    /// The pause before the second attempt.
    pub pause: Duration,
    /// The name of the pipeline service. Each account and region has its own.
    pub service: String,
    /// Whether a run fails if the server's version is not a known one.
    pub version_validation: bool,
    /// Whether the service is created with its connection (region, role and name of
    /// the messaging service; never credentials).
    pub store_service_connection: bool,
    /// The role to assume, as stored with the connection.
    pub assume_role_arn: Option<String>,
    /// Whether a run marks a service that another program created with this account and region, at
    /// the end of its description. Without the mark, the catalog never deletes anything in the
    /// service.
    pub adopt_service: bool,
    /// Whether descriptions and display names that people changed are overwritten.
    pub override_metadata: bool,
    /// Whether a pipeline's edges are deleted before they are written.
    pub override_lineage: bool,
    /// Whether edges are written.
    pub include_lineage: bool,
    /// What happens to pipelines whose stream no longer exists.
    pub deletion: DeletionPolicy,
    /// Pipelines in one request.
    pub bulk_size: usize,
    /// The services in which assets are looked up.
    pub services: ServiceNames,
    /// Whether a stream that only direct writers feed gets an edge from its pipeline to its
    /// destination.
    pub direct_put_edges: bool,
    /// Whether edges connect columns of the same name, ignoring case.
    pub column_lineage: bool,
}

/// What happens to pipelines whose stream no longer exists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeletionPolicy {
    /// Whether such pipelines are soft-deleted.
    pub is_on: bool,
    /// Whether pipelines of streams that the patterns exclude are deleted too.
    pub prunes_filtered: bool,
    /// The maximum share of the service's pipelines, from 0 to 1, that a run may delete.
    pub ratio_max: f64,
}

/// The OpenMetadata services in which assets are looked up. An empty list means all services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceNames {
    /// Services of tables.
    pub database: Vec<String>,
    /// Services of containers.
    pub storage: Vec<String>,
    /// Services of topics, of Kafka and of Kinesis.
    pub messaging: Vec<String>,
    /// Services of search indexes.
    pub search: Vec<String>,
    /// The Kafka service that feeds the streams: `messagingServiceName`.
    pub kafka: Option<String>,
}
