//! What must work before anything is written: asked apart, so that it is known
//! what is missing.

use serde::Serialize;
use serde_json::Value;

use super::{ApiError, OpenMetadata, names};

/// Something that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerProbe {
    /// What was tried.
    pub action: &'static str,
    /// What came of it.
    pub outcome: ProbeOutcome,
    /// What it is needed for.
    pub needed_for: &'static str,
}

/// What came of trying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
pub enum ProbeOutcome {
    /// It works. More about it for people.
    Works(String),
    /// It works, and something about it should be known.
    Warning(String),
    /// It does not work.
    Fails(String),
    /// It was not tried, since another one does not work.
    Skipped,
}

impl OpenMetadata {
    /// Try the server: that it is one, its version, and the token.
    pub async fn probes(&self) -> Vec<ServerProbe> {
        let probe = |action, outcome, needed_for| ServerProbe { action, outcome, needed_for };
        let fails = |error: &ApiError| ProbeOutcome::Fails(error.to_string());
        let version = self.version().await;
        let reached = match &version {
            Ok(version) => ProbeOutcome::Works(format!("OpenMetadata {version}")),
            Err(error) => fails(error),
        };
        let known = match &version {
            Ok(version) if version.is_known() => ProbeOutcome::Works(version.to_string()),
            Ok(version) if self.settings.version_validation => ProbeOutcome::Fails(format!(
                "{version} is none that this program knows: set `check_version` (`enableVersionValidation`) to false to try it"
            )),
            Ok(version) => {
                ProbeOutcome::Warning(format!("{version} is none that this program knows"))
            }
            Err(_) => ProbeOutcome::Skipped,
        };
        let path = format!("/pipelines?service={}&limit=1", names::escape(&self.settings.service));
        let token = match &version {
            Err(_) => ProbeOutcome::Skipped,
            // A service that is not there yet is no matter of the token.
            Ok(_) => match self.api.get(&path).await {
                Ok(Some(page)) if !page.get("data").is_some_and(Value::is_array) => {
                    fails(&ApiError::unreadable("GET", &path, "it has no `data`"))
                }
                Ok(_) => ProbeOutcome::Works("pipelines can be read".to_owned()),
                Err(error) => fails(&error),
            },
        };
        vec![
            probe("OpenMetadata: GET /system/version", reached, "everything"),
            probe("OpenMetadata: its version", known, "everything"),
            probe("OpenMetadata: the token", token, "services, pipelines and lineage"),
        ]
    }
}

impl ServerProbe {
    /// Whether nothing can be written.
    pub fn is_failure(&self) -> bool {
        matches!(self.outcome, ProbeOutcome::Fails(_))
    }
}
