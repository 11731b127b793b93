//! `host queue status`: prints how much the queue contains.

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::{QueueArguments, block_on, connect_to_queue, usage};
use crate::cli::run::{LogFormat, start_logging};
use crate::cli::{CommandResult, print_report};
use standpipe_core::text_table::render_table;
use standpipe_queue::{QueueKind, QueueSettings, QueueStatus};

#[derive(Debug, Args)]
pub(crate) struct QueueStatusArguments {
    #[command(flatten)]
    given: QueueArguments,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The status of a queue, as JSON.
#[derive(Debug, Serialize)]
struct QueueStatusReport {
    /// The stream, or the queue in Amazon SQS.
    queue: String,
    waiting: u64,
    unacknowledged: u64,
    bytes: Option<u64>,
    oldest_age_seconds: Option<f64>,
}

pub(super) fn run(arguments: &QueueStatusArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let (settings, queue) = arguments.given.read_settings().map_err(usage)?;
    let status = block_on(async {
        let admin = connect_to_queue(&settings, &queue).await?;
        admin.status().await.context("failed to read the status of the queue")
    })?;
    let report = QueueStatusReport::new(&queue, status);
    let to_json = || serde_json::to_string_pretty(&report).expect("it has string keys");
    print_report(arguments.json, to_json, || report.to_text())
}

impl QueueStatusReport {
    fn new(settings: &QueueSettings, status: QueueStatus) -> Self {
        let QueueStatus { waiting, unacknowledged, bytes, oldest_age } = status;
        let queue = match &settings.kind {
            QueueKind::Nats(nats) => nats.stream.clone(),
            QueueKind::Sqs(sqs) => sqs.url.name().to_owned(),
        };
        let oldest_age_seconds = oldest_age.map(|age| age.as_secs_f64());
        QueueStatusReport { queue, waiting, unacknowledged, bytes, oldest_age_seconds }
    }

    /// Unknown values are `-`.
    fn to_text(&self) -> String {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let row = [
            self.queue.clone(),
            self.waiting.to_string(),
            self.unacknowledged.to_string(),
            or_dash(self.bytes.map(|bytes| bytes.to_string())),
            or_dash(self.oldest_age_seconds.map(|seconds| format!("{seconds:.1} s"))),
        ];
        render_table(["queue", "waiting", "unacknowledged", "bytes", "oldest"], [row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_values_are_dashes() {
        let mut report = QueueStatusReport {
            queue: "standpipe".to_owned(),
            waiting: 3,
            unacknowledged: 0,
            bytes: None,
            oldest_age_seconds: None,
        };
        let text = report.to_text();
        assert_eq!(text.lines().last().unwrap(), "standpipe  3        0               -      -");
        report.bytes = Some(1200);
        report.oldest_age_seconds = Some(61.25);
        assert!(report.to_text().ends_with("1200   61.2 s\n"), "{}", report.to_text());
    }
}
