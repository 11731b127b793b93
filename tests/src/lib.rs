//! What the end-to-end tests are made of.
//!
//! [`Program`] starts the real program in a directory of its own. [`Stub`] is a
//! Firehose that keeps to the limits of the real one and fails on purpose;
//! [`moto`] is Amazon's API as others have written it. [`oracle`] knows where
//! each event must end up, and [`events`] makes events.
//!
//! A folder under `tests/cases` is a test without any Rust: see [`case`].

mod binary;
pub mod case;
pub mod events;
mod letter;
pub mod moto;
pub mod oracle;
mod program;
mod running;
pub mod signature;
pub mod stub;
mod transcript;

pub use binary::program_path;
pub use letter::Letter;
pub use program::{Program, Ran};
pub use running::Running;
pub use stub::{Fate, Stub};

use std::path::PathBuf;
use std::time::Duration;

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The top of the workspace.
pub fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
