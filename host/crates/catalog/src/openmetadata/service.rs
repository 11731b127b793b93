//! The pipeline service that contains the pipelines. It is created once, and never overwritten.
//!
//! OpenMetadata has no field for an account. Therefore account and region are at the end of the
//! service's description, as `standpipe-scope: ACCOUNT/REGION`. A run with other credentials or
//! another region fails because of this mark. Without it, that run would delete every pipeline.

use std::fmt;

use serde_json::{Value, json};
use thiserror::Error;

use super::api::text_field;
use super::{OpenMetadata, RestError, names};
use crate::Inventory;
use crate::http_client::Method;

const MARK: &str = "standpipe-scope:";
const PATH: &str = "/services/pipelineServices";

/// The account and the region of a service's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceScope {
    /// The account, or `None` if it is unknown.
    pub account: Option<String>,
    /// The region.
    pub region: String,
}

/// The state of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// This run created the service.
    Created,
    /// A dry run would have created the service.
    WouldBeCreated,
    /// The service exists and is marked with this account and region.
    Marked,
    /// The service exists without a mark of account and region: nothing may be deleted in it.
    Unmarked,
}

/// Why nothing can be written to the service.
#[derive(Debug, Clone, Error)]
pub enum ServiceError {
    /// The service contains streams of another account or region.
    #[error(
        "the service {service:?} belongs to {theirs}, but these streams belong to {ours}: use another service name, or check credentials and region"
    )]
    Other {
        /// The service.
        service: String,
        /// The account and region of the service.
        theirs: ServiceScope,
        /// The account and region of the inventory.
        ours: ServiceScope,
    },
    /// The server does not permit reading or creating the service.
    #[error(transparent)]
    Api(#[from] RestError),
}

impl ServiceScope {
    /// Returns the account and region of an inventory; the account of the streams' ARNs if
    /// STS returned none.
    pub fn of(inventory: &Inventory) -> Self {
        let mut accounts = inventory.streams.iter().map(|stream| &stream.arn.account);
        let first = accounts
            .next()
            .filter(|first| !first.is_empty() && accounts.all(|other| other == *first));
        let account = inventory.account.clone().or_else(|| first.cloned());
        ServiceScope { account, region: inventory.region.clone() }
    }

    /// Reads the mark in a description.
    pub fn read(description: &str) -> Option<Self> {
        let (_, rest) = description.rsplit_once(MARK)?;
        let is_part = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '/');
        let written = rest.trim_start();
        let end = written.find(|it| !is_part(it)).unwrap_or(written.len());
        let (account, region) = written[..end].split_once('/')?;
        let is_account = account == "-" || account.bytes().all(|byte| byte.is_ascii_digit());
        if region.is_empty() || account.is_empty() || !is_account {
            return None;
        }
        let account = (account != "-").then(|| account.to_owned());
        Some(ServiceScope { account, region: region.to_owned() })
    }

    fn scope_line(&self) -> String {
        format!("{MARK} {}/{}", self.account.as_deref().unwrap_or("-"), self.region)
    }

    fn is_other(&self, ours: &ServiceScope) -> bool {
        let accounts = self.account.as_ref().zip(ours.account.as_ref());
        self.region != ours.region || accounts.is_some_and(|(theirs, ours)| theirs != ours)
    }
}

impl fmt::Display for ServiceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(account) => write!(f, "the account {account} in {}", self.region),
            None => write!(f, "an unknown account in {}", self.region),
        }
    }
}

impl OpenMetadata {
    /// Finds the service, or creates it.
    ///
    /// # Errors
    ///
    /// Fails if the service belongs to another account or region, or if the server refuses.
    pub async fn ensure_service(
        &self,
        ours: &ServiceScope,
        is_dry: bool,
    ) -> Result<ServiceState, ServiceError> {
        let path = format!("{PATH}/name/{}", names::escape_url(&self.service));
        let Some(found) = self.api.get_object(&path).await? else {
            if is_dry {
                return Ok(ServiceState::WouldBeCreated);
            }
            self.create_service(ours).await?;
            return Ok(ServiceState::Created);
        };
        let id = text_field(&found, "id");
        let id = id.ok_or_else(|| RestError::unreadable("GET", &path, "it has no `id`"))?;
        let description = text_field(&found, "description").unwrap_or_default();
        match ServiceScope::read(description) {
            Some(theirs) if theirs.is_other(ours) => {
                let service = self.settings.service.clone();
                Err(ServiceError::Other { service, theirs, ours: ours.clone() })
            }
            // A mark without an account is not sufficient.
            Some(theirs) if theirs == *ours && ours.account.is_some() => Ok(ServiceState::Marked),
            Some(_) => Ok(ServiceState::Unmarked),
            None if self.settings.adopt_service && !is_dry && ours.account.is_some() => {
                self.mark_service(id, description, ours).await?;
                Ok(ServiceState::Marked)
            }
            None => Ok(ServiceState::Unmarked),
        }
    }

