//! The Firehose clients of a run: AWS with the role of each source, or a local directory.

use std::path::Path;
use std::sync::Arc;

use super::RunError;
use crate::config::{RecordDestination, SourceRole};
use crate::pipeline::SourceIdentities;
use standpipe_aws::{self as aws, AwsAccess, AwsRole, AwsSettings, AwsStatus, OnUnreachable};
use standpipe_core::secret::SecretResolver;
use standpipe_delivery::{
    AmazonClient, FirehoseClient, FirehoseClients, Identity, LocalDirectory, StartRate,
};

/// The clients of a run's deliveries.
pub(super) struct Clients {
    pub(super) firehose_clients: FirehoseClients,
    /// Sources with their own identity.
    pub(super) identities: SourceIdentities,
    pub(super) start_rate: StartRate,
    pub(super) aws: AwsStatus,
}

impl Clients {
    /// One client for all sources.
    pub(super) fn shared(client: Arc<dyn FirehoseClient>) -> Self {
        Clients {
            firehose_clients: FirehoseClients::new(client),
            identities: SourceIdentities::new(),
            start_rate: StartRate::Unbounded,
            aws: AwsStatus::default(),
        }
    }

    /// Connects to the destination of the settings.
    pub(super) async fn open(
        destination: &RecordDestination,
        roles: &[SourceRole],
        secrets: &Arc<dyn SecretResolver>,
        unreached: OnUnreachable,
    ) -> Result<Self, RunError> {
        match destination {
            RecordDestination::Directory(path) => open_directory(path),
            RecordDestination::Amazon { aws, endpoint_url } => {
                open_amazon(aws, endpoint_url.as_deref(), roles, secrets, unreached).await
            }
        }
    }
}

/// Connects to AWS, for commands that test a connection.
pub(crate) async fn connect_aws(
    aws: &AwsSettings,
    secrets: &Arc<dyn SecretResolver>,
) -> Result<AwsAccess, RunError> {
    let http = aws::http_client(&aws.transport, &**secrets).await?;
    Ok(aws::connect(aws, &http, secrets, OnUnreachable::Fail).await?)
}

/// All roles are assumed with the same credentials. Sources with the same role and
/// external id share a session.
async fn open_amazon(
    aws: &AwsSettings,
    endpoint_url: Option<&str>,
    roles: &[SourceRole],
    secrets: &Arc<dyn SecretResolver>,
    unreached: OnUnreachable,
) -> Result<Clients, RunError> {
    let http = aws::http_client(&aws.transport, &**secrets).await?;
    let base = aws::connect_base(aws, &http, secrets, unreached).await?;
    let start_rate = start_rate(&base, endpoint_url);
    let default = match &aws.role {
        Some(role) => base.assume(role, unreached).await?,
        None => base.clone(),
    };
    let mut status = AwsStatus::of(&default);
    let default = AmazonClient::new(&default, endpoint_url);
    let mut firehose_clients = FirehoseClients::new(Arc::new(default));
    let mut identities = SourceIdentities::new();
    let mut known: Vec<(&AwsRole, Identity)> = Vec::new();
    for SourceRole { source, role } in roles {
        let identity = match known.iter().find(|(other, _)| *other == role) {
            Some((_, identity)) => *identity,
            None => {
                let access = base.assume(role, unreached).await;
                let access = access.map_err(|error| RunError::SourceRole {
                    name: source.clone(),
                    error: Box::new(error),
                })?;
                status.add(source, &access);
                let client = AmazonClient::new(&access, endpoint_url);
                let identity = firehose_clients.add(source.clone(), Arc::new(client));
                known.push((role, identity));
                identity
            }
        };
        identities.insert(source.clone(), identity);
    }
    Ok(Clients { firehose_clients, identities, start_rate, aws: status })
}

fn open_directory(path: &Path) -> Result<Clients, RunError> {
    let directory = LocalDirectory::new(path.to_owned());
    let directory =
        directory.map_err(|error| RunError::Directory { path: path.to_owned(), error })?;
    Ok(Clients::shared(Arc::new(directory)))
}

/// Endpoints other than those of AWS have other quotas, or none.
fn start_rate(access: &AwsAccess, endpoint_url: Option<&str>) -> StartRate {
    match (endpoint_url, access.config.region()) {
        (None, Some(region)) => StartRate::of_region(region.as_ref()),
        _ => StartRate::Unbounded,
    }
}
