//! Rules for a fleet of mappers: all hosts change to the same plugin and settings at once, by a vote.
//!
//! An operator puts a component into an object store and writes a *candidate*. Each host fetches it, takes it through
//! all steps of a swap, and reports that it is ready or why it rejects the candidate. If all hosts that are alive are
//! ready, the operator's command writes the *active* rules, and each host publishes the plugin that it has prepared.
//! If one rejects it, nothing has changed anywhere.
//!
//! Every change of the active rules, also a rollback and a canary, is one write of one record, which fails if another
//! change came first. Its generation goes up with each change. A host takes no messages from the queue while it knows
//! of a newer generation than it has loaded, or has no contact to the fleet: see [`FleetMember`].
//!
//! This crate knows components as bytes and settings as text: [`RuleHost`] is the port to a host's plugins.

mod components;
mod control;
mod member;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod nats;
mod records;
mod settings;
mod store;
mod stream_subjects;

pub use control::{
    ActiveReport, FleetChange, FleetChangeOutcome, FleetControl, FleetError, FleetReport,
    HostReport, RejectingHost, RulesReport,
};
pub use member::{
    FleetMember, FleetMemberSettings, FleetMonitor, JoinError, LoadFailure, LoadFuture, Rejection,
    RuleHost,
};
pub use nats::connect_fleet;
pub(crate) use nats::open_fleet;
pub use records::{
    ActiveRecord, CanaryRules, CandidateRecord, CandidateState, FleetRecord, FleetRules,
    HostCandidate, HostRecord, RecordError,
};
pub use settings::{FleetSettings, RawFleet};
pub use store::{FleetStore, HostEntry, RuleEntry, RuleKey, StoreUpdate};

#[cfg(test)]
mod tests;