    async fn mark_service(
        &self,
        id: &str,
        description: &str,
        ours: &ServiceScope,
    ) -> Result<(), RestError> {
        let marked = format!("{description}\n\n{}", ours.scope_line());
        let operation = if description.is_empty() { "add" } else { "replace" };
        let patch =
            json!([{"op": operation, "path": "/description", "value": marked.trim_start()}]);
        let path = format!("{PATH}/{}", names::escape_url(id));
        self.api.send(Method::PATCH, &path, Some(&patch)).await.map(drop)
    }

    /// Creates the service. If the server does not know Firehose, the service has a custom type.
    async fn create_service(&self, ours: &ServiceScope) -> Result<(), RestError> {
        let description = format!(
            "Delivery streams of Amazon Data Firehose: {ours}.\n\nThe next line keeps those of other accounts and \
             regions out. Leave it here.\n\n{}",
            ours.scope_line()
        );
        let bare = ("KinesisFirehose", Value::Null);
        let own = ("KinesisFirehose", json!({"config": self.service_connection(ours)}));
        let custom = ("CustomPipeline", json!({"config": {"type": "CustomPipeline"}}));
        let is_stored = self.settings.store_service_connection;
        let attempts = [bare, own, custom].into_iter().skip(usize::from(is_stored));
        let mut refusal = None;
        for (kind, connection) in attempts {
            let mut body = json!({
                "name": self.settings.service,
                "displayName": self.settings.service,
                "description": description,
                "serviceType": kind,
            });
            if !connection.is_null() {
                body["connection"] = connection;
            }
            match self.api.send(Method::PUT, PATH, Some(&body)).await {
                Ok(made) if text_field(&made, "id").is_none() => {
                    return Err(RestError::unreadable("PUT", PATH, "it has no `id`"));
                }
                Ok(_) => return Ok(()),
                Err(error) if error.status() == Some(400) => {
                    tracing::debug!("a service of the type {kind}: {error}");
                    refusal.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(refusal.expect("there was an attempt"))
    }

    /// The connection as shown to users. It contains no credentials.
    fn service_connection(&self, ours: &ServiceScope) -> Value {
        let mut aws = json!({"awsRegion": ours.region});
        let is_stored = self.settings.store_service_connection;
        if let Some(role) = self.settings.assume_role_arn.as_ref().filter(|_| is_stored) {
            aws["assumeRoleArn"] = role.as_str().into();
        }
        let mut connection = json!({"type": "KinesisFirehose", "awsConfig": aws});
        if let Some(kafka) = self.settings.services.kafka.as_ref().filter(|_| is_stored) {
            connection["messagingServiceName"] = kafka.as_str().into();
        }
        connection
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(account: Option<&str>, region: &str) -> ServiceScope {
        ServiceScope { account: account.map(str::to_owned), region: region.to_owned() }
    }

    #[test]
    fn marks_are_read() {
        for (description, expected) in [
            (
                "standpipe-scope: 123456789012/eu-west-1",
                Some(scope(Some("123456789012"), "eu-west-1")),
            ),
            ("Ours.\n\n<p>standpipe-scope: 1/eu</p>", Some(scope(Some("1"), "eu"))),
            ("standpipe-scope: -/eu", Some(scope(None, "eu"))),
            ("standpipe-scope: me/eu", None),
            ("standpipe-scope: 1/", None),
            ("standpipe-scope:", None),
            ("", None),
        ] {
            assert_eq!(ServiceScope::read(description), expected, "{description}");
        }
    }

    #[test]
    fn others_are_told_by_account_and_region() {
        let ours = scope(Some("1"), "a");
        for (theirs, expected) in [
            (scope(Some("1"), "a"), false),
            (scope(None, "a"), false),
            (scope(Some("2"), "a"), true),
            (scope(Some("1"), "b"), true),
        ] {
            assert_eq!(theirs.is_other(&ours), expected, "{theirs:?}");
        }
    }

    proptest! {
        #[test]
        fn a_mark_is_read_as_it_is_written(
            before in "\\PC{0,30}", account in prop::option::of("[0-9]{1,12}"), region in "[a-z0-9-]{1,15}",
        ) {
            let scope = ServiceScope { account, region };
            let written = format!("{before}\n{}", scope.scope_line());
            prop_assert_eq!(ServiceScope::read(&written), Some(scope));
        }

        #[test]
        fn no_description_makes_it_panic(text in "(standpipe-scope: ?)?\\PC{0,20}") {
            let _ = ServiceScope::read(&text);
        }
    }
}
