//! `host check`: tests the settings against AWS. Exit code 0, 1 if a step failed, 2 for wrong
//! settings.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::config::{check_settings, read_settings};
use super::run::{LogFormat, parse_mapping, start_logging};
use super::{CommandResult, Exit, print_either, usage};
use crate::check::{CheckOptions, Load, check};
use crate::config::Overrides;

/// Each step is ok, failed, or skipped where it cannot be told. Nothing is written
/// without --send-test-record. The exit code is 0, or 1 if a step failed, or 2 if
/// the settings are wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The settings file.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// The mapping plugin, a WebAssembly component.
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Option<PathBuf>,
    /// As for `host run`.
    #[arg(long = "map", value_name = "EVENT=STREAM", value_parser = parse_mapping)]
    mappings: Vec<(String, String)>,
    /// The region of the delivery streams.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// A URL in place of the region's Firehose endpoint.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Where compiled plugins are kept.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write a record to each stream: an event named `Standpipe Test Record`.
    #[arg(long)]
    send_test_record: bool,
    /// Events a second that are expected for the busiest stream.
    #[arg(long, value_name = "NUMBER")]
    events_per_second: Option<f64>,
    /// Bytes that an event has.
    #[arg(long, value_name = "BYTES")]
    event_bytes: Option<usize>,
    /// Tell it as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let (raw, directory) = read_settings(arguments.config.as_deref()).map_err(usage)?;
    let overrides = Overrides {
        plugin: arguments.plugin,
        mappings: arguments.mappings,
        region: arguments.region,
        endpoint_url: arguments.endpoint_url,
        data_dir: arguments.data_dir,
        ..Overrides::default()
    };
    let file = arguments.config.as_deref();
    let settings = check_settings(raw, &directory, file, overrides).map_err(usage)?;
    let Arguments { send_test_record, events_per_second, event_bytes, json, .. } = arguments;
    let options = CheckOptions { send_test_record, load: Load { events_per_second, event_bytes } };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| (Exit::Fault, anyhow!(error).context("start the runtime")))?;
    let report = runtime.block_on(check(settings, options));
    print_either(json, &if json { report.to_json() + "\n" } else { report.to_string() })?;
    Ok(if report.has_failed() { Exit::Fault } else { Exit::Done })
}
