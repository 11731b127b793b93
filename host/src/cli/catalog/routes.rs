use std::path::Path;

use anyhow::{Context, anyhow};

use crate::catalog::Route;
use crate::config::{Overrides, RawPlugin, RawSettings};
use crate::plugin::{Engine, Plugin};
use crate::run::{plugin_bytes, routes_of};

/// What the plugin of the settings says that it sends where. Settings that say
/// nothing about a plugin have none.
pub(super) fn routes(raw: RawSettings, directory: &Path) -> anyhow::Result<Vec<Route>> {
    if raw.plugin == RawPlugin::default() {
        return Ok(Vec::new());
    }
    let settings = raw.check(directory, Overrides::default())?;
    let bytes = plugin_bytes(&settings.plugin)?;
    let plugin = Plugin::load(&Engine::new(None)?, &bytes, &settings.plugin_settings)
        .map_err(|error| anyhow!("the plugin: {error}"))?;
    routes_of(&plugin).context("ask the plugin for its routes")
}
