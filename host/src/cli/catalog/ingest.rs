//! `host catalog ingest`: one run of the catalog now, unless another one is running.

use anyhow::{Context, anyhow};
use clap::Args;
use tracing::Level;

use super::progress::Progress;
use super::{CatalogArgs, LogFormat, OutputArgs, block_on, fault, start_logging, usage};
use crate::cli::signals::Signals;
use crate::cli::{CommandResult, Exit, complain};
use crate::run::run_with_log;
use standpipe_catalog::schedule::{RunResult, RunStore, RunTrigger};
use standpipe_catalog::{CatalogSettings, CatalogSync, EventRoute, SyncReport};
use standpipe_core::clock;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
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

pub(super) fn run(arguments: &Arguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let mut settings = arguments.given.settings().map_err(usage)?;
    if arguments.debug {
        settings.log_level = Level::DEBUG;
    }
    let routes = arguments.given.routes().map_err(usage)?;
    let round = CatalogSync { is_dry: arguments.dry_run, is_strict: arguments.strict };
    let told = block_on(ingest(&settings, &routes, round))?.map_err(fault)?;
    let Some(told) = told else { return Ok(Exit::Stopped) };
    arguments.output.print(&told.to_judged(), || told.to_text())?;
    Ok(if told.is_good() { Exit::Done } else { Exit::Fault })
}

/// Runs the catalog once; none if a signal stopped it.
async fn ingest(
    settings: &CatalogSettings,
    routes: &[EventRoute],
    round: CatalogSync,
) -> anyhow::Result<Option<SyncReport>> {
    let mut signals = Signals::listen().context("listen for signals")?;
    let progress = Progress::start();
    let tell = |step| progress.report(step);
    if round.is_dry {
        return Ok(tokio::select! {
            told = round.run(settings, routes, &tell) => Some(told),
            () = signals.stop() => None,
        });
    }
    let history = RunStore::of_data_dir(&settings.data_dir);
    let claim = history.begin_run(RunTrigger::Asked, None, clock::now())?.ok_or_else(|| {
        anyhow!("another catalog run is in progress: wait for it (see `host catalog runs`), or use another --data-dir")
    })?;
    let told = tokio::select! {
        told = run_with_log(&claim, settings, routes, round, &tell) => Some(told),
        () = signals.stop() => None,
    };
    let outcome = told
        .as_ref()
        .map_or_else(|| RunResult::stopped("stopped by a signal"), SyncReport::run_result);
    if let Err(error) = claim.end_run(outcome, clock::now()) {
        complain(&format!("failed to record the result of the run: {error}"));
    }
    Ok(told)
}
