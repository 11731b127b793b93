//! Functions of sources: plugins that turn HTTP requests into events.
//!
//! A function has its own instances, as many as it handles requests at the same time. Its code runs
//! on threads for blocking work, never on those of the async runtime. The number of requests that run
//! and that wait is limited, for each function and for all functions together; further requests fail
//! at once. A call has the same limits as a call with one event, and the same network. A trap, a loop
//! or too much memory ends the instance, and only its request fails.

mod error;
mod slots;

use std::sync::Arc;

use serde::de::IgnoredAny;
use tokio::task::spawn_blocking;
use wasmtime::component::{ComponentExportIndex, ComponentType, Lift, Lower};

use super::printable::to_printable;
use super::swap::Candidate;
use super::trust::Role;
use super::{
    CompiledComponent, Engine, LoadError, Plugin, PluginSettings, Trust, is_script, sha256_hex,
};
use crate::limits;
pub use error::{FunctionError, FunctionLoadError};
pub use slots::FunctionSlots;
use slots::WaitingLine;

/// The optional interface that handles requests.
pub(super) const FUNCTIONS: &str = "standpipe:mapping/functions@0.1.0";

/// The function of this interface.
const HANDLE_REQUEST: &str = "handle-request";

/// An HTTP request for a function.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub struct FunctionRequest {
    /// The method in capital letters.
    pub method: String,
    /// The absolute URL with the query.
    pub url: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a function returns no events, in its own words.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(super) struct RequestFailure {
    kind: RequestFailureKind,
    message: String,
}

/// What the sender of a request should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes the values")]
pub(super) enum RequestFailureKind {
    #[component(name = "rejected")]
    Rejected,
    #[component(name = "retry")]
    Retry,
}

/// A plugin that turns HTTP requests into events.
#[derive(Debug, Clone)]
pub struct RequestFunction(Arc<LoadedFunction>);

struct LoadedFunction {
    plugin: Plugin,
    export: ComponentExportIndex,
    line: WaitingLine,
}

impl RequestFunction {
    /// Checks the signature of a component or script, if the settings require one, and loads it with
    /// these settings. `slots` limits the requests of all functions.
    ///
    /// Compiles and runs plugin code, so it must not run on the runtime's threads.
    ///
    /// # Errors
    ///
    /// Fails if the component may not be loaded, rejects its settings, or handles no requests.
    pub fn load(
        engine: &Engine,
        candidate: &Candidate,
        settings: PluginSettings,
        trust: &Trust,
        slots: &FunctionSlots,
    ) -> Result<Self, FunctionLoadError> {
        // The pins are those of mapping plugins.
        let trust = Trust { public_key: trust.public_key.clone(), ..Trust::default() };
        let digest = sha256_hex(&candidate.bytes).into();
        trust.check(Role::Active, &candidate.bytes, &digest, &candidate.signature)?;
        let plugin = CompiledComponent::new(engine, &candidate.bytes)?
            .configure(settings)
            .map_err(|error| blame_script(error, candidate))?;
        let export = plugin.exported_function(FUNCTIONS, HANDLE_REQUEST);
        let export = export.ok_or(FunctionLoadError::NoFunction)?;
        let line = slots.new_line();
        Ok(RequestFunction(Arc::new(LoadedFunction { plugin, export, line })))
    }

    /// Handles a request. Returns the events, each the JSON text of an object.
    ///
    /// If the caller stops waiting, the function still handles the request to its end.
    ///
    /// # Errors
    ///
    /// Fails if the function refuses the request or fails on it, or if too many requests wait.
    pub async fn handle(&self, request: FunctionRequest) -> Result<Vec<String>, FunctionError> {
        let slot = self.0.line.wait_for_slot().await.ok_or(FunctionError::Busy)?;
        let function = Arc::clone(&self.0);
        // The slot moves into the task, because the call goes on if the caller is gone.
        let call = spawn_blocking(move || {
            let _slot = slot;
            function.call(&request)
        });
        match call.await {
            Ok(events) => events,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => Err(FunctionError::Busy),
        }
    }
}

impl LoadedFunction {
    fn call(&self, request: &FunctionRequest) -> Result<Vec<String>, FunctionError> {
        let instance_limits = self.plugin.instance_limits();
        let cpu_max = instance_limits.call_cpu_for(limits::FUNCTION_CPU_EVENTS, request.bytes());
        let mut instance = self.plugin.take_instance()?;
        // After a fault, the instance is dropped with its store.
        let answer = instance.handle_request(&self.export, request, cpu_max)?;
        if !instance.is_worn(&instance_limits) {
            self.plugin.give_back_within(instance, limits::FUNCTION_IDLE_MAX);
        }
        self.plugin.report_dropped_lines();
        let events = answer?;
        check_events(&events)?;
        Ok(events)
    }
}

/// The error of a script that cannot be configured: its settings contain nothing but the code.
fn blame_script(error: LoadError, candidate: &Candidate) -> LoadError {
    match error {
        LoadError::Settings(message) if is_script(&candidate.bytes) => {
            let lines: Vec<_> = message.lines().map(str::trim).collect();
            LoadError::Script(lines.join(" "))
        }
        error => error,
    }
}

/// Checks that each text is one JSON object.
fn check_events(events: &[String]) -> Result<(), FunctionError> {
    let is_object = |text: &String| {
        text.trim_ascii_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
    };
    match events.iter().position(|text| !is_object(text)) {
        Some(position) => Err(FunctionError::NotAnObject { position, events: events.len() }),
        None => Ok(()),
    }
}

impl FunctionRequest {
    /// The bytes that the function receives.
    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.method.len() + self.url.len() + headers.sum::<usize>() + self.body.len()
    }
}

impl From<RequestFailure> for FunctionError {
    fn from(RequestFailure { kind, message }: RequestFailure) -> Self {
        let message = to_printable(&message);
        match kind {
            RequestFailureKind::Rejected => FunctionError::Rejected(message),
            RequestFailureKind::Retry => FunctionError::Retry(message),
        }
    }
}

/// Shows nothing of the request, which can contain secrets.
impl std::fmt::Debug for FunctionRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionRequest").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LoadedFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedFunction").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
