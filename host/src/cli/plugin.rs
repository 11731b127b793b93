//! `host plugin`: its subcommands, and `export`, which writes the built-in plugin to a file.

mod bench;
mod bundle;
mod diff;
mod events;
mod inspect;
mod new;
mod settings;
mod test;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::{CommandResult, Exit, fault, print};
use standpipe_plugin_host::DEFAULT_PLUGIN;

#[derive(Debug, Subcommand)]
pub(super) enum PluginSubcommand {
    /// Create a plugin project that builds and passes its own cases.
    New(new::NewPluginArguments),
    /// Run test cases: events, and what the plugin must decide about them.
    Test(test::TestPluginArguments),
    /// Show what changes when one plugin replaces another.
    Diff(diff::DiffArguments),
    /// Measure what a plugin costs compared with the built-in plugin.
    Bench(bench::BenchPluginArguments),
    /// Write several scripts and libraries as one file, which can be signed and pushed.
    Bundle(bundle::BundleArguments),
    /// Write the built-in plugin to a file.
    Export {
        /// The file to write; `-` is standard output.
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
    },
    /// Show a component's world, imports, size and hash, or the parts of a script.
    Inspect(inspect::InspectArguments),
}

pub(super) fn run(command: PluginSubcommand) -> CommandResult {
    match command {
        PluginSubcommand::New(arguments) => new::run(&arguments),
        PluginSubcommand::Test(arguments) => test::run(&arguments),
        PluginSubcommand::Diff(arguments) => diff::run(&arguments),
        PluginSubcommand::Bench(arguments) => bench::run(&arguments),
        PluginSubcommand::Bundle(arguments) => bundle::run(&arguments),
        PluginSubcommand::Export { file } => export_default_plugin(&file),
        PluginSubcommand::Inspect(arguments) => inspect::run(&arguments),
    }
}

#[expect(clippy::disallowed_methods, reason = "a user asked for the file")]
fn export_default_plugin(file: &Path) -> CommandResult {
    if file == Path::new("-") {
        return print(DEFAULT_PLUGIN);
    }
    let written = std::fs::write(file, DEFAULT_PLUGIN);
    let written = written.with_context(|| format!("write {}", file.display()));
    written.map_err(fault)?;
    Ok(Exit::Done)
}
