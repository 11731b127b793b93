//! Reads the plugins that settings name, with signature, terms and secrets, and follows changes of
//! canary and shadow. Component files are bounded in size.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::StartError;
use super::plugin_secrets::PluginSecrets;
use crate::config::{PluginHosting, PluginSource, SecondaryPlugin, Settings};
use crate::limits;
use standpipe_plugin_host::cases::Cases;
use standpipe_plugin_host::swap::{Candidate, Refused, Seal, SettingsDefaults, Swapper, Terms};
use standpipe_plugin_host::{
    CanarySettings, DEFAULT_PLUGIN, PluginSettings, PublicKey, Trust, sha256_hex,
};

/// The plugins beside the one in use that settings ask for, to be told from those of
/// other settings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Companions {
    canary: Option<(Companion, CanarySettings)>,
    shadow: Option<Companion>,
}

/// A plugin beside the one in use: the hash of its component, where it is from, and
/// what it must be.
#[derive(Debug, Clone, PartialEq)]
struct Companion {
    sha256: String,
    beside: SecondaryPlugin,
    /// Its pin, and the key: one that was refused is tried again under others.
    trust: (Option<String>, Option<PublicKey>),
}

/// What the plugin of settings is made of, to be told from that of other settings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ingredients {
    sha256: String,
    seal: Seal,
    /// As they were written: secrets that change are no other settings.
    settings: String,
    defaults: serde_json::Map<String, serde_json::Value>,
    trust: Trust,
    cases: Option<Arc<Cases>>,
}

/// The plugin of settings, and what they ask of it.
pub(super) fn read(
    swapper: &Swapper,
    settings: &Settings,
    secrets: &PluginSecrets,
) -> Result<(Candidate, Terms, Ingredients), Refused> {
    let unread = |error: StartError| swapper.count_unread(error);
    let candidate = candidate(&settings.plugin).map_err(unread)?;
    let terms = terms(settings, secrets).map_err(unread)?;
    let ingredients = Ingredients {
        sha256: sha256_hex(&candidate.bytes),
        seal: candidate.seal.clone(),
        settings: settings.written_plugin_settings.clone(),
        defaults: settings.default_plugin_members.clone(),
        trust: terms.trust.clone(),
        cases: terms.cases.clone(),
    };
    Ok((candidate, terms, ingredients))
}

impl Companions {
    /// What settings ask for.
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

    /// Have a swapper follow, where these settings ask for others than the last ones.
    pub(super) fn follow(
        &mut self,
        swapper: &Swapper,
        settings: &Settings,
        secrets: &PluginSecrets,
    ) {
        let (now, hosting) = (Companions::of(settings), &settings.hosting);
        let read = |beside: &SecondaryPlugin| {
            let candidate = candidate_beside(beside, secrets);
            candidate.map_err(|error| swapper.count_unread(error))
        };
        // What is refused has been counted and told; that there is none to end is
        // no matter.
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
                Some(shadow) => read(shadow).and_then(|shadow| swapper.shadow(&shadow)).is_ok(),
                None => swapper.end_shadow().is_ok(),
            };
        }
        *self = now;
    }
}

impl Companion {
    /// A file that cannot be read is as good as another one, and refused when it is
    /// taken.
    fn of(beside: &SecondaryPlugin, trust: (Option<String>, Option<PublicKey>)) -> Self {
        let sha256 = plugin_bytes(&beside.source).map(|bytes| sha256_hex(&bytes));
        Companion { sha256: sha256.unwrap_or_default(), beside: beside.clone(), trust }
    }
}

/// What the settings ask of every plugin.
///
/// # Errors
///
/// The cases cannot be read.
pub(super) fn terms(settings: &Settings, secrets: &PluginSecrets) -> Result<Terms, StartError> {
    let cases = settings.hosting.cases.as_deref().map(Cases::read).transpose();
    let cases = cases.map_err(StartError::Cases)?;
    Ok(Terms { cases: cases.map(Arc::new), ..terms_without_cases(settings, secrets) })
}

/// What the settings ask of every plugin, but for the cases.
pub(super) fn terms_without_cases(settings: &Settings, secrets: &PluginSecrets) -> Terms {
    Terms {
        settings: filled(&settings.written_plugin_settings, secrets),
        defaults: Some(SettingsDefaults {
            sha256: default_plugin_sha256(),
            members: settings.default_plugin_members.clone(),
        }),
        trust: settings.hosting.trust.clone(),
        cases: None,
    }
}

fn default_plugin_sha256() -> Arc<str> {
    static SHA256: OnceLock<Arc<str>> = OnceLock::new();
    Arc::clone(SHA256.get_or_init(|| sha256_hex(DEFAULT_PLUGIN).into()))
}

/// What the settings name as a plugin.
pub(super) fn candidate(source: &PluginSource) -> Result<Candidate, StartError> {
    match source.file() {
        None => Ok(Candidate {
            bytes: Cow::Borrowed(DEFAULT_PLUGIN),
            seal: Seal::PartOfProgram,
            settings: None,
            origin: "the default mapping plugin".to_owned(),
        }),
        Some(path) => candidate_of_file(path),
    }
}

/// A plugin beside the one in use.
pub(super) fn candidate_beside(
    beside: &SecondaryPlugin,
    secrets: &PluginSecrets,
) -> Result<Candidate, StartError> {
    let settings = Some(filled(&beside.settings, secrets));
    Ok(Candidate { settings, ..candidate(&beside.source)? })
}

/// A plugin's settings with the secrets of all settings, which have been asked for.
fn filled(settings: &str, secrets: &PluginSecrets) -> PluginSettings {
    secrets.fill(settings).expect("every secret of the settings was asked for")
}

/// A component's file, with its signature if there is one beside it.
pub(super) fn candidate_of_file(path: &Path) -> Result<Candidate, StartError> {
    let bytes = Cow::Owned(read_plugin(path)?);
    let seal = match read_bounded(&signature_path(path), limits::PLUGIN_SIGNATURE_BYTES_MAX) {
        Ok(bytes) => Seal::Detached(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Seal::Missing,
        Err(error) => {
            return Err(StartError::PluginFile { path: signature_path(path), error });
        }
    };
    Ok(Candidate { bytes, seal, settings: None, origin: format!("the plugin {}", path.display()) })
}

/// Where the detached signature of a component's file is.
pub(super) fn signature_path(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

/// The component of a plugin, wherever it comes from; for native code the one
/// that decides alike.
///
/// # Errors
///
/// Its file cannot be read, or is too large.
pub fn plugin_bytes(source: &PluginSource) -> Result<Cow<'static, [u8]>, StartError> {
    match source.file() {
        None => Ok(Cow::Borrowed(DEFAULT_PLUGIN)),
        Some(path) => read_plugin(path).map(Cow::Owned),
    }
}

/// Read a component's file, which has a limit like everything else.
///
/// # Errors
///
/// It cannot be read, or is too large.
pub fn read_plugin(path: &Path) -> Result<Vec<u8>, StartError> {
    let bytes = read_bounded(path, limits::PLUGIN_FILE_BYTES_MAX);
    bytes.map_err(|error| StartError::PluginFile { path: path.to_owned(), error })
}

fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// The start fails since a plugin was refused: `what` is the role that it was to have.
pub(super) fn refused(candidate: &Candidate, what: &str, refused: Refused) -> StartError {
    StartError::Refused { plugin: format!("{what}{}", candidate.origin), refused }
}
