//! Whom the catalog tells.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::config::aws::check_url;
use crate::config::check::duration;
use crate::config::error::Mistakes;
use crate::config::secrets::References;
use crate::config::{ConfigError, RawCatalog, RawLineage, RawOpenLineage, RawOpenMetadata};
use standpipe_catalog::openmetadata::{Deletion, OpenMetadataSettings, Services};
use standpipe_catalog::web::Verify;
use standpipe_catalog::{Headers, OpenLineageServer};
use standpipe_core::secret::Secret;

const TIMEOUT_MAX: Duration = Duration::from_secs(600);
const BATCH_MAX: u64 = 1000;

pub(super) fn openmetadata(
    server: RawOpenMetadata,
    catalog: &RawCatalog,
    assume_role_arn: Option<String>,
    directory: &Path,
    references: &References,
) -> Result<(OpenMetadataSettings, Headers), ConfigError> {
    let place = "[catalog.openmetadata]";
    let mut mistakes = Mistakes::default();
    let url = server.url.unwrap_or_default();
    if url.is_empty() {
        mistakes.add(ConfigError::new(format!(
            "{place} has no url: write one such as \"http://localhost:8585/api\""
        )));
    } else if mistakes.some(check_url(&format!("{place} url"), Some(&url))).is_some()
        && !url.trim_end_matches('/').ends_with("/api")
    {
        mistakes.add(ConfigError::new(format!(
            "{place} url is {url:?}: write the address of the API, with /api at its end"
        )));
    }
    match server.api_version.as_deref() {
        None | Some("v1" | "") => {}
        Some(other) => {
            mistakes.add(ConfigError::new(format!(
                "{place} api_version is {other:?}: this program speaks v1: write that, or remove it"
            )));
        }
    }
    let service = catalog.service_name.as_deref().unwrap_or_default();
    if catalog.service_name.is_none() {
        mistakes.add(ConfigError::new(
            "[catalog] service_name is missing: OpenMetadata knows the streams together by it: write one such as \
             \"aws_firehose\"",
        ));
    }
    let lineage = &catalog.lineage;
    let timeout = duration(
        &format!("{place} timeout"),
        server.timeout.as_deref(),
        standpipe_catalog::limits::WEB_TIMEOUT,
        TIMEOUT_MAX,
    );
    let headers = mistakes.or(headers(place, server.headers, references), Headers::default());
    let token = references.optional(&format!("{place} token"), server.token);
    let bulk_size = mistakes.or(bulk_size(server.batch), standpipe_catalog::limits::CATALOG_BULK);
    let ratio_max = mistakes.or(ratio(server.delete_percent_max), Deletion::default().ratio_max);
    let settings = OpenMetadataSettings {
        token: mistakes.or(token, None),
        verify: verify(server.verify.as_deref(), directory),
        timeout: mistakes.or(timeout, standpipe_catalog::limits::WEB_TIMEOUT),
        version_validation: server.check_version.unwrap_or(true),
        store_service_connection: server.store_connection.unwrap_or(true),
        assume_role_arn,
        adopt_service: server.adopt_service.unwrap_or(false),
        override_metadata: server.overwrite.unwrap_or(false),
        override_lineage: lineage.r#override.unwrap_or(false),
        include_lineage: lineage.include.unwrap_or(true),
        deletion: Deletion {
            is_on: server.mark_deleted.unwrap_or(true),
            prunes_filtered: server.delete_filtered.unwrap_or(false),
            ratio_max,
        },
        bulk_size,
        services: services(lineage),
        direct_put_edges: lineage.direct_put.unwrap_or(false),
        column_lineage: lineage.columns.unwrap_or(false),
        ..OpenMetadataSettings::new(&url, service)
    };
    mistakes.end((settings, headers))
}

fn services(lineage: &RawLineage) -> Services {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    Services {
        database: list(&lineage.database_services),
        storage: list(&lineage.storage_services),
        messaging: list(&lineage.messaging_services),
        search: list(&lineage.search_services),
        kafka: lineage.messaging_service.clone(),
    }
}

fn ratio(percent: Option<u64>) -> Result<f64, ConfigError> {
    match percent {
        None => Ok(Deletion::default().ratio_max),
        Some(percent @ 0..=100) => Ok(f64::from(u8::try_from(percent).unwrap_or(100)) / 100.0),
        Some(percent) => Err(ConfigError::new(format!(
            "[catalog.openmetadata] delete_percent_max is {percent}: write a number from 0 to 100"
        ))),
    }
}

/// What the vendor's program takes in one request may be more than is taken here.
fn bulk_size(batch: Option<u64>) -> Result<usize, ConfigError> {
    match batch {
        None => Ok(standpipe_catalog::limits::CATALOG_BULK),
        Some(0) => Err(ConfigError::new("[catalog.openmetadata] batch is 0: write at least 1")),
        Some(batch) => Ok(usize::try_from(batch.min(BATCH_MAX))
            .unwrap_or(standpipe_catalog::limits::CATALOG_BULK)),
    }
}

pub(super) fn openlineage(
    server: &RawOpenLineage,
    directory: &Path,
    references: &References,
) -> Result<Option<OpenLineageServer>, ConfigError> {
    let place = "[catalog.openlineage]";
    let Some(url) = server.url.clone() else {
        let is_set =
            server.token.is_some() || server.verify.is_some() || !server.headers.is_empty();
        return match is_set {
            true => Err(ConfigError::new(format!(
                "{place} token, verify and headers have a meaning only with url: set it, or remove them"
            ))),
            false => Ok(None),
        };
    };
    let mut mistakes = Mistakes::default();
    mistakes.some(check_url(&format!("{place} url"), Some(&url)));
    let token = references.optional(&format!("{place} token"), server.token.clone());
    let headers = headers(place, server.headers.clone(), references);
    let server = OpenLineageServer {
        url,
        path: server.path.clone(),
        token: mistakes.or(token, None),
        headers: mistakes.or(headers, Headers::default()),
        verify: verify(server.verify.as_deref(), directory),
    };
    mistakes.end(Some(server))
}

fn headers(
    place: &str,
    headers: BTreeMap<String, Secret>,
    references: &References,
) -> Result<Headers, ConfigError> {
    let check = |(name, value): (String, Secret)| {
        let setting = references.check(&format!("{place} headers: {name}"), value)?;
        Ok((name, setting))
    };
    headers.into_iter().map(check).collect()
}

fn verify(word: Option<&str>, directory: &Path) -> Verify {
    match word {
        None | Some("system") => Verify::System,
        Some("nothing") => Verify::Nothing,
        Some(path) => Verify::Authority(directory.join(path)),
    }
}
