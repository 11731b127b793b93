//! A plugin's settings as it reads them, beside the text as it was written, with references to
//! secrets. Debug output shows the latter.

use std::fmt;
use std::sync::Arc;

use mapping::Mapping;
use serde_json::{Map, Value};
use standpipe_plugin::{Plugin as _, Setup};

/// A plugin's settings: JSON text, an object.
///
/// Some of what was written can be references to secrets that are kept elsewhere. It
/// stays beside what the plugin reads, so that the references can be resolved again.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PluginSettings {
    written: Arc<str>,
    text: Arc<str>,
}

/// Checks settings of the built-in plugin without running the component.
///
/// # Errors
///
/// The plugin's own message about what is wrong with them.
pub fn check_mapping_settings(settings: &str) -> Result<(), String> {
    Mapping::configure(settings, &mut Setup::default()).map(drop)
}

impl PluginSettings {
    /// Settings whose references were replaced by the secrets that they stand for.
    pub fn resolved(written: &str, text: String) -> Self {
        PluginSettings { written: written.into(), text: text.into() }
    }

    /// These settings with default members for those that they do not have.
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

    /// The text with references in it, as it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The text that the plugin reads, secrets included.
    pub fn text(&self) -> &str {
        &self.text
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

/// Without secrets.
impl fmt::Debug for PluginSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PluginSettings").field(&self.written).finish()
    }
}
