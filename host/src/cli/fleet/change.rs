//! The plugin and the settings that a command pushes to a fleet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use serde_json::Value;

use super::{TIMEOUT, parse_timeout};
use crate::config::written_secrets;
use crate::run::read_candidate;
use standpipe_plugin_host::swap::SignatureCheck;
use standpipe_plugin_host::{DEFAULT_PLUGIN, is_script, sha256_hex, with_script_name};
use standpipe_queue::fleet::{FleetChange, FleetRules};

// A plugin for the hosts of a fleet.
#[derive(Debug, Args)]
pub(super) struct ChangeArguments {
    /// Mapping plugin, a WebAssembly component, a script or a bundle of scripts;
    /// FILE.wasm.minisig has its signature [default: the built-in plugin].
    #[arg(long, value_name = "FILE.wasm|FILE.js")]
    plugin: Option<PathBuf>,
    /// The plugin's settings, as a JSON object or a TOML table [default: each host keeps
    /// those of its settings file].
    #[arg(long, value_name = "FILE.json|FILE.toml")]
    settings: Option<PathBuf>,
    /// How long hosts may take to prepare the plugin.
    #[arg(long, value_name = "TIME", default_value = TIMEOUT, value_parser = parse_timeout)]
    timeout: Duration,
}

impl ChangeArguments {
    /// Reads the files.
    pub(super) fn read(&self, canary: Option<Vec<String>>) -> anyhow::Result<FleetChange> {
        let (component, signature, origin) = match &self.plugin {
            None => (Bytes::from_static(DEFAULT_PLUGIN), None, "the built-in plugin".to_owned()),
            Some(path) => {
                let candidate = read_candidate(path)?;
                let signature = match candidate.signature {
                    SignatureCheck::Detached(text) => Some(text),
                    SignatureCheck::None | SignatureCheck::BuiltIn => None,
                };
                (candidate.bytes.into_owned().into(), signature, candidate.origin)
            }
        };
        let settings = self.settings.as_deref().map(read_settings_file).transpose()?;
        let name =
            self.plugin.as_deref().filter(|_| is_script(&component)).and_then(Path::file_name);
        // Hosts name the script in its errors.
        let settings = match (settings, name) {
            (Some(settings), Some(name)) => {
                Some(with_script_name(&settings, &name.to_string_lossy()))
            }
            (settings, _) => settings,
        };
        let rules = FleetRules { sha256: sha256_hex(&component), settings, signature, origin };
        rules.validate()?;
        Ok(FleetChange { rules, component, canary, timeout: self.timeout })
    }
}

/// Reads settings of a plugin as compact JSON text.
fn read_settings_file(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("failed to read the plugin's settings {}", file.display()))?;
    let is_toml = file.extension().is_some_and(|extension| extension == "toml");
    let settings = match is_toml {
        true => toml::from_str(&text).map_err(|error| anyhow!("{}", error.message())),
        false => serde_json::from_str(&text).map_err(anyhow::Error::from),
    };
    let settings: Value = settings
        .with_context(|| format!("failed to parse the plugin's settings {}", file.display()))?;
    if !settings.is_object() {
        bail!("{}: the plugin's settings must be an object", file.display());
    }
    let text = settings.to_string();
    // Everyone who may read the buckets could read it.
    if let Some(name) = written_secrets(&text).into_iter().next() {
        bail!(
            "{}: the secret {name:?} is written out: write a reference such as \"secret:{name}\", which each host resolves with its own [secrets]",
            file.display()
        );
    }
    Ok(text)
}
