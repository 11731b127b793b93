//! A sync of the catalog: reads the streams, and writes to OpenMetadata, OpenLineage and files.
//!
//! All secrets are resolved and all clients are created before anything is read, so an unresolved
//! reference ends the sync early. Files and OpenLineage follow after OpenMetadata. A failure of one
//! does not stop the others.

mod output_files;
mod sync_report;

pub use sync_report::SyncReport;

use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;
use tracing::Instrument;

use super::discovery::{DiscoveryError, InventoryReader, ReportProgress};
use super::http_client::{HttpClient, HttpClientSettings, HttpError, resolve_headers};
use super::ingest::{IngestOptions, IngestOutcome, IngestStep, ingest_inventory};
use super::lineage::{Lineage, build_lineage};
use super::openlineage::{EventOptions, LineageServer, job_events, write_file};
use super::openmetadata::{OpenMetadata, OpenMetadataError};
use super::{CatalogSettings, EventRoute, Inventory, OpenLineageServer, SuccessCriteria};
use standpipe_aws::secret_store::{OpenSecretStoreError, SecretStore};
use standpipe_core::clock;
use standpipe_core::secret::{NoSecretManager, SecretResolver, UnresolvedSecret};

/// The name of the step that sends OpenLineage events.
const OPENLINEAGE: &str = "OpenLineage";

/// Options of a sync in addition to the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CatalogSync {
    /// Whether the sync is a dry run that writes nothing, neither to servers nor to files.
    pub is_dry: bool,
    /// Whether unresolved lineage is a failure, even if the settings do not say so.
    pub is_strict: bool,
}

/// The result of reading.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The streams.
    pub inventory: Inventory,
    /// Their lineage.
    pub lineage: Lineage,
}

