//! Writes an inventory to the server. Nothing is written before a probe succeeds, and nothing is
//! deleted before everything else is written.
//!
//! The order is: probe the server; find or create the service; write pipelines; write their edges;
//! delete. Reading happens before. Other sinks have their own steps, which are added to the
//! [`IngestOutcome`].

mod edges;
mod step;
mod summary;

pub use step::{IngestFailure, IngestStep};

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use super::openmetadata::{
    ExistingPipelines, OpenMetadata, PipelineRemoval, PipelineWrite, RemovalSkipped, RestError,
    ServiceError, ServiceScope, ServiceState,
};
use super::probe::ProbeOutcome;
use super::report::LineageReport;
use super::{Graph, Inventory, SuccessCriteria};

/// The origin of the sink's failures.
const SINK: &str = "OpenMetadata";

/// Options of a run, and its criteria for failure.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestOptions {
    /// The name of the run in its summary.
    pub workflow: String,
    /// Whether the run is a dry run that writes nothing.
    pub is_dry: bool,
    /// When the run counts as failed.
    pub judgement: SuccessCriteria,
}

/// The outcome of writing to OpenMetadata.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IngestOutcome {
    /// The steps: source, sink, and those of other sinks.
    pub steps: Vec<IngestStep>,
    /// The outcome of each edge.
    pub report: LineageReport,
    /// The pipelines that were deleted, or would be.
    pub removal: PipelineRemoval,
    /// Why the run was aborted before any pipeline was written.
    pub aborted: Option<String>,
    /// The duration of the run, including reading.
    pub took: Duration,
}

impl IngestOutcome {
    /// Whether the run has failed: it was aborted, a step did not finish, or it has failures and
    /// its success rate is below the threshold. Otherwise, failures are reported, but are not an
    /// error. Missing lineage is not a failure: see [`LineageReport::unresolved`].
    pub fn has_failed(&self, options: &IngestOptions) -> bool {
        let is_low = |step: &IngestStep| {
            let is_low = step.success_percent() < options.judgement.success_threshold as f64;
            step.is_cut_off || !step.failures.is_empty() && is_low
        };
        self.aborted.is_some() || options.judgement.raise_on_error && self.steps.iter().any(is_low)
    }

    /// The mean success rate of the steps in percent. 0 for an aborted run.
    pub fn success_percent(&self) -> f64 {
        if self.aborted.is_some() {
            return 0.0;
        }
        let sum: f64 = self.steps.iter().map(IngestStep::success_percent).sum();
        if self.steps.is_empty() { 100.0 } else { sum / self.steps.len() as f64 }
    }

    /// A run that ended before anything was read.
    pub fn given_up(cause: String) -> Self {
        IngestOutcome { aborted: Some(cause), ..IngestOutcome::default() }
    }
}

/// Writes an inventory and its graph to OpenMetadata, if there is a server.
pub async fn ingest_inventory(
    inventory: &Inventory,
    graph: &Graph,
    openmetadata: Option<&OpenMetadata>,
    options: &IngestOptions,
) -> IngestOutcome {
    let steps = vec![IngestStep::of_inventory(inventory)];
    let mut outcome = IngestOutcome { steps, ..IngestOutcome::default() };
    match openmetadata {
        None => outcome.report = edges::report_without_server(inventory, graph),
        Some(server) => {
            let mut sink = IngestStep::new("Sink");
            let run = Ingestion { server, inventory, graph, options };
            if let Err(cause) = run.write_all(&mut sink, &mut outcome).await {
                outcome.aborted = Some(cause.to_string());
                sink.is_cut_off = true;
            }
            outcome.steps.push(sink);
        }
    }
    outcome
}

/// Why writing stopped.
#[derive(Debug, Error)]
enum IngestError {
    /// An action of the probe failed.
    #[error("{action}: {cause}")]
    Probe { action: String, cause: String },
    /// The service cannot be found or created.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The server failed.
    #[error(transparent)]
    Api(#[from] RestError),
}

struct Ingestion<'a> {
    server: &'a OpenMetadata,
    inventory: &'a Inventory,
    graph: &'a Graph,
    options: &'a IngestOptions,
}

