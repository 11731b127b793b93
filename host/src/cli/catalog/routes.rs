use std::path::Path;

use anyhow::Context;

use crate::catalog::Route;
use crate::cli::config::load_plugin;
use crate::config::{Overrides, RawPlugin, RawSettings};
use crate::run::routes_of;

/// What the plugin of the settings says that it sends where. Settings that say
/// nothing about a plugin have none.
pub(super) fn routes(raw: RawSettings, directory: &Path) -> anyhow::Result<Vec<Route>> {
    if raw.plugin == RawPlugin::default() {
        return Ok(Vec::new());
    }
    let plugin = load_plugin(&raw.check(directory, Overrides::default())?)?;
    routes_of(&plugin).context("ask the plugin for its routes")
}
