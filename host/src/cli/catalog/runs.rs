//! `host catalog runs`: the history of runs, or one run with its log.

use std::time::Duration;

use clap::Args;

use super::{CatalogArgs, OutputArgs, fault, print_text};
use crate::cli::dead::check_data_dir;
use crate::cli::{CommandResult, Exit, complain, usage};
use standpipe_catalog::schedule::{RunRecord, RunStatus, RunStore};
use standpipe_core::clock;
use standpipe_core::escape::one_line;
use standpipe_core::text_table::render_table;

const HEADER: [&str; 6] = ["run", "trigger", "result", "started", "took", "counts"];

#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    #[command(flatten)]
    given: CatalogArgs,
    /// Print this run with its log.
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Print at most this many runs, the latest ones.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(arguments: &RunsArguments) -> CommandResult {
    let settings = arguments.given.settings().map_err(usage)?;
    check_data_dir(&settings.data_dir).map_err(usage)?;
    let history = RunStore::of_data_dir(&settings.data_dir);
    let history_of_runs = history.load().map_err(fault)?;
    if history_of_runs.unreadable > 0 {
        complain(&format!(
            "{} lines of the run history are unreadable",
            history_of_runs.unreadable
        ));
    }
    if let Some(id) = &arguments.run {
        let run = history_of_runs.runs.iter().find(|run| run.id == *id);
        let run = run.ok_or_else(|| {
            fault(anyhow::anyhow!("unknown run {id:?}: `host catalog runs` lists the runs"))
        })?;
        return show_run(&history, run, arguments.output);
    }
    let first = history_of_runs.runs.len().saturating_sub(arguments.limit);
    let runs = &history_of_runs.runs[first..];
    arguments.output.print(&runs, || match runs.is_empty() {
        true => "no runs\n".to_owned(),
        false => render_table(HEADER, runs.iter().map(run_row)),
    })
}

fn show_run(history: &RunStore, run: &RunRecord, output: OutputArgs) -> CommandResult {
    output.print(run, || render_table(HEADER, [run_row(run)]))?;
    if output.json {
        return Ok(Exit::Done);
    }
    for failure in &run.tally.failures {
        print_text(&format!("failed: {}\n", one_line(failure)))?;
    }
    match std::fs::read_to_string(history.log_path(run)) {
        Ok(log) => print_text(&format!("\n{log}")),
        Err(_) => {
            complain("the log of this run is missing");
            Ok(Exit::Done)
        }
    }
}

fn run_row(run: &RunRecord) -> [String; 6] {
    let took = run.ended.filter(|_| run.fate != RunStatus::Skipped).map(|ended| {
        let took = Duration::try_from(ended - run.at).unwrap_or_default();
        humantime::format_duration(Duration::from_secs(took.as_secs())).to_string()
    });
    [
        run.id.clone(),
        run.cause.to_string(),
        run.fate.to_string(),
        clock::rfc3339(run.at),
        took.unwrap_or_else(|| "-".to_owned()),
        counts_text(run),
    ]
}

/// The counts of a run, and its first failure.
fn counts_text(run: &RunRecord) -> String {
    let counts = run.tally.counts.iter().filter(|(_, count)| **count > 0);
    let counts = counts.map(|(key, count)| format!("{count} {}", key.replace('_', " ")));
    let first = run.tally.failures.first().map(|failure| failure.chars().take(80).collect());
    let failures = run.tally.failures.len() as u64 + run.tally.more_failures;
    let more = (failures > 1).then(|| format!("and {} more failures", failures - 1));
    counts.chain(first).chain(more).collect::<Vec<_>>().join(", ")
}
