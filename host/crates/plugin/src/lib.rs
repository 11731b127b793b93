//! Mapping plugins: WebAssembly components that decide where events go.
//!
//! A [`Plugin`] is a loaded and configured component, shared by all workers; a
//! [`Mapper`] is one worker's warm instance of it. A Store holds exactly one
//! instance, since a trap poisons a Store whole, and is thrown away with it.
//!
//! A fault of the plugin costs only the events that cause it: the batch is run
//! again in smaller groups, in fresh instances, until the guilty events stand
//! alone.
//!
//! With the feature `native-mapping`, the default mapping also runs without a component
//! around it, so that the price of the sandbox can be measured.
//!
//! Nothing here knows what is delivered how: a plugin's answer comes out as
//! plain decisions.

mod allowance;
mod breaker;
mod cache;
mod canary;
pub mod cases;
pub mod compare;
mod component;
mod contract_types;
mod cost;
mod counts;
mod decision;
mod declared;
mod engine;
mod generation;
mod instance;
mod kinds;
mod ledger;
pub mod limits;
mod log;
mod mapper;
#[cfg(any(test, feature = "native-mapping"))]
mod native;
mod roles;
mod routes;
mod sandbox;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;
mod settings;
mod shadow;
pub mod swap;
mod ticker;
mod trust;

mod bindings {
    //! What wasmtime makes of the contract.
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The mapping plugin that is built in.
pub const DEFAULT_PLUGIN: &[u8] = include_bytes!(env!("MAPPING_WASM"));

pub use allowance::Allowance;
pub use breaker::{
    Admission, Attempt, Breaker, BreakerSettings, Grouping, Health, Patience, WhenOff,
};
pub use cache::CacheCounts;
pub use canary::{Canary, CanarySettings};
pub use component::{Compiled, Inspection, LoadError, Plugin, inspect, sha256_hex};
pub use cost::{Reads, StartCost};
pub use counts::{Counts, Tally};
pub use decision::{Decision, Decisions, Output, Target};
pub use engine::{Engine, EngineError, version as engine_version};
pub use generation::Generation;
pub use ledger::Ledger;
pub use mapper::{Mapper, Unavailable};
pub use mapping::{Review as SettingsReview, review as review_settings};
pub use minisign_verify::PublicKey;
pub use roles::{Pauses, PluginRoles, PublishedRoles, RolesReader};
pub use routes::Route;
pub use settings::PluginSettings;
pub use settings::check_mapping_settings;
pub use shadow::Shadow;
pub use trust::{Admitted, Evidence, Role, Seal, Trust, Untrusted};

use thiserror::Error;

/// What a plugin did wrong with an event.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Fault {
    /// It trapped: a panic, an unreachable instruction, a stack overflow.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// It used up its processor time for a call.
    #[error(
        "the plugin did not answer within {0} ms of processor time: fix it, or raise call_cpu, event_cpu or byte_cpu \
         under [plugin.limits]"
    )]
    Deadline(u128),
    /// It used up its processor time for starting and reading its settings.
    #[error(
        "the plugin did not answer within {0} ms of processor time: fix it, or raise configure_cpu under \
         [plugin.limits]"
    )]
    ConfigureDeadline(u128),
    /// It wanted more memory than it may have.
    #[error(
        "the plugin wanted more than {0} MiB of memory: fix it, or raise memory_bytes under [plugin.limits]"
    )]
    Memory(usize),
    /// Its answer is none that the contract allows.
    #[error("the plugin's answer is wrong: {0}")]
    Answer(String),
    /// Its answer takes more of the host's memory than it may.
    #[error(
        "the plugin's answer takes more than {0} MiB of the host's memory: fix the plugin, or raise answer_bytes \
         under [plugin.limits]"
    )]
    AnswerSize(usize),
    /// It was not asked: it is switched off for the source, or the run ended first.
    #[error(
        "the plugin was not asked about the event: it fails on nearly all events of the source, and `when_off` is \
         \"fail\", or the run ended while the event waited for its turn"
    )]
    Off,
    /// No fresh instance could be configured.
    #[error("the plugin could not be started again: {0}")]
    Configure(String),
}

impl Fault {
    /// The words for the kinds of faults.
    pub const WORDS: [&str; 6] = ["trap", "deadline", "memory", "answer", "off", "configure"];

    fn kind(&self) -> usize {
        match self {
            Fault::Trap(_) => 0,
            Fault::Deadline(_) | Fault::ConfigureDeadline(_) => 1,
            Fault::Memory(_) => 2,
            Fault::Answer(_) | Fault::AnswerSize(_) => 3,
            Fault::Off => 4,
            Fault::Configure(_) => 5,
        }
    }
}
