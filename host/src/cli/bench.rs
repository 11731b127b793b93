//! `host bench`: the figures of this machine.

mod scale;

use std::num::NonZero;
use std::path::{Path, PathBuf};

#[cfg(feature = "native-mapping")]
use anyhow::bail;
use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::Value;
use tempfile::TempDir;

use super::config::{check_settings, read_settings};
use super::run::{LogFormat, parse_mapping, start_logging};
use super::{CommandResult, Exit, complain, print_either, usage};
use crate::bench::{
    EVENT_BYTES_MAX, EVENT_BYTES_MIN, Events, Plan, Report, Shape, Target, Ways, mapping_rows,
    measure,
};
#[cfg(feature = "native-mapping")]
use crate::config::PluginSource;
use crate::config::{Overrides, Settings};

const MAPPING_ROWS_MAX: u64 = 10_000;
const STREAMS_MAX: u64 = 500;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Newline-delimited JSON events, plain or compressed; generated ones
    /// otherwise.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// How many events to generate.
    #[arg(long, value_name = "N", default_value_t = 200_000, conflicts_with = "file")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// The size of each generated event in bytes, 100 to 1000000 [default: real
    /// sizes, 818 on average].
    #[arg(long, value_name = "N", conflicts_with = "file")]
    #[arg(value_parser = clap::value_parser!(u64).range(EVENT_BYTES_MIN as u64..=EVENT_BYTES_MAX as u64))]
    event_bytes: Option<u64>,
    /// Spread generated events evenly over N delivery streams, 1 to 500.
    #[arg(long, value_name = "N", conflicts_with_all = ["file", "mappings"])]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=STREAMS_MAX))]
    streams: Option<u64>,
    /// Send an event name, an event type, or `*` to a delivery stream; three
    /// streams otherwise. Can be given several times.
    #[arg(long = "map", value_name = "EVENT=STREAM", value_parser = parse_mapping)]
    mappings: Vec<(String, String)>,
    /// Have N mapping rows, 1 to 10000: made-up ones beside those that matter.
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MAPPING_ROWS_MAX))]
    mapping_rows: Option<u64>,
    /// A settings file, for aggregation and the like. Its keys and its endpoint are
    /// not used without --endpoint-url.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Another mapping plugin.
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Option<PathBuf>,
    #[cfg(feature = "native-mapping")]
    /// Only the default mapping as native code, without a sandbox around it.
    #[arg(long, conflicts_with = "plugin")]
    no_plugin: bool,
    /// Threads that map events [default: one for each processor].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Deliver to this endpoint, with the region and keys that `host run` would
    /// find, in place of the one in this process.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// The region of that endpoint.
    #[arg(long, value_name = "REGION", requires = "endpoint_url")]
    region: Option<String>,
    /// Runs of each way that count; one more comes before them.
    #[arg(long, value_name = "N", default_value = "3")]
    repeat: NonZero<u32>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Measure series over workers, sizes of events, mapping rows and streams,
    /// each point in a process of its own.
    #[arg(long, requires = "json")]
    #[arg(conflicts_with_all = ["file", "event_bytes", "streams", "mappings", "mapping_rows", "plugin", "endpoint_url"])]
    scale: bool,
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    if arguments.scale {
        return scale::run(&arguments);
    }
    start_logging(LogFormat::Human);
    let json = arguments.json;
    let directory = TempDir::new().context("make a temporary directory");
    let directory = directory.map_err(|error| (Exit::Fault, error))?;
    let plan = plan(arguments, directory.path()).map_err(usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| (Exit::Fault, anyhow!(error).context("start the runtime")))?;
    let report = measure(&plan, runtime.handle());
    runtime.shutdown_background();
    let report = report.map_err(|error| {
        (if error.is_usage() { Exit::Usage } else { Exit::Fault }, anyhow!(error))
    })?;
    print_either(json, &if json { report.to_json() + "\n" } else { report.to_string() })?;
    Ok(exit_of(&report))
}

fn exit_of(report: &Report) -> Exit {
    match report.dead() {
        0 => Exit::Done,
        dead => {
            complain(&format!(
                "{dead} events went to the dead letters: `host run` with the same events keeps them"
            ));
            Exit::DeadLetters
        }
    }
}

fn plan(arguments: Arguments, data_dir: &Path) -> anyhow::Result<Plan> {
    let small = |number: u64| usize::try_from(number).expect("it has a range");
    let shape = Shape {
        events: arguments.events,
        event_bytes: arguments.event_bytes.map(small),
        streams: arguments.streams.and_then(|streams| NonZero::new(small(streams))),
    };
    let target = if arguments.endpoint_url.is_some() { Target::Given } else { Target::InProcess };
    #[cfg(feature = "native-mapping")]
    let no_plugin = arguments.no_plugin;
    let events = match arguments.file.clone() {
        Some(file) => Events::File(file),
        None => Events::Generated(shape),
    };
    let repeat = arguments.repeat;
    let settings = settings(arguments, shape, data_dir)?;
    #[cfg(not(feature = "native-mapping"))]
    let ways = Ways::Component;
    #[cfg(feature = "native-mapping")]
    let ways = match (&settings.plugin, no_plugin) {
        (PluginSource::File(path), true) => bail!(
            "--no-plugin runs the default mapping, and the settings name the plugin {}: leave one of them out",
            path.display()
        ),
        (PluginSource::File(_), false) => Ways::Component,
        (_, true) => Ways::Native,
        (_, false) => Ways::Both,
    };
    Ok(Plan { settings, events, target, ways, repeat })
}

/// The settings as `host run` would have them, in a directory of their own.
fn settings(arguments: Arguments, shape: Shape, data_dir: &Path) -> anyhow::Result<Settings> {
    let (mut raw, directory) = read_settings(arguments.config.as_deref())?;
    raw.workers = arguments.workers.or(raw.workers);
    let is_default_plugin = arguments.plugin.is_none() && raw.plugin.path.is_none();
    let rows = arguments.mapping_rows.map(|rows| usize::try_from(rows).expect("it has a range"));
    let own = raw.plugin.settings.get("mappings").and_then(Value::as_array).map_or(0, Vec::len);
    // Another plugin may take settings that are nothing like rows.
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
