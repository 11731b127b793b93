//! The steps that a candidate passes, in order, and a refusal with the step, the reason and the
//! component's hash.

use std::error::Error;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::cases::Failure;
use crate::{Fault, LoadError, Untrusted};

/// A step that a candidate has to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
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

/// A candidate that was not taken.
#[derive(Debug, Error)]
#[error("refused at the step {}: {cause}", step.word())]
pub struct Refused {
    /// The step that it did not pass.
    pub step: Step,
    /// Why, and what to do about it.
    #[source]
    pub cause: Box<RefusalCause>,
    /// The SHA-256 of the component, where it could be read.
    pub digest: Option<Arc<str>>,
}

/// Why a candidate was not taken.
#[derive(Debug, Error)]
pub enum RefusalCause {
    /// Its file, its settings, or a secret that they name, could not be read.
    #[error(transparent)]
    Unread(Box<dyn Error + Send + Sync>),
    /// The plugin in use is native code, which nothing can take the place of.
    #[error("the plugin is native code: start without --no-plugin")]
    NativeCode,
    /// It may not be used.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// What is tried beside the plugin in use may not be used any more.
    #[error("{what} ends: {error}")]
    RoleEnded {
        /// What it was.
        what: &'static str,
        /// Why.
        #[source]
        error: Untrusted,
    },
    /// It is no plugin, or does not take its settings.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It fails on an event that every plugin must get through.
    #[error("it fails on a sample event, {event}: {fault}")]
    Sample {
        /// The event's text.
        event: String,
        /// What it did.
        #[source]
        fault: Fault,
    },
    /// It does not pass the cases of the settings.
    #[error("{count} cases fail, the first of them is {first}")]
    Cases {
        /// How many of them.
        count: usize,
        /// The first.
        first: Failure,
    },
    /// The system grants no thread for it.
    #[error("start its thread: {0}: check the limit of processes")]
    Thread(#[source] io::Error),
}

impl Refused {
    /// A candidate with this SHA-256 that did not pass a step.
    pub fn new(step: Step, digest: &Arc<str>, cause: impl Into<RefusalCause>) -> Self {
        Refused { step, cause: Box::new(cause.into()), digest: Some(Arc::clone(digest)) }
    }

    /// A component that is not loaded.
    pub(super) fn load(digest: &Arc<str>, error: LoadError) -> Self {
        Refused::new(Step::of(&error), digest, error)
    }

    /// A candidate of which nothing is known.
    pub(super) fn unread(cause: RefusalCause) -> Self {
        Refused { step: Step::Read, cause: Box::new(cause), digest: None }
    }
}

impl Step {
    /// The words for all of them, in their order.
    pub const WORDS: [&str; 7] =
        ["read", "trust", "compile", "fit", "configure", "samples", "cases"];

    /// The word that stands in metrics and reports.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Takes this step of a candidate, in a span of its own.
    pub(super) fn take<T>(self, work: impl FnOnce() -> T) -> T {
        tracing::debug_span!("swap_step", step = self.word()).in_scope(work)
    }

    /// The step at which a component is not loaded.
    pub(super) fn of(error: &LoadError) -> Step {
        match error {
            LoadError::NotWasm { .. } | LoadError::CoreModule | LoadError::Compile(_) => {
                Step::Compile
            }
            LoadError::OtherWorld { .. }
            | LoadError::OtherVersion(_)
            | LoadError::TooMuchMemory(_)
            | LoadError::TooManyParts(_)
            | LoadError::DoesNotFit(_) => Step::Fit,
            LoadError::Fault(_)
            | LoadError::Settings(_)
            | LoadError::Streams(_)
            | LoadError::Unstable(_) => Step::Configure,
        }
    }
}
