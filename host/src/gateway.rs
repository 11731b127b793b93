//! The host as a part of another program: what the crate shows at its root.

mod body;
mod builder;
mod copies;
mod exchange;
mod layer;
mod plugin;
mod running;
mod service;
mod start_error;
mod submitting;
mod swapping;

pub use body::{AnswerBody, RequestBody};
pub use builder::Builder;
pub use copies::Copies;
pub use exchange::Exchange;
pub use layer::Layer;
pub use plugin::{Plugin, SwapRefused, Swapped};
pub use running::Host;
pub use service::{Client, Gateway};
pub use start_error::{StartError, StartErrorCause};
