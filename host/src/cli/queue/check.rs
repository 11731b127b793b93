//! `host queue check`: checks that events are safe in the queue.

use clap::Args;

use super::{QueueArguments, block_on, usage};
use crate::check::check_queue;
use crate::cli::run::{LogFormat, start_logging};
use crate::cli::{CommandResult, Exit, print_report};

#[derive(Debug, Args)]
pub(crate) struct QueueCheckArguments {
    #[command(flatten)]
    given: QueueArguments,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &QueueCheckArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let (settings, queue) = arguments.given.read_settings().map_err(usage)?;
    let report = block_on(async { Ok(check_queue(&settings, &queue).await) })?;
    print_report(arguments.json, || report.to_json(), || report.to_string())?;
    Ok(if report.has_failed() { Exit::Fault } else { Exit::Done })
}
