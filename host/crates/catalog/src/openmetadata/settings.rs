//! Checked settings of an OpenMetadata server: where it is, what is written there, and what may be
//! deleted.

use std::time::Duration;

use crate::http_client::{Headers, TlsVerification};
use standpipe_core::secret::SecretSetting;

/// Where OpenMetadata is, and what is to be written there.
#[derive(Debug, Clone)]
pub struct OpenMetadataSettings {
    /// The address of the API: `https://HOST/api`.
    pub host_port: String,
    /// The token of a bot; none where the server asks for none.
    pub token: Option<SecretSetting>,
    /// Which server certificates are trusted.
    pub verify: TlsVerification,
    /// Headers of every request.
    pub extra_headers: Headers,
    /// How long an attempt of a request may take.
    pub timeout: Duration,
    /// The pause before the second attempt.
    pub pause: Duration,
    /// The name of the pipeline service: one for an account and a region.
    pub service: String,
    /// Whether a server of a version that this program does not know is refused.
    pub version_validation: bool,
    /// Whether the service is created with its connection (region, role and name of
    /// the messaging service; never credentials).
    pub store_service_connection: bool,
    /// The role that is assumed, as it is stored with the connection.
    pub assume_role_arn: Option<String>,
    /// Whether a service of another program is marked with account and region,
    /// behind its description. Without the mark nothing is ever deleted in it.
    pub adopt_service: bool,
    /// Whether people's changes of descriptions and display names are overwritten.
    pub override_metadata: bool,
    /// Whether a pipeline's edges are deleted before they are written.
    pub override_lineage: bool,
    /// Whether edges are written.
    pub include_lineage: bool,
    /// What becomes of pipelines whose stream is gone.
    pub deletion: DeletionPolicy,
    /// Pipelines in one request.
    pub bulk_size: usize,
    /// Where assets are looked for.
    pub services: ServiceNames,
    /// Whether a stream that nothing feeds but writers gets an edge from its
    /// pipeline to where its records end up.
    pub direct_put_edges: bool,
    /// Whether columns of the same name, in whatever case, are joined by edges.
    pub column_lineage: bool,
}

/// What becomes of pipelines whose stream is gone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeletionPolicy {
    /// Whether they are deleted, softly.
    pub is_on: bool,
    /// Whether those of streams that the patterns leave out are, too.
    pub prunes_filtered: bool,
    /// The greatest part of the service's pipelines that a run may delete, of 1.
    pub ratio_max: f64,
}

/// The names of services in OpenMetadata in which assets are looked for; where none
/// is named, in all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceNames {
    /// Of tables.
    pub database: Vec<String>,
    /// Of containers.
    pub storage: Vec<String>,
    /// Of topics, of Kafka and of Kinesis.
    pub messaging: Vec<String>,
    /// Of search indexes.
    pub search: Vec<String>,
    /// The one of Kafka that feeds the streams: `messagingServiceName`.
    pub kafka: Option<String>,
}
