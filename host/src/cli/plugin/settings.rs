//! The settings with which the plugin commands load a plugin.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::Value;

use crate::cli::complain;
use crate::cli::config::{check_settings, read_settings};
use crate::config::{Overrides, Settings, secret_references};
use crate::run::{CACHE, PluginLoader, candidate};
use standpipe_plugin_host::swap::Candidate;
use standpipe_plugin_host::{is_script, with_script_name};

/// The component that runs the scripts which a command names.
#[derive(Debug, Args)]
pub(super) struct RunnerArgument {
    /// The component that runs the script, for scripts in Python [default: that of
    /// --config, or the built-in runner of JavaScript].
    #[arg(long, value_name = "FILE.wasm")]
    pub(super) runner: Option<PathBuf>,
}

/// Where the settings of a plugin are.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct PluginSettingsArguments {
    /// The plugin's settings: a JSON object.
    #[arg(long, value_name = "FILE.json")]
    settings: Option<PathBuf>,
    /// A settings file of `host run`, whose [plugin] is used: its settings, its limits,
    /// and what it asks of components.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

impl PluginSettingsArguments {
    /// The settings of a run, and those of the plugin: JSON text, by default `{}`.
    pub(super) fn read(&self, data_dir: Option<PathBuf>) -> anyhow::Result<(Settings, String)> {
        let settings = read_run_settings(self.config.as_deref(), data_dir)?;
        let of_plugin = match &self.settings {
            Some(file) => read_plugin_settings(file)?,
            None => settings.written_plugin_settings.clone(),
        };
        Ok((settings, of_plugin))
    }
}

/// Reads the settings of a run. Without a file, returns the defaults.
pub(super) fn read_run_settings(
    file: Option<&Path>,
    data_dir: Option<PathBuf>,
) -> anyhow::Result<Settings> {
    let (raw, directory) = read_settings(file)?;
    let overrides = Overrides { data_dir, ..Overrides::default() };
    let settings = check_settings(raw, &directory, file, overrides)?;
    let references = secret_references(&settings.written_plugin_settings);
    let mut tables: Vec<_> = references.iter().map(|(place, _)| place.table_name()).collect();
    tables.dedup();
    if !tables.is_empty() {
        let tables = tables.join(", ");
        complain(&format!(
            "note: the secrets of {tables} are not resolved here; the plugin gets their references instead"
        ));
    }
    Ok(settings)
}

/// Reads a plugin that a command names: a component, a script, or a directory of scripts. Scripts
/// have the libraries of the settings, and their runner if the command names none.
pub(super) fn read_named_plugin(
    file: &Path,
    runner: &RunnerArgument,
    settings: &Settings,
) -> anyhow::Result<NamedPlugin> {
    let source = settings.plugin.with_path(file.to_owned(), runner.runner.clone());
    let candidate = candidate(&source)?;
    let name = is_script(&candidate.bytes).then(|| file.file_name()).flatten();
    let name = name.map(|name| name.to_string_lossy().into_owned());
    Ok(NamedPlugin { candidate, script: name })
}

/// A plugin that a command names.
pub(super) struct NamedPlugin {
    pub(super) candidate: Candidate,
    /// The name of a script's file.
    script: Option<String>,
}

impl NamedPlugin {
    /// Settings (JSON text) for this plugin: errors of a script contain the name of its file.
    pub(super) fn settings(&self, settings: &str) -> String {
        match &self.script {
            Some(name) => with_script_name(settings, name),
            None => settings.to_owned(),
        }
    }
}

pub(super) fn read_plugin_settings(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("read the plugin's settings {}", file.display()))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(_)) => Ok(text),
        Ok(_) => bail!("{}: the plugin's settings must be a JSON object", file.display()),
        Err(error) => Err(anyhow!("{}: the plugin's settings: {error}", file.display())),
    }
}

/// Creates a loader that loads plugins like a run with these settings, and finds plugins that were
/// already compiled.
pub(super) fn plugin_loader(settings: &Settings) -> anyhow::Result<PluginLoader> {
    Ok(PluginLoader::new(settings, Some(&settings.data_dir.join(CACHE)))?)
}
