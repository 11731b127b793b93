//! The steps that a candidate passes, in order, and a refusal with the step, the reason and the
//! component's hash.

use std::sync::Arc;

use thiserror::Error;

use crate::LoadError;

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
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("refused at the step {}: {reason}", step.word())]
pub struct Refused {
    /// The step that it did not pass.
    pub step: Step,
    /// Why, and what to do about it.
    pub reason: String,
    /// The SHA-256 of the component, where it could be read.
    pub digest: Option<Arc<str>>,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Step; 7] = [
        Step::Read,
        Step::Trust,
        Step::Compile,
        Step::Fit,
        Step::Configure,
        Step::Samples,
        Step::Cases,
    ];

    /// The word that stands in metrics and reports.
    pub fn word(self) -> &'static str {
        match self {
            Step::Read => "read",
            Step::Trust => "trust",
            Step::Compile => "compile",
            Step::Fit => "fit",
            Step::Configure => "configure",
            Step::Samples => "samples",
            Step::Cases => "cases",
        }
    }

    /// The step at which a component is not loaded.
    pub(super) fn of(error: &LoadError) -> Step {
        match error {
            LoadError::NotWasm { .. } | LoadError::CoreModule | LoadError::Compile(_) => {
                Step::Compile
            }
            LoadError::OtherWorld { .. }
            | LoadError::OtherVersion(_)
            | LoadError::TooLarge(..)
            | LoadError::DoesNotFit(_) => Step::Fit,
            LoadError::Fault(_)
            | LoadError::Settings(_)
            | LoadError::Streams(_)
            | LoadError::Unstable(_) => Step::Configure,
        }
    }
}
