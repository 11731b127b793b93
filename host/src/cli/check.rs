//! `host check`: tests settings, plugin, credentials and delivery streams.

use clap::Args;

use super::config::{check_settings, read_settings};
use super::run::{LogFormat, SettingsOptions, start_logging};
use super::{CommandResult, Exit, print_report, start_runtime, usage};
use crate::check::{CheckOptions, run_checks};

/// Each step is ok, a warning, failed, or skipped if its result is unknown. No record is written
/// without --send-test-record. The exit code is 0, or 1 if a step failed, or 2 if
/// the settings are wrong.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    settings: SettingsOptions,
    /// Write a record to each stream: an event named `Standpipe Test Record`.
    #[arg(long)]
    send_test_record: bool,
    /// Expected events per second of the busiest stream.
    #[arg(long, value_name = "NUMBER")]
    events_per_second: Option<f64>,
    /// Expected size of an event in bytes.
    #[arg(long, value_name = "BYTES")]
    event_bytes: Option<usize>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: CheckArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let CheckArguments { settings: given, send_test_record, events_per_second, event_bytes, json } =
        arguments;
    let file = given.config.as_deref();
    let (raw, directory) = read_settings(file).map_err(usage)?;
    let settings = check_settings(raw, &directory, file, given.overrides()).map_err(usage)?;
    let options = CheckOptions { send_test_record, events_per_second, event_bytes };
    let runtime = start_runtime()?;
    let report = runtime.block_on(run_checks(settings, options));
    print_report(json, || report.to_json(), || report.to_string())?;
    Ok(if report.has_failed() { Exit::Fault } else { Exit::Done })
}
