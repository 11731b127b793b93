//! The report of a sync and its success according to the settings, as text, as JSON and for the
//! history.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Snapshot;
use crate::ingest::{IngestOptions, IngestOutcome};
use crate::report::report_table;
use crate::schedule::{RunCounts, RunResult, RunStatus};

/// The report of a sync.
#[derive(Debug, Clone)]
pub struct SyncReport {
    /// The steps and their outcomes.
    pub outcome: IngestOutcome,
    /// The result of reading. `None` if nothing was read.
    pub snapshot: Option<Snapshot>,
    pub(super) options: IngestOptions,
}

/// The report of a sync, for programs.
#[derive(Debug, Serialize)]
pub struct Judged<'a> {
    is_good: bool,
    success_percent: f64,
    unresolved: usize,
    #[serde(flatten)]
    outcome: &'a IngestOutcome,
}

impl SyncReport {
    /// Returns whether the run meets the criteria of success in the settings.
    pub fn is_good(&self) -> bool {
        !self.outcome.has_failed(&self.options) && self.strict_failures() == 0
    }

    /// The number of unresolved edges, if they are a failure.
    fn strict_failures(&self) -> usize {
        if self.options.judgement.strict { self.outcome.report.unresolved() } else { 0 }
    }

    /// Returns the report for people: each edge, and the summary.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if !self.outcome.report.lines.is_empty() {
            text += &report_table(&self.outcome.report);
            text.push('\n');
        }
        text += &self.outcome.summary(&self.options);
        let unresolved = self.strict_failures();
        if unresolved > 0 {
            text += &format!("Unresolved edges: {unresolved} (a failure with --strict)\n");
        }
        text
    }

    /// Returns the report for programs.
    pub fn to_judged(&self) -> Judged<'_> {
        Judged {
            is_good: self.is_good(),
            success_percent: self.outcome.success_percent(),
            unresolved: self.outcome.report.unresolved(),
            outcome: &self.outcome,
        }
    }

    /// Returns the result for the history of runs.
    pub fn run_result(&self) -> RunResult {
        let fate = if self.is_good() { RunStatus::Done } else { RunStatus::Failed };
        RunResult { fate, tally: self.run_counts() }
    }

    fn run_counts(&self) -> RunCounts {
        let IngestOutcome { steps, report, removal, aborted, .. } = &self.outcome;
        let totals = report.totals();
        let mut counts = BTreeMap::new();
        let mut count = |key: &str, count: usize| {
            counts.insert(key.to_owned(), count as u64);
        };
        if let Some(Snapshot { inventory, .. }) = &self.snapshot {
            count("streams", inventory.streams.len());
            count("filtered", inventory.filtered.len());
            count("unread", inventory.unread.len());
        }
        count("edges_resolved", totals.resolved);
        count("edges_written", totals.written);
        count("edges_not_found", totals.not_found);
        count("edges_ambiguous", totals.ambiguous);
        count("edges_unsupported", totals.unsupported);
        count("edges_failed", totals.failed);
        count("deleted", removal.pipelines.len());
        let failed = steps.iter().flat_map(|step| &step.failures);
        let failed = failed
            .map(|failure| format!("{}: {}: {}", failure.from, failure.entity, failure.message));
        RunCounts {
            counts,
            failures: aborted.iter().cloned().chain(failed).collect(),
            more_failures: 0,
        }
    }
}
