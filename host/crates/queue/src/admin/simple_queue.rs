//! The administration of a queue in Amazon SQS.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::attributes::{NAMES, QueueAttributes, RedrivePolicy};
use super::difference::{CreatedPart, PartState, has_open, mark_updated};
use super::finding::QueueFindings;
use super::{QueueAdminError, WhenDifferent};
use crate::connect::connect_sqs;
use crate::sqs::SqsQueue;
use crate::{ConnectQueueError, QueueSettings, SqsSettings, queue_url::QueueUrl};
use standpipe_aws::{AwsError, JsonClient, JsonFields, OnUnreachable};
use standpipe_core::secret::SecretResolver;

/// The text of a receipt handle that no message has.
const NO_RECEIPT: &str = "standpipe-check";

/// A queue of Amazon SQS.
#[derive(Debug)]
pub(super) struct SqsAdmin {
    client: Arc<JsonClient>,
    url: QueueUrl,
    settings: QueueSettings,
    ack_wait: Duration,
    queue: SqsQueue,
}

/// A permission, with a request that needs it and that Amazon SQS refuses after it has checked the permission.
struct PermissionRequest {
    action: &'static str,
    operation: &'static str,
    input: Value,
}

impl SqsAdmin {
    pub(super) async fn connect(
        settings: &QueueSettings,
        sqs: &SqsSettings,
        secrets: &Arc<dyn SecretResolver>,
    ) -> Result<Self, ConnectQueueError> {
        let client = Arc::new(connect_sqs(sqs, secrets, OnUnreachable::Fail).await?);
        let ack_wait = settings.ack_wait;
        let queue = SqsQueue::new(Arc::clone(&client), sqs.url.clone(), ack_wait);
        let (url, settings) = (sqs.url.clone(), settings.clone());
        Ok(SqsAdmin { client, url, settings, ack_wait, queue })
    }

    pub(super) fn queue(&self) -> &SqsQueue {
        &self.queue
    }

    pub(super) async fn create(
        &self,
        redrive: Option<&RedrivePolicy>,
        when_different: WhenDifferent,
    ) -> Result<Vec<CreatedPart>, QueueAdminError> {
        let name = format!("queue {}", self.url.name());
        let wanted = QueueAttributes::wanted(self.ack_wait, redrive);
        let found = match self.read_attributes().await {
            Ok(attributes) => attributes,
            Err(error) if is_missing(&error) => {
                self.create_queue(&wanted).await?;
                return Ok(vec![CreatedPart { name, state: PartState::Created }]);
            }
            Err(error) => return Err(to_admin_error(format!("read {name}"), &error)),
        };
        let found = QueueAttributes::read(&found).map_err(|attribute| QueueAdminError {
            action: format!("read {name}"),
            problem: format!("the response has no valid {attribute}"),
            advice: Some("check [queue] url, and the proxies in between".to_owned()),
        })?;
        let mut differences = found.compare(&wanted);
        if when_different == WhenDifferent::Update && has_open(&differences) {
            let attributes = wanted.to_json(found.redrive.is_none());
            let attributes = without_encryption_of(&found, attributes);
            let input = json!({"QueueUrl": self.url.as_str(), "Attributes": attributes});
            let updated = self.client.call("SetQueueAttributes", &input).await;
            updated.map_err(|error| to_admin_error(format!("update {name}"), &error))?;
            mark_updated(&mut differences);
        }
        Ok(vec![CreatedPart { name, state: PartState::Existing(differences) }])
    }

    /// Creates the queue, and makes sure that it is the one of the settings: Amazon SQS creates queues in the account of
    /// the credentials, whatever account the URL names.
    async fn create_queue(&self, wanted: &QueueAttributes) -> Result<(), QueueAdminError> {
        let action = || format!("create queue {}", self.url.name());
        let input = json!({"QueueName": self.url.name(), "Attributes": wanted.to_json(true)});
        let created = self.client.call("CreateQueue", &input).await;
        let created = created.map_err(|error| to_admin_error(action(), &error))?;
        let url = JsonFields::new(&created).text("QueueUrl").unwrap_or_default();
        match QueueUrl::parse(url) {
            Ok(own) if own.account() == self.url.account() && own.name() == self.url.name() => Ok(()),
            _ => Err(QueueAdminError {
                action: action(),
                problem: format!("the queue was created with another URL: {url:?}"),
                advice: Some(
                    "set [queue] url to this one; or delete the queue, and use credentials of the other account".to_owned(),
                ),
            }),
        }
    }

