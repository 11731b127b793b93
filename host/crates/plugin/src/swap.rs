//! How another plugin takes over while events flow.
//!
//! A candidate goes through [steps](Step), off the path of events: its hash and
//! signature are checked, it is compiled, checked against the contract, configured,
//! and has to map samples under the limits of production. Only then it is published,
//! at once for all workers; each turns to it between two batches. A candidate that
//! fails at a step changes nothing but a counter. The plugin before is kept, with
//! its instances, so that going back to it takes no time and cannot fail.
//!
//! What is published is a [`Generation`](crate::Generation): the same
//! component with other settings is another one. The pin and the key of the settings go
//! for every role that a component can be published in, for the way back and for a
//! canary that is promoted, and for what is there already when they change: see
//! [`Trust`](crate::Trust).

mod candidate;
mod metrics;
mod report;
mod samples;
mod shelf;
mod step;
mod swapper;
mod workshop;

pub use crate::Seal;
pub use candidate::{Candidate, SettingsDefaults, Terms};
pub use report::{
    CanaryReport, FailingSource, GenerationReport, PauseReport, RefusalReport, Report, ShadowReport,
};
pub use step::{RefusalCause, Refused, Step};
pub use swapper::{NotPossible, Swapped, Swapper, SwapperSettings};
pub use workshop::Workshop;

#[cfg(test)]
mod tests;
