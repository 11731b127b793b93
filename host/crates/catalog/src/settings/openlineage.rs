//! The settings of OpenLineage: `[catalog.openlineage]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OpenLineageServer;
use super::servers::{check_headers, tls_verification};
use standpipe_core::secret::Secret;
use standpipe_core::settings::TableChecker;

/// A server and a file for OpenLineage events.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOpenLineage {
    /// A server that takes events with POST, such as `http://localhost:5000`.
    pub url: Option<String>,
    /// The path of its API; that of Marquez by default, `/api/v1/lineage`.
    pub path: Option<String>,
    /// Its token.
    pub token: Option<Secret>,
    /// As for OpenMetadata.
    pub verify: Option<String>,
    /// Headers of each request. Their values may be references to secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// A broker's `HOST:PORT` by the ARN of its cluster of Kafka: what OpenLineage
    /// calls a cluster by, and AWS does not return.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub brokers: BTreeMap<String, String>,
    /// A file of events, one on each line.
    pub file: Option<PathBuf>,
}

impl RawOpenLineage {
    pub(super) fn check(&self, check: &mut TableChecker<'_>) -> Option<OpenLineageServer> {
        let Some(url) = self.url.clone() else {
            if self.token.is_some() || self.verify.is_some() || !self.headers.is_empty() {
                check.add_mistake(
                    "token, verify and headers have no effect without url: set url, or remove them",
                );
            }
            return None;
        };
        check.is_url("url", &url);
        Some(OpenLineageServer {
            url,
            path: self.path.clone(),
            token: check.optional_secret("token", self.token.clone()),
            headers: check_headers(&self.headers, check),
            verify: tls_verification(self.verify.as_deref(), check),
        })
    }
}
