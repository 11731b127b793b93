use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::plugin::cases::Cases;
use crate::plugin::{PluginSettings, Seal, Trust};

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

/// What the settings ask of every plugin.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The settings that it gets.
    pub settings: PluginSettings,
    /// Which component it must be, and who must have made it.
    pub trust: Trust,
    /// What it must do with certain events.
    pub cases: Option<Arc<Cases>>,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("bytes", &self.bytes.len())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
