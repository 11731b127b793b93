//! Writes to OpenMetadata: a service, a pipeline for each delivery stream, and edges between the
//! sources and the destinations of streams.
//!
//! Everything is compared with what exists before it is written, so a second run writes nothing.
//! Only the service and its pipelines are created: both ends of an edge must exist already, and are
//! looked up. Uncertain results are reported and never guessed. AWS secrets are never sent,
//! resolved or not.

mod api;
mod edges;
mod entity;
mod levels;
mod links;
mod name_candidates;
mod names;
mod payload;
mod pipelines;
mod probe;
mod removal;
mod resolve;
mod rotation;
mod search;
mod service;
mod settings;
mod tasks;
mod version;

pub use api::{RestError, error_message};
pub use edges::EdgeWrite;
pub use entity::{Entity, EntityKind, Resolution};
pub use links::{StreamLink, stream_links};
pub use names::{is_service_name, split_name};
pub use pipelines::{ExistingPipeline, ExistingPipelines, PipelineWrite};
pub use removal::{PipelineRemoval, RemovalSkipped};
pub use search::read_hits;
pub use service::{ServiceError, ServiceScope, ServiceState};
pub use settings::{DeletionPolicy, OpenMetadataSettings, ServiceNames};
pub use version::ServerVersion;

pub(super) use edges::EdgeWriter;
pub(super) use resolve::AssetResolver;

use thiserror::Error;

use super::http_client::{HttpClient, HttpClientSettings, HttpError, resolve_headers};
use api::Api;
use standpipe_core::secret::{SecretResolver, UnresolvedSecret};

/// A server, and the settings for writing to it.
#[derive(Debug)]
pub struct OpenMetadata {
    api: Api,
    settings: OpenMetadataSettings,
    /// The service's name as a part of full names.
    service: String,
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum OpenMetadataError {
    /// The name of the service is invalid.
    #[error(
        "invalid service name {name:?}: OpenMetadata takes at most 256 characters without `::`, `>` and quotes"
    )]
    Service {
        /// The name.
        name: String,
    },
    /// The token is empty.
    #[error(
        "the token of OpenMetadata (`token`, `jwtToken`) is empty: set it, or remove it if the server needs none"
    )]
    EmptyToken,
    /// The token or a header cannot be resolved.
    #[error(transparent)]
    Secret(#[from] UnresolvedSecret),
    /// The client cannot be created.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl OpenMetadata {
    /// Creates a client, without a request to the server.
    ///
    /// # Errors
    ///
    /// Fails if a setting cannot be used, or if the token's reference is not resolved.
    pub async fn new(
        settings: OpenMetadataSettings,
        secrets: &dyn SecretResolver,
    ) -> Result<Self, OpenMetadataError> {
        let service =
            names::quote_part(&settings.service).filter(|_| is_service_name(&settings.service));
        let Some(service) = service else {
            return Err(OpenMetadataError::Service { name: settings.service });
        };
        let token = secrets.resolve_optional(settings.token.as_ref()).await?;
        if token.as_ref().is_some_and(|token| token.expose().trim().is_empty()) {
            return Err(OpenMetadataError::EmptyToken);
        }
        let web = HttpClient::new(&HttpClientSettings {
            extra_headers: resolve_headers(&settings.extra_headers, secrets).await?,
            bearer: token.clone(),
            verify: settings.verify.clone(),
            timeout: settings.timeout,
            pause: settings.pause,
        })?;
        let api = Api::new(web, &settings.host_port, token);
        Ok(OpenMetadata { api, settings, service })
    }

    /// Returns the settings.
    pub fn settings(&self) -> &OpenMetadataSettings {
        &self.settings
    }

    /// Requests the server's version, which shows that it is OpenMetadata.
    ///
    /// # Errors
    ///
    /// Fails if the server is not reached, or is not OpenMetadata.
    pub async fn version(&self) -> Result<ServerVersion, RestError> {
        let path = "/system/version";
        let answer = self.api.send(super::http_client::Method::GET, path, None).await?;
        ServerVersion::read(&answer)
            .ok_or_else(|| RestError::unreadable("GET", path, "it has no version"))
    }
}
