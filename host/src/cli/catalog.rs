//! `host catalog`: its subcommands and what they share: settings from a file or a vendor's
//! workflow, the plugin's routes, and a runtime of one thread.

mod check;
mod ingest;
mod lineage;
mod list;
mod progress;
mod routes;
mod runs;
mod schedule;
mod show;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use super::config::read_settings;
use super::run::{LogFormat, start_logging};
use super::signals::Signals;
use super::{CommandResult, Exit, complain, fault, print, print_report, print_text, usage};
use crate::config::{
    Overrides, RawSettings, WorkflowFormat, read_workflow, translate_to_workflow_keys,
};
use crate::limits;
use progress::DiscoverySpinner;
use standpipe_catalog::discovery::ReportProgress;
use standpipe_catalog::{CatalogSettings, EventRoute, SyncError};

const LIST_HELP: &str = "Exit codes:
  0  all streams were read
  1  some or all streams could not be read
  2  wrong usage or settings
  4  stopped by a signal";

const LINEAGE_HELP: &str = "Exit codes:
  0  done
  1  streams could not be read, or the picture could not be rendered
  2  wrong usage or settings
  4  stopped by a signal";

const INGEST_HELP: &str = "Each edge of the lineage is resolved, not found, ambiguous, unsupported or failed; the \
report lists them with the names that were tried. --strict counts edges that are not found, ambiguous or failed, but not \
ends that OpenMetadata has no entity for (Splunk, HTTP endpoints), nor streams that are fed by Direct PUT. Without an \
OpenMetadata server nothing is looked up: edges are as AWS describes them.

Exit codes:
  0  done; or failures within `success_threshold`, or `raise_on_error` is off
  1  more failures; unresolved lineage with --strict; nothing could be read; or another run is in progress
  2  wrong usage or settings; nothing was read
  4  stopped by a signal";

const CHECK_HELP: &str =
    "Each permission is granted, denied, failed, or untried if there is nothing to try it on. \
Nothing is written.

Exit codes:
  0  everything that is required works
  1  a required permission is missing
  2  wrong usage or settings";

const SCHEDULE_HELP: &str = "The schedule is `schedule` under [catalog], in UTC. However many runs were missed while no \
program was running, one is made at once. A run that is due while another one is in progress is skipped; \
`host catalog runs` lists it. SIGTERM and SIGINT give the current run 20 seconds to end; a second one ends the process \
immediately.

Exit codes:
  0  the schedule has ended, or a signal stopped it
  1  the history of runs cannot be read, or a second signal ended the process
  2  wrong usage or settings";

#[derive(Debug, Subcommand)]
pub(super) enum CatalogCommand {
    /// List the delivery streams.
    #[command(after_help = LIST_HELP)]
    List(list::ListStreamsArguments),
    /// Print everything about a delivery stream.
    #[command(after_help = LIST_HELP)]
    Show(show::ShowStreamArguments),
    /// Render what feeds the delivery streams and where their records end up.
    #[command(after_help = LINEAGE_HELP)]
    Lineage(lineage::LineageArguments),
    /// Write the streams and their lineage to OpenMetadata, OpenLineage and files.
    #[command(after_help = INGEST_HELP)]
    Ingest(ingest::IngestArguments),
    /// Try each permission that the catalog needs.
    #[command(after_help = CHECK_HELP)]
    Check(check::CatalogCheckArguments),
    /// Run the catalog by its schedule until stopped.
    #[command(after_help = SCHEDULE_HELP)]
    Schedule(schedule::ScheduleArguments),
    /// Print the results of the runs.
    Runs(runs::RunsArguments),
}

