//! A plugin's settings as the plugin reads them, and the written text with references to secrets.
//! Debug output shows the latter.

use std::fmt;
use std::sync::Arc;

use mapping::Mapping;
use serde_json::{Map, Value};
use standpipe_plugin::{Plugin as _, Setup};

/// A plugin's settings: JSON text, an object.
///
/// The written text may contain references to secrets. It is kept next to the text for the plugin,
/// so that the references can be resolved again.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PluginSettings {
    written: Arc<str>,
    text: Arc<str>,
}

/// Checks settings of the built-in plugin without running the component.
///
/// # Errors
///
/// Fails with the plugin's own message about the mistakes.
pub fn check_mapping_settings(settings: &str) -> Result<(), String> {
    Mapping::configure(settings, &mut Setup::default()).map(drop)
}

impl PluginSettings {
    /// Settings whose references were replaced by their secrets.
    pub fn resolved(written: &str, text: String) -> Self {
        PluginSettings { written: written.into(), text: text.into() }
    }

    /// Adds default members for those that are missing.
    #[must_use]
    pub fn with(&self, members: &Map<String, Value>) -> Self {
        let with = |text: &Arc<str>| match serde_json::from_str(text) {
            Ok(Value::Object(own)) if members.keys().any(|name| !own.contains_key(name)) => {
                let mut all = members.clone();
                all.extend(own);
                Value::Object(all).to_string().into()
            }
            _ => Arc::clone(text),
        };
        PluginSettings { written: with(&self.written), text: with(&self.text) }
    }

    /// The text with references, as written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The text that the plugin reads, including secrets.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same text without a copy.
    pub(super) fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }
}

/// Settings without references.
impl From<&str> for PluginSettings {
    fn from(text: &str) -> Self {
        let text = Arc::<str>::from(text);
        PluginSettings { written: Arc::clone(&text), text }
    }
}

impl From<String> for PluginSettings {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// Shows no secrets.
impl fmt::Debug for PluginSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PluginSettings").field(&self.written).finish()
    }
}
