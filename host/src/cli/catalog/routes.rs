//! Loads the plugin of the settings and returns its routes, for pictures with events.

use std::path::Path;

use anyhow::Context;

use crate::config::{Overrides, RawSettings};
use crate::run::{PluginLoader, plugin_routes};
use standpipe_catalog::EventRoute;
use standpipe_plugin_host::RawPlugin;

/// Loads the plugin of the settings and returns its routes. Empty if no plugin is set.
pub(super) fn load_routes(raw: RawSettings, directory: &Path) -> anyhow::Result<Vec<EventRoute>> {
    if raw.plugin == RawPlugin::default() {
        return Ok(Vec::new());
    }
    let settings = raw.check(directory, Overrides::default())?;
    let plugin = PluginLoader::new(&settings, None)?.load(&settings.plugin)?;
    plugin_routes(&plugin).context("failed to get the plugin's routes")
}