    /// Reads the queue back, and tests permissions.
    pub(super) async fn check(&self, findings: &mut QueueFindings) {
        let name = self.url.name();
        match self.read_attributes().await {
            Ok(attributes) => {
                findings.ok("existence", format!("{name} exists"));
                match QueueAttributes::read(&attributes) {
                    Ok(attributes) => attributes.check(self.ack_wait, findings),
                    Err(attribute) => {
                        let detail = format!("the response has no valid {attribute}");
                        findings.failed(
                            "attributes",
                            detail,
                            "check [queue] url, and the proxies in between",
                        );
                    }
                }
            }
            Err(error) if is_missing(&error) => {
                let advice = "create it with `host queue create`, or correct [queue] url, and `region` under [aws]";
                return findings.failed(
                    "existence",
                    format!("{name}: {}: {}", error.code, error.message),
                    advice,
                );
            }
            Err(error) if is_denied(&error) && !self.settings.is_mapper() => {
                // A collector works without this permission.
                let advice = "allow sqs:GetQueueAttributes to check the queue; without it, metrics do not show how much \
                              the queue contains";
                findings.skipped("existence", error.to_string(), advice);
            }
            Err(error) => {
                let advice = "check [queue] url and the credentials; `host iam policy` prints the permissions";
                return findings.failed("existence", error.to_string(), advice);
            }
        }
        for request in self.permission_requests() {
            self.check_permission(request, findings).await;
        }
    }

    /// Returns the requests that test permissions: none sends, receives or deletes a message.
    fn permission_requests(&self) -> Vec<PermissionRequest> {
        let url = self.url.as_str();
        let mut permission_requests = Vec::new();
        if self.settings.is_collector() {
            let input = json!({"QueueUrl": url, "Entries": []});
            permission_requests.push(PermissionRequest {
                action: "SendMessage",
                operation: "SendMessageBatch",
                input,
            });
        }
        if self.settings.is_mapper() {
            // If something responds that does not check the number, the messages stay visible.
            let input = json!({"QueueUrl": url, "MaxNumberOfMessages": 0, "VisibilityTimeout": 0});
            permission_requests.push(PermissionRequest {
                action: "ReceiveMessage",
                operation: "ReceiveMessage",
                input,
            });
            let input = json!({"QueueUrl": url, "ReceiptHandle": NO_RECEIPT});
            permission_requests.push(PermissionRequest {
                action: "DeleteMessage",
                operation: "DeleteMessage",
                input,
            });
            let input =
                json!({"QueueUrl": url, "ReceiptHandle": NO_RECEIPT, "VisibilityTimeout": 0});
            let action = "ChangeMessageVisibility";
            permission_requests.push(PermissionRequest { action, operation: action, input });
        }
        permission_requests
    }

    async fn check_permission(&self, request: PermissionRequest, findings: &mut QueueFindings) {
        let PermissionRequest { action, operation, input } = request;
        let property = format!("permission sqs:{action}");
        match self.client.call(operation, &input).await {
            Err(error) if is_denied(&error) => {
                let advice = "allow it on this queue: `host iam policy` prints the statement";
                findings.failed(&property, error.to_string(), advice);
            }
            Err(error) if error.is_passing => {
                findings.skipped(&property, error.to_string(), "try again later");
            }
            // The request itself is refused, or has no effect.
            Ok(_) | Err(_) => findings.ok(&property, "not denied"),
        }
    }

    async fn read_attributes(&self) -> Result<Value, AwsError> {
        let input = json!({"QueueUrl": self.url.as_str(), "AttributeNames": NAMES});
        let mut response = self.client.call("GetQueueAttributes", &input).await?;
        Ok(response.get_mut("Attributes").map(Value::take).unwrap_or_default())
    }
}

/// Leaves the encryption as it is if a key of KMS was chosen.
fn without_encryption_of(found: &QueueAttributes, mut attributes: Value) -> Value {
    let is_kms = matches!(found.encryption, super::attributes::Encryption::Key(_));
    if is_kms && let Some(attributes) = attributes.as_object_mut() {
        attributes.remove("SqsManagedSseEnabled");
    }
    attributes
}

/// Whether the queue does not exist: the code of the JSON protocol, or of the older one.
fn is_missing(error: &AwsError) -> bool {
    error.code.contains("QueueDoesNotExist") || error.code.contains("NonExistentQueue")
}

fn is_denied(error: &AwsError) -> bool {
    error.code.contains("AccessDenied") || error.status == Some(403)
}

fn to_admin_error(action: String, error: &AwsError) -> QueueAdminError {
    let advice = if is_denied(error) {
        Some("`host iam policy --queue-admin` prints the statement".to_owned())
    } else {
        error.advice.map(str::to_owned)
    };
    QueueAdminError { action, problem: format!("{}: {}", error.code, error.message), advice }
}
