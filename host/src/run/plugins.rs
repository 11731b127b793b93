//! Reads the plugins that settings name, with signature, load policy and secrets, and follows
//! changes of canary and shadow. Component files have a size limit.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::RunError;
use super::plugin_files::read_candidate;
use super::plugin_secrets::PluginSecrets;
use super::script_files::read_scripts;
use crate::config::{PluginHosting, PluginSource, SecondaryPlugin, Settings};
use standpipe_plugin_host::cases::Cases;
use standpipe_plugin_host::swap::{
    Candidate, LoadPolicy, RejectedCandidate, SettingsDefaults, SignatureCheck, Swapper,
};
use standpipe_plugin_host::{
    CanarySettings, DEFAULT_PLUGIN, PluginSettings, PublicKey, Trust, sha256_hex,
};

/// The canary and the shadow of some settings, to compare with those of other settings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Companions {
    canary: Option<(Companion, CanarySettings)>,
    shadow: Option<Companion>,
}

/// A canary or shadow: the hash of its component, its source, and its pin and key.
#[derive(Debug, Clone, PartialEq)]
struct Companion {
    sha256: String,
    beside: SecondaryPlugin,
    /// Pin and key. A rejected plugin is tried again if they change.
    trust: (Option<String>, Option<PublicKey>),
}

/// Identifies the plugin of some settings, to compare with that of other settings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PluginFingerprint {
    sha256: String,
    signature: SignatureCheck,
    /// The settings with references in place of secrets, so that a changed secret does not count as
    /// a change of the settings.
    settings: String,
    defaults: serde_json::Map<String, serde_json::Value>,
    trust: Trust,
    cases: Option<Arc<Cases>>,
}

/// Reads the plugin of the settings, with its load policy.
pub(super) fn read_configured_plugin(
    swapper: &Swapper,
    settings: &Settings,
    secrets: &PluginSecrets,
) -> Result<(Candidate, LoadPolicy, PluginFingerprint), RejectedCandidate> {
    let unread = |error: RunError| swapper.reject_unreadable(error);
    let candidate = candidate(&settings.plugin).map_err(unread)?;
    let policy = read_policy(settings, secrets).map_err(unread)?;
    let policy = LoadPolicy { runner: candidate.runner_digest(), ..policy };
    let ingredients = PluginFingerprint {
        sha256: sha256_hex(&candidate.bytes),
        signature: candidate.signature.clone(),
        settings: settings.written_plugin_settings.clone(),
        defaults: settings.default_plugin_members.clone(),
        trust: policy.trust.clone(),
        cases: policy.cases.clone(),
    };
    Ok((candidate, policy, ingredients))
}

impl Companions {
    /// Reads canary and shadow of the settings.
    pub(super) fn of(settings: &Settings) -> Self {
        let PluginHosting { canary, shadow, trust, .. } = &settings.hosting;
        let companion = |beside: &SecondaryPlugin, pin: &Option<String>| {
            let pin = pin.as_ref().or(trust.sha256.as_ref()).cloned();
            Companion::of(beside, (pin, trust.public_key.clone()))
        };
        let canary = canary.as_ref();
        Companions {
            canary: canary.map(|(canary, how)| (companion(canary, &trust.canary_sha256), *how)),
            shadow: shadow.as_ref().map(|shadow| companion(shadow, &trust.shadow_sha256)),
        }
    }

