//! What plugins can reach, opened from the settings at the start and at each reload.

use super::RunError;
use super::plugin_secrets::PluginSecrets;
use crate::config::Settings;
use standpipe_aws::read_ca_bundle;
use standpipe_plugin_host::swap::Swapper;
use standpipe_plugin_host::web::{GeolocationFile, NetworkAccess, NetworkSource};

/// The place of the certificates, for errors.
const CA_BUNDLE: &str = "`ca_bundle` under [plugin.network]";

/// Opens what the settings allow, if it has changed. Returns whether it has.
///
/// # Errors
///
/// Fails if a file, the proxy or the threads for requests cannot be used.
pub(super) fn open_network(
    access: &NetworkAccess,
    settings: &Settings,
    secrets: &PluginSecrets,
) -> Result<bool, RunError> {
    let network = &settings.hosting.network;
    let ca_pem = network.ca_bundle.as_deref().map(|path| read_ca_bundle(path, CA_BUNDLE));
    Ok(access.reopen(NetworkSource {
        settings: network.clone(),
        proxy: secrets.proxy(network),
        ca_pem: ca_pem.transpose()?,
        geolocation: settings.hosting.geolocation.as_deref().map(GeolocationFile::new),
    })?)
}

/// Opens what the settings of a reload allow. If this fails, plugins reach what they reached before.
pub(super) fn reload_network(swapper: &Swapper, settings: &Settings, secrets: &PluginSecrets) {
    let Some(access) = swapper.network() else { return };
    match open_network(access, settings, secrets) {
        Ok(true) => tracing::info!("reloaded [plugin] network, geolocation"),
        Ok(false) => {}
        Err(error) => tracing::error!(
            "failed to reload [plugin] network, geolocation; the last settings stay in use: {error}"
        ),
    }
}
