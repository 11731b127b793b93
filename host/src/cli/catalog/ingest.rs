//! `host catalog ingest`: runs the catalog once now, unless another run is in progress.

use anyhow::{Context, anyhow};
use clap::Args;
use tracing::Level;

use super::progress::DiscoverySpinner;
use super::{CatalogArgs, LogFormat, OutputArgs, block_on, fault, start_logging, usage};
use crate::cli::signals::Signals;
use crate::cli::{CommandResult, Exit, complain};
use crate::run::run_with_log;
use standpipe_catalog::schedule::{RunResult, RunStore, RunTrigger};
use standpipe_catalog::{CatalogSettings, CatalogSync, EventRoute, SyncReport};
use standpipe_core::clock;

#[derive(Debug, Args)]
pub(crate) struct IngestArguments {
    #[command(flatten)]
    given: CatalogArgs,
    /// Print what would be written to servers and files, without writing it.
    #[arg(long)]
    dry_run: bool,
    /// Fail if lineage is unresolved.
    #[arg(long)]
    strict: bool,
    /// Log everything to the log of the run.
    #[arg(long)]
    debug: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(arguments: &IngestArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let mut settings = arguments.given.settings().map_err(usage)?;
    if arguments.debug {
        settings.log_level = Level::DEBUG;
    }
    let routes = arguments.given.routes().map_err(usage)?;
    let sync = CatalogSync { is_dry: arguments.dry_run, is_strict: arguments.strict };
    let report = block_on(run_ingestion(&settings, &routes, sync))?.map_err(fault)?;
    let Some(report) = report else { return Ok(Exit::Stopped) };
    arguments.output.print(&report.to_judged(), || report.to_text())?;
    Ok(if report.is_good() { Exit::Done } else { Exit::Fault })
}

/// Runs the catalog once. Returns `None` if a signal stopped it.
async fn run_ingestion(
    settings: &CatalogSettings,
    routes: &[EventRoute],
    sync: CatalogSync,
) -> anyhow::Result<Option<SyncReport>> {
    let mut signals = Signals::listen().context("listen for signals")?;
    let progress = DiscoverySpinner::start();
    let report_step = |step| progress.report(step);
    if sync.is_dry {
        return Ok(tokio::select! {
            report = sync.run(settings, routes, &report_step) => Some(report),
            () = signals.stop() => None,
        });
    }
    let history = RunStore::of_data_dir(&settings.data_dir);
    let claim = history.begin_run(RunTrigger::Asked, None, clock::now())?.ok_or_else(|| {
        anyhow!("another catalog run is in progress: wait for it (see `host catalog runs`), or use another --data-dir")
    })?;
    let report = tokio::select! {
        report = run_with_log(&claim, settings, routes, sync, &report_step) => Some(report),
        () = signals.stop() => None,
    };
    let outcome = report
        .as_ref()
        .map_or_else(|| RunResult::stopped("stopped by a signal"), SyncReport::run_result);
    if let Err(error) = claim.end_run(outcome, clock::now()) {
        complain(&format!("failed to record the result of the run: {error}"));
    }
    Ok(report)
}
