//! The types that the other crates of Standpipe share: events and their acknowledgement, the scan
//! of an event's routing envelope, secret values, the clock, and private files.
//!
//! The crate does no input or output except for creating files, and does not depend on WebAssembly
//! or AWS.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod backoff;
pub mod blocking;
pub mod clock;
mod error_chain;
pub mod escape;
pub mod event;
pub mod files;
pub mod fingerprint;
pub mod gzip;
pub mod limits;
pub mod log_interval;
pub mod memory_budget;
pub mod message_id;
pub mod metrics;
pub mod private;
pub mod rate_limiter;
#[cfg(any(test, feature = "testing"))]
pub mod scoped_log;
pub mod secret;
pub mod settings;
#[cfg(any(test, feature = "testing"))]
pub mod test_deadline;
pub mod text_table;

pub use error_chain::{error_chain, error_sources};
