//! The conditions for writing, tested separately, so that the report names the missing ones.

use serde_json::Value;

use super::{OpenMetadata, RestError, ServerVersion, names};
use crate::probe::{Probe, ProbeOutcome};

impl OpenMetadata {
    /// Tests the server: whether it is OpenMetadata, its version, and the token.
    pub async fn run_probes(&self) -> Vec<Probe> {
        let untried =
            || ProbeOutcome::Untried { why: "skipped, because an earlier check failed".to_owned() };
        let (reached, known, token) = match self.version().await {
            Ok(version) => {
                (ProbeOutcome::Granted, self.judge_version(&version), self.probe_token().await)
            }
            Err(error) => (failed_outcome(&error), untried(), untried()),
        };
        let probe =
            |action, needed_for, outcome| Probe::new(action, needed_for, outcome).mandatory();
        vec![
            probe("OpenMetadata: GET /system/version", "everything", reached),
            probe("OpenMetadata: its version", "everything", known),
            probe("OpenMetadata: the token", "services, pipelines and lineage", token),
        ]
    }

    fn judge_version(&self, version: &ServerVersion) -> ProbeOutcome {
        let unknown = format!("unsupported version {version}");
        match version.is_known() {
            true => ProbeOutcome::Granted,
            false if self.settings.version_validation => ProbeOutcome::Failed {
                message: format!(
                    "{unknown}: set `check_version` (`enableVersionValidation`) to false to try it"
                ),
            },
            false => ProbeOutcome::Untried { why: unknown },
        }
    }

    /// A service that does not exist yet says nothing about the token.
    async fn probe_token(&self) -> ProbeOutcome {
        let path =
            format!("/pipelines?service={}&limit=1", names::escape_url(&self.settings.service));
        match self.api.get_object(&path).await {
            Ok(Some(page)) if !page.get("data").is_some_and(Value::is_array) => {
                failed_outcome(&RestError::unreadable("GET", &path, "it has no `data`"))
            }
            Ok(_) => ProbeOutcome::Granted,
            Err(error) => failed_outcome(&error),
        }
    }
}

fn failed_outcome(error: &RestError) -> ProbeOutcome {
    ProbeOutcome::Failed { message: error.to_string() }
}
