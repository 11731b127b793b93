//! Embeds the host in another program: the API at the root of the crate.

mod body;
mod builder;
mod capture;
mod exchange;
mod host;
mod layer;
mod plugin;
mod service;
mod start_error;

pub use body::{CapturedBody, ResponseBody};
pub use builder::Builder;
pub use capture::RequestCapture;
pub use exchange::Exchange;
pub use host::Host;
pub use layer::GatewayLayer;
pub use plugin::{Plugin, SwapError};
pub use service::{ClientAddress, Gateway};
pub use start_error::{StartError, StartErrorCause};

/// Returns whether a path starts with one of these prefixes.
fn has_any_prefix(path: &str, prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests;
