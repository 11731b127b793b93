//! The host as a part of another program: what the crate shows at its root.

mod body;
mod builder;
mod copies;
mod exchange;
mod host;
mod layer;
mod plugin;
mod service;
mod start_error;

pub use body::{AnswerBody, RequestBody};
pub use builder::Builder;
pub use copies::Copies;
pub use exchange::Exchange;
pub use host::Host;
pub use layer::Layer;
pub use plugin::{Plugin, SwapRefused};
pub use service::{Client, Gateway};
pub use start_error::{StartError, StartErrorCause};

/// Whether a path begins with one of these.
fn begins_with_any(path: &str, beginnings: &[String]) -> bool {
    beginnings.iter().any(|beginning| path.starts_with(beginning))
}

#[cfg(test)]
mod tests;
