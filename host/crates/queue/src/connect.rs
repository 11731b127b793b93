//! Connections to queues: servers, login, trusted certificates.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_nats::{Client, ConnectOptions, Event};
use thiserror::Error;

use crate::nats::JetStreamQueue;
use crate::sqs::{SQS, SqsQueue};
use crate::{
    NatsLogin, NatsSettings, Queue, QueueError, QueueKind, QueueSettings, SqsSettings, limits,
};
use standpipe_aws::{self as aws, ConnectError, JsonClient, OnUnreachable};
use standpipe_core::secret::{SecretResolver, UnresolvedSecret};

/// Why a queue cannot be used. An unreachable server is not an error: requests are tried again until it responds.
#[derive(Debug, Error)]
pub enum ConnectQueueError {
    /// A secret of the login cannot be resolved.
    #[error(transparent)]
    Secret(#[from] UnresolvedSecret),
    /// The file of credentials cannot be read.
    #[error("failed to read {}: {error}: check [queue] credentials_file", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The client refuses its settings.
    #[error("failed to connect to NATS: {0}: check [queue]")]
    Nats(#[source] async_nats::ConnectError),
    /// The buckets of the fleet cannot be opened.
    #[error("[fleet] {0}")]
    Fleet(#[source] QueueError),
    /// AWS cannot be reached, or has no credentials.
    #[error("[queue] {0}")]
    Aws(#[from] ConnectError),
}

impl ConnectQueueError {
    /// Whether a later attempt may succeed without a changed setting.
    pub fn is_transient(&self) -> bool {
        match self {
            ConnectQueueError::Secret(error) => error.is_transient,
            ConnectQueueError::Aws(error) => error.is_transient(),
            ConnectQueueError::Fleet(_) => true,
            ConnectQueueError::Credentials { .. } | ConnectQueueError::Nats(_) => false,
        }
    }
}

/// Connects to the queue of the settings. `publisher` names this process, different from every other one.
///
/// # Errors
///
/// A setting does not work.
pub async fn connect_queue(
    settings: &QueueSettings,
    publisher: &str,
    secrets: &Arc<dyn SecretResolver>,
    unreached: OnUnreachable,
) -> Result<Arc<dyn Queue>, ConnectQueueError> {
    match &settings.kind {
        QueueKind::Nats(nats) => {
            let client = connect_nats(nats, &**secrets).await?;
            Ok(Arc::new(JetStreamQueue::new(client, nats.clone(), settings.ack_wait, publisher)))
        }
        QueueKind::Sqs(sqs) => {
            let client = Arc::new(connect_sqs(sqs, secrets, unreached).await?);
            Ok(Arc::new(SqsQueue::new(client, sqs.url.clone(), settings.ack_wait)))
        }
    }
}

/// Creates a client for the host of the queue's URL.
pub(crate) async fn connect_sqs(
    settings: &SqsSettings,
    secrets: &Arc<dyn SecretResolver>,
    unreached: OnUnreachable,
) -> Result<JsonClient, ConnectError> {
    let SqsSettings { url, aws } = settings;
    let http = aws::http_client(&aws.transport, &**secrets).await?;
    let access = aws::connect(aws, &http, secrets, unreached).await?;
    let connector = aws::http_connector(&aws.transport, &**secrets, &access.clock).await?;
    Ok(JsonClient::new(access, connector, SQS, aws, Some(url.origin())))
}

/// Connects to NATS. If no server answers, the client keeps trying, and requests fail meanwhile.
pub(crate) async fn connect_nats(
    settings: &NatsSettings,
    secrets: &dyn SecretResolver,
) -> Result<Client, ConnectQueueError> {
    let options = nats_options(settings, secrets).await?;
    let options = options.retry_on_initial_connect().max_reconnects(None).event_callback(log_event);
    options.connect(&settings.servers).await.map_err(ConnectQueueError::Nats)
}

/// Returns the login and the time limits of a connection to NATS.
pub(crate) async fn nats_options(
    settings: &NatsSettings,
    secrets: &dyn SecretResolver,
) -> Result<ConnectOptions, ConnectQueueError> {
    let mut options = ConnectOptions::new()
        .name("standpipe")
        .connection_timeout(limits::REQUEST_TIMEOUT)
        .request_timeout(Some(limits::REQUEST_TIMEOUT))
        .ping_interval(limits::NATS_PING_INTERVAL);
    options = match &settings.login {
        NatsLogin::Anonymous => options,
        NatsLogin::CredentialsFile(path) => {
            let read = options.credentials_file(path).await;
            read.map_err(|error| ConnectQueueError::Credentials { path: path.clone(), error })?
        }
        NatsLogin::User { user, password } => {
            let password = secrets.resolve_setting(password).await?;
            options.user_and_password(user.clone(), password.expose().to_owned())
        }
        NatsLogin::Token(token) => {
            options.token(secrets.resolve_setting(token).await?.expose().to_owned())
        }
    };
    if let Some(file) = &settings.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    Ok(options)
}

async fn log_event(event: Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("lost the connection to NATS; reconnecting"),
        Event::LameDuckMode => tracing::info!("the NATS server is about to stop; reconnecting"),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(subscription, "messages of NATS come faster than they are read");
        }
        Event::ServerError(error) => tracing::warn!("error of the NATS server: {error}"),
        Event::ClientError(error) => tracing::warn!("error of the NATS client: {error}"),
        Event::Draining | Event::Closed => {}
    }
}
