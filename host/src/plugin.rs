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
//! The default mapping can also run without a component around it, so that the
//! price of the sandbox can be measured: see [`Plugin::native`].
//!
//! Nothing here knows what is delivered how: a plugin's answer comes out as
//! plain decisions.

mod component;
mod decision;
mod engine;
mod instance;
mod kinds;
mod log;
mod mapper;
mod native;
mod sandbox;

mod bindings {
    //! What wasmtime makes of the contract.
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: "../wit",
        world: "plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub use component::{Inspection, LoadError, Plugin, inspect};
pub use decision::{Decision, Decisions, Output, Target};
pub use engine::{Engine, EngineError, version as engine_version};
pub use mapper::Mapper;

use thiserror::Error;

/// What a plugin did wrong with an event.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Fault {
    /// It trapped: a panic, an unreachable instruction, a stack overflow.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// It used up its processor time.
    #[error("the plugin did not answer within {0} ms of processor time")]
    Deadline(u128),
    /// It wanted more memory than it may have.
    #[error("the plugin wanted more than {0} MiB of memory")]
    Memory(usize),
    /// Its answer is none that the contract allows.
    #[error("the plugin's answer is wrong: {0}")]
    Answer(String),
    /// No fresh instance could be configured.
    #[error("the plugin could not be started again: {0}")]
    Configure(String),
}
