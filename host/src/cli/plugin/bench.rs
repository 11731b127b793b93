//! `host plugin bench`: compares the cost of a plugin with the default one, on the same events,
//! including compilation.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::events::{for_each_lines, split_into_batches};
use super::settings::{
    PluginSettingsArguments, RunnerArgument, read_named_plugin, read_plugin_settings,
};
use crate::bench::plugins::{BenchCandidate, PluginBenchError, PluginReport, measure_plugins};
use crate::cli::run::{LogFormat, start_logging};
use crate::cli::{CommandResult, Exit, complain, print_report, usage};
use crate::run::PluginLoader;
use crate::source::Input;
use standpipe_core::event::Lines;
use standpipe_plugin_host::{DEFAULT_PLUGIN, check_mapping_settings};

/// Maximum bytes of events that `host plugin bench` reads into memory.
const PLUGIN_BENCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Both plugins map the events in batches as in production, in turns. Compiling starts
/// from scratch: cached code is not used.
#[derive(Debug, Args)]
pub(crate) struct BenchPluginArguments {
    /// The file of a component or script, or a directory of scripts.
    #[arg(value_name = "PLUGIN.wasm|PLUGIN.js")]
    plugin: PathBuf,
    /// Newline-delimited JSON events, plain or compressed; those that fit into 256
    /// MiB.
    #[arg(value_name = "EVENTS")]
    events: PathBuf,
    #[command(flatten)]
    runner: RunnerArgument,
    #[command(flatten)]
    settings: PluginSettingsArguments,
    /// The built-in plugin's settings: a JSON object [default: the mappings of the
    /// plugin's own].
    #[arg(long, value_name = "FILE.json")]
    default_settings: Option<PathBuf>,
    /// Rounds to measure, after one that is discarded.
    #[arg(long, value_name = "N", default_value = "7")]
    rounds: NonZero<u32>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &BenchPluginArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let report = measure(arguments).map_err(usage)?;
    let faults = report.plugins.first().map_or(0, |plugin| plugin.faults);
    if faults > 0 {
        complain(&format!(
            "the plugin fails on {faults} events, which also takes time; `host run` reports why"
        ));
    }
    print_report(arguments.json, || json!(report).to_string(), || report.to_string())?;
    Ok(Exit::Done)
}

fn measure(arguments: &BenchPluginArguments) -> anyhow::Result<PluginReport> {
    let (of_run, settings) = arguments.settings.read(None)?;
    let plugin = read_named_plugin(&arguments.plugin, &arguments.runner, &of_run)?;
    // A measured compilation stores its result here, and loading reads it.
    let cache = TempDir::new().context("make a temporary directory")?;
    let loader = PluginLoader::new(&of_run, Some(cache.path()))?;
    if let Some(runner) = &plugin.candidate.runner {
        loader.engine.add_script_runner(runner);
    }
    let default_settings = match &arguments.default_settings {
        Some(file) => read_plugin_settings(file)?,
        None => default_settings(&settings)?,
    };
    let input = Input::from_argument(&arguments.events);
    input.check()?;
    let read = read(&input)?;
    let mut batches = Vec::new();
    for lines in &read {
        split_into_batches(lines, |batch| batches.push(batch));
    }
    if batches.is_empty() {
        bail!("{} holds no events: give a file of newline-delimited JSON", input.name());
    }
    let candidates = [
        BenchCandidate {
            name: arguments.plugin.display().to_string(),
            bytes: &plugin.candidate.bytes,
            settings: plugin.settings(&settings),
        },
        BenchCandidate {
            name: "built-in plugin".to_owned(),
            bytes: DEFAULT_PLUGIN,
            settings: default_settings,
        },
    ];
    let rounds = arguments.rounds.get();
    measure_plugins(&loader.engine, &candidates, &input.name(), &batches, rounds).map_err(|error| {
        let advice = match &error {
            PluginBenchError::Load { .. } => ": set its settings with --settings or --config",
            PluginBenchError::Start { .. } => "",
        };
        anyhow!("{error}{advice}")
    })
}

/// The lines in memory, up to the limit.
fn read(input: &Input) -> anyhow::Result<Vec<Lines>> {
    let (mut read, mut bytes) = (Vec::new(), 0);
    for_each_lines(input, |lines| {
        bytes += lines.bytes.len();
        if bytes > PLUGIN_BENCH_BYTES_MAX {
            complain("the file is larger than 256 MiB; using its beginning");
            return ControlFlow::Break(());
        }
        read.push(lines);
        ControlFlow::Continue(())
    })?;
    Ok(read)
}

/// The part of another plugin's settings that the built-in plugin understands, or a mapping for all
/// events if there is none.
fn default_settings(settings: &str) -> anyhow::Result<String> {
    let Value::Object(mut settings) = serde_json::from_str(settings)? else {
        bail!("the plugin's settings must be a JSON object")
    };
    settings.retain(|key, _| matches!(key.as_str(), "mappings" | "fan_out" | "unmapped"));
    let settings = Value::Object(settings).to_string();
    Ok(match check_mapping_settings(&settings) {
        Ok(()) => settings,
        Err(_) => json!({"mappings": [{"event": "*", "stream": "all"}]}).to_string(),
    })
}
