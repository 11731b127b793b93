//! What a plugin is loaded with, as these commands are told it.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::Value;

use crate::cli::config::read_settings;
use crate::config::Overrides;
use crate::plugin::{Engine, Plugin};
use crate::run::read_plugin;

/// Where the settings of a plugin are.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct PluginSettings {
    /// The plugin's settings: a JSON object.
    #[arg(long, value_name = "FILE.json")]
    settings: Option<PathBuf>,
    /// A settings file of `host run`, of which [plugin.settings] are used.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

impl PluginSettings {
    /// As JSON text, `{}` where there are none.
    pub(super) fn read(&self) -> anyhow::Result<String> {
        match &self.settings {
            Some(file) => of_json(file),
            None => of_config(self.config.as_deref()),
        }
    }
}

/// Those of a settings file, `{}` if there is none.
pub(super) fn of_config(file: Option<&Path>) -> anyhow::Result<String> {
    let (raw, directory) = read_settings(file)?;
    Ok(raw.check(&directory, Overrides::default())?.written_plugin_settings)
}

pub(super) fn of_json(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("read the plugin's settings {}", file.display()))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(_)) => Ok(text),
        Ok(_) => bail!("{}: the plugin's settings must be a JSON object", file.display()),
        Err(error) => Err(anyhow!("{}: the plugin's settings: {error}", file.display())),
    }
}

/// An engine that finds what was compiled before.
pub(super) fn engine(data_dir: &Path) -> anyhow::Result<Engine> {
    Ok(Engine::new(Some(&data_dir.join("cache")))?)
}

pub(super) fn load(engine: &Engine, file: &Path, settings: &str) -> anyhow::Result<Plugin> {
    let bytes = read_plugin(file)?;
    Plugin::load(engine, &bytes, settings).map_err(|error| anyhow!("{}: {error}", file.display()))
}