    /// Starts, replaces or ends canary and shadow if the settings have changed.
    pub(super) fn apply_changes(
        &mut self,
        swapper: &Swapper,
        settings: &Settings,
        secrets: &PluginSecrets,
    ) {
        let (now, hosting) = (Companions::of(settings), &settings.hosting);
        let read = |beside: &SecondaryPlugin| {
            let candidate = candidate_beside(beside, secrets);
            candidate.map_err(|error| swapper.reject_unreadable(error))
        };
        // Rejections are already counted and logged. There may be nothing to end.
        if now.canary != self.canary {
            let _ = match &hosting.canary {
                Some((canary, how)) => {
                    read(canary).and_then(|canary| swapper.try_canary(&canary, *how)).is_ok()
                }
                None => swapper.end_canary().is_ok(),
            };
        }
        if now.shadow != self.shadow {
            let _ = match &hosting.shadow {
                Some(shadow) => {
                    read(shadow).and_then(|shadow| swapper.start_shadow(&shadow)).is_ok()
                }
                None => swapper.end_shadow().is_ok(),
            };
        }
        *self = now;
    }
}

impl Companion {
    /// A file that cannot be read has an empty hash, and is rejected when it is loaded.
    fn of(beside: &SecondaryPlugin, trust: (Option<String>, Option<PublicKey>)) -> Self {
        let sha256 = match &beside.source {
            PluginSource::File(_) | PluginSource::Script(_) => {
                let read = candidate(&beside.source);
                read.map(|candidate| sha256_hex(&candidate.bytes)).unwrap_or_default()
            }
            _ => default_plugin_sha256().as_ref().to_owned(),
        };
        Companion { sha256, beside: beside.clone(), trust }
    }
}

/// Returns the load policy of the settings.
///
/// # Errors
///
/// Fails if the cases cannot be read.
pub(super) fn read_policy(
    settings: &Settings,
    secrets: &PluginSecrets,
) -> Result<LoadPolicy, RunError> {
    let cases = settings.hosting.cases.as_deref().map(Cases::read).transpose();
    let cases = cases.map_err(RunError::Cases)?;
    Ok(LoadPolicy { cases: cases.map(Arc::new), ..policy_without_cases(settings, secrets) })
}

/// Returns the load policy of the settings without cases.
pub(super) fn policy_without_cases(settings: &Settings, secrets: &PluginSecrets) -> LoadPolicy {
    LoadPolicy {
        settings: with_secrets(&settings.written_plugin_settings, secrets),
        defaults: Some(SettingsDefaults {
            sha256: default_plugin_sha256(),
            members: settings.default_plugin_members.clone(),
        }),
        trust: settings.hosting.trust.clone(),
        cases: None,
        runner: None,
    }
}

pub(super) fn default_plugin_sha256() -> Arc<str> {
    static SHA256: OnceLock<Arc<str>> = OnceLock::new();
    Arc::clone(SHA256.get_or_init(|| sha256_hex(DEFAULT_PLUGIN).into()))
}

/// Reads the plugin that `source` names.
pub(crate) fn candidate(source: &PluginSource) -> Result<Candidate, RunError> {
    match source {
        PluginSource::File(path) => read_candidate(path),
        PluginSource::Script(paths) => read_scripts(paths),
        _ => Ok(Candidate {
            bytes: Cow::Borrowed(DEFAULT_PLUGIN),
            signature: SignatureCheck::BuiltIn,
            runner: None,
            settings: None,
            origin: "the built-in plugin".to_owned(),
        }),
    }
}

/// Reads a canary or shadow, with its settings.
pub(super) fn candidate_beside(
    beside: &SecondaryPlugin,
    secrets: &PluginSecrets,
) -> Result<Candidate, RunError> {
    let settings = Some(with_secrets(&beside.settings, secrets));
    Ok(Candidate { settings, ..candidate(&beside.source)? })
}

/// Replaces references in a plugin's settings by secrets, all of which are resolved.
fn with_secrets(settings: &str, secrets: &PluginSecrets) -> PluginSettings {
    secrets.substitute(settings).expect("every secret of the settings was resolved")
}

/// The error of a start that fails because of a rejected plugin. `what` names its role.
pub(super) fn refused(candidate: &Candidate, what: &str, refused: RejectedCandidate) -> RunError {
    RunError::Refused { plugin: format!("{what}{}", candidate.origin), refused }
}
