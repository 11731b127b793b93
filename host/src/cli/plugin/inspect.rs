//! `host plugin inspect`: world, size, hash, exports and imports of a component, or the parts of a
//! script, without running it.

use std::path::Path;

use anyhow::anyhow;

use crate::cli::{CommandResult, print_text, usage};
use crate::config::PluginSource;
use crate::run::candidate;
use standpipe_core::escape::one_line;
use standpipe_plugin_host::{DEFAULT_PLUGIN, Engine, Inspection, inspect, script_runner_sha256};

pub(super) fn run(file: Option<&Path>) -> CommandResult {
    let inspection = read_and_inspect(file).map_err(usage)?;
    print_text(&inspection_text(&inspection))
}

fn read_and_inspect(file: Option<&Path>) -> anyhow::Result<Inspection> {
    let engine = Engine::new(None)?;
    let Some(file) = file else { return Ok(inspect(&engine, DEFAULT_PLUGIN)?) };
    let plugin = candidate(&PluginSource::BuiltIn.with_path(file.to_owned()))?;
    inspect(&engine, &plugin.bytes).map_err(|error| anyhow!("{}: {error}", file.display()))
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
        text += &format!("{script}\nrunner   {}\n", script_runner_sha256());
    }
    for (label, names) in [("exports", &inspection.exports), ("imports", &inspection.imports)] {
        // A component may have any name.
        let names: Vec<_> = names.iter().map(|name| one_line(name)).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join("\n         ") };
        text += &format!("{label}  {names}\n");
    }
    text
}
