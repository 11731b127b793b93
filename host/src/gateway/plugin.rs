//! A plugin that an embedding program swaps in, and why a swap failed.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;
use tokio::task::JoinError;

use standpipe_plugin_host::DEFAULT_PLUGIN;
use standpipe_plugin_host::swap::{
    Candidate, RejectedCandidate, RoleChangeError, SignatureCheck, SwapStep,
};

/// A plugin to swap in with [`Host::swap`](super::Host::swap).
#[derive(Clone)]
pub struct Plugin(pub(super) Candidate);

/// A plugin was rejected; the active plugin stays in use.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("plugin rejected at the step {step}: {reason}")]
#[non_exhaustive]
pub struct SwapError {
    /// The step that failed: `compile`, `trust`, `samples`, ...; `rollback` if there is no previous
    /// plugin.
    pub step: &'static str,
    /// Why it failed, and what to do.
    pub reason: String,
}

impl Plugin {
    /// Creates a plugin from the bytes of a component.
    pub fn new(component: Vec<u8>) -> Self {
        let origin = "the embedding program";
        Plugin::of(Cow::Owned(component), SignatureCheck::None, origin)
    }

    /// Returns the built-in plugin, which is part of the library.
    pub fn built_in() -> Self {
        let origin = "the built-in plugin";
        Plugin::of(Cow::Borrowed(DEFAULT_PLUGIN), SignatureCheck::BuiltIn, origin)
    }

    fn of(bytes: Cow<'static, [u8]>, signature: SignatureCheck, origin: &str) -> Self {
        Plugin(Candidate {
            bytes,
            signature,
            runner: None,
            settings: None,
            origin: origin.to_owned(),
        })
    }

    /// Sets the text of the plugin's detached signature, which settings with a public key require.
    #[must_use]
    pub fn with_signature(mut self, signature: impl Into<String>) -> Self {
        self.0.signature = SignatureCheck::Detached(signature.into());
        self
    }

    /// Sets the plugin's settings: the text of a JSON object. Without them, the plugin is
    /// configured with the settings with which the host was started. The secret store of the host's
    /// settings resolves `"secret:NAME"` in `secrets`.
    #[must_use]
    pub fn with_settings(mut self, settings: impl Into<String>) -> Self {
        self.0.settings = Some(settings.into().into());
        self
    }

    /// Sets the plugin's origin, for logs and errors.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.0.origin = origin.into();
        self
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.0.origin).finish()
    }
}

impl From<RejectedCandidate> for SwapError {
    fn from(refused: RejectedCandidate) -> Self {
        SwapError { step: refused.step.word(), reason: refused.cause.to_string() }
    }
}

/// There is no previous plugin, or it is not trusted any more.
impl From<RoleChangeError> for SwapError {
    fn from(error: RoleChangeError) -> Self {
        let step = match &error {
            RoleChangeError::Untrusted(_) => SwapStep::Trust.word(),
            _ => "rollback",
        };
        SwapError { step, reason: error.to_string() }
    }
}

/// The runtime is ending, or has ended.
impl From<JoinError> for SwapError {
    fn from(error: JoinError) -> Self {
        SwapError { step: SwapStep::Read.word(), reason: format!("the swap did not run: {error}") }
    }
}
