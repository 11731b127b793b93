//! OpenMetadata: a service, a pipeline for each delivery stream, and edges between
//! what feeds streams and where their records end up.
//!
//! What is written is compared with what is there before, so that a second run
//! writes nothing. Nothing is created but the service and its pipelines: both ends
//! of an edge must be there already, and are looked for. What is uncertain is reported,
//! never guessed. No secret of Amazon's is sent, resolved or not.

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

/// A server, and what is to be written there.
#[derive(Debug)]
pub struct OpenMetadata {
    api: Api,
    settings: OpenMetadataSettings,
    /// The service's name as a part of full names.
    service: String,
}

/// The settings cannot be used.
#[derive(Debug, Error)]
pub enum OpenMetadataError {
    /// The name of the service is invalid.
    #[error(
        "invalid service name {name:?}: OpenMetadata takes at most 256 characters without `::`, `>` and quotes"
    )]
    Service {
        /// What was written.
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
    /// The client cannot be made.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl OpenMetadata {
    /// Creates a client, without a request to the server.
    ///
    /// # Errors
    ///
    /// A setting cannot be used, or the token's reference is not resolved.
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
    /// It is not reached, or it is something else.
    pub async fn version(&self) -> Result<ServerVersion, RestError> {
        let path = "/system/version";
        let answer = self.api.send(super::http_client::Method::GET, path, None).await?;
        ServerVersion::read(&answer)
            .ok_or_else(|| RestError::unreadable("GET", path, "it has no version"))
    }
}
