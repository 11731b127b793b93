//! The steps of a candidate in order, and the rejection of a candidate with the step, the cause and
//! the component's hash.

use std::error::Error;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::cases::CaseFailure;
use crate::{Fault, LoadError, Untrusted};

/// A step that a candidate has to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapStep {
    /// Its file and settings are read.
    Read,
    /// Its hash and signature are checked.
    Trust,
    /// It is compiled.
    Compile,
    /// Its imports and exports are checked against the contract.
    Fit,
    /// It reads its settings.
    Configure,
    /// It maps samples under the limits of production.
    Samples,
    /// It passes the cases of the settings.
    Cases,
}

/// A candidate that failed a step.
#[derive(Debug, Error)]
#[error("it failed the step {}: {cause}", step.word())]
pub struct RejectedCandidate {
    /// The step that it failed.
    pub step: SwapStep,
    /// Why, and what to do about it.
    #[source]
    pub cause: Box<RejectionCause>,
    /// The SHA-256 of the component, where it could be read.
    pub digest: Option<Arc<str>>,
}

/// Why a candidate is rejected.
#[derive(Debug, Error)]
pub enum RejectionCause {
    /// Its file, its settings, or a secret that they name, could not be read.
    #[error(transparent)]
    Unread(Box<dyn Error + Send + Sync>),
    /// The active plugin is native code, which cannot be swapped.
    #[error("the plugin is native code: start without --no-plugin")]
    NativeCode,
    /// The settings do not allow it.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The settings no longer allow a canary or shadow.
    #[error("{what} ends: {error}")]
    RoleEnded {
        /// What it was.
        what: &'static str,
        /// Why.
        #[source]
        error: Untrusted,
    },
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It fails on a sample event.
    #[error("it fails on a sample event, {event}: {fault}")]
    Sample {
        /// The event's text.
        event: String,
        /// What it did.
        #[source]
        fault: Fault,
    },
    /// It does not pass the cases of the settings.
    #[error("{count} cases failed; the first one: {first}")]
    Cases {
        /// How many of them.
        count: usize,
        /// The first.
        first: CaseFailure,
    },
    /// The system grants no thread for it.
    #[error("failed to start its thread: {0}: check the limit of processes")]
    Thread(#[source] io::Error),
}

impl RejectedCandidate {
    /// A candidate with this SHA-256 that did not pass a step.
    pub fn new(step: SwapStep, digest: &Arc<str>, cause: impl Into<RejectionCause>) -> Self {
        RejectedCandidate { step, cause: Box::new(cause.into()), digest: Some(Arc::clone(digest)) }
    }

    /// A component that cannot be loaded.
    pub(super) fn load_failed(digest: &Arc<str>, error: LoadError) -> Self {
        RejectedCandidate::new(SwapStep::of(&error), digest, error)
    }

    /// A candidate that could not be read.
    pub(super) fn unreadable(cause: RejectionCause) -> Self {
        RejectedCandidate { step: SwapStep::Read, cause: Box::new(cause), digest: None }
    }
}

impl SwapStep {
    /// The words for all of them, in their order.
    pub const WORDS: [&str; 7] =
        ["read", "trust", "compile", "fit", "configure", "samples", "cases"];

    /// The word that stands in metrics and reports.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Runs this step of a candidate in a span.
    pub(super) fn run<T>(self, work: impl FnOnce() -> T) -> T {
        tracing::debug_span!("swap_step", step = self.word()).in_scope(work)
    }

    /// The step that a load error belongs to.
    pub(super) fn of(error: &LoadError) -> SwapStep {
        match error {
            LoadError::NotWasm { .. } | LoadError::CoreModule | LoadError::Compile(_) => {
                SwapStep::Compile
            }
            LoadError::OtherWorld { .. }
            | LoadError::OtherVersion(_)
            | LoadError::TooMuchMemory(_)
            | LoadError::TooManyParts(_)
            | LoadError::DoesNotFit(_) => SwapStep::Fit,
            LoadError::Fault(_)
            | LoadError::Settings(_)
            | LoadError::Streams(_)
            | LoadError::Unstable(_) => SwapStep::Configure,
        }
    }
}
