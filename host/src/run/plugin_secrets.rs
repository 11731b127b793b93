//! Secrets of plugins: references under `secrets` of their settings, and in the credentials and
//! function settings of scripts, and their values.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde_json::Value;

use super::{RunError, open_secrets};
use crate::config::{SecretPlace, Settings, secret_references};
use standpipe_core::secret::{
    Secret, SecretReference, SecretResolver, SecretSetting, UnresolvedSecret,
};
use standpipe_plugin_host::PluginSettings;
use standpipe_plugin_host::web::NetworkSettings;

/// The current values of references in plugins' settings.
#[derive(Debug, Default)]
pub(crate) struct PluginSecrets(HashMap<SecretReference, Secret>);

/// Whether a plugin's settings refer to a secret store.
pub(crate) fn uses_stored_secrets(settings: &Settings) -> bool {
    settings.all_plugin_settings().any(|text| !secret_references(text).is_empty())
        || matches!(settings.hosting.network.proxy, Some(SecretSetting::Reference(_)))
}

impl PluginSecrets {
    /// Resolves the secrets of all plugins. The secret store is opened only if there are any.
    ///
    /// # Errors
    ///
    /// Fails if a secret cannot be resolved.
    pub(crate) async fn for_settings(settings: &Settings) -> Result<Self, RunError> {
        if !uses_stored_secrets(settings) {
            return Ok(PluginSecrets::default());
        }
        let secrets = open_secrets(settings.secrets.as_ref()).await?;
        Ok(Self::resolve_all(settings, &secrets).await?)
    }

    /// Resolves the secrets of all plugins, and that of their proxy.
    ///
    /// # Errors
    ///
    /// Fails if a secret cannot be resolved.
    pub(super) async fn resolve_all(
        settings: &Settings,
        secrets: &Arc<dyn SecretResolver>,
    ) -> Result<Self, UnresolvedSecret> {
        let network = &settings.hosting.network;
        Self::resolve_with_proxy(settings.all_plugin_settings(), network, secrets).await
    }

    /// Resolves all references in these settings of plugins, and that of their proxy.
    ///
    /// # Errors
    ///
    /// Fails if a secret cannot be resolved.
    pub(super) async fn resolve_with_proxy(
        settings: impl Iterator<Item = &str>,
        network: &NetworkSettings,
        secrets: &Arc<dyn SecretResolver>,
    ) -> Result<Self, UnresolvedSecret> {
        let mut known = Self::resolve(settings, secrets).await?;
        if let Some(proxy @ SecretSetting::Reference(reference)) = &network.proxy {
            known.0.insert(reference.clone(), secrets.resolve_setting(proxy).await?);
        }
        Ok(known)
    }

    /// The proxy for requests of plugins. `None` without a proxy, or if its reference was not resolved.
    pub(super) fn proxy(&self, network: &NetworkSettings) -> Option<Secret> {
        match network.proxy.as_ref()? {
            SecretSetting::Value(url) => Some(url.clone()),
            SecretSetting::Reference(reference) => self.0.get(reference).cloned(),
        }
    }

    /// Uses each reference as its own value, for commands that use no secret store.
    pub(crate) fn unresolved(settings: &Settings) -> Self {
        let references = settings.all_plugin_settings().flat_map(secret_references);
        let own = |(_, reference): (SecretPlace, SecretReference)| {
            let text = Secret::new(reference.to_string());
            (reference, text)
        };
        PluginSecrets(references.map(own).collect())
    }

    /// Resolves all references in these settings of plugins.
    ///
    /// # Errors
    ///
    /// Fails if a secret cannot be resolved.
    pub(super) async fn resolve(
        settings: impl Iterator<Item = &str>,
        secrets: &Arc<dyn SecretResolver>,
    ) -> Result<Self, UnresolvedSecret> {
        let mut known = HashMap::new();
        for (_, reference) in settings.flat_map(secret_references) {
            if let Entry::Vacant(entry) = known.entry(reference) {
                let setting = SecretSetting::Reference(entry.key().clone());
                entry.insert(secrets.resolve_setting(&setting).await?);
            }
        }
        Ok(PluginSecrets(known))
    }

    /// Replaces references by secrets. Returns `None` if a reference was not resolved.
    pub(super) fn substitute(&self, written: &str) -> Option<PluginSettings> {
        let mut text = written.to_owned();
        for (place, reference) in secret_references(written) {
            text = replace_secret(&text, &place, self.0.get(&reference)?);
        }
        Some(PluginSettings::resolved(written, text))
    }
}

fn replace_secret(settings: &str, place: &SecretPlace, secret: &Secret) -> String {
    let mut settings: Value = serde_json::from_str(settings).unwrap_or_default();
    if let Some(value) = place.value(&mut settings) {
        *value = Value::String(secret.expose().to_owned());
    }
    settings.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_takes_the_place_of_its_reference_alone() {
        let settings = r#"{"mappings":[1],"secrets":{"a":"secret:x","b":"secret:x"},"z":1.50,
            "script":{"credentials":{"b":"secret:y","c":"plain"},"settings":{"d":["secret:z"]}}}"#;
        let places = secret_references(settings);
        let names: Vec<_> = places.iter().map(|(place, _)| place.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "b"]);
        let secret = Secret::new("\"hid\nden".to_owned());
        let filled = places[1..]
            .iter()
            .fold(settings.to_owned(), |text, (place, _)| replace_secret(&text, place, &secret));
        let filled: Value = serde_json::from_str(&filled).unwrap();
        assert_eq!(filled["secrets"]["a"], "secret:x");
        assert_eq!(filled["secrets"]["b"], "\"hid\nden");
        assert_eq!(filled["script"]["credentials"]["b"], "\"hid\nden");
        assert_eq!(filled["mappings"], serde_json::json!([1]));
    }
}
