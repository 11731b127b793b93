//! `host plugin inspect`: world, size, hash, exports and imports of a component, or the parts of a
//! script, without running it.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::settings::RunnerArgument;
use crate::cli::{CommandResult, print_text, usage};
use crate::config::PluginSource;
use crate::run::candidate;
use standpipe_core::escape::one_line;
use standpipe_plugin_host::{DEFAULT_PLUGIN, Engine, Inspection, inspect};

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// The file of a component or script; the built-in plugin if there is none.
    #[arg(value_name = "FILE.wasm|FILE.js")]
    file: Option<PathBuf>,
    #[command(flatten)]
    runner: RunnerArgument,
}

pub(super) fn run(arguments: &InspectArguments) -> CommandResult {
    let inspection = read_and_inspect(arguments).map_err(usage)?;
    print_text(&inspection_text(&inspection))
}

fn read_and_inspect(arguments: &InspectArguments) -> anyhow::Result<Inspection> {
    let engine = Engine::new(None)?;
    let Some(file) = &arguments.file else { return Ok(inspect(&engine, DEFAULT_PLUGIN)?) };
    let runner = arguments.runner.runner.clone();
    let plugin = candidate(&PluginSource::BuiltIn.with_path(file.clone(), runner))?;
    if let Some(runner) = &plugin.runner {
        engine.add_script_runner(runner);
    }
    let inspection = inspect(&engine, &plugin.bytes);
    let mut inspection = inspection.map_err(|error| anyhow!("{}: {error}", file.display()))?;
    if let (Some(script), Some(name)) = (&mut inspection.script, file.file_name()) {
        script.name_single_script(&name.to_string_lossy());
    }
    Ok(inspection)
}

fn inspection_text(inspection: &Inspection) -> String {
    let world = if inspection.is_mapping_plugin {
        "standpipe:mapping/plugin@0.1.0"
    } else {
        "unknown: this is not a mapping plugin"
    };
    let mut text = format!(
        "world    {world}\nsize     {} bytes\nsha256   {}\n",
        inspection.bytes, inspection.sha256
    );
    if let Some(script) = &inspection.script {
        text += &format!("{script}\nrunner   {}\n", script.runner);
    }
    for (label, names) in [("exports", &inspection.exports), ("imports", &inspection.imports)] {
        // A component may have any name.
        let names: Vec<_> = names.iter().map(|name| one_line(name)).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join("\n         ") };
        text += &format!("{label}  {names}\n");
    }
    text
}
