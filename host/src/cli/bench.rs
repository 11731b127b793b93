//! `host bench`: measures this machine.

mod scale;

use std::num::NonZero;
use std::path::{Path, PathBuf};

#[cfg(feature = "native-mapping")]
use anyhow::bail;
use anyhow::{Context, anyhow};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde_json::Value;
use tempfile::TempDir;

use super::config::{check_settings, read_settings};
use super::run::{LogFormat, parse_mapping, start_logging};
use super::{CommandResult, Exit, complain, fault, print_report, start_runtime, usage};
use crate::bench::{
    BenchEvents, BenchMapping, BenchTarget, EVENT_BYTES_MAX, EVENT_BYTES_MIN, EventShape, Plan,
    Report, mapping_rows, run_bench,
};
#[cfg(feature = "native-mapping")]
use crate::config::PluginSource;
use crate::config::{Overrides, Settings};

const MAPPING_ROWS_MAX: usize = 10_000;
const STREAMS_MAX: usize = 500;

#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    /// File of newline-delimited JSON events, plain or compressed [default: generated
    /// events].
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Number of events to generate.
    #[arg(long, value_name = "N", default_value_t = 200_000, conflicts_with = "file")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Size of each generated event in bytes, 100 to 1000000 [default: realistic
    /// sizes, 818 on average].
    #[arg(long, value_name = "N", conflicts_with = "file")]
    #[arg(value_parser = within(EVENT_BYTES_MIN, EVENT_BYTES_MAX))]
    event_bytes: Option<usize>,
    /// Spread generated events evenly over N delivery streams, 1 to 500.
    #[arg(long, value_name = "N", conflicts_with_all = ["file", "mappings"])]
    #[arg(value_parser = within(1, STREAMS_MAX))]
    streams: Option<usize>,
    /// Send an event name, an event type, or `*` to a delivery stream [default: three
    /// streams]. Can be repeated.
    #[arg(long = "map", value_name = "EVENT=STREAM", value_parser = parse_mapping)]
    mappings: Vec<(String, String)>,
    /// Use N mappings, 1 to 10000; the additional ones match no event.
    #[arg(long = "mappings", alias = "mapping-rows", value_name = "N")]
    #[arg(value_parser = within(1, MAPPING_ROWS_MAX))]
    mapping_rows: Option<usize>,
    /// Settings file, for example for aggregation. Its credentials and its endpoint
    /// are used only with --endpoint-url.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Mapping plugin [default: the built-in plugin].
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Option<PathBuf>,
    #[cfg(feature = "native-mapping")]
    /// Measure only the built-in plugin as native code, without a sandbox.
    #[arg(long, conflicts_with = "plugin")]
    no_plugin: bool,
    /// Number of threads that map events [default: one for each processor].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Deliver to this endpoint instead of the one in this process, with the region and
    /// credentials that `host run` would use.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Region of that endpoint.
    #[arg(long, value_name = "REGION", requires = "endpoint_url")]
    region: Option<String>,
    /// Number of measured runs; one more comes before them.
    #[arg(long, value_name = "N", default_value = "3")]
    repeat: NonZero<u32>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Measure series over workers, event sizes, mappings and streams, each point
    /// in its own process.
    #[arg(long, requires = "json")]
    #[arg(conflicts_with_all = ["file", "event_bytes", "streams", "mappings", "mapping_rows", "plugin", "endpoint_url"])]
    scale: bool,
}

/// Parses a number between a minimum and a maximum.
fn within(least: usize, most: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least as u64..=most as u64)
}

pub(super) fn run(arguments: BenchArguments) -> CommandResult {
    if arguments.scale {
        return scale::run(&arguments);
    }
    start_logging(LogFormat::Human);
    let json = arguments.json;
    let directory =
        TempDir::new().context("failed to create a temporary directory").map_err(fault)?;
    let plan = bench_plan(arguments, directory.path()).map_err(usage)?;
    let runtime = start_runtime()?;
    let report = run_bench(&plan, runtime.handle());
    runtime.shutdown_background();
    let report = report.map_err(|error| {
        (if error.is_usage() { Exit::Usage } else { Exit::Fault }, anyhow!(error))
    })?;
    print_report(json, || report.to_json(), || report.to_string())?;
    Ok(exit_of(&report))
}

fn exit_of(report: &Report) -> Exit {
    match report.dead_max() {
        0 => Exit::Done,
        dead => {
            complain(&format!(
                "{dead} events became dead letters: run `host run` with the same events to keep them"
            ));
            Exit::DeadLetters
        }
    }
}

fn bench_plan(arguments: BenchArguments, data_dir: &Path) -> anyhow::Result<Plan> {
    let shape = EventShape {
        events: arguments.events,
        event_bytes: arguments.event_bytes,
        streams: arguments.streams.and_then(NonZero::new),
    };
    let target =
        if arguments.endpoint_url.is_some() { BenchTarget::Given } else { BenchTarget::InProcess };
    #[cfg(feature = "native-mapping")]
    let no_plugin = arguments.no_plugin;
    let events = match arguments.file.clone() {
        Some(file) => BenchEvents::File(file),
        None => BenchEvents::Generated(shape),
    };
    let repeat = arguments.repeat;
    let settings = bench_settings(arguments, shape, data_dir)?;
    #[cfg(not(feature = "native-mapping"))]
    let ways = &[BenchMapping::Component];
    #[cfg(feature = "native-mapping")]
    let ways: &[BenchMapping] = match (&settings.plugin, no_plugin) {
        (PluginSource::File(path), true) => bail!(
            "--no-plugin runs the built-in plugin, and the settings name the plugin {}: remove one of them",
            path.display()
        ),
        (PluginSource::Script(_), true) => bail!(
            "--no-plugin runs the built-in plugin, and the settings name a script: remove one of them"
        ),
        (PluginSource::File(_) | PluginSource::Script(_), false) => &[BenchMapping::Component],
        (_, true) => &[BenchMapping::Native],
        (_, false) => &[BenchMapping::Component, BenchMapping::Native],
    };
    Ok(Plan { settings, events, target, ways, repeat })
}

/// Returns the settings of `host run` with a separate data directory.
fn bench_settings(
    arguments: BenchArguments,
    shape: EventShape,
    data_dir: &Path,
) -> anyhow::Result<Settings> {
    let (mut raw, directory) = read_settings(arguments.config.as_deref())?;
    raw.workers = arguments.workers.or(raw.workers);
    let is_default_plugin =
        arguments.plugin.is_none() && raw.plugin.path.is_none() && raw.plugin.script.is_none();
    let rows = arguments.mapping_rows;
    let own = raw.plugin.settings.get("mappings").and_then(Value::as_array).map_or(0, Vec::len);
    // Another plugin may have settings without mappings.
    let wants_rows = is_default_plugin || rows.is_some() || shape.streams.is_some();
    let mappings = match arguments.mappings {
        given if wants_rows => mapping_rows(given, own, shape, rows),
        given => given,
    };
    let overrides = Overrides {
        plugin: arguments.plugin,
        mappings,
        data_dir: Some(data_dir.to_owned()),
        region: arguments.region,
        endpoint_url: arguments.endpoint_url,
        ..Overrides::default()
    };
    check_settings(raw, &directory, arguments.config.as_deref(), overrides)
}
