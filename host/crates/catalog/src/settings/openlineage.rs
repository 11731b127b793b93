//! The settings of OpenLineage: `[catalog.openlineage]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OpenLineageServer;
use super::servers::{check_headers, tls_verification};
use standpipe_core::secret::Secret;
use standpipe_core::settings::TableChecker;

/// The server and the file for OpenLineage events.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOpenLineage {
    /// URL of a server that accepts events with POST, such as `http://localhost:5000`.
    /// Default: none.
    pub url: Option<String>,
    /// Path of the server's API. Default: `/api/v1/lineage`, the path of Marquez.
    pub path: Option<String>,
    /// Bearer token for the server, or a reference `secret:NAME`. Default: none.
    pub token: Option<Secret>,
    /// Which certificates are trusted: `"system"`, `"nothing"` (any certificate), or the path
    /// of a PEM file with certificate authorities. Default: `"system"`.
    pub verify: Option<String>,
    /// Headers of each request. The values can be references `secret:NAME`. Default: none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// Brokers of MSK clusters. Each key is the ARN of a cluster, each value the `HOST:PORT`
    /// of one of its brokers. OpenLineage names the topics of the cluster by this address,
    /// which AWS does not return.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub brokers: BTreeMap<String, String>,
    /// File for OpenLineage events, one on each line. Default: none.
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
