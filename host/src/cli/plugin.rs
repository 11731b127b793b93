use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Subcommand;

use super::{CommandResult, Exit, print, usage};
use crate::plugin::{Engine, Inspection, inspect};
use crate::run::{DEFAULT_PLUGIN, read_plugin};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the default mapping plugin to a file.
    Export {
        /// The file to write.
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
    },
    /// Tell what a component is: its world, imports, size and hash.
    Inspect {
        /// The component's file; the default mapping plugin if there is none.
        #[arg(value_name = "FILE.wasm")]
        file: Option<PathBuf>,
    },
}

pub(super) fn run(command: Command) -> CommandResult {
    match command {
        Command::Export { file } => {
            let written = std::fs::write(&file, DEFAULT_PLUGIN);
            let written = written.with_context(|| format!("write {}", file.display()));
            written.map_err(|error| (Exit::Fault, error))?;
            Ok(Exit::Done)
        }
        Command::Inspect { file } => {
            let inspection = read_and_inspect(file.as_deref()).map_err(usage)?;
            print(&describe(&inspection))
        }
    }
}

fn read_and_inspect(file: Option<&Path>) -> anyhow::Result<Inspection> {
    let engine = Engine::new(None)?;
    let Some(file) = file else { return Ok(inspect(&engine, DEFAULT_PLUGIN)?) };
    let bytes = read_plugin(file)?;
    inspect(&engine, &bytes).map_err(|error| anyhow!("{}: {error}", file.display()))
}

fn describe(inspection: &Inspection) -> String {
    let world = if inspection.is_mapping_plugin {
        "standpipe:mapping/plugin@0.1.0"
    } else {
        "another one: this is no mapping plugin"
    };
    let mut text = format!(
        "world    {world}\nsize     {} bytes\nsha256   {}\n",
        inspection.bytes, inspection.sha256
    );
    for (label, names) in [("exports", &inspection.exports), ("imports", &inspection.imports)] {
        let names = if names.is_empty() { "none".to_owned() } else { names.join("\n         ") };
        text += &format!("{label}  {names}\n");
    }
    text
}
