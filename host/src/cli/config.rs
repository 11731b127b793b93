use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::{CommandResult, print, print_text, usage};
use crate::config::{self, Overrides, RawSettings, Settings};
use crate::escape::one_line;
use crate::plugin::{Engine, Plugin};
use crate::run::load_component;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a settings file, and let the plugin read its settings.
    Check {
        /// The settings file.
        #[arg(value_name = "FILE.toml")]
        file: PathBuf,
    },
    /// Print the JSON Schema of the settings file, for editors.
    Schema,
}

pub(super) fn run(command: Command) -> CommandResult {
    match command {
        Command::Check { file } => {
            let streams = check(&file).map_err(usage)?;
            let streams = streams.join(", ");
            let text = format!("{}: good; delivery streams: {streams}", file.display());
            print_text(&format!("{}\n", one_line(&text)))
        }
        Command::Schema => print(&format!("{:#}\n", config::schema())),
    }
}

fn check(file: &Path) -> anyhow::Result<Vec<String>> {
    let (raw, directory) = read_settings(Some(file))?;
    declared_streams(&raw.check(&directory, Overrides::default())?)
}

/// The streams that the plugin declares once it has read its settings; some can
/// be patterns.
pub(super) fn declared_streams(settings: &Settings) -> anyhow::Result<Vec<String>> {
    let plugin = load_plugin(settings)?;
    let names = plugin.streams();
    Ok(names.map(str::to_owned).collect())
}

/// The plugin of the settings, to look at what it says of itself.
pub(super) fn load_plugin(settings: &Settings) -> anyhow::Result<Plugin> {
    Ok(load_component(settings, &Engine::new(None)?)?)
}

/// A settings file and the directory that its paths start at; without a file,
/// settings in which nothing is set.
pub(super) fn read_settings(file: Option<&Path>) -> anyhow::Result<(RawSettings, PathBuf)> {
    let Some(file) = file else { return Ok((RawSettings::default(), PathBuf::new())) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("read the settings file {}", file.display()))?;
    let raw =
        config::parse(&text).with_context(|| format!("the settings file {}", file.display()))?;
    Ok((raw, file.parent().unwrap_or(Path::new("")).to_owned()))
}
