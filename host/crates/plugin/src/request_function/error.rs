//! Why a function cannot be loaded, and why it has no events for a request.

use thiserror::Error;

use crate::{Fault, LoadError, Untrusted};

/// Why a function cannot be loaded.
#[derive(Debug, Error)]
#[error(transparent)]
pub enum FunctionLoadError {
    /// The component may not be loaded.
    Untrusted(#[from] Untrusted),
    /// The component cannot be loaded as a plugin.
    Load(#[from] LoadError),
    /// The component handles no requests.
    #[error(
        "it does not export the interface {}: build it against the world plugin-with-functions of wit/mapping.wit",
        super::FUNCTIONS
    )]
    NoFunction,
}

/// Why a function has no events for a request.
#[derive(Debug, Error)]
pub enum FunctionError {
    /// The function rejects the request, with this message.
    #[error("{0}")]
    Rejected(String),
    /// The function wants the request again later, with this message.
    #[error("{0}")]
    Retry(String),
    /// The function failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A text of the function is not an event.
    #[error(
        "event {} of {events} of the function is not a JSON object: fix the function",
        position + 1
    )]
    NotAnObject {
        /// The position of the text.
        position: usize,
        /// The number of texts.
        events: usize,
    },
    /// Too many requests run and wait.
    #[error("too many requests wait for the function")]
    Busy,
}
