//! The settings of the OpenMetadata server: `[catalog.openmetadata]`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lineage::RawLineage;
use super::servers::{check_headers, tls_verification};
use crate::limits::{CATALOG_BULK, HTTP_PAUSE, HTTP_TIMEOUT};
use crate::openmetadata::{DeletionPolicy, OpenMetadataSettings};
use standpipe_core::secret::Secret;
use standpipe_core::settings::TableChecker;

/// The maximum of `timeout`.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// The maximum of pipelines in one request. A larger value of `batch` is not an error, because
/// OpenMetadata's own program accepts more; this maximum is used instead.
const BATCH_MAX: u64 = 1000;

/// The default of `delete_percent_max`. People rarely delete more than half of the streams at
/// once, but wrong settings can look like that.
const DELETE_PERCENT_MAX: u64 = 50;

/// The OpenMetadata server to write to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOpenMetadata {
    /// URL of the API, such as `http://localhost:8585/api`. Required.
    pub url: Option<String>,
    /// Token of a bot, or a reference `secret:NAME`. Default: none.
    pub token: Option<Secret>,
    /// Version of the API. Only `v1`, the default, is supported.
    pub api_version: Option<String>,
    /// Which certificates are trusted: `"system"`, `"nothing"` (any certificate), or the path
    /// of a PEM file with certificate authorities. Default: `"system"`.
    pub verify: Option<String>,
    /// Headers of each request. The values can be references `secret:NAME`. Default: none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// Time limit for each attempt of a request, at most `"10m"`. Default: `"60s"`.
    #[schemars(example = &"30s")]
    pub timeout: Option<String>,
    /// Number of pipelines in one request, at least 1. If the value is above 1000, the catalog
    /// uses 1000. Default: 100.
    pub batch: Option<u64>,
    /// Whether a run fails if the version of OpenMetadata is not a known one. Default: `true`.
    pub check_version: Option<bool>,
    /// Whether `role_arn` and `messaging_service` are stored with the service in OpenMetadata.
    /// Credentials are never stored. Default: `true`.
    pub store_connection: Option<bool>,
    /// Whether a run marks a service that another program created as that of this account and
    /// region. Without the mark, the catalog marks no pipelines of the service as deleted.
    /// Default: `false`.
    pub adopt_service: Option<bool>,
    /// Whether descriptions and names that people changed in OpenMetadata are overwritten.
    /// Default: `false`.
    pub overwrite: Option<bool>,
    /// Whether a run marks the pipelines of deleted delivery streams as deleted. Default:
    /// `true`.
    pub mark_deleted: Option<bool>,
    /// Whether a run also marks pipelines as deleted if `include` and `exclude` do not select
    /// their delivery streams. Default: `false`.
    pub delete_filtered: Option<bool>,
    /// Maximum percentage of the service's pipelines that a run may mark as deleted, 0 to 100.
    /// If the run would mark more, the run marks none, and counts a failure. Default: 50.
    pub delete_percent_max: Option<u64>,
}

impl RawOpenMetadata {
    /// Checks the settings of the server. `service` is the name of the pipeline service.
    pub(super) fn check(
        &self,
        service: &str,
        lineage: &RawLineage,
        assume_role_arn: Option<String>,
        check: &mut TableChecker<'_>,
    ) -> OpenMetadataSettings {
        let url = self.check_url(check);
        let timeout = self.timeout.as_deref();
        OpenMetadataSettings {
            host_port: url.to_owned(),
            service: service.to_owned(),
            pause: HTTP_PAUSE,
            extra_headers: check_headers(&self.headers, check),
            token: check.optional_secret("token", self.token.clone()),
            verify: tls_verification(self.verify.as_deref(), check),
            timeout: check.duration("timeout", timeout, HTTP_TIMEOUT, Duration::ZERO..=TIMEOUT_MAX),
            version_validation: self.check_version.unwrap_or(true),
            store_service_connection: self.store_connection.unwrap_or(true),
            assume_role_arn,
            adopt_service: self.adopt_service.unwrap_or(false),
            override_metadata: self.overwrite.unwrap_or(false),
            override_lineage: lineage.r#override.unwrap_or(false),
            include_lineage: lineage.include.unwrap_or(true),
            deletion: self.check_deletion(check),
            bulk_size: self.check_bulk_size(check),
            services: lineage.service_names(),
            direct_put_edges: lineage.direct_put.unwrap_or(false),
            column_lineage: lineage.columns.unwrap_or(false),
        }
    }

    fn check_url(&self, check: &mut TableChecker<'_>) -> &str {
        let url = self.url.as_deref().unwrap_or_default();
        if url.is_empty() {
            check.add_mistake("url is missing: write one such as \"http://localhost:8585/api\"");
        } else if check.is_url("url", url) && !url.trim_end_matches('/').ends_with("/api") {
            check.add_mistake(format_args!(
                "url is {url:?}: write the address of the API, which ends in /api"
            ));
        }
        if let Some(other) = self.api_version.as_deref().filter(|it| !matches!(*it, "v1" | "")) {
            check.add_mistake(format_args!("api_version is {other:?}: write \"v1\", or remove it"));
        }
        url
    }

    fn check_deletion(&self, check: &mut TableChecker<'_>) -> DeletionPolicy {
        let percent = self.delete_percent_max.unwrap_or(DELETE_PERCENT_MAX);
        let percent = check.number("delete_percent_max", percent, 0..=100);
        DeletionPolicy {
            is_on: self.mark_deleted.unwrap_or(true),
            prunes_filtered: self.delete_filtered.unwrap_or(false),
            ratio_max: percent.unwrap_or(DELETE_PERCENT_MAX) as f64 / 100.0,
        }
    }

    fn check_bulk_size(&self, check: &mut TableChecker<'_>) -> usize {
        if self.batch == Some(0) {
            check.add_mistake("batch is 0: write at least 1");
        }
        let batch = self.batch.map(|batch| batch.min(BATCH_MAX));
        batch.and_then(|batch| usize::try_from(batch).ok()).unwrap_or(CATALOG_BULK)
    }
}
