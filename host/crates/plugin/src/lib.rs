//! Mapping plugins: WebAssembly components that decide where events go.
//!
//! A [`Plugin`] is a loaded and configured component, shared by all workers. A [`Mapper`] is one
//! worker's started instance of it. A store contains exactly one instance, because a trap makes the
//! whole store unusable, and both are dropped together.
//!
//! A fault of the plugin only affects the events that cause it: the batch runs again in smaller
//! groups, in new instances, until the failing events are alone.
//!
//! With the feature `native-mapping`, the default mapping also runs without a component, to measure
//! the cost of the sandbox.
//!
//! This crate does not know how records are delivered: it converts a plugin's result to plain
//! [`Decisions`].

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod cache;
mod canary;
pub mod cases;
mod circuit_breaker;
pub mod compare;
mod component;
mod contract_types;
mod counts;
mod decision;
mod declared;
mod engine;
mod envelope_groups;
mod fault;
mod generation;
mod hosting;
mod instance;
mod instance_limits;
pub mod limits;
mod log;
mod mapper;
#[cfg(any(test, feature = "native-mapping"))]
mod native;
mod printable;
mod reads;
mod request_function;
mod roles;
mod routes;
mod sandbox;
mod script;
mod script_runner;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;
mod settings;
mod shadow;
mod stack;
pub mod swap;
mod ticker;
mod trust;
mod unavailable;
mod wasm_error;
pub mod web;
mod web_imports;

mod bindings {
    //! The bindings that wasmtime generates from the contract.
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The built-in mapping plugin.
pub const DEFAULT_PLUGIN: &[u8] = include_bytes!(env!("MAPPING_WASM"));

pub use canary::{Canary, CanarySettings};
pub use circuit_breaker::{
    Admission, CallOutcome, CircuitBreaker, CircuitBreakerSettings, Grouping, Health, Patience,
    WhenOff,
};
pub use component::{
    CompiledComponent, Inspection, LoadError, Plugin, StartCost, WrongStreams, inspect, sha256_hex,
};
pub use contract_types::OtherVersion;
pub use counts::BatchTally;
pub use decision::{Decision, Decisions, Output, OutputTarget};
pub use declared::DeclarationChange;
pub use engine::{Engine, EngineError, engine_version};
pub use fault::{ConfigureError, Fault, WrongAnswer};
pub use generation::Generation;
pub use hosting::{
    RawBreaker, RawCanary, RawNetwork, RawPlugin, RawPluginLimits, RawScriptPaths, RawShadow,
    check_globals,
};
pub use instance_limits::InstanceLimits;
pub use mapper::Mapper;
pub use mapping::{SettingsReview, review_settings};
pub use minisign_verify::PublicKey;
pub use reads::EventReads;
pub use request_function::{
    FunctionError, FunctionLoadError, FunctionRequest, FunctionSlots, RequestFunction,
};
pub use roles::{Pauses, PluginRoles, PublishedRoles, RolesReader};
pub use routes::PluginRoute;
pub use script::{
    SCRIPT_MEMBER, SCRIPT_NAME_OPTION, ScriptBundle, ScriptError, ScriptFile, ScriptOutline,
    is_script, is_script_bundle, mapping_settings, script_runner_sha256, with_script_name,
};
pub use script_runner::ScriptRunner;
pub use settings::PluginSettings;
pub use settings::check_mapping_settings;
pub use shadow::Shadow;
pub use stack::plugin_thread;
pub use trust::{AdmittedPlugin, Evidence, Role, SignatureCheck, Trust, Untrusted};
pub use unavailable::Unavailable;
pub use wasm_error::WasmError;
