//! The Firehose clients of a run: for AWS, with the role of each source, or for a directory.

use std::path::Path;
use std::sync::Arc;

use super::StartError;
use crate::config::{Destination, SourceRole};
use crate::pipeline::SourceIdentities;
use standpipe_aws::{self as aws, AwsAccess, AwsRole, AwsSettings, AwsStatus, OnUnreachable};
use standpipe_core::secret::SecretResolver;
use standpipe_delivery::{
    AmazonClient, FirehoseClient, FirehoseClients, Identity, LocalDirectory, StartRate,
};

/// The Firehose clients of a run.
pub(super) struct Clients {
    pub(super) firehose_clients: FirehoseClients,
    /// Which sources do not take the default one.
    pub(super) identities: SourceIdentities,
    pub(super) start_rate: StartRate,
    pub(super) aws: AwsStatus,
}

impl Clients {
    /// One way for all, about which nothing is known.
    pub(super) fn one(firehose_client: Arc<dyn FirehoseClient>) -> Self {
        let (firehose_clients, identities) =
            (FirehoseClients::new(firehose_client), SourceIdentities::new());
        Clients {
            firehose_clients,
            identities,
            start_rate: StartRate::Unbounded,
            aws: AwsStatus::default(),
        }
    }
}

/// AwsAccess to AWS, for a run and for what tests one.
pub(crate) async fn connect(
    aws: &AwsSettings,
    secrets: &Arc<dyn SecretResolver>,
) -> Result<AwsAccess, StartError> {
    let http = aws::http_client(&aws.transport, &**secrets).await?;
    Ok(aws::connect(aws, &http, secrets, OnUnreachable::Fail).await?)
}

pub(super) async fn open(
    destination: &Destination,
    roles: &[SourceRole],
    secrets: &Arc<dyn SecretResolver>,
    unreached: OnUnreachable,
) -> Result<Clients, StartError> {
    match destination {
        Destination::Directory(path) => open_directory(path),
        Destination::Amazon { aws, endpoint_url } if roles.is_empty() => {
            let http = aws::http_client(&aws.transport, &**secrets).await?;
            let access = aws::connect(aws, &http, secrets, unreached).await?;
            let start_rate = start_rate(&access, endpoint_url.as_deref());
            let status = AwsStatus::of(&access);
            let firehose_clients = FirehoseClients::new(amazon(access, endpoint_url.as_deref()));
            let identities = SourceIdentities::new();
            Ok(Clients { firehose_clients, identities, start_rate, aws: status })
        }
        Destination::Amazon { aws, endpoint_url } => {
            open_roles(aws, endpoint_url.as_deref(), roles, secrets, unreached).await
        }
    }
}

/// All roles are assumed with the same credentials. Sources of one role and one
/// external id share a session.
async fn open_roles(
    aws: &AwsSettings,
    endpoint_url: Option<&str>,
    roles: &[SourceRole],
    secrets: &Arc<dyn SecretResolver>,
    unreached: OnUnreachable,
) -> Result<Clients, StartError> {
    let http = aws::http_client(&aws.transport, &**secrets).await?;
    let base = aws::connect_base(aws, &http, secrets, unreached).await?;
    let start_rate = start_rate(&base, endpoint_url);
    let default = match &aws.role {
        Some(role) => base.assume(role, unreached).await?,
        None => base.clone(),
    };
    let mut status = AwsStatus::of(&default);
    let mut firehose_clients = FirehoseClients::new(amazon(default, endpoint_url));
    let mut identities = SourceIdentities::new();
    let mut known: Vec<(&AwsRole, Identity)> = Vec::new();
    for SourceRole { source, role } in roles {
        let identity = match known.iter().find(|(other, _)| *other == role) {
            Some((_, identity)) => *identity,
            None => {
                let access = base.assume(role, unreached).await;
                let access = access.map_err(|error| StartError::SourceRole {
                    name: source.clone(),
                    error: Box::new(error),
                })?;
                status.add(source, &access);
                let identity = firehose_clients.add(source.clone(), amazon(access, endpoint_url));
                known.push((role, identity));
                identity
            }
        };
        identities.insert(source.clone(), identity);
    }
    Ok(Clients { firehose_clients, identities, start_rate, aws: status })
}

fn open_directory(path: &Path) -> Result<Clients, StartError> {
    let directory = LocalDirectory::new(path.to_owned());
    let directory =
        directory.map_err(|error| StartError::Directory { path: path.to_owned(), error })?;
    Ok(Clients::one(Arc::new(directory)))
}

fn amazon(access: AwsAccess, endpoint_url: Option<&str>) -> Arc<dyn FirehoseClient> {
    Arc::new(AmazonClient::new(&access.config, endpoint_url).renewing(access.session))
}

/// What stands before Firehose has other quotas, or none.
fn start_rate(access: &AwsAccess, endpoint_url: Option<&str>) -> StartRate {
    match (endpoint_url, access.config.region()) {
        (None, Some(region)) => StartRate::of_region(region.as_ref()),
        _ => StartRate::Unbounded,
    }
}
