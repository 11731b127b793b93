//! Administration of queues: creates the stream and the consumer of NATS JetStream or the queue of Amazon SQS, compares
//! existing ones with what they should be, and checks that events are safe in them.
//!
//! Nothing that exists is changed without the option `update`, and nothing is ever deleted. A check changes
//! nothing, and receives no message.

mod attributes;
mod consumer;
mod difference;
mod finding;
mod fleet;
mod jetstream;
mod permissions;
mod server_errors;
mod simple_queue;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::fleet::FleetSettings;
use crate::{ConnectQueueError, Queue, QueueError, QueueKind, QueueSettings, QueueStatus};
pub use attributes::RedrivePolicy;
pub use difference::{CreatedPart, Difference, DifferenceState, PartState};
use finding::QueueFindings;
pub use finding::{FindingOutcome, QueueFinding};
use jetstream::JetStreamAdmin;
use simple_queue::SqsAdmin;
use standpipe_core::secret::SecretResolver;

/// What a queue should be, beyond what follows from the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateOptions {
    /// A stream of JetStream.
    Nats(StreamOptions),
    /// A queue of Amazon SQS.
    Sqs {
        /// Where messages go that were received too often.
        redrive: Option<RedrivePolicy>,
    },
}

/// The properties of a stream that its operator chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// Servers that store each message.
    pub replicas: usize,
    /// The age at which JetStream deletes a message, delivered or not.
    pub age_max: Option<Duration>,
    /// Bytes of all messages; when they are reached, JetStream refuses messages.
    pub bytes_max: Option<u64>,
}

/// Whether what exists is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDifferent {
    /// Report the differences.
    Report,
    /// Change what can be changed.
    Update,
}

/// A failed request about the queue. The text says what to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("failed to {action}: {problem}{}", advice.as_ref().map(|advice| format!(": {advice}")).unwrap_or_default())]
pub struct QueueAdminError {
    /// What was requested: "create stream \"standpipe\"".
    pub action: String,
    /// Why it failed.
    pub problem: String,
    /// What to change, if it is known.
    pub advice: Option<String>,
}

/// The administration of one queue.
#[derive(Debug)]
pub struct QueueAdmin(AdminKind);

#[derive(Debug)]
enum AdminKind {
    Nats(Box<JetStreamAdmin>),
    Sqs(Box<SqsAdmin>),
}

impl QueueAdmin {
    /// Connects to the queue of the settings, with one attempt.
    ///
    /// # Errors
    ///
    /// A setting does not work, or no server responds.
    pub async fn connect(
        settings: &QueueSettings,
        secrets: &Arc<dyn SecretResolver>,
    ) -> Result<Self, ConnectQueueError> {
        Ok(QueueAdmin(match &settings.kind {
            QueueKind::Nats(nats) => AdminKind::Nats(Box::new(
                JetStreamAdmin::connect(settings, nats, &**secrets).await?,
            )),
            QueueKind::Sqs(sqs) => {
                AdminKind::Sqs(Box::new(SqsAdmin::connect(settings, sqs, secrets).await?))
            }
        }))
    }

    /// Creates what does not exist, and compares what does.
    ///
    /// # Errors
    ///
    /// A request fails; what was created before stays.
    ///
    /// # Panics
    ///
    /// The options are those of the other kind of queue.
    pub async fn create(
        &self,
        options: &CreateOptions,
        when_different: WhenDifferent,
    ) -> Result<Vec<CreatedPart>, QueueAdminError> {
        match (&self.0, options) {
            (AdminKind::Nats(admin), CreateOptions::Nats(options)) => {
                admin.create(options, when_different).await
            }
            (AdminKind::Sqs(admin), CreateOptions::Sqs { redrive }) => {
                admin.create(redrive.as_ref(), when_different).await
            }
            _ => panic!("the options are for the other kind of queue"),
        }
    }

    /// Reads the queue back, and tests permissions. Changes nothing, and receives no message.
    pub async fn check(&self) -> Vec<QueueFinding> {
        let mut findings = QueueFindings::default();
        match &self.0 {
            AdminKind::Nats(admin) => admin.check(&mut findings).await,
            AdminKind::Sqs(admin) => admin.check(&mut findings).await,
        }
        findings.0
    }

    /// Checks the buckets of a fleet on the servers of the queue, and tests permissions. What it writes is deleted.
    ///
    /// # Panics
    ///
    /// The queue is in Amazon SQS, which has no fleets.
    pub async fn check_fleet(&self, settings: &FleetSettings) -> Vec<QueueFinding> {
        let mut findings = QueueFindings::default();
        match &self.0 {
            AdminKind::Nats(admin) => admin.check_fleet(settings, &mut findings).await,
            AdminKind::Sqs(_) => panic!("a fleet has servers of NATS"),
        }
        findings.0
    }

    /// Reads how much the queue contains.
    ///
    /// # Errors
    ///
    /// The request fails.
    pub async fn status(&self) -> Result<QueueStatus, QueueError> {
        match &self.0 {
            AdminKind::Nats(admin) => admin.queue().status().await,
            AdminKind::Sqs(admin) => admin.queue().status().await,
        }
    }
}
