//! Swaps the plugin while events flow.
//!
//! A candidate goes through [steps](SwapStep) outside of the path of events: its hash and signature
//! are verified, it is compiled, checked against the contract and configured, and must map samples
//! within the limits of production. Then it is published for all workers at once, and each switches
//! between two batches. A candidate that fails a step only increments a counter. The previous
//! plugin is kept with its instances, so that a rollback takes no time. Preparing and publishing are
//! two calls, so that all hosts of a fleet can prepare a candidate and publish it at the same time. A
//! local swap makes both calls.
//!
//! Each published plugin is a [`Generation`](crate::Generation): the same component with other
//! settings is another generation. The pin and the key of the settings apply to every role, to a
//! rollback and a promotion, and also to published plugins when they change: see
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
pub use swapper::{PreparedPlugin, RoleChangeError, Swapped, Swapper, SwapperSettings};

#[cfg(test)]
mod tests;