/// Why nothing could be read.
#[derive(Debug, Error)]
pub enum SyncError {
    /// The secret store cannot be opened.
    #[error(transparent)]
    SecretStore(#[from] OpenSecretStoreError),
    /// A secret cannot be resolved.
    #[error(transparent)]
    Secret(#[from] UnresolvedSecret),
    /// Nothing could be read.
    #[error(transparent)]
    Read(#[from] DiscoveryError),
    /// The client for OpenMetadata cannot be created.
    #[error(transparent)]
    OpenMetadata(#[from] OpenMetadataError),
    /// The client for OpenLineage cannot be created.
    #[error("[catalog.openlineage]: {0}")]
    OpenLineage(HttpError),
}

/// Reads the streams.
///
/// # Errors
///
/// Fails if nothing could be read.
pub async fn read_inventory(
    settings: &CatalogSettings,
    progress: ReportProgress<'_>,
) -> Result<Inventory, SyncError> {
    let secrets = open_secrets(settings).await?;
    let reader = InventoryReader::open(settings.discovery.clone(), &secrets).await?;
    Ok(reader.read_inventory(progress).await?)
}

/// Reads the streams, and builds their lineage.
///
/// # Errors
///
/// Fails if nothing could be read.
pub async fn take_snapshot(
    settings: &CatalogSettings,
    routes: &[EventRoute],
    progress: ReportProgress<'_>,
) -> Result<Snapshot, SyncError> {
    let inventory = read_inventory(settings, progress).await?;
    let lineage = build_lineage(&inventory, routes, settings.lineage);
    Ok(Snapshot { inventory, lineage })
}

/// Opens the secret store, if the settings have one.
///
/// # Errors
///
/// Fails if the secret store cannot be opened.
pub async fn open_secrets(
    settings: &CatalogSettings,
) -> Result<Arc<dyn SecretResolver>, OpenSecretStoreError> {
    match &settings.secrets {
        Some(settings) => Ok(Arc::new(SecretStore::open(settings).await?)),
        None => Ok(Arc::new(NoSecretManager)),
    }
}

/// Creates a client for the OpenMetadata server of the settings, if there is one.
pub async fn open_openmetadata(
    settings: &CatalogSettings,
    secrets: &dyn SecretResolver,
) -> Result<Option<OpenMetadata>, SyncError> {
    let Some(server) = &settings.openmetadata else { return Ok(None) };
    Ok(Some(OpenMetadata::new(server.clone(), secrets).await?))
}

impl CatalogSync {
    /// Runs the sync. Errors are part of the report.
    pub async fn run(
        self,
        settings: &CatalogSettings,
        routes: &[EventRoute],
        progress: ReportProgress<'_>,
    ) -> SyncReport {
        let started = Instant::now();
        let strict = self.is_strict || settings.judgement.strict;
        let options = IngestOptions {
            workflow: settings.service_name().to_owned(),
            is_dry: self.is_dry,
            judgement: SuccessCriteria { strict, ..settings.judgement },
        };
        let span = tracing::debug_span!("catalog_sync", is_dry = self.is_dry);
        let synced = self.sync_all(settings, routes, progress, &options).instrument(span).await;
        let (mut outcome, snapshot) = match synced {
            Ok((outcome, snapshot)) => (outcome, Some(snapshot)),
            Err(error) => (IngestOutcome::given_up(error.to_string()), None),
        };
        outcome.took = started.elapsed();
        SyncReport { outcome, snapshot, options }
    }

    async fn sync_all(
        self,
        settings: &CatalogSettings,
        routes: &[EventRoute],
        progress: ReportProgress<'_>,
        options: &IngestOptions,
    ) -> Result<(IngestOutcome, Snapshot), SyncError> {
        let secrets = open_secrets(settings).await?;
        let server = open_openmetadata(settings, &*secrets).await?;
        let lineage_server = open_lineage(settings.openlineage.as_ref(), &*secrets).await?;
        let reader = InventoryReader::open(settings.discovery.clone(), &secrets).await?;
        let inventory = reader.read_inventory(progress).await?;
        let lineage = build_lineage(&inventory, routes, settings.lineage);
        let snapshot = Snapshot { inventory, lineage };
        let Snapshot { inventory, lineage } = &snapshot;
        let mut outcome =
            ingest_inventory(inventory, &lineage.graph, server.as_ref(), options).await;
        if let Some(source) = outcome.steps.first_mut() {
            source.warnings.extend(lineage.warnings.iter().cloned());
        }
        if !self.is_dry {
            outcome.steps.extend(output_files::write_files(&settings.files, &snapshot));
            outcome.steps.extend(send_lineage(settings, &snapshot, lineage_server.as_ref()).await);
        }
        Ok((outcome, snapshot))
    }
}

/// Sends OpenLineage events to the file and the server of the settings.
async fn send_lineage(
    settings: &CatalogSettings,
    snapshot: &Snapshot,
    server: Option<&LineageServer>,
) -> Option<IngestStep> {
    let file = settings.files.openlineage.as_deref();
    if file.is_none() && server.is_none() {
        return None;
    }
    let options = EventOptions {
        time: clock::now(),
        service: settings.service_name().to_owned(),
        brokers: settings.brokers.clone(),
    };
    let events = job_events(&snapshot.inventory, &snapshot.lineage.graph, &options);
    let mut step = IngestStep::new(OPENLINEAGE);
    if let Some(path) = file {
        match write_file(path, &events) {
            Ok(()) => step.records += events.len(),
            Err(error) => step.add_failure(OPENLINEAGE, "the file", &error),
        }
    }
    if let Some(server) = server {
        let sent = server.send_all(&events).await;
        step.records += sent.taken;
        for (job, error) in &sent.failed {
            step.add_failure(OPENLINEAGE, &job.name, error);
        }
    }
    Some(step)
}

async fn open_lineage(
    server: Option<&OpenLineageServer>,
    secrets: &dyn SecretResolver,
) -> Result<Option<LineageServer>, SyncError> {
    let Some(server) = server else { return Ok(None) };
    let settings = HttpClientSettings {
        extra_headers: resolve_headers(&server.headers, secrets).await?,
        bearer: secrets.resolve_optional(server.token.as_ref()).await?,
        verify: server.verify.clone(),
        ..HttpClientSettings::default()
    };
    let web = HttpClient::new(&settings).map_err(SyncError::OpenLineage)?;
    Ok(Some(LineageServer::new(web, &server.url, server.path.as_deref())))
}
