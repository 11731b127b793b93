//! Swaps the plugin while events flow.
//!
//! A candidate goes through [steps](SwapStep), outside the path of events: its hash and signature are
//! checked, it is compiled, checked against the contract, configured, and must map samples within
//! the limits of production. Then it is published for all workers at once; each switches between
//! two batches. A candidate that fails a step changes nothing but a counter. The previous plugin is
//! kept with its instances, so that a rollback takes no time.
//!
//! Each published plugin is a [`Generation`](crate::Generation): the same component with other
//! settings is another one. The pin and the key of the settings hold for every role, for a rollback
//! and a promotion, and for what is published already when they change: see
//! [`Trust`](crate::Trust).

mod candidate;
mod candidate_validator;
mod metrics;
mod report;
mod samples;
mod step;
mod swap_state;
mod swapper;

pub use crate::SignatureCheck;
pub use candidate::{Candidate, LoadPolicy, SettingsDefaults};
pub use candidate_validator::CandidateValidator;
pub use report::{
    CanaryReport, FailingSource, GenerationReport, PauseReport, PluginStatus, RejectionReport,
    ShadowReport,
};
pub use step::{RejectedCandidate, RejectionCause, SwapStep};
pub use swapper::{RoleChangeError, Swapped, Swapper, SwapperSettings};

#[cfg(test)]
mod tests;
