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

/// How long an attempt of a request may take that the settings may say.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Pipelines in one request: what the settings say beyond is taken for as many, since the
/// vendor's program takes more.
const BATCH_MAX: u64 = 1000;

/// The part of a service's pipelines that a run may delete, of 100, unless set otherwise:
/// more than half of the streams hardly go at once, but wrong settings make it look so.
const DELETE_PERCENT_MAX: u64 = 50;

/// An OpenMetadata server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOpenMetadata {
    /// The address of its API, such as `http://localhost:8585/api`.
    pub url: Option<String>,
    /// The token of a bot.
    pub token: Option<Secret>,
    /// The version of its API; `v1` by default.
    pub api_version: Option<String>,
    /// Which certificates are trusted: `"system"`, the default, `"nothing"` to trust
    /// any, or the path of a PEM file of authorities.
    pub verify: Option<String>,
    /// Headers of each request. Their values may be references to secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// How long an attempt of a request may take, such as `30s`.
    #[schemars(example = &"30s")]
    pub timeout: Option<String>,
    /// Pipelines in one request; 100 by default.
    pub batch: Option<u64>,
    /// Whether its version must be one that is known; true by default.
    pub check_version: Option<bool>,
    /// Whether region and filters are kept with the service, without credentials; true
    /// by default.
    pub store_connection: Option<bool>,
    /// Whether a service of another program is marked as that of this account and
    /// region, without which nothing is marked as deleted in it; false by default.
    pub adopt_service: Option<bool>,
    /// Whether descriptions and names that people changed there are overwritten; false
    /// by default.
    pub overwrite: Option<bool>,
    /// Whether pipelines whose stream is gone are marked as deleted; true by default.
    pub mark_deleted: Option<bool>,
    /// Whether streams that the patterns leave out count as gone; false by default.
    pub delete_filtered: Option<bool>,
    /// How many of a hundred pipelines a run may mark as deleted at most; 50 by
    /// default.
    pub delete_percent_max: Option<u64>,
}

impl RawOpenMetadata {
    /// Checks a server, to which the streams are one service.
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
