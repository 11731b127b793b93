//! The settings of what is found out about lineage: `[catalog.lineage]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lineage::LineageOptions;
use crate::openmetadata::ServiceNames;

/// What is found out about where records come from and go.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLineage {
    /// Whether it is written to OpenMetadata; true by default.
    pub include: Option<bool>,
    /// Whether OpenMetadata's edges of a pipeline are deleted first; false by default.
    pub r#override: Option<bool>,
    /// Services of OpenMetadata in which tables are looked for; all by default.
    pub database_services: Option<Vec<String>>,
    /// Those in which buckets are.
    pub storage_services: Option<Vec<String>>,
    /// Those in which topics and Kinesis streams are.
    pub messaging_services: Option<Vec<String>>,
    /// Those in which search indices are.
    pub search_services: Option<Vec<String>>,
    /// The one in which the topics of streams that are fed by Kafka are.
    pub messaging_service: Option<String>,
    /// Whether DynamoDB is asked which tables feed a Kinesis stream; true by default.
    pub dynamodb: Option<bool>,
    /// Whether OpenMetadata gets edges from a pipeline that only Direct PUT feeds to
    /// its destinations; false by default.
    pub direct_put: Option<bool>,
    /// Whether columns of the same name are joined; false by default, and never where
    /// a function changes records.
    pub columns: Option<bool>,
    /// Whether pictures and files show buckets for copies and failed records; false
    /// by default.
    pub backups: Option<bool>,
    /// Whether pictures and files show the tables that columns are taken from; false
    /// by default.
    pub schemas: Option<bool>,
}

impl RawLineage {
    /// What pictures and files show.
    pub(super) fn lineage_options(&self) -> LineageOptions {
        let is_drawn = |set: Option<bool>| set.unwrap_or(false);
        LineageOptions { backups: is_drawn(self.backups), schemas: is_drawn(self.schemas) }
    }

    /// Where assets are looked for.
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
