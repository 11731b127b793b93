//! A plugin that an embedder hands in, and what came of it: taken, unchanged, or refused at a step.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;
use tokio::task::JoinError;

use standpipe_plugin_host::DEFAULT_PLUGIN;
use standpipe_plugin_host::swap::{Candidate, NotPossible, Refused, Seal, Step};

/// A plugin that is to take over.
#[derive(Clone)]
pub struct Plugin(pub(super) Candidate);

/// A plugin was not taken; the one before goes on.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("the plugin was refused at the step {step}: {reason}")]
#[non_exhaustive]
pub struct SwapRefused {
    /// What it did not pass, in a word: `compile`, `trust`, `samples`, ...; `rollback` where there
    /// is no plugin to go back to.
    pub step: &'static str,
    /// Why, and what to do about it.
    pub reason: String,
}

impl Plugin {
    /// A component, from its bytes.
    pub fn new(component: Vec<u8>) -> Self {
        let origin = "the program that the host is part of";
        Plugin::of(Cow::Owned(component), Seal::Missing, origin)
    }

    /// The default mapping plugin, which is part of the library.
    pub fn built_in() -> Self {
        let origin = "the default mapping plugin";
        Plugin::of(Cow::Borrowed(DEFAULT_PLUGIN), Seal::PartOfProgram, origin)
    }

    fn of(bytes: Cow<'static, [u8]>, seal: Seal, origin: &str) -> Self {
        Plugin(Candidate { bytes, seal, settings: None, origin: origin.to_owned() })
    }

    /// With the text of its detached signature, where the settings have a key.
    #[must_use]
    pub fn signed(mut self, signature: impl Into<String>) -> Self {
        self.0.seal = Seal::Detached(signature.into());
        self
    }

    /// With settings of its own: JSON text, an object. Otherwise it gets those that
    /// the host was started with. `"secret:NAME"` under `secrets` is a secret that the
    /// manager of the host's settings keeps, as it is there.
    #[must_use]
    pub fn with_settings(mut self, settings: impl Into<String>) -> Self {
        self.0.settings = Some(settings.into().into());
        self
    }

    /// Where it is from, for people.
    #[must_use]
    pub fn from_place(mut self, origin: impl Into<String>) -> Self {
        self.0.origin = origin.into();
        self
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.0.origin).finish()
    }
}

impl From<Refused> for SwapRefused {
    fn from(refused: Refused) -> Self {
        SwapRefused { step: refused.step.word(), reason: refused.cause.to_string() }
    }
}

/// There is nothing to go back to, or it may not be used.
impl From<NotPossible> for SwapRefused {
    fn from(error: NotPossible) -> Self {
        let step = match &error {
            NotPossible::Untrusted(_) => Step::Trust.word(),
            _ => "rollback",
        };
        SwapRefused { step, reason: error.to_string() }
    }
}

/// The runtime is ending, or has ended.
impl From<JoinError> for SwapRefused {
    fn from(error: JoinError) -> Self {
        SwapRefused { step: Step::Read.word(), reason: format!("it was not tried: {error}") }
    }
}
