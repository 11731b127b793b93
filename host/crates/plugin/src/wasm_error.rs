//! The WebAssembly engine's errors as a type that implements [`Error`], unlike the engine's own
//! type.

use std::error::Error;
use std::fmt;

/// An error of the WebAssembly engine. Its text contains all of its causes.
#[derive(Debug)]
pub struct WasmError(wasmtime::Error);

impl From<wasmtime::Error> for WasmError {
    fn from(error: wasmtime::Error) -> Self {
        WasmError(error)
    }
}

impl WasmError {
    /// The root cause as text.
    pub(super) fn root_cause(&self) -> String {
        self.0.root_cause().to_string()
    }
}

impl fmt::Display for WasmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl Error for WasmError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