/// The settings, and what overrides them.
#[derive(Debug, Clone, Args)]
struct CatalogArgs {
    /// The settings file, or an OpenMetadata workflow file, whose name ends in .yaml,
    /// .yml or .json.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The region of the delivery streams.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The URL of the Firehose endpoint, in place of the region's.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// The directory of the history of runs [default: that of the settings file, or
    /// standpipe-data beside it].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, Args)]
struct OutputArgs {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl OutputArgs {
    fn print(
        self,
        result: &impl serde::Serialize,
        for_people: impl FnOnce() -> String,
    ) -> CommandResult {
        let to_json = || serde_json::to_string_pretty(result).expect("it has string keys");
        print_report(self.json, to_json, for_people)
    }
}

pub(super) fn run(command: CatalogCommand) -> CommandResult {
    match command {
        CatalogCommand::List(arguments) => list::run(&arguments),
        CatalogCommand::Show(arguments) => show::run(&arguments),
        CatalogCommand::Lineage(arguments) => lineage::run(&arguments),
        CatalogCommand::Ingest(arguments) => ingest::run(&arguments),
        CatalogCommand::Check(arguments) => check::run(&arguments),
        CatalogCommand::Schedule(arguments) => schedule::run(&arguments),
        CatalogCommand::Runs(arguments) => runs::run(&arguments),
    }
}

impl CatalogArgs {
    /// Reads and checks the settings.
    fn settings(&self) -> anyhow::Result<CatalogSettings> {
        let (raw, directory) = self.read_raw()?;
        let overrides = Overrides {
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            data_dir: self.data_dir.clone(),
            ..Overrides::default()
        };
        let checked = raw.check_catalog(&directory, &overrides);
        match &self.config {
            Some(file) if WorkflowFormat::of(file).is_some() => checked.map_err(|error| {
                let error = anyhow!(translate_to_workflow_keys(&error.to_string()));
                error.context(format!("failed to read the workflow {}", file.display()))
            }),
            _ => Ok(checked?),
        }
    }

    /// Loads the plugin and returns its routes; a workflow has no plugin.
    fn routes(&self) -> anyhow::Result<Vec<EventRoute>> {
        let is_workflow = |file: &PathBuf| WorkflowFormat::of(file).is_some();
        if self.config.as_ref().is_none_or(is_workflow) {
            return Ok(Vec::new());
        }
        let (raw, directory) = self.read_raw()?;
        routes::load_routes(raw, &directory)
    }

    /// Reads the file, and returns the directory that its paths are relative to. Those of a
    /// workflow are relative to the working directory, as in the vendor's program.
    fn read_raw(&self) -> anyhow::Result<(RawSettings, PathBuf)> {
        let form = self.config.as_deref().and_then(|file| Some((file, WorkflowFormat::of(file)?)));
        let Some((file, form)) = form else { return read_settings(self.config.as_deref()) };
        let workflow = read_workflow(&read_text(file)?, form, |name| std::env::var(name).ok());
        let workflow =
            workflow.with_context(|| format!("failed to read the workflow {}", file.display()))?;
        for notice in workflow.notices {
            complain(&format!("note: {notice}"));
        }
        Ok((workflow.settings, PathBuf::new()))
    }
}

fn read_text(file: &Path) -> anyhow::Result<String> {
    use std::io::Read;

    let mut text = String::new();
    let most = limits::WORKFLOW_BYTES_MAX as u64 + 1;
    std::fs::File::open(file)
        .and_then(|open| open.take(most).read_to_string(&mut text))
        .with_context(|| format!("failed to read the workflow {}", file.display()))?;
    Ok(text)
}

/// Runs a future on one thread: few requests are in flight at once.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, (Exit, anyhow::Error)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fault(anyhow!(error).context("start the runtime")))?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(result)
}

/// Runs a read until it ends or a signal stops it, with progress on the terminal.
fn block_with_progress<T>(
    read: impl AsyncFnOnce(ReportProgress<'_>) -> Result<T, SyncError>,
) -> Result<T, (Exit, anyhow::Error)> {
    let progress = DiscoverySpinner::start();
    let report = |step| progress.report(step);
    let until_signal = async {
        let mut signals = Signals::listen().context("listen for signals")?;
        tokio::select! {
            read = read(&report) => read.map(Some).map_err(anyhow::Error::from),
            () = signals.stop() => Ok(None),
        }
    };
    let read = block_on(until_signal)?.map_err(fault)?;
    read.ok_or_else(|| (Exit::Stopped, anyhow!("stopped by a signal")))
}
