//! Checks the queue of the settings: that it responds, exists, keeps events safe, and allows what a run does.

use super::report::{CheckOutcome, CheckReport};
use crate::config::{QueueSettings, Settings};
use crate::run::open_secrets;
use standpipe_queue::admin::{FindingOutcome, QueueAdmin};

/// Checks the queue. Changes nothing, and receives no message.
pub(crate) async fn check_queue(settings: &Settings, queue: &QueueSettings) -> CheckReport {
    let mut report = CheckReport::default();
    let advice = "correct [queue], and check that the servers run and can be reached";
    let secrets = match open_secrets(settings.secrets.as_ref()).await {
        Ok(secrets) => secrets,
        Err(error) => {
            report.failed("queue connection", error.to_string(), "check [secrets]");
            return report;
        }
    };
    let admin = match QueueAdmin::connect(queue, &secrets).await {
        Ok(admin) => admin,
        Err(error) => {
            report.failed("queue connection", error.to_string(), advice);
            return report;
        }
    };
    for found in admin.check().await {
        let outcome = match found.outcome {
            FindingOutcome::Ok => CheckOutcome::Ok,
            FindingOutcome::Warning => CheckOutcome::Warning,
            FindingOutcome::Failed => CheckOutcome::Failed,
            FindingOutcome::Skipped => CheckOutcome::Skipped,
        };
        report.add(format!("queue {}", found.property), outcome, found.detail, found.advice);
    }
    report
}
