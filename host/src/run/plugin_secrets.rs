//! Secrets that are handed to plugins: references among `secrets` of their settings.

use std::sync::Arc;

use serde_json::Value;

use super::{StartError, open_secrets};
use crate::config::{Settings, kept_secrets};
use crate::secret::{Resolve, Secret, SecretSetting, Unresolved};

/// Put the secrets in the place of their references, wherever a plugin of the
/// settings gets one. The manager of secrets is asked only where there are any.
///
/// # Errors
///
/// One cannot be had.
pub(crate) async fn resolve_plugin_secrets(settings: &mut Settings) -> Result<(), StartError> {
    if are_kept(settings) {
        let secrets = open_secrets(settings.secrets.as_ref()).await?;
        resolve(settings, &secrets).await?;
    }
    Ok(())
}

/// Whether a plugin gets a secret that is kept elsewhere.
pub(super) fn are_kept(settings: &Settings) -> bool {
    settings.plugins_settings().any(|text| !kept_secrets(text).is_empty())
}

/// The same with a manager that is open already.
pub(super) async fn resolve(
    settings: &mut Settings,
    secrets: &Arc<dyn Resolve>,
) -> Result<(), Unresolved> {
    for text in settings.plugins_settings_mut() {
        for (name, reference) in kept_secrets(text) {
            let secret = secrets.value(&SecretSetting::Reference(reference)).await?;
            *text = with_secret(text, &name, &secret);
        }
    }
    Ok(())
}

fn with_secret(settings: &str, name: &str, secret: &Secret) -> String {
    let mut settings: Value = serde_json::from_str(settings).unwrap_or_default();
    if let Some(place) = settings.get_mut("secrets").and_then(|secrets| secrets.get_mut(name)) {
        *place = Value::String(secret.expose().to_owned());
    }
    settings.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_takes_the_place_of_its_reference_alone() {
        let settings = r#"{"mappings":[1],"secrets":{"a":"secret:x","b":"secret:x"},"z":1.50}"#;
        let filled = with_secret(settings, "b", &Secret::new("\"hid\nden".to_owned()));
        let filled: Value = serde_json::from_str(&filled).unwrap();
        assert_eq!(filled["secrets"]["a"], "secret:x");
        assert_eq!(filled["secrets"]["b"], "\"hid\nden");
        assert_eq!(filled["mappings"], serde_json::json!([1]));
    }
}
