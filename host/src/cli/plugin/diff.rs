//! `host plugin diff`: the changes if one plugin replaces another, on files of events. Payloads are
//! never shown.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::events::for_each_batch;
use super::settings::{
    RunnerArgument, plugin_loader, read_named_plugin, read_plugin_settings, read_run_settings,
};
use crate::cli::run::{LogFormat, start_logging};
use crate::cli::{CommandResult, Exit, print_report, usage};
use crate::source::Input;
use standpipe_plugin_host::compare::Comparison;
use standpipe_plugin_host::{Mapper, Plugin};

const EXIT_CODES: &str = "Exit codes:
  0  the events were compared, whatever came out
  1  something changes, with --fail-on-change
  2  wrong usage, no plugin, or an input that cannot be read";

/// Both plugins map the same events. Payloads are never shown.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DiffArguments {
    /// The old component or script; `host plugin export` writes the default component.
    #[arg(value_name = "OLD.wasm|OLD.js")]
    old: PathBuf,
    /// The new component or script.
    #[arg(value_name = "NEW.wasm|NEW.js")]
    new: PathBuf,
    /// Files of newline-delimited JSON events, plain or compressed; `-` is standard
    /// input.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    runner: RunnerArgument,
    /// A settings file of `host run`: both use its [plugin.settings] and
    /// [plugin.limits].
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Other settings for the old plugin: a JSON object.
    #[arg(long, value_name = "FILE.json")]
    old_settings: Option<PathBuf>,
    /// Other settings for the new plugin.
    #[arg(long, value_name = "FILE.json")]
    new_settings: Option<PathBuf>,
    /// Show up to N events of each change.
    #[arg(long, value_name = "N", default_value_t = standpipe_plugin_host::limits::COMPARISON_SAMPLES)]
    samples: usize,
    /// Exit with 1 if anything changes.
    #[arg(long)]
    fail_on_change: bool,
    /// Where compiled plugins are kept [default: that of --config].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &DiffArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let (comparison, no_events) = compare_plugins(arguments).map_err(usage)?;
    let to_json = || {
        let mut report = json!(comparison);
        report["not_events"] = no_events.into();
        report.to_string()
    };
    let to_text = || format!("{no_events:>12}  lines that are not events, left out\n{comparison}");
    print_report(arguments.json, to_json, to_text)?;
    let fails = arguments.fail_on_change && comparison.changed() > 0;
    Ok(if fails { Exit::Fault } else { Exit::Done })
}

/// Also returns the number of lines that are not events.
fn compare_plugins(arguments: &DiffArguments) -> anyhow::Result<(Comparison, u64)> {
    let inputs = arguments.inputs.iter().map(|input| Input::from_argument(input));
    let inputs: Vec<_> = inputs.collect();
    for input in &inputs {
        input.check()?;
    }
    let (old, new) = load_both(arguments)?;
    let (mut old_mapper, mut new_mapper) = (Mapper::new(old.clone()), Mapper::new(new.clone()));
    let mut comparison = Comparison::new(arguments.samples);
    let mut no_events = 0;
    for input in inputs {
        let source = input.name();
        no_events += for_each_batch(&input, |events| {
            let before = old_mapper.map(&source, events);
            let after = new_mapper.map(&source, events);
            comparison.add_batch(&source, events, (&old, &before), (&new, &after));
        })?;
    }
    Ok((comparison, no_events))
}

fn load_both(arguments: &DiffArguments) -> anyhow::Result<(Plugin, Plugin)> {
    let run_settings = read_run_settings(arguments.config.as_deref(), arguments.data_dir.clone())?;
    let own = |own: Option<&Path>| match own {
        Some(file) => read_plugin_settings(file),
        None => Ok(run_settings.written_plugin_settings.clone()),
    };
    let old_settings = own(arguments.old_settings.as_deref())?;
    let new_settings = own(arguments.new_settings.as_deref())?;
    let mut loader = plugin_loader(&run_settings)?.without_trust_checks();
    let mut load = |file: &Path, settings: &str| -> anyhow::Result<Plugin> {
        let plugin = read_named_plugin(file, &arguments.runner, &run_settings)?;
        let loaded = loader.load_with(&plugin.candidate, &plugin.settings(settings));
        loaded.map_err(|error| anyhow::Error::new(error.cause).context(file.display().to_string()))
    };
    Ok((load(&arguments.old, &old_settings)?, load(&arguments.new, &new_settings)?))
}
