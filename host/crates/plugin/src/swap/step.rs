//! The steps of a candidate in order, and the rejection of a candidate with the step, the cause and
//! the component's hash.

use std::error::Error;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::cases::CaseFailure;
use crate::{Fault, LoadError, Untrusted};

/// Why this host does not change its plugins by itself, and what to do.
pub(super) const FLEET_DECIDES: &str = "the fleet decides which plugin is active, since the settings of this host \
    have [fleet]: use `host fleet push`, `rollback` or `canary`";

/// A step that a candidate must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapStep {
    /// The candidate's file and settings are read.
    Read,
    /// The hash and the signature of the component are verified.
    Trust,
    /// The component is compiled.
    Compile,
    /// The component's imports and exports are checked against the contract.
    Fit,
    /// The plugin reads its settings.
    Configure,
    /// The plugin maps samples under the limits of production.
    Samples,
    /// The plugin passes the cases of the settings.
    Cases,
}

/// A candidate that failed a step.
#[derive(Debug, Error)]
#[error("it failed the step {}: {cause}", step.word())]
pub struct RejectedCandidate {
    /// The step that the candidate failed.
    pub step: SwapStep,
    /// The reason, and the solution.
    #[source]
    pub cause: Box<RejectionCause>,
    /// The SHA-256 of the component, if it could be read.
    pub digest: Option<Arc<str>>,
}

/// Why a candidate is rejected.
#[derive(Debug, Error)]
pub enum RejectionCause {
    /// The candidate's file, its settings, or a secret in them could not be read.
    #[error(transparent)]
    Unread(Box<dyn Error + Send + Sync>),
    /// The active plugin is native code, which cannot be swapped.
    #[error("the plugin is native code: start without --no-plugin")]
    NativeCode,
    /// A fleet decides which plugin is active.
    #[error("{FLEET_DECIDES}")]
    FleetDecides,
    /// The settings do not permit the component.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The settings no longer permit a canary or shadow.
    #[error("{what} ends: {error}")]
    RoleEnded {
        /// The role of the plugin.
        what: &'static str,
        /// The reason.
        #[source]
        error: Untrusted,
    },
    /// The component cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The plugin fails on a sample event.
    #[error("it fails on a sample event, {event}: {fault}")]
    Sample {
        /// The event's text.
        event: String,
        /// The fault of the plugin.
        #[source]
        fault: Fault,
    },
    /// The plugin does not pass the cases of the settings.
    #[error("{count} cases failed; the first one: {first}")]
    Cases {
        /// The number of failed cases.
        count: usize,
        /// The first failed case.
        first: CaseFailure,
    },
    /// The system cannot create a thread for the plugin.
    #[error("failed to start its thread: {0}: check the limit of processes")]
    Thread(#[source] io::Error),
}

impl RejectedCandidate {
    /// Creates the rejection of a candidate with this SHA-256 at this step.
    pub fn new(step: SwapStep, digest: &Arc<str>, cause: impl Into<RejectionCause>) -> Self {
        RejectedCandidate { step, cause: Box::new(cause.into()), digest: Some(Arc::clone(digest)) }
    }

    /// Creates the rejection of a component that cannot be loaded.
    pub(super) fn load_failed(digest: &Arc<str>, error: LoadError) -> Self {
        RejectedCandidate::new(SwapStep::of(&error), digest, error)
    }

    /// Creates the rejection of a candidate that could not be read.
    pub fn unreadable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = RejectionCause::Unread(error.into());
        RejectedCandidate { step: SwapStep::Read, cause: Box::new(cause), digest: None }
    }
}

impl SwapStep {
    /// The words for all steps, in order.
    pub const WORDS: [&str; 7] =
        ["read", "trust", "compile", "fit", "configure", "samples", "cases"];

    /// The step's label in metrics and reports.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Runs this step of a candidate in a span.
    pub(super) fn run<T>(self, work: impl FnOnce() -> T) -> T {
        tracing::debug_span!("swap_step", step = self.word()).in_scope(work)
    }

    /// The step of a load error.
    pub(super) fn of(error: &LoadError) -> SwapStep {
        match error {
            LoadError::NotWasm { .. }
            | LoadError::CoreModule
            | LoadError::Compile(_)
            | LoadError::ScriptFile(_) => SwapStep::Compile,
            LoadError::OtherWorld { .. }
            | LoadError::OtherVersion(_)
            | LoadError::TooMuchMemory(_)
            | LoadError::TooManyParts(_)
            | LoadError::DoesNotFit(_) => SwapStep::Fit,
            LoadError::Fault(_)
            | LoadError::Settings(_)
            | LoadError::Script(_)
            | LoadError::Streams(_)
            | LoadError::Unstable(_) => SwapStep::Configure,
        }
    }
}
