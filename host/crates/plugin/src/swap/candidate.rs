//! A component that may become the plugin, with what speaks for it, and the terms that the settings
//! set for every plugin.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::cases::Cases;
use crate::{PluginSettings, Seal, Trust};

/// A component that may become the plugin.
#[derive(Clone)]
pub struct Candidate {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// What speaks for it.
    pub seal: Seal,
    /// The settings that it gets in place of those of the terms.
    pub settings: Option<PluginSettings>,
    /// Where it is from, for people.
    pub origin: String,
}

/// Members that the settings of one component have where none of their name was written:
/// what is meant for the plugin that is built in is nothing that others know.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsDefaults {
    /// The component's SHA-256, in hexadecimal.
    pub sha256: Arc<str>,
    /// The members.
    pub members: serde_json::Map<String, serde_json::Value>,
}

/// What the settings ask of every plugin.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The settings that it gets.
    pub settings: PluginSettings,
    /// What the settings of one component have on top, whichever its role.
    pub defaults: Option<SettingsDefaults>,
    /// Which component it must be, and who must have made it.
    pub trust: Trust,
    /// What it must do with certain events.
    pub cases: Option<Arc<Cases>>,
}

impl Terms {
    /// What a component with this SHA-256 reads where it is given these settings.
    pub(super) fn with_defaults(&self, settings: &PluginSettings, sha256: &str) -> PluginSettings {
        match &self.defaults {
            Some(defaults) if *defaults.sha256 == *sha256 => settings.with(&defaults.members),
            _ => settings.clone(),
        }
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("bytes", &self.bytes.len())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
