//! A component that may become the plugin, with its signature, and the load policy of the settings.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::cases::Cases;
use crate::script::{for_runner, is_script_of_embedded_runner};
use crate::{PluginSettings, ScriptRunner, SignatureCheck, Trust};

/// A component that may become the plugin.
#[derive(Clone)]
pub struct Candidate {
    /// The component's bytes.
    pub bytes: Cow<'static, [u8]>,
    /// The component's signature.
    pub signature: SignatureCheck,
    /// The component that runs the candidate, if it is a script for another runner than the embedded
    /// one.
    pub runner: Option<ScriptRunner>,
    /// The settings that replace those of the policy.
    pub settings: Option<PluginSettings>,
    /// The origin, for people.
    pub origin: String,
}

/// Default members of the settings of one component, such as those that only the built-in plugin
/// knows.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsDefaults {
    /// The component's SHA-256, in hexadecimal.
    pub sha256: Arc<str>,
    /// The members.
    pub members: serde_json::Map<String, serde_json::Value>,
}

/// The requirements of the settings for every plugin.
#[derive(Debug, Clone, Default)]
pub struct LoadPolicy {
    /// The settings of the plugin.
    pub settings: PluginSettings,
    /// Defaults for the settings of one component, in any role.
    pub defaults: Option<SettingsDefaults>,
    /// The pins and the key.
    pub trust: Trust,
    /// The test cases that the plugin must pass.
    pub cases: Option<Arc<Cases>>,
    /// The SHA-256 of the component that runs the scripts of the settings, unless it is the embedded
    /// one.
    pub runner: Option<Arc<str>>,
}

impl LoadPolicy {
    /// The settings of a candidate with this SHA-256, with the defaults for it. The rules of a script
    /// are those of the built-in plugin.
    pub(super) fn candidate_settings(&self, candidate: &Candidate, sha256: &str) -> PluginSettings {
        let settings = candidate.settings.as_ref().unwrap_or(&self.settings);
        match &self.defaults {
            Some(defaults)
                if *defaults.sha256 == *sha256
                    || is_script_of_embedded_runner(&candidate.bytes) =>
            {
                settings.with(&defaults.members)
            }
            _ => settings.clone(),
        }
    }

    /// A plugin file that did not come with a runner: code is for the runner of the settings.
    pub fn plugin_file(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.runner {
            Some(runner) => for_runner(bytes, runner, self.settings.text()),
            None => bytes,
        }
    }
}

impl Candidate {
    /// The SHA-256 of the component that runs the candidate, unless it is the embedded one.
    pub fn runner_digest(&self) -> Option<Arc<str>> {
        self.runner.as_ref().map(|runner| Arc::clone(runner.digest()))
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
