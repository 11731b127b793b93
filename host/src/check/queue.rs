//! Checks the queue and the fleet of the settings: that they respond, exist, keep events and rules safe, and allow what
//! a run does.

use super::report::{CheckOutcome, CheckReport};
use crate::config::{QueueSettings, Settings};
use crate::run::open_secrets;
use standpipe_queue::admin::{FindingOutcome, QueueAdmin, QueueFinding};

/// Checks the queue. Changes nothing, and receives no message.
pub(crate) async fn check_queue(settings: &Settings, queue: &QueueSettings) -> CheckReport {
    let mut report = CheckReport::default();
    if let Some(admin) = connect(settings, queue, &mut report).await {
        add_findings("queue", admin.check().await, &mut report);
    }
    report
}

/// Checks the queue, and the fleet that the settings name. What the check of a fleet writes is deleted again.
pub(super) async fn check_queue_and_fleet(
    settings: &Settings,
    queue: &QueueSettings,
) -> CheckReport {
    let mut report = CheckReport::default();
    let Some(admin) = connect(settings, queue, &mut report).await else { return report };
    add_findings("queue", admin.check().await, &mut report);
    if let Some(fleet) = &settings.fleet {
        // Another connection, since the refusals of this one are about the queue.
        if let Some(admin) = connect(settings, queue, &mut report).await {
            add_findings("fleet", admin.check_fleet(fleet).await, &mut report);
        }
    }
    report
}

async fn connect(
    settings: &Settings,
    queue: &QueueSettings,
    report: &mut CheckReport,
) -> Option<QueueAdmin> {
    let secrets = match open_secrets(settings.secrets.as_ref()).await {
        Ok(secrets) => secrets,
        Err(error) => {
            report.failed("queue connection", error.to_string(), "check [secrets]");
            return None;
        }
    };
    match QueueAdmin::connect(queue, &secrets).await {
        Ok(admin) => Some(admin),
        Err(error) => {
            let advice = "correct [queue], and check that the servers run and can be reached";
            report.failed("queue connection", error.to_string(), advice);
            None
        }
    }
}

/// Adds findings as steps whose names begin with `part`.
fn add_findings(part: &str, findings: Vec<QueueFinding>, report: &mut CheckReport) {
    for found in findings {
        let outcome = match found.outcome {
            FindingOutcome::Ok => CheckOutcome::Ok,
            FindingOutcome::Warning => CheckOutcome::Warning,
            FindingOutcome::Failed => CheckOutcome::Failed,
            FindingOutcome::Skipped => CheckOutcome::Skipped,
        };
        report.add(format!("{part} {}", found.property), outcome, found.detail, found.advice);
    }
}