impl Ingestion<'_> {
    async fn write_all(
        &self,
        sink: &mut IngestStep,
        outcome: &mut IngestOutcome,
    ) -> Result<(), IngestError> {
        self.try_server(sink).await?;
        let scope = ServiceScope::of(self.inventory);
        let state = self.server.ensure_service(&scope, self.options.is_dry).await?;
        let mut existing = match state {
            ServiceState::WouldBeCreated => BTreeMap::new(),
            _ => self.server.list_pipelines().await?,
        };
        let before = existing.clone();
        let is_read_back = self.write_pipelines(&mut existing, sink).await;
        if !is_read_back {
            return Ok(());
        }
        if self.server.settings().include_lineage {
            outcome.report = self.write_edges(&before, &existing, sink).await;
        }
        outcome.removal = self.remove_stale(&existing, state, sink).await;
        Ok(())
    }

    async fn try_server(&self, sink: &mut IngestStep) -> Result<(), IngestError> {
        for probe in self.server.run_probes().await {
            let action = probe.action;
            match probe.outcome {
                ProbeOutcome::Denied { message } | ProbeOutcome::Failed { message } => {
                    return Err(IngestError::Probe { action, cause: message });
                }
                ProbeOutcome::Untried { why } => sink.warnings.push(format!("{action}: {why}")),
                ProbeOutcome::Granted => (),
            }
        }
        Ok(())
    }

    /// Writes the pipelines. Returns whether they could be read back afterwards.
    async fn write_pipelines(
        &self,
        existing: &mut ExistingPipelines,
        sink: &mut IngestStep,
    ) -> bool {
        let streams = &self.inventory.streams;
        let puts =
            self.server.put_pipelines(streams, self.graph, existing, self.options.is_dry).await;
        let puts = match puts {
            Ok(puts) => puts,
            Err(error) => {
                sink.add_failure(SINK, "the pipelines", &error);
                sink.is_cut_off = true;
                return false;
            }
        };
        for (name, put) in puts {
            match put {
                PipelineWrite::Created | PipelineWrite::Unchanged => sink.records += 1,
                PipelineWrite::Updated => sink.updated += 1,
                PipelineWrite::Failed(error) => sink.add_failure(SINK, &name, &error),
            }
        }
        true
    }

    async fn remove_stale(
        &self,
        existing: &ExistingPipelines,
        state: ServiceState,
        sink: &mut IngestStep,
    ) -> PipelineRemoval {
        let removal =
            PipelineRemoval::plan(existing, self.inventory, state, self.server.settings().deletion);
        match &removal.untouched {
            None | Some(RemovalSkipped::Off) => (),
            // Wrong settings can be the cause, so it is a failure.
            Some(why @ RemovalSkipped::TooMany { .. }) => {
                sink.add_failure(SINK, &self.server.settings().service, why);
            }
            Some(why) => sink.warnings.push(why.to_string()),
        }
        if self.options.is_dry {
            return removal;
        }
        match self.server.remove_pipelines(&removal, existing).await {
            Ok(failed) => {
                failed.iter().for_each(|(name, error)| sink.add_failure(SINK, name, error));
            }
            Err(error) => sink.add_failure(SINK, "deleted pipelines", &error),
        }
        removal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_options() -> IngestOptions {
        let judgement = SuccessCriteria::default();
        IngestOptions { workflow: "standpipe".to_owned(), is_dry: false, judgement }
    }

    #[test]
    fn a_failure_among_many_is_no_error() {
        let mut sink = IngestStep::new("Sink");
        sink.records = 19;
        sink.failures.push(IngestFailure::new("OpenMetadata", "a", &"x"));
        let mut outcome = IngestOutcome { steps: vec![sink], ..IngestOutcome::default() };
        let mut options = default_options();
        assert!(!outcome.has_failed(&options));
        outcome.steps[0].records = 8;
        assert!(outcome.has_failed(&options));
        options.judgement.raise_on_error = false;
        assert!(!outcome.has_failed(&options));
        options = default_options();
        options.judgement.success_threshold = 0;
        assert!(!outcome.has_failed(&options));
        outcome.aborted = Some("x".into());
        options.judgement.raise_on_error = false;
        assert!(outcome.has_failed(&options));
    }

    #[test]
    fn success_is_told_of_what_was_done_alone() {
        let failure = || IngestFailure::new("OpenMetadata", "a", &"x");
        let step = |records, failures: usize, is_cut_off| IngestStep {
            records,
            failures: (0..failures).map(|_| failure()).collect(),
            is_cut_off,
            ..IngestStep::new("Sink")
        };
        for (step, percent) in [
            (step(0, 0, false), 100.0),
            (step(0, 1, false), 0.0),
            (step(0, 0, true), 0.0),
            (step(3, 1, false), 75.0),
        ] {
            assert!((step.success_percent() - percent).abs() < 0.01, "{step:?}");
        }
        let source = step(1_000, 0, false);
        let mut outcome =
            IngestOutcome { steps: vec![source, step(0, 0, true)], ..IngestOutcome::default() };
        let mut options = default_options();
        options.judgement.success_threshold = 0;
        assert!(outcome.has_failed(&options), "the threshold does not say what is missing");
        assert!((outcome.success_percent() - 50.0).abs() < 0.01);
        outcome.aborted = Some("the server is down".to_owned());
        assert!(outcome.success_percent() < 0.01);
        assert!(IngestOutcome::given_up("x".to_owned()).success_percent() < 0.01);
    }

    #[test]
    fn a_list_that_was_cut_off_is_a_failure() {
        let options = default_options();
        for (is_complete, fails) in [(true, false), (false, true)] {
            let inventory = Inventory { is_complete, ..Inventory::default() };
            let steps =
                vec![IngestStep { records: 10_000, ..IngestStep::of_inventory(&inventory) }];
            let outcome = IngestOutcome { steps, ..IngestOutcome::default() };
            assert_eq!(outcome.has_failed(&options), fails, "{is_complete}");
            let is_told = outcome.summary(&options).contains("the list of delivery streams");
            assert_eq!(is_told, fails);
        }
    }
}
