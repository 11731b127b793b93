//! The settings of what is found out about lineage: `[catalog.lineage]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lineage::LineageOptions;
use crate::openmetadata::ServiceNames;

/// The lineage that the catalog reads and writes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLineage {
    /// Whether lineage is written to OpenMetadata. Default: `true`.
    pub include: Option<bool>,
    /// Whether a run deletes existing edges before it writes new ones. The run deletes only
    /// edges of the pipelines whose delivery streams it reads. Default: `false`.
    pub r#override: Option<bool>,
    /// Services of OpenMetadata in which the catalog looks for tables. Default: all services.
    pub database_services: Option<Vec<String>>,
    /// Services of OpenMetadata in which the catalog looks for buckets. Default: all services.
    pub storage_services: Option<Vec<String>>,
    /// Services of OpenMetadata in which the catalog looks for topics. If `messaging_service`
    /// is set, this key applies only to Kinesis streams. Default: all services.
    pub messaging_services: Option<Vec<String>>,
    /// Services of OpenMetadata in which the catalog looks for search indexes. Default: all
    /// services.
    pub search_services: Option<Vec<String>>,
    /// The only service of OpenMetadata in which the catalog looks for Kafka topics. Default:
    /// none, `messaging_services` applies.
    pub messaging_service: Option<String>,
    /// Whether the catalog reads which DynamoDB tables feed a Kinesis stream. Default: `true`.
    pub dynamodb: Option<bool>,
    /// Whether OpenMetadata gets edges for a delivery stream that only Direct PUT feeds.
    /// Default: `false`.
    pub direct_put: Option<bool>,
    /// Whether lineage connects columns of the same name. Columns are never connected if a
    /// Lambda function changes the records, or if the edge starts at a DynamoDB table or at a
    /// pipeline. Default: `false`.
    pub columns: Option<bool>,
    /// Whether diagrams and files contain the S3 buckets for backup and failed records.
    /// Default: `false`.
    pub backups: Option<bool>,
    /// Whether diagrams and files contain the Glue tables whose schemas Firehose uses to
    /// convert records. Default: `false`.
    pub schemas: Option<bool>,
}

impl RawLineage {
    /// Returns what diagrams and files contain.
    pub(super) fn lineage_options(&self) -> LineageOptions {
        let is_drawn = |set: Option<bool>| set.unwrap_or(false);
        LineageOptions { backups: is_drawn(self.backups), schemas: is_drawn(self.schemas) }
    }

    /// Returns the services of OpenMetadata in which the catalog looks for assets.
    pub(super) fn service_names(&self) -> ServiceNames {
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        ServiceNames {
            database: list(&self.database_services),
            storage: list(&self.storage_services),
            messaging: list(&self.messaging_services),
            search: list(&self.search_services),
            kafka: self.messaging_service.clone(),
        }
    }
}
